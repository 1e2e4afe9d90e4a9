"""Small pictures for the contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pyvips

from backend.harmonize.errors import InvalidInput
from backend.picture_color import colour_bands, convert_to_srgb, with_depth
from backend.picture_output import make_folder, write_picture
from backend.pictures import open_picture

SIDE = 640
QUALITY = 85


def of_file(path: Path, target: Path) -> Path | None:
    """Writes a thumbnail of the picture at `path` to `target`, a WebP file; None if that is not a readable picture."""
    return _write(lambda: _opaque(_load(path)), target)


def of_pasted(painting: Path, layer: Path, offset: tuple[int, int], target: Path) -> Path | None:
    """Writes a thumbnail of `layer` on `painting`; None if either is not a readable picture."""
    x, y = offset
    return _write(
        lambda: _opaque(_load(painting).composite2(_load(layer), "over", x=x, y=y, compositing_space="srgb")),
        target,
    )


def _write(draw: Callable[[], pyvips.Image], target: Path) -> Path | None:
    try:
        small = draw().thumbnail_image(SIDE, height=SIDE, size="down").copy_memory()
    except (InvalidInput, pyvips.Error):
        return None
    make_folder(target.parent)
    write_picture(small, target, lossless=False, Q=QUALITY)
    return target


def _load(path: Path) -> pyvips.Image:
    """8-bit sRGB, with alpha if the file has it."""
    return with_depth(convert_to_srgb(open_picture(path, "picture").image), "uchar")


def _opaque(image: pyvips.Image) -> pyvips.Image:
    return image.flatten(background=255).cast("uchar") if image.bands > colour_bands(image) else image
