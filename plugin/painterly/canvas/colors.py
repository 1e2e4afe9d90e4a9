"""Colour spaces: Krita converts, in small documents that nobody sees."""

from typing import Generator, NamedTuple

from krita import Document, Krita

from ..job import Problem
from ..translation import tr

SRGB_PROFILE = "sRGB-elle-V2-srgbtrc.icc"
CHANNELS = {"RGBA": 4, "GRAYA": 2, "CMYKA": 5, "LABA": 4, "XYZA": 4, "YCbCrA": 4, "A": 2}
CHANNEL_BYTES = {"U8": 1, "U16": 2, "F16": 2, "F32": 4}


class Space(NamedTuple):
    """How pixels are stored: Krita's colour model, depth and profile name."""

    model: str
    depth: str
    profile: str

    @property
    def pixel_bytes(self) -> int:
        return CHANNELS[self.model] * CHANNEL_BYTES[self.depth]


def space_of(thing) -> Space:
    """The space of a document or node."""
    return Space(thing.colorModel(), thing.colorDepth(), thing.colorProfile())


def srgb(depth: str) -> Space:
    return Space("RGBA", depth, SRGB_PROFILE)


def working_depth(space: Space) -> str:
    """The depth in which to exchange pixels with the backend so that `space` loses nothing.

    Eight bits in another colour model are other steps than sRGB's, so those travel in sixteen.
    """
    if space.depth in ("F16", "F32"):
        return "F32"
    return "U8" if space.depth == "U8" and space.model == "RGBA" else "U16"


def layout(depth: str) -> str:
    """Krita's order of RGB channels at that depth."""
    return "BGRA" if depth in ("U8", "U16") else "RGBA"


def scratch_document(space: Space) -> Generator[None, None, Document]:
    """Steps that return a document that nobody sees, to be closed; raises Problem if Krita does not know the space.

    It is not among the open ones.
    """
    document = Krita.instance().createDocument(1, 1, "Painterly", *space, 72.0)
    if document is None:
        raise Problem(tr("Krita cannot make a picture in the colour space {space}.", space=" ".join(space)))
    try:
        yield  # making and closing one take some 40 ms each
        return document.clone()
    finally:
        document.setModified(False)
        document.close()


def convert_in(document: Document, data, width: int, height: int, source: Space, target: Space):
    """`data` (width x height pixels in `source`) in `target`'s pixels; the same object if nothing changes.

    `document` must be one that nobody sees: until it is closed it keeps what it takes to undo the conversion.
    """
    if source == target:
        return data
    layer = document.createNode("converted", "paintlayer")
    if space_of(layer) != source:
        layer.setColorSpace(*source)
    layer.setPixelData(data, 0, 0, width, height)
    if source.model == "CMYKA" and target.depth == "F32":
        # Straight to such floats Krita 5.2 makes other hues than it shows, up to 233 of 255.
        layer.setColorSpace(*target._replace(depth="F16"))
    # The layer, not the document: it is converted as for the screen, with black point compensation.
    layer.setColorSpace(*target)
    return bytes(layer.pixelData(0, 0, width, height))
