"""Tones: a curve to values of equal rank that is nowhere too flat or too steep, and a line from range to range."""

from __future__ import annotations

import torch
from torch import Tensor

from .histogram import quantiles


def tone_curve(own: Tensor, wanted: Tensor, flattest: float, steepest: float) -> tuple[Tensor, Tensor]:
    """The rising curve that gives `own` (N,) the distribution of `wanted` (M,): its knots (257,), from and to.

    It is histogram specification (Gonzalez and Woods, Digital Image Processing, section 3.3), but its slope stays
    between `flattest`, below which forms are lost, and `steepest`, above which grain is lifted out of flat areas.
    Then it is shifted as a whole, so that its knots keep the mean they would have had.
    """
    before, after = (quantiles(values[None])[0] for values in (own, wanted))
    span = before.diff()
    rise = torch.minimum(torch.maximum(after.diff(), flattest * span), steepest * span)
    curve = torch.cat((rise.new_zeros(1), rise.cumsum(dim=0)))
    return before, curve - curve.mean() + after.mean()


def along(values: Tensor, curve: tuple[Tensor, Tensor]) -> Tensor:
    """`values` (any shape) moved along `tone_curve`'s curve; beyond its ends they keep their distance to it."""
    before, after = curve
    inside = values.clamp(before[0], before[-1])
    upper = torch.searchsorted(before, inside.contiguous()).clamp(1, len(before) - 1)
    low, high = before[upper - 1], before[upper]
    part = ((inside - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return torch.lerp(after[upper - 1], after[upper], part) + values - inside


def range_fit(
    own: tuple[float, float], wanted: tuple[float, float], least: float, most: float
) -> tuple[float, float]:
    """Gain and offset of the rising line that brings the range `own` into `wanted`, both (least, greatest).

    The gain is between `least` and `most`. A range that is narrower then lies inside `wanted` as near as it
    can to where it was; a wider one has the same middle.
    """
    (low, high), (floor, ceiling) = own, wanted
    gain = min(max((ceiling - floor) / max(high - low, 1e-6), least), most)
    before, middle = (low + high) / 2, (floor + ceiling) / 2
    spare = max(0.0, (ceiling - floor - gain * (high - low)) / 2)
    return gain, min(max(before, middle - spare), middle + spare) - gain * before
