"""The guided filter with a colour guide (He, Sun and Tang 2013, "Guided Image Filtering", eq. 14-15)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .masks import gaussian_blur

CELLS = 8  # a wide window's sigma, in cells of the coarser grid on which its coefficients are found
LEAST_WEIGHT = 1e-8  # in a window; `gaussian_mean`'s least would take faint objects and tiny ones for none


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Mean over the (2 radius + 1)^2 window of (C, H, W); windows are cut at the picture's edge."""
    means, width = image[None], 2 * radius + 1
    for window, padding in (((1, width), (0, radius)), ((width, 1), (radius, 0))):
        means = F.avg_pool2d(means, window, stride=1, padding=padding, count_include_pad=False)
    return means[0]


def guided_filter(guide: Tensor, image: Tensor, radius: int, eps: float) -> Tensor:
    """Smooth `image` (C, H, W) but for the edges of `guide` (3, H, W), both float; result like `image`.

    In each window the output is an affine function of the guide's three colours; `eps` is in squared
    units of the guide and says from which contrast on an edge is kept.
    """
    mean = partial(box_mean, radius=radius)
    slope, offset = _affine(guide, image, eps, mean)
    return _applied(guide, mean(slope.flatten(0, 1)).view_as(slope), mean(offset))


def wide_guided_filter(guide: Tensor, image: Tensor, weight: Tensor, sigma: float, eps: float) -> Tensor:
    """`guided_filter` in large Gaussian windows of `sigma` pixels, of what has `weight` (1, H, W) >= 0 only.

    The coefficients are found on a grid of cells, CELLS of them in `sigma`, and enlarged (He and Sun 2015, "Fast Guided
    Filter", https://arxiv.org/abs/1505.00996). Far from any weight the result is nothing to use.
    """
    cell = max(1, int(sigma / CELLS))
    share = _cells(weight, cell)
    guides, images = (_cells(x * weight, cell) / share.clamp_min(LEAST_WEIGHT) for x in (guide, image))
    near = gaussian_blur(share, sigma / cell).clamp_min(LEAST_WEIGHT)

    def mean(x: Tensor) -> Tensor:
        return gaussian_blur(x * share, sigma / cell) / near

    slope, offset = _affine(guides, images, eps, mean)
    height, width = (side * cell for side in share.shape[1:])

    def enlarged(coefficients: Tensor) -> Tensor:
        large = F.interpolate(mean(coefficients)[None], size=(height, width), mode="bilinear")[0]
        return large[:, : image.shape[1], : image.shape[2]]

    return _applied(guide, enlarged(slope.flatten(0, 1)).unflatten(0, slope.shape[:2]), enlarged(offset))


def _cells(image: Tensor, cell: int) -> Tensor:
    """The mean of each square of `cell` pixels; a square cut by the picture's edge has that of what is there."""
    return F.avg_pool2d(image[None], cell, ceil_mode=True, count_include_pad=False)[0]


def _affine(
    guide: Tensor, image: Tensor, eps: float, mean: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """In the window around each pixel, of which `mean` is the mean: slope (3, C, H, W) and offset (C, H, W)."""
    mean_guide, mean_image = mean(guide), mean(image)
    pairs = guide[:, None] * guide[None]  # (3, 3, H, W)
    covariance = mean(pairs.flatten(0, 1)).view_as(pairs) - mean_guide[:, None] * mean_guide[None]
    covariance = covariance.permute(2, 3, 0, 1) + eps * torch.eye(3, dtype=guide.dtype, device=guide.device)
    cross = guide[:, None] * image[None]  # (3, C, H, W)
    cross = mean(cross.flatten(0, 1)).view_as(cross) - mean_guide[:, None] * mean_image[None]
    slope = torch.linalg.solve(covariance, cross.permute(2, 3, 0, 1)).permute(2, 3, 0, 1)
    return slope, mean_image - (slope * mean_guide[:, None]).sum(dim=0)


def _applied(guide: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
    return (slope * guide[:, None]).sum(dim=0) + offset
