"""Total variation: squared differences of neighbouring pixels (Johnson et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor


def total_variation_gradient(image: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of half the sum of squared neighbour differences of (C, H, W), and that sum."""
    across = image[:, :, 1:] - image[:, :, :-1]
    down = image[:, 1:] - image[:, :-1]
    gradient = torch.zeros_like(image)
    gradient[:, :, 1:] += across
    gradient[:, :, :-1] -= across
    gradient[:, 1:] += down
    gradient[:, :-1] -= down
    return gradient, (across**2).sum() / 2 + (down**2).sum() / 2
