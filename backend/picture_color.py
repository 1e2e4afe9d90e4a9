"""Colours between a file's own samples and the sRGB floats that the engine works in.

A file without a usable profile counts as sRGB (CMYK: as the library's standard CMYK). Float samples are
encoded like integers, 0..1 for the full scale. Conversions go through 16 bit per channel.
"""

from __future__ import annotations

import numpy as np
import pyvips

SCALES = {"uchar": 255.0, "ushort": 65535.0, "float": 1.0, "double": 1.0}
PROFILE = "icc-profile-data"
INTENT = "relative"
# The colour space signature at byte 16 of an ICC profile, for each count of colour channels.
SIGNATURES = {1: b"GRAY", 3: b"RGB ", 4: b"CMYK"}
# ITU-R BT.709 luma weights of encoded red, green, blue.
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
SPACES = ("b-w", "grey16", "srgb", "rgb", "rgb16", "scrgb", "cmyk", "multiband")


def is_supported(image: pyvips.Image) -> bool:
    """Whether the samples are greyscale, RGB or CMYK, with or without alpha, of a depth we can scale."""
    most = 5 if image.interpretation == "cmyk" else 4
    return image.format in SCALES and image.interpretation in SPACES and image.bands <= most


def full_scale(image: pyvips.Image) -> float:
    """The sample value that stands for 1."""
    return SCALES[image.format]


def colour_bands(image: pyvips.Image) -> int:
    """How many of the bands are colour: 1 (grey), 3 (RGB) or 4 (CMYK); one more is alpha."""
    if image.interpretation == "cmyk":
        return 4
    return 3 if image.bands >= 3 else 1


def to_srgb(image: pyvips.Image) -> np.ndarray:
    """The image's colours, without alpha, as (3, h, w) float32, sRGB-encoded 0..1."""
    return planes(_rgb(image, depth=16))


def planes(image: pyvips.Image) -> np.ndarray:
    """The samples of all bands over their full scale as (bands, h, w) float32, cut to 0..1."""
    samples = image.numpy().reshape(image.height, image.width, image.bands)
    values = np.ascontiguousarray(samples.transpose(2, 0, 1), np.float32)
    values /= full_scale(image)
    return np.clip(values, 0, 1, out=values)


def from_srgb(colours: np.ndarray, like: pyvips.Image) -> np.ndarray:
    """sRGB (h, w, 3) floats 0..1 in the profile and channels of `like`: (h, w, bands) float32, 0..1."""
    if _is_managed(like):
        deep = np.rint(np.clip(colours, 0, 1) * 65535).astype(np.uint16)
        lab = pyvips.Image.new_from_array(deep, interpretation="rgb16").icc_import(
            input_profile="srgb", intent=INTENT
        )
        exported = _export(lab, like).numpy()
        return exported.reshape(*colours.shape[:2], -1).astype(np.float32) / 65535
    if colour_bands(like) == 1:
        return (colours @ LUMA)[..., None]
    return colours


def convert_to_srgb(image: pyvips.Image) -> pyvips.Image:
    """The whole image, lazily, as sRGB of its own depth (floats under a profile become 16 bit); alpha kept."""
    colours = _rgb(image, depth=8 if image.format == "uchar" else 16)
    if image.bands == colour_bands(image):
        return colours
    return colours.bandjoin(_quantized(image[image.bands - 1], colours.format))


def with_depth(image: pyvips.Image, format: str) -> pyvips.Image:
    """The same image, lazily, with "uchar" or "ushort" samples, rounded."""
    names = {"uchar": ("b-w", "srgb"), "ushort": ("grey16", "rgb16")}[format]
    space = "cmyk" if image.interpretation == "cmyk" else names[colour_bands(image) == 3]
    return _quantized(image, format).copy(interpretation=space)


def _rgb(image: pyvips.Image, depth: int) -> pyvips.Image:
    """The colours without alpha as three bands of sRGB: `depth` bits if a profile is applied, else as they are."""
    colours = image[0 : colour_bands(image)]
    if _is_managed(image):
        return _deep(colours).icc_transform(
            "srgb", embedded=_has_profile(image), input_profile=_assumed(image), intent=INTENT, depth=depth
        )
    if colours.bands == 3:
        return colours
    space = {"uchar": "srgb", "ushort": "rgb16"}.get(image.format, "scrgb")
    return colours.bandjoin([colours, colours]).copy(interpretation=space)


def _quantized(image: pyvips.Image, format: str) -> pyvips.Image:
    if image.format == format:
        return image
    return (image * (SCALES[format] / full_scale(image))).rint().cast(format)


def _deep(colours: pyvips.Image) -> pyvips.Image:
    """Colour transforms read integers only."""
    return with_depth(colours, "ushort") if colours.format in ("float", "double") else colours


def _is_managed(image: pyvips.Image) -> bool:
    """Whether the colours need a profile to become sRGB."""
    return _has_profile(image) or image.interpretation == "cmyk"


def _has_profile(image: pyvips.Image) -> bool:
    """Whether a profile is embedded that fits the image's channels and works in both directions."""
    if image.get_typeof(PROFILE) == 0:
        return False
    profile = image.get(PROFILE)
    if bytes(profile[16:20]) != SIGNATURES[colour_bands(image)]:
        return False
    try:
        _export_with(pyvips.Image.black(1, 1, bands=3).copy(interpretation="lab"), profile).max()
    except pyvips.Error:
        return False
    return True


def _assumed(image: pyvips.Image) -> str:
    """The standard profile for an image that carries none."""
    return "cmyk" if image.interpretation == "cmyk" else "srgb"


def _export(lab: pyvips.Image, like: pyvips.Image) -> pyvips.Image:
    if not _has_profile(like):
        return lab.icc_export(output_profile=_assumed(like), intent=INTENT, depth=16)
    return _export_with(lab, like.get(PROFILE))


def _export_with(lab: pyvips.Image, profile: bytes) -> pyvips.Image:
    lab = lab.copy()
    lab.set_type(pyvips.GValue.blob_type, PROFILE, profile)
    return lab.icc_export(intent=INTENT, depth=16)
