"""The guided filter with a colour guide (He, Sun and Tang 2013, "Guided Image Filtering", eq. 14-15)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Mean over the (2 radius + 1)^2 window of (C, H, W); windows are cut at the picture's edge."""
    return F.avg_pool2d(image[None], 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)[0]


def guided_filter(guide: Tensor, image: Tensor, radius: int, eps: float) -> Tensor:
    """Smooth `image` (C, H, W) but for the edges of `guide` (3, H, W), both float; result like `image`.

    In each window the output is an affine function of the guide's three colours; `eps` is in squared
    units of the guide and says from which contrast on an edge is kept.
    """
    channels = image.shape[0]
    mean_guide = box_mean(guide, radius)
    mean_image = box_mean(image, radius)
    pairs = guide[:, None] * guide[None]  # (3, 3, H, W)
    covariance = box_mean(pairs.flatten(0, 1), radius).view_as(pairs) - mean_guide[:, None] * mean_guide[None]
    covariance = covariance.permute(2, 3, 0, 1) + eps * torch.eye(3, dtype=guide.dtype, device=guide.device)
    cross = guide[:, None] * image[None]  # (3, C, H, W)
    cross = box_mean(cross.flatten(0, 1), radius).view_as(cross) - mean_guide[:, None] * mean_image[None]
    slope = torch.linalg.solve(covariance, cross.permute(2, 3, 0, 1))  # (H, W, 3, C)
    slope = slope.permute(2, 3, 0, 1)  # (3, C, H, W)
    offset = mean_image - (slope * mean_guide[:, None]).sum(dim=0)
    slope = box_mean(slope.flatten(0, 1), radius).view(3, channels, *image.shape[1:])
    return (slope * guide[:, None]).sum(dim=0) + box_mean(offset, radius)
