"""Results kept for the next run on the same pictures: features, pass 1, mappings, what was painted."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

# Kept at most. A 700 px painting's features are about 120 MB in bfloat16; where a painting is so large that they are
# more than this, memory is scarcer than the second it takes to make them again.
LIMIT_BYTES = 1 << 28


class Memo:
    """A cache of tensors, or dicts or tuples of them, by what they were computed from."""

    def __init__(self, limit: int = LIMIT_BYTES):
        self._limit = limit
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make()` gives, made once as long as there is room; the largest goes first, of equals the oldest."""
        if key not in self._kept:
            value = make()
            if _size(value) > self._limit:
                return value
            self._kept[key] = value
        self._kept.move_to_end(key)
        while sum(map(_size, self._kept.values())) > self._limit:
            # Features are large and soon made again, pass 1's picture is small and took long.
            others = [other for other in self._kept if other != key]
            del self._kept[max(others, key=lambda other: _size(self._kept[other]))]
        return self._kept[key]

    def clear(self) -> None:
        self._kept.clear()


def digest(*tensors: Tensor) -> str:
    """A name for these tensors' contents and shapes."""
    state = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        state.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        state.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return state.hexdigest()


def _size(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
    return sum(part.numel() * part.element_size() for part in parts)
