"""Nearest neighbours between feature maps: for each position, the other map's most similar patch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunks import chunked

# Entries of one block of the similarity table (float32: 64 MB); never a whole N x N table.
BLOCK = 1 << 24


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
        self._where, self._width = where, source.shape[2]
        asked = where.flatten()
        vectors = _unit(_patches(source, patch)).T  # (H W, D)
        wanted = _unit(_patches(query, patch)[:, asked]).T  # (N, D)
        self._constant = wanted.new_zeros(len(wanted))
        if hints is not None:
            own, weight = (part.flatten(1)[:, asked].T for part in (hints.own, hints.weight))
            other = hints.other.flatten(1).T
            # -w (a - b)^2 = 2 w a b - w b^2 - w a^2, and the last does not change which b is nearest.
            wanted = torch.cat((wanted, 2 * weight * own, -weight), dim=1)
            vectors = torch.cat((vectors, other, other**2), dim=1)
            self._constant = (weight * own**2).sum(dim=1)
        # A vector's values together in memory, so that single ones are read fast.
        self._wanted, self._vectors = wanted.contiguous(), vectors.contiguous()

    def nearest(self) -> Tensor:
        """The nearest-neighbour field (2, h, w) int64: row and column in the source; -1 where nothing was asked."""
        rows = max(1, BLOCK // len(self._vectors))
        count = len(self._wanted)
        best = chunked(lambda part: (self._wanted[part] @ self._vectors.T).argmax(dim=1), count, rows)
        index = torch.full(self._where.shape, -1, dtype=torch.int64, device=best.device)
        index[self._where] = best
        return torch.stack(
            [torch.where(index < 0, index, part) for part in (index // self._width, index % self._width)]
        )

    def similarity(self, field: Tensor) -> Tensor:
        """How similar each position is to its match in `field` (2, h, w): (h, w), -inf where there is none."""
        index = (field[0] * self._width + field[1])[self._where]
        known = (field[0] >= 0)[self._where].nonzero()[:, 0]
        rows = max(1, BLOCK // self._vectors.shape[1])

        def compare(part: slice) -> Tensor:
            found = self._vectors[index[known[part]]]
            return torch.linalg.vecdot(self._wanted[known[part]], found) - self._constant[known[part]]

        values = self._constant.new_full((len(index),), -torch.inf)
        values[known] = chunked(compare, len(known), rows)
        return values.new_full(self._where.shape, -torch.inf).masked_scatter(self._where, values)


def nearest_neighbours(
    query: Tensor, source: Tensor, where: Tensor, patch: int = 3, hints: Hints | None = None
) -> Tensor:
    """The nearest-neighbour field (2, h, w) from `query` to `source`, as of `Matcher`, at the positions `where`."""
    return Matcher(query, source, where, patch, hints).nearest()


def _patches(features: Tensor, patch: int) -> Tensor:
    return F.unfold(features[None].float(), patch, padding=patch // 2)[0]


def _unit(vectors: Tensor) -> Tensor:
    """Columns scaled to unit length, in place."""
    return vectors.div_(vectors.norm(dim=0, keepdim=True).clamp_min(1e-8))
