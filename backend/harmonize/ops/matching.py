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


def nearest_neighbours(
    query: Tensor, source: Tensor, where: Tensor, patch: int = 3, hints: Hints | None = None
) -> Tensor:
    """The nearest-neighbour field from `query` (C, h, w) to `source` (C, H, W) by cosine similarity.

    Patches of `patch` x `patch` positions (zeros beyond the border) are compared as one vector, in
    float32 because half precision ties too many similarities. Only positions of the bool map `where` (h, w)
    are matched. Returns (2, h, w) int64: row and column in `source`; -1 where nothing was asked.

    Luan et al. 2018, section 3.1 (independent mapping, patches 3x3). Deviation: with `hints` their weighted
    squared difference at the centre is taken off the similarity (`Scene.hints` says which and why).
    """
    size = where.shape
    asked = where.flatten().nonzero()[:, 0]
    vectors = _patches(source, patch)  # (C patch^2, H W)
    vectors /= vectors.norm(dim=0, keepdim=True).clamp_min(1e-8)
    wanted = _patches(query, patch)[:, asked]  # (C patch^2, N)
    if hints is not None:
        wanted = wanted / wanted.norm(dim=0, keepdim=True).clamp_min(1e-8)
        own, weight = (part.flatten(1)[:, asked] for part in (hints.own, hints.weight))
        other = hints.other.flatten(1)
        # -w (a - b)^2 = 2 w a b - w b^2 - w a^2, and the last does not change which b is nearest.
        wanted = torch.cat((wanted, 2 * weight * own, -weight))
        vectors = torch.cat((vectors, other, other**2))
    rows = max(1, BLOCK // vectors.shape[1])
    best = chunked(lambda part: (wanted.T[part] @ vectors).argmax(dim=1), len(asked), rows)
    index = torch.full((size[0] * size[1],), -1, dtype=torch.int64, device=where.device)
    index[asked] = best
    width = source.shape[2]
    row = torch.where(index < 0, index, index // width)
    column = torch.where(index < 0, index, index % width)
    return torch.stack((row, column)).view(2, *size)


def _patches(features: Tensor, patch: int) -> Tensor:
    return F.unfold(features[None].float(), patch, padding=patch // 2)[0]
