"""Masks: blurred, loosened, grown, feathered, and carried down a network; float (1, H, W), 0..1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LOOSE_TAPS = 35  # authors' implementation, at 700 px
LOOSE_CUT = 0.1
MATCHED_ABOVE = 0.05
INWARDS = 10  # the power of the blurred outline that lays a feather inside it
# Blurred, what is narrower than a feather is nowhere higher than this: of it the power is 1. Legs and strands, which are
# hardly of one width, were dotted lines or gone: content 0.614 to 0.659, style 1.538 to 1.546 on six pictures with such.
NARROW = 0.75
FAINT = 0.05  # of the mask's highest value: less is dirt around the object


def gaussian_blur(image: Tensor, sigma: float, radius: int | None = None) -> Tensor:
    """Separable Gaussian of (C, H, W), edges replicated; `radius` defaults to 3 sigma."""
    if sigma <= 0:
        return image
    radius = max(1, round(3 * sigma)) if radius is None else radius
    x = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    # One 1-channel kernel for each channel: laid out by pixels, a processor does so in a tenth of the time.
    channels = len(image)
    kernel = kernel.repeat(channels, 1, 1, 1)
    y = F.pad(image[None], (radius, radius, radius, radius), mode="replicate")
    y = F.conv2d(y.contiguous(memory_format=torch.channels_last), kernel, groups=channels)
    return F.conv2d(y, kernel.transpose(2, 3), groups=channels)[0].contiguous()


def gaussian_mean(image: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """The mean of (C, H, W) around each pixel by a Gaussian and `weight` (1, H, W) >= 0; 0 far from any weight."""
    return gaussian_blur(image * weight, sigma) / gaussian_blur(weight, sigma).clamp_min(1e-3)


def loose_mask(tight: Tensor, scale: float = 1.0) -> Tensor:
    """Where pixels may change: the tight mask blurred (35 taps, sigma 35/3 at 700 px) and cut at 0.1.

    `scale` shrinks the blur with the working scale. Returns 0 or 1, (1, H, W); what is in the tight mask is
    in it, also a speck or a line so thin that its blur falls below the cut.
    """
    blurred = gaussian_blur(tight, _loose_taps(scale) / 3, radius=loose_reach(scale))
    return (torch.maximum(blurred, tight) > LOOSE_CUT).to(tight.dtype)


def loose_reach(scale: float) -> int:
    """How many pixels `loose_mask` looks to each side."""
    return _loose_taps(scale) // 2


def _loose_taps(scale: float) -> int:
    return max(3, round(LOOSE_TAPS * scale))


def grow(mask: Tensor, by: int) -> Tensor:
    """Grey dilation of (1, H, W) by a disc of radius `by` pixels, approximated by an octagon.

    A square and a diamond in alternation (ratio 1 : 1) stay within 12 % of the disc.
    """
    for i in range(by):
        if i % 2:
            mask = F.max_pool2d(mask[None], 3, stride=1, padding=1)[0]
        else:
            rows = F.max_pool2d(mask[None], (3, 1), stride=1, padding=(1, 0))[0]
            columns = F.max_pool2d(mask[None], (1, 3), stride=1, padding=(0, 1))[0]
            mask = torch.maximum(rows, columns)
    return mask


def feathered(mask: Tensor, width: float) -> Tensor:
    """The mask (1, H, W) faded inside its edges, over about `width` pixels: of a hard mask nothing is left at the
    edge, half three quarters of the width inside. What is half transparent or fades by itself stays as it is, and
    what is narrower than the feather stays but for its rim.

    It is a power of the blurred outline, relative to the highest value near. Deviation from the paper (a feathered
    mask): a cut-out's own rim carries its old background and would show. Median seam over 12 examples (content): 1.41
    (0.775) with the plain blur over 4 px, 1.26 (0.762) with its square over 4.5 px; with this 1.44 (0.766) over 2.5 px,
    1.15 (0.750) over 3.5 px, as sharp by eye.
    """
    if not width:
        return mask
    inside = (mask > FAINT * mask.max()).to(mask.dtype)
    blurred = gaussian_blur(inside, width / 2) * inside
    # Blurring thins what is thin: a bench's legs were a third there.
    highest = _highest_near(blurred, math.ceil(width)).clamp_min(1e-6)
    power = INWARDS ** ((highest - NARROW) / (1 - NARROW)).clamp(0, 1)
    return mask * (blurred / highest).clamp(0, 1) ** power


def feather_reach(width: float) -> int:
    """How many pixels `feathered` looks to each side."""
    return max(1, round(3 * width / 2)) + math.ceil(width)


def shown(mask: Tensor, width: float, reach: int) -> Tensor:
    """How much of the finished picture is laid over the painting: (1, H, W), 0..1, `feathered` by `width`.

    What is evenly half transparent over `reach` pixels is laid whole, since through it the painting is seen in the
    finished picture itself, as in what was pasted; laid half, only a quarter of the object would be seen.
    """
    # `_highest_near` but by cells: `reach` grows with the canvas, and each pixel would look at as many others.
    cells = F.max_pool2d(mask[None], reach, ceil_mode=True)
    cells = F.max_pool2d(cells, 3, stride=1, padding=1)
    size = [side * reach for side in cells.shape[2:]]
    highest = F.interpolate(cells, size=size, mode="bilinear")[0, :, : mask.shape[1], : mask.shape[2]]
    return (feathered(mask, width) / highest.clamp_min(FAINT * mask.max())).clamp_max(1)


def shown_reach(width: float, reach: int) -> int:
    """How many pixels `shown` looks to each side."""
    return max(feather_reach(width), 3 * reach)


def _highest_near(mask: Tensor, reach: int) -> Tensor:
    """The largest value (1, H, W) up to `reach` pixels away in both directions."""
    rows = F.max_pool2d(mask[None], (2 * reach + 1, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(rows, (1, 2 * reach + 1), stride=1, padding=(0, reach))[0]


def asked(mask: Tensor) -> Tensor:
    """Where a layer's mask (1, h, w) asks for a match: bool (h, w).

    Positions where it has faded have next to no weight in a Gram matrix; of an object smaller than a
    cell, all that is left of it counts.
    """
    return mask[0] > min(MATCHED_ABOVE, mask.max().item() / 2)


def down_the_network(
    mask: Tensor, structure: Sequence[tuple[str, bool]], wanted: Sequence[str]
) -> dict[str, Tensor]:
    """A mask (1, H, W) for each wanted layer: 3x3 mean at each convolution, halving at each pool.

    `structure` is `Network.structure`. Sizes are those of the features: pools leave out an odd last row or column.
    """
    found: dict[str, Tensor] = {}
    x = mask[None]
    for name, pooled in structure:
        if pooled:
            x = F.avg_pool2d(x, 2)
        x = F.avg_pool2d(x, 3, stride=1, padding=1)
        if name in wanted:
            found[name] = x[0]
    return found
