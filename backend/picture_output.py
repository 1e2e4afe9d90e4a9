"""Picture files out: the painting's own samples with the object painted in, written whole or not at all.

Only pixels under the feathered mask are touched; all others keep the painting's samples. PNG, TIFF and
WebP are written losslessly, so there they stay exact to the bit; JPEG is written at its best quality.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

import numpy as np
import pyvips

from backend import picture_color
from backend.harmonize.errors import HarmonizeError
from backend.pictures import GAIN_MAP, crop, has_utf8_name
from plugin.painterly.protocol import disk
from plugin.painterly.protocol.geometry import Box


class OutputError(HarmonizeError):
    """The result cannot be written where it was asked for."""

    kind = "output"


@dataclass(frozen=True)
class Format:
    """What a kind of file can hold, and how it is written."""

    saver: str
    options: Mapping[str, Any]
    depths: tuple[str, ...] = ("uchar",)
    cmyk: bool = False
    alpha: bool = True
    lossless: bool = True


_TIFF = Format(
    "tiffsave",
    {"compression": "deflate", "predictor": "horizontal"},
    depths=("uchar", "ushort", "float", "double"),
    cmyk=True,
)
_JPEG = Format(
    "jpegsave",
    {"Q": 100, "subsample_mode": "off", "optimize_coding": True},
    cmyk=True,
    alpha=False,
    lossless=False,
)
FORMATS = {
    ".png": Format("pngsave", {"compression": 6, "palette": False}, depths=("uchar", "ushort")),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": Format("webpsave", {"lossless": True, "exact": True}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}
# Loaders leave the file's packing here and savers would take it up again: one bit a sample for a mask.
PACKING = ("bits-per-sample", "palette", "palette-bit-depth")

# Rows that are blended at a time: bounds the memory for floats, whatever the object's size.
STRIP = 256


def format_of(path: Path) -> Format:
    """The format that the name's ending asks for; raises OutputError for an unknown one."""
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"The output {path} must end in one of {', '.join(FORMATS)}.")
    return FORMATS[path.suffix.lower()]


def check_writable(path: Path, room: int = 1) -> None:
    """Raises OutputError if `path` cannot be made, or its disk has less than `room` bytes left; leaves nothing."""
    if os.path.isdir(path):  # not `Path.is_dir`, which raises an error for a name that is too long
        raise OutputError(f"The output {path} is a folder; give a file name.")
    if not has_utf8_name(path):
        raise OutputError(f"The name of the output {path} is not UTF-8; give it another one.")
    with _written(path) as temporary:
        temporary.write_bytes(bytes(1 << 16))
        free = shutil.disk_usage(path.parent).free
        if free < room:
            raise OutputError(
                f"The disk of {path} has {free / 1e6:.1f} MB left but the painting itself takes "
                f"{room / 1e6:.1f} MB; free some space or choose another place."
            )


def carrier(image: pyvips.Image, kind: Format) -> tuple[pyvips.Image, list[str]]:
    """The painting in samples that `kind` can hold, lazily, and a note on each thing that had to change."""
    notes = _left_behind(image, kind)
    if image.interpretation == "cmyk" and not kind.cmyk:
        image = picture_color.convert_to_srgb(image)
        notes.append("The format holds no CMYK, so the whole picture was converted to sRGB.")
    if image.format not in kind.depths:
        image = picture_color.with_depth(image, kind.depths[-1])
        bits = 16 if kind.depths[-1] == "ushort" else 8
        notes.append(f"The format holds {bits} bits a channel, so the whole picture was rounded to them.")
    if image.bands > picture_color.colour_bands(image) and not kind.alpha:
        image = image.flatten(background=picture_color.full_scale(image)).cast(image.format)
        notes.append("The format holds no transparency, so the picture was put on white.")
    if not kind.lossless:
        notes.append(
            "JPEG is lossy, so pixels outside the object are only nearly the painting's; "
            "PNG, TIFF and WebP keep them exactly."
        )
    return image, notes


