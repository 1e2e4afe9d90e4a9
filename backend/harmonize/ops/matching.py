"""Nearest neighbours between feature maps: for each position, the other map's most similar patch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunks import chunked

# Positions that are compared at once, of the query and of the source: tables of 4 to 6 MB.
AT_ONCE, SOURCE_AT_ONCE = 1 << 9, 1 << 11


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
        """The nearest source positions (n,) of the asked positions `part`, the source compared in bands of rows."""
        height, width = self._size
        asked, hinted = self._asked[part], self._hinted[part]
        used, which = self._query.members(asked).unique(return_inverse=True)
        own = self._query.rows[used]
        best = hinted.new_full((len(asked),), -torch.inf)
        index = torch.zeros_like(asked)
        rows = max(1, SOURCE_AT_ONCE // width)
        for top in range(0, height, rows):
            band = slice(top * width, min(top + rows, height) * width)
            products = self._source.products(own, which, top, min(rows, height - top))
            cosines = products / (self._query.norm[asked][:, None] * self._source.norm[band])
            similarity, at = torch.addmm(cosines, hinted, self._hints[band].T).max(dim=1)
            index = torch.where(similarity > best, band.start + at, index)
            best = torch.maximum(best, similarity)
        return index

    def _of_query(self, numbers: Tensor) -> Tensor:
        """What the asked positions of these numbers are compared by: (n, D)."""
        return torch.cat((self._query.at(self._asked[numbers]), self._hinted[numbers]), dim=1)

    def _of_source(self, index: Tensor) -> Tensor:
        return torch.cat((self._source.at(index), self._hints[index]), dim=1)


class _Patches:
    """A map's patches, of K = patch^2 positions each, read when they are compared: kept, those of a painting of 1240 px
    take half a gigabyte."""

    def __init__(self, features: Tensor, patch: int):
        radius, (channels, height, width) = patch // 2, features.shape
        x = features.float()
        squares = F.avg_pool2d((x**2).sum(dim=0)[None], patch, 1, radius, divisor_override=1)
        self.norm = squares.flatten().sqrt().clamp_min(1e-8)  # (h w,)
        self._width, self._padded_width = width, width + 2 * radius
        # One row a position, so that single ones are read fast.
        padded = x.new_zeros(height + 2 * radius, self._padded_width, channels)
        padded[radius : radius + height, radius : radius + width] = x.permute(1, 2, 0)
        self.rows = padded.flatten(0, 1)
        self._steps = [down * self._padded_width + right for down in range(patch) for right in range(patch)]
        self._offsets = torch.tensor(self._steps, device=x.device)

    def members(self, index: Tensor) -> Tensor:
        """The numbers in `rows` of what is in the patches around positions `index` (n,), counted row by row: (n, K)."""
        first = index // self._width * self._padded_width + index % self._width
        return first[:, None] + self._offsets

    def at(self, index: Tensor) -> Tensor:
        """The patches around positions `index` (n,) as unit vectors: (n, K C) float32."""
        found = self.rows.index_select(0, self.members(index).flatten())
        return found.view(len(index), self._offsets.numel() * found.shape[1]).div_(self.norm[index][:, None])

    def products(self, others: Tensor, which: Tensor, top: int, count: int) -> Tensor:
        """Inner products of other patches with those around the positions of `count` rows from row `top` on.

        The other patches consist of the vectors `others` (m, C) at `which` (n, K). Patches overlap, and their product is
        the sum of their positions' products: one table of those serves all, in a K-th of the arithmetic. Returns
        (n, count w), as `torch.nn.functional.unfold` and a matrix product would.
        """
        wide, first = self._padded_width, top * self._padded_width
        length = (count - 1) * wide + self._width
        table = others @ self.rows[first : first + length + self._steps[-1]].T
        total = table.new_zeros(len(which), count * wide)
        for member, step in zip(which.T, self._steps):
            total[:, :length] += table.index_select(0, member)[:, step : step + length]
        return total.view(len(which), count, wide)[:, :, : self._width].flatten(1)


def nearest_neighbours(
    query: Tensor, source: Tensor, where: Tensor, patch: int = 3, hints: Hints | None = None
) -> Tensor:
    """The nearest-neighbour field (2, h, w) from `query` to `source`, as of `Matcher`, at the positions `where`."""
    return Matcher(query, source, where, patch, hints).nearest()
