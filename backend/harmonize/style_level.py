"""How strongly a painting's brush speaks: its style level, and the loss weights that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """Weights of pass 2's normalized gradients (Luan et al. 2018, section 3.3, table 1)."""

    content: float
    style: float
    histogram: float
    variation: float


def noise(painting: Tensor) -> float:
    """Median of the squared difference to the right and lower neighbour; painting (3, H, W) in 0..1."""
    across = ((painting[:, :-1, 1:] - painting[:, :-1, :-1]) ** 2).sum(dim=0)
    down = ((painting[:, 1:, :-1] - painting[:, :-1, :-1]) ** 2).sum(dim=0)
    return (across + down).flatten().median().item()


def weights(painting: Tensor, level: float, content: float = 1.0, smoothness: float = 1.0) -> Weights:
    """Loss weights for a painting (3, H, W) in 0..1 of style level `level` (about 1 to 10).

    `content` and `smoothness` multiply the content and total variation weights.
    """
    v = 10 / (1 + math.exp(min(1e4 * noise(painting) - 25, 700)))
    return Weights(content=content, style=level, histogram=(10 - v) * level, variation=v * level * smoothness)
