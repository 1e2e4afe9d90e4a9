"""Layers that cannot be rendered in a small copy become, in a snapshot, the pixels that Krita shows of them.

Most filters see past the edge of a copy or go by its corner, and take seconds. What warp, cage, liquify and mesh masks
show, Krita draws only some seconds after a picture was rendered, and nothing until then. Just copied it is all there.
"""

import time
from typing import Collection, Generator, List, Optional

from krita import Document, Node

from ..job import WAITING, Problem
from ..protocol.geometry import Box
from ..translation import tr
from . import colors, documents
from .strips import STRIP_PIXELS, strips

# Filters that look at each pixel alone: a copy of any size shows what they do.
_PIXELWISE = frozenset(
    (
        "asc-cdl", "burn", "colorbalance", "colortoalpha", "crosschannel", "desaturate", "dodge", "hsvadjustment",
        "invert", "levels", "maximize", "minimize", "normalize", "perchannel", "posterize", "threshold",
    )
)  # fmt: skip
# A tool that is at work looks as if Krita were still rendering.
SETTLE_SECONDS = 3.0
# Warped layers are drawn some 5 seconds after that; a result placed beside one makes Krita draw it anew.
DRAW_SECONDS = 15.0

Pauses = Generator[Optional[str], None, None]


def settled(document: Document, needed: Collection[str]) -> Pauses:
    """Waits a while until Krita has rendered the document, if what it shows of some layers counts."""
    found, start = targets(document.rootNode(), needed), time.monotonic()
    if not found:
        return
    while not documents.is_at_rest(document) and time.monotonic() < start + SETTLE_SECONDS:
        yield WAITING
    canvas = documents.canvas_box(document)
    for node in found:
        if documents.warping_masks(node) and _is_seen(node):
            while not (yield from _is_drawn(node, canvas)) and time.monotonic() < start + DRAW_SECONDS:
                yield WAITING


def targets(parent: Node, needed: Collection[str]) -> List[Node]:
    """What is to be flattened of all beneath a node, without what lies in another one of them.

    The `needed` layers (unique ids) stay layers, and so do groups around them and filters above them.
    """
    found, above_needed = [], False
    for node in documents.children(parent):
        inside = [documents.node_id(inner) for inner in documents.walk(node)]
        holds_needed = any(unique_id in needed for unique_id in inside)
        above_needed = above_needed or holds_needed or documents.node_id(node) in needed
        if not holds_needed and (_has_drawn_masks(node) or _is_seen_filter(node) and not above_needed):
            found.append(node)
        else:
            found += targets(node, needed)
    return found


def flatten(snapshot: Document, needed: Collection[str]) -> Pauses:
    """Steps after which the targets in a snapshot that was not rendered so far are pixels.

    Raises Problem if Krita has not drawn one yet.
    """
    canvas = documents.canvas_box(snapshot)
    # All are read first: a change makes Krita render those above anew.
    found = []
    for node in targets(snapshot.rootNode(), needed):
        found.append((node, (yield from _flat(snapshot, node, canvas))))
    for node, flat in found:
        if node.type() == "filterlayer":
            node.parentNode().addChildNode(flat, node)
            yield
            node.remove()
            yield
            continue
        for child in documents.children(node):
            child.remove()
        if node.type() == "grouplayer":
            node.addChildNode(flat, None)
            continue
        everything = documents.box_of(node.bounds()).united(documents.box_of(flat.bounds()))
        for strip in strips(everything, STRIP_PIXELS):
            _copy(flat, node, strip)
            yield
    while found and not documents.is_at_rest(snapshot):
        yield WAITING  # it is being rendered anew


def _has_drawn_masks(node: Node) -> bool:
    """Whether a paint layer or group is warped, or is seen through a mask that filters more than each pixel."""
    if node.type() not in ("paintlayer", "grouplayer"):
        return False
    filtered = any(_looks_around(mask) for mask in documents.reshaping_masks(node))
    return bool(documents.warping_masks(node)) or filtered and _is_seen(node)


def _is_seen_filter(node: Node) -> bool:
    return _looks_around(node) and _is_seen(node)


def _looks_around(node: Node) -> bool:
    return node.type() in ("filterlayer", "filtermask") and node.filter().name() not in _PIXELWISE


def _is_seen(node: Node) -> bool:
    return all(layer.visible() for layer in documents.ancestors(node))


def _is_drawn(node: Node, canvas: Box) -> Generator[None, None, bool]:
    """Steps that return whether Krita shows anything of a warped layer, or has nothing to show."""
    if documents.box_of(node.bounds()).empty:
        return True
    for strip in strips(documents.warped_box(node).intersect(canvas), STRIP_PIXELS):
        pixels = bytes(node.projectionPixelData(strip.left, strip.top, strip.width, strip.height))
        if pixels.count(0) < len(pixels):
            return True
        yield
    return False


def _flat(snapshot: Document, node: Node, canvas: Box) -> Generator[None, None, Node]:
    """Steps that return a loose paint layer with the pixels that Krita shows of the node."""
    flat = snapshot.createNode(node.name(), "paintlayer")
    flat.setColorSpace(*colors.space_of(node))
    if node.type() == "filterlayer":
        flat.setOpacity(node.opacity())
        flat.setBlendingMode(node.blendingMode())
        flat.setInheritAlpha(node.inheritAlpha())
    warping = documents.warping_masks(node)
    for strip in strips(documents.warped_box(node).intersect(canvas) if warping else canvas, STRIP_PIXELS):
        _copy(node, flat, strip)
        yield
    nothing = documents.box_of(flat.bounds()).empty and not documents.box_of(node.bounds()).empty
    if warping and _is_seen(node) and nothing:
        raise Problem(
            tr(
                "Krita has not drawn “{layer}” yet: wait until you see it, or hide it, then harmonize again.",
                layer=node.name(),
            )
        )
    return flat


def _copy(shown: Node, written: Node, box: Box) -> None:
    rect = (box.left, box.top, box.width, box.height)
    written.setPixelData(shown.projectionPixelData(*rect), *rect)
