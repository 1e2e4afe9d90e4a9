"""Content: features stay near those of the pasted object (Gatys et al. 2015)."""

from __future__ import annotations

from torch import Tensor


def content_gradient(features: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the weighted mean of (features - target)^2, both (C, N), and that mean.

    `weight` (N,) >= 0 says how much each position counts.
    """
    count = len(features) * weight.sum().clamp_min(1e-6)
    difference = features.float() - target
    pull = difference * (weight / count)
    return 2 * pull, (pull * difference).sum()
