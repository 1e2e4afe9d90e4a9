"""What tells whether a layer was repainted since it was exported: the same wherever it was moved meanwhile."""

import zlib
from typing import Callable, Generator, Iterator

from krita import Node

from ..protocol.geometry import Box
from . import documents
from .strips import strips

# Pixels of a piece, so small that the brush does not wait for it.
PIECE_PIXELS = 1 << 18


def checksum(
    node: Node, box: Box, still_there: Callable[[], object] = lambda: None
) -> Generator[None, None, int]:
    """Of all that `node` and the layers and masks in it have in `box`; yields between pieces of it.

    Where its masks may show a pixel that it has elsewhere, of all that it has.

    `still_there` is called when it goes on and may raise to stop. An opaque layer of 8192 x 8192 pixels takes 0.2 s
    in 8 bits, 0.9 s in floats; a piece of it 1 to 14 ms.
    """
    if documents.reshaping_masks(node):
        box = documents.box_of(node.bounds())
    found = 0
    for piece in _pieces(node, box):
        found = zlib.crc32(piece, found)
        yield
        still_there()
    return found


def _pieces(node: Node, box: Box) -> Iterator[bytes]:
    for layer in (node, *documents.walk(node)):
        inside = documents.box_of(layer.bounds()).intersect(box)
        if inside.empty:
            continue
        if layer != node:
            yield repr((layer.visible(), layer.opacity(), layer.blendingMode())).encode()
        yield repr(inside.shifted(-box.left, -box.top)).encode()
        if layer.type() == "grouplayer":
            continue  # it has no pixels but those of the layers in it
        for strip in strips(inside, PIECE_PIXELS):
            yield _pixels(layer, strip)


def _pixels(layer: Node, box: Box) -> bytes:
    # With masks, what Krita shows of a paint layer may be behind, and ends at the canvas; others have no more.
    read = layer.pixelData if layer.type() == "paintlayer" else layer.projectionPixelData
    return bytes(read(box.left, box.top, box.width, box.height))
