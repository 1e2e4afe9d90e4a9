"""Picture files in: PNG, JPEG, TIFF and WebP, 8 and 16 bit and float, upright and checked.

A `Picture` stays in the file's own samples (profile, depth, size) and is decoded as needed; only the
boxes asked for become floats. `picture_color` does the colours, `picture_output` the way back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend import picture_color
from backend.harmonize.errors import InvalidInput
from plugin.painterly.protocol.geometry import Box

# libvips would print warnings about odd but harmless files between our own sentences on stderr.
os.environ.setdefault("VIPS_WARNING", "0")
import pyvips  # noqa: E402

LEAST_SIDE = 64
# The largest side that every output format can hold (WebP's limit).
LARGEST_SIDE = 16383
LOADERS = ("pngload", "jpegload", "tiffload", "webpload")
LOSSY_LOADERS = ("jpegload", "webpload")
# libvips unpacks a large picture into a temporary file; so it says that this failed.
NO_ROOM = ("unable to write to", "write failed")
# Our own mark on a picture whose file also held a gain map, by which newer screens brighten a photograph.
GAIN_MAP = "painterly-gain-map"
# A lossy mask's black rings around edges; below this share of full scale it counts as black.
LOSSY_BLACK = 16 / 255

# A finished operation is not needed again, and the same file name may hold another picture next time.
pyvips.cache_set_max(0)


@dataclass(frozen=True)
class Picture:
    """An opened file; `role` is what it is to the artist ("painting", "mask" ...), for messages."""

    path: Path
    role: str
    image: pyvips.Image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright, in pixels."""
        return self.image.width, self.image.height

    @property
    def box(self) -> Box:
        return Box(0, 0, self.image.width, self.image.height)

    @property
    def has_alpha(self) -> bool:
        return self.image.bands > picture_color.colour_bands(self.image)

    def colours(self, box: Box) -> np.ndarray:
        """The pixels in `box` as (3, h, w) float32, sRGB-encoded 0..1."""
        return picture_color.to_srgb(crop(self.image, box))

    def opacity(self) -> pyvips.Image:
        """The alpha band at the file's own scale; full everywhere if the file has none."""
        image = self.image
        if not self.has_alpha:
            return (image[0] * 0 + picture_color.full_scale(image)).cast(image.format)
        return image[image.bands - 1]

    def selection(self) -> pyvips.Image:
        """The picture read as a mask: brightness times opacity in one band, at the file's own scale."""
        image = self.image
        if image.interpretation == "cmyk":
            image = picture_color.convert_to_srgb(image)
        scale = picture_color.full_scale(image)
        grey = image[0 : picture_color.colour_bands(image)].bandmean()
        if self.has_alpha:
            grey = grey * (image[image.bands - 1] / scale)
        if image.get("vips-loader").startswith(LOSSY_LOADERS):
            grey = (grey >= LOSSY_BLACK * scale).ifthenelse(grey, 0)
        return grey.cast(image.format)


def open_picture(path: str | os.PathLike[str], role: str) -> Picture:
    """Opens the file, turned upright; only its header has been read then.

    Raises InvalidInput if there is no such file or it is not a picture of a supported kind.
    """
    path = Path(path)
    if not has_utf8_name(path):
        raise InvalidInput(f"The name of the {role} {path} is not UTF-8; give it another one.")
    if path.is_dir():
        raise InvalidInput(f"The {role} {path} is a folder; give a picture file.")
    if not path.exists():
        raise InvalidInput(f"The {role} {path} does not exist; check its name.")
    try:
        image = _load(str(path))
        loader = image.get("vips-loader")
    except pyvips.Error as error:
        raise InvalidInput(_unreadable(path, role)) from error
    if not loader.startswith(LOADERS):
        raise InvalidInput(_unreadable(path, role))
    picture = Picture(path, role, image.autorot())
    _check_samples(picture)
    return picture


