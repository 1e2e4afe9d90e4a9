"""sRGB <-> CIELAB (CIE 1976, D65), and luminance; shapes (..., 3, H, W), float.

Constants: IEC 61966-2-1 for sRGB, CIE 15 for CIELAB.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RGB_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)  # D65, 2 degree observer
_EPSILON = (6 / 29) ** 3
_SLOPE = (29 / 6) ** 2 / 3


def srgb_to_linear(rgb: Tensor) -> Tensor:
    """Undo the sRGB transfer curve; any range, odd-symmetric below 0."""
    a = rgb.abs()
    linear = torch.where(a <= 0.04045, a / 12.92, ((a + 0.055) / 1.055) ** 2.4)
    return linear * rgb.sign()


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Apply the sRGB transfer curve; inverse of `srgb_to_linear`."""
    a = linear.abs()
    rgb = torch.where(a <= 0.0031308, 12.92 * a, 1.055 * a.clamp_min(1e-12) ** (1 / 2.4) - 0.055)
    return rgb * linear.sign()


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB 0..1 (..., 3, H, W) to CIELAB: L 0..100, a and b about -110..110."""
    matrix, white = _constants(rgb)
    xyz = torch.einsum("ij,...jhw->...ihw", matrix, srgb_to_linear(rgb)) / white
    f = torch.where(xyz > _EPSILON, xyz.clamp_min(_EPSILON) ** (1 / 3), _SLOPE * xyz + 4 / 29)
    fx, fy, fz = f.unbind(dim=-3)
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """CIELAB to sRGB; colours outside the sRGB gamut come out below 0 or above 1, unclipped."""
    matrix, white = _constants(lab)
    lightness, a, b = lab.unbind(dim=-3)
    fy = (lightness + 16) / 116
    f = torch.stack((fy + a / 500, fy, fy - b / 200), dim=-3)
    xyz = torch.where(f > 6 / 29, f**3, (f - 4 / 29) / _SLOPE) * white
    return linear_to_srgb(torch.einsum("ij,...jhw->...ihw", torch.linalg.inv(matrix), xyz))


def luminance(rgb: Tensor) -> Tensor:
    """Rec. 601 luma of (..., 3, H, W), keeping a channel axis of 1."""
    weights = rgb.new_tensor((0.299, 0.587, 0.114)).view(3, 1, 1)
    return (rgb * weights).sum(dim=-3, keepdim=True)


def _constants(like: Tensor) -> tuple[Tensor, Tensor]:
    return like.new_tensor(_RGB_TO_XYZ), like.new_tensor(_WHITE).view(3, 1, 1)
