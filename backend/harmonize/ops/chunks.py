"""Work done in runs of rows, so that no whole table is ever in memory; in smaller ones where that is short."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# What torch, the device's libraries and C++ on Windows and elsewhere say of it, in small letters.
LACKS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",
    "invalid buffer size",
    "bad_alloc",
    "bad allocation",
)
SHRINK = 4  # a run for which memory did not suffice is tried again with a part of its rows


def chunked(work: Callable[[slice], Tensor], count: int, size: int) -> Tensor:
    """`work` of rows 0..count, at most `size` at once, joined along the first axis.

    What the device raises for want of memory is raised once a single row is too much.
    """
    done: list[Tensor] = []
    start = 0
    while start < count or not done:
        rows = slice(start, min(start + size, count))
        try:
            done.append(work(rows))
            start = rows.stop
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not is_out_of_memory(error):
                raise
            size = max(1, min(size, count) // SHRINK)
    return torch.cat(done)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this says that memory did not suffice: but for cuda's own allocator torch only says so in words."""
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in LACKS)
    )
