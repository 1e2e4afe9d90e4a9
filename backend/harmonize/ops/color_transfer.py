"""The linear colour transfer of least movement between two sets of pixels (Pitie and Kokaram 2007)."""

from __future__ import annotations

import torch
from torch import Tensor

# CIELAB units squared, added to both variances: a colour direction that hardly varies is not stretched.
FLOOR = 25.0


def color_transfer(source: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map (matrix (3, 3), offset (3, 1)) that gives `source` the mean and covariance of `target`.

    Colours are (3, N) and (3, M) in one space, CIELAB units; `weight` (N,) >= 0 says how much each
    source pixel counts. Of all such maps it is the one that moves colours least (Monge-Kantorovitch).
    """
    mean_source = (source * weight).sum(dim=1, keepdim=True) / weight.sum().clamp_min(1e-6)
    mean_target = target.mean(dim=1, keepdim=True)
    spread = (source - mean_source) * weight.sqrt()
    eye = torch.eye(3, device=source.device, dtype=source.dtype) * FLOOR
    cov_source = spread @ spread.T / weight.sum().clamp_min(1e-6) + eye
    cov_target = torch.cov(target, correction=0) + eye
    root = _sqrt(cov_source)
    inverse = torch.linalg.inv(root)
    matrix = inverse @ _sqrt(root @ cov_target @ root) @ inverse
    return matrix, mean_target - matrix @ mean_source


def _sqrt(matrix: Tensor) -> Tensor:
    """The square root of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
