"""Nearest neighbours between feature maps: for each position, the other map's most similar patch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunks import chunked

# Positions of either map that are compared at once: a table of 16 MB and their patches, 38 MB of 3x3 at relu4_1.
AT_ONCE = 1 << 11


@dataclass(frozen=True)
class Hints:
    """What a matching is told besides features: K further channels, and how much each counts where.

    `own` (K, h, w) and `other` (K, H, W) float32 in one scale each; `weight` (K, h, w) >= 0, the price of a
    squared difference of 1 at each query position, against a cosine similarity.
    """

    own: Tensor
    other: Tensor
    weight: Tensor


class Matcher:
    """Compares positions of `query` (C, h, w) with those of `source` (C, H, W) by cosine similarity.

    Patches of `patch` x `patch` positions (zeros beyond the border) are compared as one vector, in
    float32 because half precision ties too many similarities. Only positions of the bool map `where` (h, w)
    are asked.

    Luan et al. 2018, section 3.1 (independent mapping, patches 3x3). Deviation: with `hints` their weighted
    squared difference at the centre is taken off the similarity (`Scene.hints` says which and why).
    """

    def __init__(
        self, query: Tensor, source: Tensor, where: Tensor, patch: int = 3, hints: Hints | None = None
    ):
        self._where, self._size = where, tuple(source.shape[1:])
        self._asked = where.flatten().nonzero()[:, 0]
        self._query, self._source = _Patches(query, patch), _Patches(source, patch)
        self._constant = query.new_zeros(len(self._asked), dtype=torch.float32)
        # Further entries of both vectors: with none of them a product of nothing.
        self._hinted = self._constant[:, None][:, :0]
        self._hints = self._hinted.new_zeros(self._size[0] * self._size[1], 0)
        if hints is not None:
            own, weight = (part.flatten(1)[:, self._asked].T for part in (hints.own, hints.weight))
            other = hints.other.flatten(1).T
            # -w (a - b)^2 = 2 w a b - w b^2 - w a^2, and the last does not change which b is nearest.
            self._hinted = torch.cat((2 * weight * own, -weight), dim=1)
            self._hints = torch.cat((other, other**2), dim=1)
            self._constant = (weight * own**2).sum(dim=1)

    def nearest(self) -> Tensor:
        """The nearest-neighbour field (2, h, w) int64: row and column in the source; -1 where nothing was asked."""
        best = chunked(self._best, len(self._asked), AT_ONCE)
        index = torch.full(self._where.shape, -1, dtype=torch.int64, device=best.device)
        index[self._where] = best
        width = self._size[1]
        return torch.stack([torch.where(index < 0, index, part) for part in (index // width, index % width)])

    def similarity(self, field: Tensor) -> Tensor:
        """How similar each position is to its match in `field` (2, h, w): (h, w), -inf where there is none."""
        index = (field[0] * self._size[1] + field[1])[self._where]
        known = (index >= 0).nonzero()[:, 0]

        def compare(part: slice) -> Tensor:
            found = self._of_source(index[known[part]])
            return torch.linalg.vecdot(self._of_query(known[part]), found) - self._constant[known[part]]

        values = self._constant.new_full((len(index),), -torch.inf)
        values[known] = chunked(compare, len(known), AT_ONCE)
        return values.new_full(self._where.shape, -torch.inf).masked_scatter(self._where, values)

    def _best(self, part: slice) -> Tensor:
        """The nearest source positions (n,) of the asked positions `part`, the source compared run by run."""
        device = self._asked.device
        wanted = self._of_query(torch.arange(part.start, part.stop, device=device))
        best = wanted.new_full((len(wanted),), -torch.inf)
        index = torch.zeros_like(best, dtype=torch.int64)
        for run in torch.arange(len(self._hints), device=device).split(AT_ONCE):
            similarity, at = (wanted @ self._of_source(run).T).max(dim=1)
            index = torch.where(similarity > best, run[at], index)
            best = torch.maximum(best, similarity)
        return index

    def _of_query(self, numbers: Tensor) -> Tensor:
        """What the asked positions of these numbers are compared by: (n, D)."""
        return torch.cat((self._query.at(self._asked[numbers]), self._hinted[numbers]), dim=1)

    def _of_source(self, index: Tensor) -> Tensor:
        return torch.cat((self._source.at(index), self._hints[index]), dim=1)


class _Patches:
    """A map's patches as unit vectors, read when they are compared: kept, those of a painting of 1240 px take
    half a gigabyte."""

    def __init__(self, features: Tensor, patch: int):
        radius, self._width = patch // 2, features.shape[2]
        x = features.float()
        squares = F.avg_pool2d((x**2).sum(dim=0)[None], patch, 1, radius, divisor_override=1)
        self._norm = squares.flatten().sqrt().clamp_min(1e-8)
        padded = F.pad(x, (radius,) * 4).permute(1, 2, 0)
        # One row a position, so that single ones are read fast.
        self._rows, self._padded_width = padded.flatten(0, 1).contiguous(), padded.shape[1]
        step = torch.arange(patch, device=x.device)
        self._offsets = (step[:, None] * self._padded_width + step).flatten()

    def at(self, index: Tensor) -> Tensor:
        """The patches around positions `index` (n,), counted row by row: (n, patch^2 C) float32."""
        first = index // self._width * self._padded_width + index % self._width
        found = self._rows.index_select(0, (first[:, None] + self._offsets).flatten())
        return found.view(len(index), self._offsets.numel() * found.shape[1]).div_(self._norm[index][:, None])


def nearest_neighbours(
    query: Tensor, source: Tensor, where: Tensor, patch: int = 3, hints: Hints | None = None
) -> Tensor:
    """The nearest-neighbour field (2, h, w) from `query` to `source`, as of `Matcher`, at the positions `where`."""
    return Matcher(query, source, where, patch, hints).nearest()
