"""What is selected of a layer: by its own local selection if that is active, else by the document's."""

from typing import List, Optional, Sequence

from krita import Document, Krita, Node, Selection

from ..job import Selected
from ..protocol.geometry import Box
from . import colors, documents
from .strips import STRIP_PIXELS, strips

# A filter that changes every pixel, and one that it changes.
_FILTER, _BLACK = "invert", b"\0\0\0\xff"


def selections(document: Document, layers: Sequence[str]) -> List[Optional[Selected]]:
    """What is selected now of each of these layers (unique ids), None where nothing is; raises Problem."""
    canvas, nodes = documents.canvas_box(document), [documents.need_node(document, layer) for layer in layers]
    active = _active(document, [mask for node in nodes for mask in documents.selection_masks(node)])
    everywhere, found = _selected(document.selection(), canvas), []
    for node in nodes:
        own = next((mask.selection() for mask in active if mask.parentNode() == node), None)
        found.append(_selected(own, canvas) or everywhere)
    return found


def _active(document: Document, masks: Sequence[Node]) -> List[Node]:
    """Those of the visible selection masks that count for their layers as Krita's own filters see it.

    Deselected or replaced by a newer one, a mask stays visible and is no more active. Krita's Python does
    not say so; a filter does, tried in a copy: an active mask keeps it from a pixel that it does not select.
    """
    if not masks:
        return []
    copy = document.clone()
    try:
        copy.resizeImage(0, 0, 1, 1)
        copy.setSelection(_pixel(0, 0))  # what counts where no mask does
        return [mask for mask in masks if not _is_filtered(copy, mask)]
    finally:
        copy.close()


def _is_filtered(copy: Document, mask: Node) -> bool:
    """Whether a filter changes the pixel at the copy's corner on a layer with the mask, which selects another one."""
    layer = copy.createNode("filtered", "paintlayer")
    layer.setColorSpace(*colors.srgb("U8"))
    layer.setPixelData(_BLACK, 0, 0, 1, 1)
    copy.rootNode().addChildNode(layer, None)
    tried = mask.duplicate()  # still active if the mask is
    tried.setSelection(_pixel(-9, -9))
    layer.addChildNode(tried, None)
    copy.waitForDone()
    Krita.instance().filter(_FILTER).startFilter(layer, 0, 0, 1, 1)
    copy.waitForDone()
    return bytes(layer.pixelData(0, 0, 1, 1)) != _BLACK


def _pixel(x: int, y: int) -> Selection:
    """One pixel, wholly selected."""
    selection = Selection()
    selection.select(x, y, 1, 1, 255)
    return selection


def _selected(selection: Optional[Selection], canvas: Box) -> Optional[Selected]:
    if selection is None or selection.width() == 0 or selection.height() == 0:
        return None
    x, y = selection.x(), selection.y()
    whole = Box(x, y, x + selection.width(), y + selection.height())
    box = whole.intersect(canvas)
    pieces = (selection.pixelData(part.left, part.top, part.width, part.height)
              for part in strips(box, STRIP_PIXELS))  # fmt: skip
    return Selected(box, b"".join(bytes(piece) for piece in pieces))
