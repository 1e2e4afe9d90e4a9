"""Layers that are warped become, in a snapshot, the pixels that Krita shows of them.

What warp, cage, liquify and mesh masks show, Krita draws only some seconds after a picture was changed, and
nothing until then: in a copy that is cropped or rendered such a layer would be missing. Just copied it is there.
"""

from typing import Collection, Generator, List, Optional

from krita import Document, Node

from ..job import WAITING, Problem
from ..protocol.geometry import Box
from ..translation import tr
from . import colors, documents
from .strips import STRIP_PIXELS, strips


def warped(parent: Node, needed: Collection[str]) -> List[Node]:
    """The warped paint layers and groups beneath a node, without those that lie in another one.

    A group with one of the `needed` layers in it (unique ids) must stay a group: of that those inside.
    """
    found = []
    for node in documents.children(parent):
        if _is_warped(node) and not any(documents.node_id(inner) in needed for inner in documents.walk(node)):
            found.append(node)
        else:
            found += warped(node, needed)
    return found


def flatten(snapshot: Document, needed: Collection[str]) -> Generator[Optional[str], None, None]:
    """Steps after which the warped layers of the snapshot, not rendered so far, have no masks any more.

    Raises Problem if Krita has not drawn one yet.
    """
    canvas = documents.canvas_box(snapshot)
    for node in warped(snapshot.rootNode(), needed):
        flat = snapshot.createNode(node.name(), "paintlayer")
        flat.setColorSpace(*colors.space_of(node))
        for strip in strips(documents.warped_box(node).intersect(canvas), STRIP_PIXELS):
            _copy(node, flat, strip)
            yield
        _check_drawn(node, flat)
        for child in node.childNodes():
            child.remove()
        if node.type() == "grouplayer":
            node.addChildNode(flat, None)
            continue
        everything = documents.box_of(node.bounds()).united(documents.box_of(flat.bounds()))
        for strip in strips(everything, STRIP_PIXELS):
            _copy(flat, node, strip)
            yield
    while not snapshot.tryBarrierLock():
        yield WAITING  # it is being rendered without the masks
    snapshot.unlock()


def _is_warped(node: Node) -> bool:
    return node.type() in ("paintlayer", "grouplayer") and bool(documents.warping_masks(node))


def _check_drawn(node: Node, flat: Node) -> None:
    seen = all(layer.visible() for layer in documents.ancestors(node))
    if seen and documents.box_of(flat.bounds()).empty and not documents.box_of(node.bounds()).empty:
        raise Problem(
            tr(
                "Krita has not drawn “{layer}” yet: wait until you see it, or hide it, then harmonize again.",
                layer=node.name(),
            )
        )


def _copy(shown: Node, written: Node, box: Box) -> None:
    rect = (box.left, box.top, box.width, box.height)
    written.setPixelData(shown.projectionPixelData(*rect), *rect)
