"""Nearest neighbours between feature maps: for each position, the other map's most similar patch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Entries of one block of the similarity table (float32: 64 MB); never a whole N x N table.
BLOCK = 1 << 24


def nearest_neighbours(query: Tensor, source: Tensor, where: Tensor, patch: int = 3) -> Tensor:
    """The nearest-neighbour field from `query` (C, h, w) to `source` (C, H, W) by cosine similarity.

    Patches of `patch` x `patch` positions (zeros beyond the border) are compared as one vector, in
    float32 because half precision ties too many similarities. Only positions of the bool map `where` (h, w) are
    matched. Returns (2, h, w) int64: row and column in `source`; -1 where nothing was asked.

    Luan et al. 2018, section 3.1 (independent mapping, patches 3x3).
    """
    size = where.shape
    vectors = _patches(source, patch)  # (C patch^2, H W)
    vectors = vectors / vectors.norm(dim=0, keepdim=True).clamp_min(1e-8)
    asked = where.flatten().nonzero()[:, 0]
    wanted = _patches(query, patch)[:, asked].T  # (N, C patch^2); its norm does not change the order
    rows = max(1, BLOCK // vectors.shape[1])
    best = [(part @ vectors).argmax(dim=1) for part in wanted.split(rows)]
    index = torch.full((size[0] * size[1],), -1, dtype=torch.int64, device=where.device)
    if best:
        index[asked] = torch.cat(best)
    width = source.shape[2]
    row = torch.where(index < 0, index, index // width)
    column = torch.where(index < 0, index, index % width)
    return torch.stack((row, column)).view(2, *size)


def _patches(features: Tensor, patch: int) -> Tensor:
    return F.unfold(features[None].float(), patch, padding=patch // 2)[0]
