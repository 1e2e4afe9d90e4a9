"""Histogram remapping of activations (Wilmot et al. 2017, https://arxiv.org/abs/1701.08893).

Each channel's activations are given the values of equal rank among the target's: the target is held
as 256 quantiles a channel, and ranks are read off a 256-bin cumulative histogram, so that no sort of
full-resolution features is needed in the loop.
"""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 256  # paper, section 3.2
# Values that a processor counts at once, a megabyte that its cache holds: twice as fast as all of them, for which
# there were tables of half a gigabyte at 700 px. A graphics card would rather have few large pieces of work.
AT_ONCE = 1 << 18
# Ranks are counted over as many positions at least, evenly spread; of fewer over all. A rank is off by half a percent
# then, about a bin; counting all took more than half of the time.
RANKED = 1 << 13


def quantiles(features: Tensor, count: int = BINS) -> Tensor:
    """Sorted values of (C, N) at `count` + 1 equally spaced ranks from smallest to largest: (C, count + 1)."""
    ordered = features.float().sort(dim=1).values
    last = features.shape[1] - 1
    # In whole numbers: in float32 the last of more than 2^24 ranks would lie beyond the last value.
    rank = torch.arange(count + 1, device=features.device) * last
    low = rank // count
    high = (low + 1).clamp_max(last)
    return torch.lerp(ordered[:, low], ordered[:, high], (rank % count) / count)


def remap(features: Tensor, weight: Tensor, target: Tensor, bins: int = BINS) -> Tensor:
    """The activations of equal rank: (C, N) like `features`, float32.

    `weight` (N,) >= 0 says how much each position counts in the ranks; `target` is `quantiles(...)`.
    A bin's members all get the value in the middle of its ranks, so the result is within one bin of
    exact rank matching, and of many positions (RANKED) about another; interpolating inside the bin took twice as long
    and changed no picture.
    """
    # One row a position, as the features lie in memory with channels last: the same sum along the other way
    # took four times as long. Bins of all channels stand in one table, a channel after the other.
    rows = features.float().T.contiguous()
    channels = rows.shape[1]
    sparse = max(1, len(rows) // RANKED)
    sample, counted = rows[::sparse], weight[::sparse].to(rows.dtype)
    low = sample.amin(dim=0)
    scale = bins / (sample.amax(dim=0) - low).clamp_min(1e-6)
    offset = -low * scale
    first = torch.arange(channels, device=rows.device, dtype=torch.int32) * bins

    def binned(part: Tensor) -> Tensor:
        """Where in the table each value of some rows belongs, one after the other."""
        return torch.addcmul(offset, part, scale).int().clamp_(0, bins - 1).add_(first).flatten()

    run = max(1, AT_ONCE // channels) if rows.device.type == "cpu" else max(1, len(rows))
    count = rows.new_zeros(channels * bins)
    for part, counts in zip(sample.split(run), counted.split(run)):
        count.scatter_add_(0, binned(part).long(), counts[:, None].expand_as(part).flatten())
    count = count.view(channels, bins)
    upper = count.cumsum(dim=1)
    rank = (upper - count / 2) / upper[:, -1:].clamp_min(1e-6)  # 0..1, in the middle of each bin
    steps = target.shape[1] - 1
    at = rank * steps
    below = at.long().clamp_(0, steps - 1)
    value = torch.lerp(target.gather(1, below), target.gather(1, below + 1), at - below).flatten()
    remapped = torch.empty_like(rows)
    for part, new in zip(rows.split(run), remapped.split(run)):
        torch.index_select(value, 0, binned(part), out=new.view(-1))
    return remapped.T


def histogram_gradient(features: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the weighted mean of (features - remap(features))^2, (C, N), and that mean.

    The remapped activations count as constant (Wilmot et al. 2017, section 3.1).
    """
    count = len(features) * weight.sum().clamp_min(1e-6)
    difference = remap(features, weight, target).neg_().add_(features)
    pull = difference * (2 / count * weight)
    return pull, torch.linalg.vecdot(pull.T.flatten(), difference.T.flatten()) / 2
