"""A result as a PNG file, written in a thread: Krita's own export would hold up the brush for seconds."""

import os
import struct
import threading
import zlib
from pathlib import Path
from typing import BinaryIO, Iterator, Optional

from .protocol.raster import Raster

STRIP_PIXELS = 1 << 18
_LEVEL = 3
# For each depth its bits, and where each byte of PNG's big-endian RGBA is in Krita's little-endian BGRA.
_DEPTHS = {"U8": (8, (2, 1, 0, 3)), "U16": (16, (5, 4, 3, 2, 1, 0, 7, 6))}


class Writing(threading.Thread):
    """Writes a BGRA raster of 8 or 16 bits, sRGB; the file is there when it is complete, or `problem` is."""

    def __init__(self, path: Path, raster: Raster):
        super().__init__(name="painterly-picture-file")
        self.problem: Optional[Exception] = None
        self._path, self._raster = path, raster

    def run(self) -> None:
        """Called in the thread."""
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(str(fresh), "wb") as file:
                _write(file, self._raster)
            os.replace(str(fresh), str(self._path))
        except Exception as error:  # memory too; untold, the file would be believed to be there
            self.problem = error


def _write(file: BinaryIO, raster: Raster) -> None:
    bits, _ = _DEPTHS[raster.depth]
    file.write(b"\x89PNG\r\n\x1a\n")
    # 6: RGB with alpha, not premultiplied; no interlacing. sRGB, rendered perceptually.
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", raster.width, raster.height, bits, 6, 0, 0, 0))
    _chunk(file, b"sRGB", b"\0")
    packer = zlib.compressobj(_LEVEL)
    for strip in _strips(raster):
        _chunk(file, b"IDAT", packer.compress(strip))
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def _strips(raster: Raster) -> Iterator[bytes]:
    """Some rows at a time, each with PNG's mark for an unfiltered row in front."""
    _, order = _DEPTHS[raster.depth]
    pixel = len(order)
    row = pixel * raster.width
    data = memoryview(raster.data).cast("B")
    rows = max(1, STRIP_PIXELS // raster.width)
    for top in range(0, raster.height, rows):
        given = bytes(data[top * row : (top + rows) * row])
        turned = bytearray(len(given))
        for place, source in enumerate(order):
            turned[place::pixel] = given[source::pixel]
        yield b"".join(b"\0" + turned[at : at + row] for at in range(0, len(turned), row))
