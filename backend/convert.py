"""The only bridge between the contract's rasters and the engine's tensors.

Rasters are taken as sRGB-encoded RGB or grey with alpha, in any of the four depths; clients convert other
colour spaces before they send. Tensors are float32 on the CPU, channels first, 0..1.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.harmonize.composite import Composite, bounds
from backend.harmonize.errors import InvalidInput
from backend.harmonize.pipeline import Outcome
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.protocol.messages import Harmonize, Preview
from plugin.painterly.protocol.raster import LAYOUTS, SRGB, Placed, Raster

# numpy's type of each depth and the value that means 1.0.
_DEPTHS = {"U8": ("u1", 255), "U16": ("<u2", 65535), "F16": ("<f2", 1), "F32": ("<f4", 1)}
# Where red, green, blue and alpha are found in each layout that holds them.
_RGBA = {"RGBA": (0, 1, 2, 3), "BGRA": (2, 1, 0, 3), "GRAYA": (0, 0, 0, 1)}
_PAPER = 1.0  # what shows through where the painting itself is transparent
PREVIEW_SIDE = 256


def to_composite(request: Harmonize) -> Composite:
    """The job's pictures: the layer laid over the painting, its mask from alpha and selection.

    Raises InvalidInput for what the engine cannot work with.
    """
    painting = _rgba(request.painting, "painting")
    canvas = Box(0, 0, request.painting.width, request.painting.height)
    layer = _laid_out(_rgba(request.layer.raster, "layer"), request.layer.box, canvas)
    alpha = layer[3:]
    if request.selection is not None:
        coverage = _channels(request.selection.raster)
        alpha = alpha * _laid_out(coverage, request.selection.box, canvas)
    if not alpha.any():
        raise InvalidInput("Nothing of the pasted object lies on the painting; move it there or select it.")
    below = painting[3:]
    backdrop = painting[:3].lerp(torch.tensor(_PAPER), 1 - below) if (below < 1).any() else painting[:3]
    # The layer's colours may leave 0..1 where it was cut out of a finished composite (see cli/via.py).
    naive = (backdrop + (layer[:3] - backdrop) * alpha).clamp_(0, 1)
    return Composite(backdrop.clamp(0, 1).contiguous(), naive, alpha.clamp(0, 1).contiguous())


def to_placed(outcome: Outcome, depth: str) -> Placed:
    """Colour and alpha of the smallest box with alpha above 0; raises InvalidInput if there is none."""
    box = _bounds(outcome.alpha)
    part = torch.cat([_crop(outcome.image, box), _crop(outcome.alpha, box)])
    return Placed(_raster(part, depth), box.left, box.top)


def to_preview(image: Tensor, box: Box) -> Preview:
    """The part `box` of `image` (3, H, W), at most PREVIEW_SIDE on its long side."""
    part = _crop(image, box)
    scale = min(1.0, PREVIEW_SIDE / max(box.width, box.height))
    size = (max(1, round(box.height * scale)), max(1, round(box.width * scale)))
    small = F.interpolate(part[None], size=size, mode="area")[0]
    raster = _raster(torch.cat([small, torch.ones(1, *size)]), "U8")
    return Preview(raster, box.left, box.top, box.width, box.height)


def outcome_of(placed: Placed, painting: Tensor, report: dict) -> Outcome:
    """The inverse of `to_placed`: a whole window, which is `painting` (3, H, W) outside of the raster."""
    canvas = Box(0, 0, painting.shape[2], painting.shape[1])
    rgba = _laid_out(_rgba(placed.raster, "result"), placed.box, canvas)
    inside = _laid_out(torch.ones(1, placed.raster.height, placed.raster.width), placed.box, canvas)
    return Outcome(torch.where(inside > 0, rgba[:3], painting), rgba[3:].contiguous(), report)


def raster_of(rgba: Tensor) -> Raster:
    """(4, H, W) as an F32 raster: no precision is lost."""
    return _raster(rgba, "F32")


def _rgba(raster: Raster, role: str) -> Tensor:
    """(4, H, W) float32; integers to 0..1, floats as they are."""
    if raster.layout not in _RGBA or raster.profile != SRGB:
        raise InvalidInput(
            f"The {role} came as {raster.layout} in {raster.profile!r}; convert it to sRGB before sending."
        )
    return _channels(raster)[list(_RGBA[raster.layout])]


def _channels(raster: Raster) -> Tensor:
    """(C, H, W) float32, a copy."""
    kind, one = _DEPTHS[raster.depth]
    pixels = np.frombuffer(raster.data, dtype=kind)
    planes = pixels.reshape(raster.height, raster.width, LAYOUTS[raster.layout]).transpose(2, 0, 1)
    values = np.ascontiguousarray(planes, dtype=np.float32)
    if not values.flags.writeable or values.base is not None:  # F32 planes of one channel need no conversion
        values = values.copy()
    return torch.from_numpy(values).div_(one)


def _laid_out(image: Tensor, box: Box, canvas: Box) -> Tensor:
    """`image` in its place on an empty canvas; what lies outside is cut off."""
    result = torch.zeros(image.shape[0], canvas.height, canvas.width)
    part = box.intersect(canvas)
    if not part.empty:
        source = image[
            :, part.top - box.top : part.bottom - box.top, part.left - box.left : part.right - box.left
        ]
        _crop(result, part).copy_(source)
    return result


def _crop(image: Tensor, box: Box) -> Tensor:
    return image[:, box.top : box.bottom, box.left : box.right]


def _bounds(alpha: Tensor) -> Box:
    """The smallest box in which (1, H, W) `alpha` is not 0."""
    if not alpha.any():
        raise InvalidInput("Nothing of the object is left to paint; raise its opacity.")
    found = bounds(alpha != 0)
    return Box(found.left, found.top, found.right, found.bottom)


def _raster(rgba: Tensor, depth: str) -> Raster:
    """(4, H, W) 0..1 as Krita keeps it: BGRA in integer depths, RGBA in float depths."""
    kind, one = _DEPTHS[depth]
    layout = "RGBA" if one == 1 else "BGRA"
    values = rgba[list(_RGBA[layout])].permute(1, 2, 0).numpy()
    if one != 1:
        values = np.rint(values.clip(0, 1) * one)
    data = np.ascontiguousarray(values, dtype=kind)
    return Raster(rgba.shape[2], rgba.shape[1], layout, depth, memoryview(data).cast("B"))