def _load(name: str) -> pyvips.Image:
    """Raises pyvips.Error."""
    how = {"fail_on": "error", "access": "random"}
    # A source takes the name as it is, where `new_from_file` reads options in square brackets.
    image = pyvips.Image.new_from_source(pyvips.Source.new_from_file(name), "", **how)
    if not image.get("vips-loader").startswith("uhdrload"):
        return image
    # A JPEG with a gain map, as phones make them. The map fits the pixels as they were, and libvips would put
    # it into the result: so it is read as the JPEG that it also is.
    image = pyvips.Image.jpegload_source(pyvips.Source.new_from_file(name), **how).copy()
    image.set_type(pyvips.GValue.gint_type, GAIN_MAP, 1)
    return image


def has_utf8_name(path: str | os.PathLike[str]) -> bool:
    """Whether libvips takes this name; on Linux a file's may be any bytes."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_painting_size(painting: Picture) -> None:
    """Raises InvalidInput for a painting too small or too large to work on."""
    width, height = painting.size
    if min(width, height) < LEAST_SIDE:
        raise InvalidInput(
            f"The painting is {width} x {height} pixels; its shorter side must be at least {LEAST_SIDE}."
        )
    if max(width, height) > LARGEST_SIDE:
        raise InvalidInput(
            f"The painting is {width} x {height} pixels; its longer side may be at most {LARGEST_SIDE}."
        )


def check_same_size(picture: Picture, painting: Picture) -> None:
    """Raises InvalidInput if the two differ in width or height."""
    if picture.size != painting.size:
        raise InvalidInput(
            "The {} is {} x {} pixels but the painting is {} x {}; make them the same size.".format(
                picture.role, *picture.size, *painting.size
            )
        )


def check_pixels(picture: Picture) -> None:
    """Decodes the whole file; raises InvalidInput if it is truncated or holds values that are no numbers."""
    image = picture.image
    try:
        # x - x is 0 for every number and NaN, which equals nothing, for NaN and the infinities.
        flaws = (image - image != 0).max()
    except pyvips.Error as error:
        if any(words in str(error) for words in NO_ROOM):
            raise InvalidInput(
                f"The {picture.role} {picture.path} does not fit unpacked into the folder for temporary files; "
                "free some space there, or let the variable TMPDIR name a folder on a larger disk."
            ) from error
        raise InvalidInput(
            f"The {picture.role} {picture.path} is truncated or damaged; save or copy it again."
        ) from error
    if flaws:
        raise InvalidInput(
            f"The {picture.role} {picture.path} holds pixels that are not numbers (NaN or infinite); "
            "save it again without them."
        )


def crop(image: pyvips.Image, box: Box) -> pyvips.Image:
    """The pixels of `box`, which lies within the image."""
    return image.crop(box.left, box.top, box.width, box.height)


def bounds(band: pyvips.Image) -> Box:
    """The smallest box around all pixels of a one-band image that are above zero; may be empty."""
    columns, rows = (band > 0).project()
    across, down = np.flatnonzero(columns.numpy()), np.flatnonzero(rows.numpy())
    if across.size == 0:
        return Box(0, 0, 0, 0)
    return Box(int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1)


def fills(band: pyvips.Image, box: Box) -> bool:
    """Whether a one-band image is at half its scale or more everywhere in `box`."""
    return crop(band, box).min() >= picture_color.full_scale(band) / 2


def unit(band: pyvips.Image, box: Box) -> np.ndarray:
    """One band's pixels in `box` as (1, h, w) float32 in 0..1."""
    return picture_color.planes(crop(band, box))


def _check_samples(picture: Picture) -> None:
    if not picture_color.is_supported(picture.image):
        raise InvalidInput(
            f"The {picture.role} {picture.path} holds {picture.image.bands} channels of "
            f"{picture.image.format} {picture.image.interpretation}; save it as 8 or 16 bit RGB."
        )


def _unreadable(path: Path, role: str) -> str:
    return f"The {role} {path} is not a readable PNG, JPEG, TIFF or WebP picture."
