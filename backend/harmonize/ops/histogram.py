"""Histogram remapping of activations (Wilmot et al. 2017, https://arxiv.org/abs/1701.08893).

Each channel's activations are given the values of equal rank among the target's: the target is held
as 256 quantiles a channel, and ranks are read off a 256-bin cumulative histogram, so that no sort of
full-resolution features is needed in the loop.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BINS = 256  # paper, section 3.2
# Values that a processor counts at once, a megabyte that its cache holds: twice as fast as all of them, for which
# there were tables of half a gigabyte at 700 px. A graphics card would rather have few large pieces of work.
AT_ONCE = 1 << 18
# Ranks are counted over as many positions at least, evenly spread; of fewer over all. A rank is off by half a percent
# then, about a bin; counting all took more than half of the time.
RANKED = 1 << 13
COUNTED = 1 << 14  # values of 16 bits from which a processor counts them sooner than it sorts them


def quantiles(features: Tensor, count: int = BINS) -> Tensor:
    """Values of (C, N) at `count` + 1 equally spaced ranks from smallest to largest: (C, count + 1) float32."""
    last = features.shape[1] - 1
    # In whole numbers: in float32 the last of more than 2^24 ranks would lie beyond the last value.
    rank = torch.arange(count + 1, device=features.device) * last
    low = rank // count
    low, high = _at_ranks(features, torch.cat((low, (low + 1).clamp_max(last)))).chunk(2, dim=1)
    return torch.lerp(low, high, (rank % count) / count)


def _at_ranks(features: Tensor, ranks: Tensor) -> Tensor:
    """Each channel's values at `ranks` (K,), 0 for the smallest: (C, K) float32."""
    if features.device.type == "cpu" and features.element_size() == 2 and features.shape[1] >= COUNTED:
        return torch.stack([_counted(row, ranks) for row in features]).float()
    return features.float().sort(dim=1).values[:, ranks]


def _counted(values: Tensor, ranks: Tensor) -> Tensor:
    """Those of one channel, of 16 bits each, found by counting how often each of the 2^16 numbers is there."""
    bits = values.contiguous().view(torch.int16)
    # Floats are ordered as their bits are, the negative ones the other way round.
    order = torch.where(bits < 0, bits ^ 0x7FFF, bits).int() + 0x8000
    upper = torch.bincount(order, minlength=0x10000).cumsum(dim=0)
    found = (torch.searchsorted(upper, ranks, right=True) - 0x8000).to(torch.int16)
    return torch.where(found < 0, found ^ 0x7FFF, found).view(values.dtype)


def remap(features: Tensor, weight: Tensor, target: Tensor, bins: int = BINS) -> Tensor:
    """The activations of equal rank: (C, N) like `features`, float32.

    `weight` (N,) >= 0 says how much each position counts in the ranks; `target` is `quantiles(...)`.
    A bin's members all get the value in the middle of its ranks, so the result is within one bin of
    exact rank matching, and of many positions (RANKED) about another; interpolating inside the bin took twice as long
    and changed no picture.
    """
    rows = _rows(features)
    look_up = _remapping(rows, weight, target, bins)
    return torch.cat([look_up(part) for part in rows.split(_run(rows))]).T


def histogram_gradient(features: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the weighted mean of (features - remap(features))^2, (C, N), and that mean.

    The remapped activations count as constant (Wilmot et al. 2017, section 3.1).
    """
    rows = _rows(features)
    look_up, run = _remapping(rows, weight, target, BINS), _run(rows)
    factor = (weight * (2 / (rows.shape[1] * weight.sum().clamp_min(1e-6))))[:, None]
    pull, loss = torch.empty_like(rows), rows.new_zeros(())
    # All that is to be done with a few rows while they are at hand: of many positions, 64 channels and 120000 on one
    # thread, a third less time than one thing after another; of few the same.
    for part, own, out in zip(rows.split(run), factor.split(run), pull.split(run)):
        difference = part - look_up(part)
        torch.mul(difference, own, out=out)
        loss += torch.linalg.vecdot(out.flatten(), difference.flatten()) / 2
    return pull.T, loss


def _rows(features: Tensor) -> Tensor:
    """(C, N) as one row of float32 a position, (N, C), as they lie in memory with channels last: the same sums along the
    other way took four times as long."""
    return features.float().T.contiguous()


def _run(rows: Tensor) -> int:
    """How many rows are worked on at once."""
    count, channels = rows.shape
    return max(1, AT_ONCE // channels if rows.device.type == "cpu" else count)


def _remapping(rows: Tensor, weight: Tensor, target: Tensor, bins: int) -> Callable[[Tensor], Tensor]:
    """What gives some of the `rows` (N, C) their remapped values; see `remap`. Bins of all channels stand in one table, a
    channel after the other."""
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

    count, run = rows.new_zeros(channels * bins), _run(rows)
    for part, counts in zip(sample.split(run), counted.split(run)):
        count.scatter_add_(0, binned(part).long(), counts[:, None].expand_as(part).flatten())
    value = _middle(count.view(channels, bins), target).flatten()
    return lambda part: value.index_select(0, binned(part)).view_as(part)


def _middle(count: Tensor, target: Tensor) -> Tensor:
    """The value that the `target` has in the middle of the ranks of each bin: (C, bins) like `count`."""
    upper = count.cumsum(dim=1)
    rank = (upper - count / 2) / upper[:, -1:].clamp_min(1e-6)  # 0..1
    steps = target.shape[1] - 1
    at = rank * steps
    below = at.long().clamp_(0, steps - 1)
    return torch.lerp(target.gather(1, below), target.gather(1, below + 1), at - below)