def _left_behind(image: pyvips.Image, kind: Format) -> list[str]:
    """A note on each thing beside the first picture's pixels that the file has and `kind` will not get.

    libvips takes EXIF and the like neither out of a TIFF nor into one, and a PNG's texts only into a PNG.
    """
    notes, fields = [], image.get_fields()
    pictures = image.get("n-pages") if "n-pages" in fields else 1
    if pictures > 1:
        notes.append(f"The painting's file holds {pictures} pictures; only the first was kept.")
    from_tiff = "vips-loader" in fields and image.get("vips-loader").startswith("tiffload")
    into_tiff = "exif-data" in fields and kind.saver == "tiffsave"
    texts = any(field.startswith("png-comment-") for field in fields) and kind.saver != "pngsave"
    if from_tiff or into_tiff or texts:
        notes.append("Tags such as author and copyright, where the painting's file had them, were not kept.")
    if GAIN_MAP in fields:
        notes.append("The painting's gain map for HDR screens was not kept.")
    return notes


def painted(image: pyvips.Image, window: Box, colours: np.ndarray, alpha: np.ndarray) -> pyvips.Image:
    """`image` with sRGB `colours` (3, h, w) laid over `window` by `alpha` (1, h, w), both float 0..1.

    Blends in the image's own samples, so where alpha is 0 they are untouched.
    """
    rows, columns = np.flatnonzero(alpha[0].any(axis=1)), np.flatnonzero(alpha[0].any(axis=0))
    if rows.size == 0:
        return image
    touched = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    strips = []
    for top in range(touched.top, touched.bottom, STRIP):
        strip = touched._replace(top=top, bottom=min(top + STRIP, touched.bottom))
        part = np.s_[:, strip.top : strip.bottom, strip.left : strip.right]
        under = crop(image, strip.shifted(window.left, window.top))
        strips.append(_blended(under, colours[part].transpose(1, 2, 0), alpha[part].transpose(1, 2, 0)))
    patch = pyvips.Image.new_from_array(np.concatenate(strips), interpretation=image.interpretation)
    return image.insert(patch, window.left + touched.left, window.top + touched.top)


def _blended(under: pyvips.Image, colours: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(h, w, bands) samples of `under` with `colours` (h, w, 3) over them by `weight` (h, w, 1).

    Where `under` is transparent its colours count by its opacity, so those that nobody sees do not count.
    """
    samples = under.numpy().reshape(under.height, under.width, under.bands)
    bands, scale = picture_color.colour_bands(under), picture_color.full_scale(under)
    share, alpha = weight, samples[..., bands:]
    if under.bands > bands:
        opacity = picture_color.planes(under[bands])[0, ..., None]
        share = weight / np.where(weight > 0, opacity * (1 - weight) + weight, 1)
        alpha = alpha * (1 - weight) + scale * weight
    over = picture_color.from_srgb(colours, under)
    mixed = np.concatenate([samples[..., :bands] * (1 - share) + over * (scale * share), alpha], axis=2)
    if scale > 1:
        mixed = np.clip(np.rint(mixed), 0, scale)
    return np.where(weight > 0, mixed, samples).astype(samples.dtype)


def write_picture(image: pyvips.Image, path: Path, **changes: Any) -> None:
    """Writes the file by its ending, completely or not at all; raises OutputError.

    `changes` are options of the format's saver that go before those in FORMATS.
    """
    kind = format_of(path)
    options = {**kind.options, **changes}
    if kind.saver == "pngsave":
        options["bitdepth"] = 16 if image.format == "ushort" else 8
    if kind.saver == "tiffsave" and image.format in ("float", "double"):
        options["predictor"] = "float"
    image = image.copy()
    for name in PACKING:
        if image.get_typeof(name):
            image.remove(name)
    with _written(path) as temporary:
        getattr(image, kind.saver)(str(temporary), **options)
        _flush_to_disk(temporary)
        os.replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, completely or not at all; raises OutputError."""
    with _written(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(temporary, path)


def make_folder(path: Path) -> None:
    """Makes the folder and its parents; raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {path} cannot be made: {error.strerror}.") from error


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A new, empty file beside `path` to fill and rename; gone afterwards whatever happens."""
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.open("xb").close()
        yield temporary
    except OSError as error:
        raise OutputError(f"The output {path} cannot be written: {error.strerror or error}.") from error
    except pyvips.Error as error:
        raise OutputError(
            f"The output {path} could not be written to its end; check that its disk is not full."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _flush_to_disk(path: Path) -> None:
    """A disk may report that it is full only now; some network disks cannot be asked."""
    with path.open("rb+") as file:
        disk.flush(file)
