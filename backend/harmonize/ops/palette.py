"""A painting's palette: its colours as samples, and the nearest that it has to others."""

from __future__ import annotations

import torch
from torch import Tensor

from .chunks import chunked

# Lightness counts this much: red in the shade is found for red in the light, a tone gets what is light or dark anyway.
LIGHTNESS = 0.5
AT_ONCE = 1 << 20  # distances in memory at once


def in_palette(colours: Tensor, palette: Tensor, count: int) -> Tensor:
    """`colours` (3, N) as the `palette` (3, M) has them: each the mean of the `count` nearest, (3, N); all in CIELAB,
    float. A palette has a colour only if it has it often: of one speck the mean is mostly other colours."""
    weight = palette.new_tensor([LIGHTNESS, 1.0, 1.0])
    own, known, nearest = colours.T * weight, palette.T * weight, min(count, palette.shape[1])

    def mean(rows: slice) -> Tensor:
        # The product, not the differences: of nearly equal colours it is exact to a hundredth, which is enough.
        distance = torch.cdist(own[rows], known, compute_mode="use_mm_for_euclid_dist")
        found = distance.topk(nearest, dim=1, largest=False, sorted=False).indices
        return palette.T[found].mean(dim=1)

    return chunked(mean, len(own), max(1, AT_ONCE // palette.shape[1])).T
