"""Pixels as they travel: size, channel layout, depth, profile and the raw bytes.

Rows from top to bottom without padding, channels interleaved, little-endian, as Krita's
`pixelData` has them: Krita keeps integer depths as BGRA and float depths as RGBA.
"""

from dataclasses import dataclass
from typing import Union

from .errors import ProtocolError
from .geometry import Box

# Anything with the buffer protocol works, also Qt's QByteArray; nothing here copies it.
Buffer = Union[bytes, bytearray, memoryview]

# Channels of each layout; "MASK" is coverage alone, as of a selection.
LAYOUTS = {"RGBA": 4, "BGRA": 4, "GRAYA": 2, "CMYKA": 5, "LABA": 4, "MASK": 1}
# Bytes of one channel of each depth.
DEPTHS = {"U8": 1, "U16": 2, "F16": 2, "F32": 4}

SRGB = "sRGB"
MAX_SIDE = 1 << 16
# How far from the painting's origin a layer may lie; Krita's own canvases end far before.
MAX_OFFSET = 1 << 24


@dataclass(frozen=True)
class Raster:
    """`width` x `height` pixels; `data` holds exactly width * height * channels * depth bytes.

    `profile` names the colour profile (SRGB for the sRGB curve and primaries), `icc` may carry it.
    Raises ProtocolError if the numbers do not fit together.
    """

    width: int
    height: int
    layout: str
    depth: str
    data: Buffer
    profile: str = SRGB
    icc: Buffer = b""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS or self.depth not in DEPTHS:
            raise ProtocolError(f"A raster cannot be {self.layout} {self.depth}.")
        if not (0 < self.width <= MAX_SIDE and 0 < self.height <= MAX_SIDE):
            raise ProtocolError(
                f"A raster is 1 to {MAX_SIDE} pixels wide and high, not {self.width} x {self.height}."
            )
        size = byte_size(self.data)
        if size != self.expected_bytes:
            raise ProtocolError(
                f"A {self.width} x {self.height} {self.layout} {self.depth} raster "
                f"holds {self.expected_bytes} bytes, not {size}."
            )

    @property
    def expected_bytes(self) -> int:
        return self.width * self.height * LAYOUTS[self.layout] * DEPTHS[self.depth]


@dataclass(frozen=True)
class Placed:
    """A raster whose top left pixel lies at (`x`, `y`) of the painting raster; may lie partly outside."""

    raster: Raster
    x: int = 0
    y: int = 0

    def __post_init__(self) -> None:
        if max(abs(self.x), abs(self.y)) > MAX_OFFSET:
            raise ProtocolError(f"An offset of ({self.x}, {self.y}) is too far away.")

    @property
    def box(self) -> Box:
        return Box(self.x, self.y, self.x + self.raster.width, self.y + self.raster.height)


def byte_size(data: Buffer) -> int:
    """Bytes in any object with the buffer protocol; raises ProtocolError if it has none or has gaps."""
    try:
        view = memoryview(data)
    except TypeError:
        raise ProtocolError(f"Pixels are bytes, not {type(data).__name__}.") from None
    if not view.c_contiguous:
        raise ProtocolError("Pixels are one contiguous piece of memory.")
    return view.nbytes
