"""Histogram remapping of activations (Wilmot et al. 2017, https://arxiv.org/abs/1701.08893).

Each channel's activations are given the values of equal rank among the target's: the target is held
as 256 quantiles a channel, and ranks are read off a 256-bin cumulative histogram, so that no sort of
full-resolution features is needed in the loop.
"""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 256  # paper, section 3.2


def quantiles(features: Tensor, count: int = BINS) -> Tensor:
    """Sorted values of (C, N) at `count` + 1 equally spaced ranks from smallest to largest: (C, count + 1)."""
    ordered = features.float().sort(dim=1).values
    rank = torch.linspace(0, features.shape[1] - 1, count + 1, device=features.device)
    low = rank.floor().long()
    high = rank.ceil().long()
    return torch.lerp(ordered[:, low], ordered[:, high], rank - low)


def remap(features: Tensor, weight: Tensor, target: Tensor, bins: int = BINS) -> Tensor:
    """The activations of equal rank: (C, N) like `features`, float32.

    `weight` (N,) >= 0 says how much each position counts in the ranks; `target` is `quantiles(...)`.
    A bin's members share its rank interval linearly, so the result is within one bin of exact rank
    matching.
    """
    x = features.float()
    channels, _ = x.shape
    low = x.amin(dim=1, keepdim=True)
    width = (x.amax(dim=1, keepdim=True) - low).clamp_min(1e-6) / bins
    position = (x - low) / width  # 0..bins
    bin_index = position.long().clamp_(max=bins - 1)
    count = x.new_zeros(channels, bins)
    count.scatter_add_(1, bin_index, weight.to(x.dtype).expand_as(x))
    edges = torch.cat((x.new_zeros(channels, 1), count.cumsum(dim=1)), dim=1)
    edges = edges / edges[:, -1:].clamp_min(1e-6)  # rank 0..1 at each bin's edge
    # Composed once a channel: value at the bins' edges, then linear inside a bin.
    steps = target.shape[1] - 1
    at = edges * steps
    below = at.long().clamp_(max=steps - 1)
    value = torch.lerp(target.gather(1, below), target.gather(1, below + 1), at - below)
    inside = position - bin_index
    return torch.lerp(value.gather(1, bin_index), value.gather(1, bin_index + 1), inside)
