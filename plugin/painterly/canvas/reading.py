"""What a snapshot of a document shows: the painting in a window, and a layer with its masks.

The work is cut into strips of the window. Each is read from a small copy of the snapshot (Krita shares
the pixels, a copy costs milliseconds), so that no single call holds up the artist's brush. What would
look otherwise in a small copy is read from one that is as large as it needs.
"""

from contextlib import contextmanager
from typing import Generator, Iterator, NamedTuple, Optional, Sequence

from krita import Document, Node

from ..job import ExportWish, Problem, Source
from ..protocol.geometry import Box
from ..translation import tr
from . import colors, documents
from .strips import CONVERTED_STRIP_PIXELS, STRIP_PIXELS, strips

# Surroundings rendered with a strip, so that filters in the document see past its edge.
OVERLAP = 64
# For bytes.translate: 255 for what is not 0.
_FILLED = b"\0" + b"\xff" * 255
# Given an empty text, Krita leaves a layer's style as it is.
_NO_STYLE = """<asl><node
type="Descriptor"
classId="null"
name=""/></asl>"""

Pixels = Generator[None, None, bytearray]
Boxes = Generator[None, None, Box]


class Plan(NamedTuple):
    """What is read from each strip."""

    source: Source
    wish: ExportWish
    window: Box
    layer: Box  # the part of the layer inside the window
    depth: str
    as_seen: bool  # the layer's own blending shows: its colours are taken from the picture
    uncut: Box


def uncut(snapshot: Document) -> Box:
    """What every crop of the document must hold to show what the document shows; empty if nothing."""
    canvas, found = documents.canvas_box(snapshot), Box(0, 0, 0, 0)
    for node in documents.walk(snapshot.rootNode()):
        if node.type() == "filllayer" and node.generatorName() != "color":
            return canvas  # it is drawn anew, from the new corner on
        if documents.transform_masks(node):
            # Cut off where its pixels are, it is cut off where they are shown; it needs some pixels around.
            found = found.united(documents.box_of(node.bounds()).grown(OVERLAP))
    return found.intersect(canvas)


def shown_box(snapshot: Document, node: Node) -> Boxes:
    """Where a layer of the snapshot is seen.

    The bounds of its pixels, if none of its masks puts them elsewhere; else what is seen on the canvas.
    """
    about = documents.box_of(node.bounds())
    if about.empty or not documents.reshaping_masks(node):
        return about
    for mask in documents.transform_masks(node):
        about = about.united(documents.box_of(mask.bounds()))
    canvas, margin = documents.canvas_box(snapshot), OVERLAP
    while True:
        area = about.grown(margin).intersect(canvas)
        found = yield from _shown_in(snapshot, node, area)
        around = found.grown(1).intersect(canvas)
        ends_inside = not found.empty and around.intersect(area) == around
        if ends_inside or area == canvas:
            return found
        margin *= 4


def _shown_in(snapshot: Document, node: Node, area: Box) -> Boxes:
    """The part of `area` in which a layer of the snapshot is seen."""
    found, kept = Box(0, 0, 0, 0), uncut(snapshot)
    for strip in strips(area, STRIP_PIXELS) if kept.empty else [area]:
        with _copied(snapshot, strip, kept) as (copy, origin):
            yield
            shown = documents.need_node(copy, documents.node_id(node))
            shown.setVisible(True)
            _hide_above(shown)
            copy.refreshProjection()
            copy.waitForDone()
            # Of a paint layer, in whatever colour space, Krita says where its pixels are.
            seen = copy.createNode("seen", "paintlayer")
            seen.setColorSpace(*colors.space_of(shown))
            for part in _strips(copy, strip.shifted(-origin.left, -origin.top)):
                rect = (part.left, part.top, part.width, part.height)
                seen.setPixelData(shown.projectionPixelData(*rect), *rect)
                yield
            found = found.united(documents.box_of(seen.bounds()).shifted(origin.left, origin.top))
        yield
    return found


def pixels(snapshot: Document, plan: Plan) -> Generator[None, None, tuple]:
    """Pixels of the painting in the window and of the layer in its box."""
    if plan.wish.painting:
        painting = yield from _read_strips(snapshot, plan, plan.window, _read_chosen)
    else:
        painting = yield from _read_strips(snapshot, plan, plan.window, _read_beneath)
    layer = yield from _read_strips(snapshot, plan, plan.layer, _read_layer)
    return painting, layer


def picture(snapshot: Document, plan: Plan) -> Pixels:
    """The window with the layer in it, without what lies above."""
    return _read_strips(snapshot, plan, plan.window, _read_seen)


def _read_strips(snapshot: Document, plan: Plan, box: Box, read) -> Pixels:
    """The pixels that `read(copy, shifted, plan)` gives for each part of `box`, one below the other."""
    data = bytearray(box.width * box.height * colors.srgb(plan.depth).pixel_bytes)
    filled = 0
    for part in _strips(snapshot, box) if plan.uncut.empty else [box]:
        with _copied(snapshot, part, plan.uncut) as (copy, origin):
            yield
            piece = yield from read(copy, part.shifted(-origin.left, -origin.top), plan)
            data[filled : filled + len(piece)] = piece
            filled += len(piece)
        yield
    return data


def _strips(document: Document, box: Box) -> Iterator[Box]:
    """Strips of `box` that can be read and converted at once."""
    plain = colors.space_of(document) == colors.srgb("U8")
    return strips(box, STRIP_PIXELS if plain else CONVERTED_STRIP_PIXELS)


@contextmanager
def _copied(snapshot: Document, part: Box, kept: Box):
    """A copy of the document and where its canvas lies: around the part with some surroundings and what is kept."""
    canvas = documents.canvas_box(snapshot)
    around = part.grown(OVERLAP).united(kept).intersect(canvas)
    copy = snapshot.clone()
    try:
        if around != canvas:
            copy.resizeImage(around.left, around.top, around.width, around.height)
        yield copy, around
    finally:
        copy.close()


def _hide_above(node: Node, within: str = "") -> None:
    """Hide all that lies above `node`, at its own level and at every level up to the root.

    Or up to the group whose unique id is `within`: what is beside that stays as it is.
    """
    for layer in documents.ancestors(node):
        if documents.node_id(layer) == within:
            break
        siblings = documents.children(layer.parentNode())
        index = next(i for i, other in enumerate(siblings) if other.uniqueId() == layer.uniqueId())
        for above in siblings[index + 1 :]:
            if not documents.is_mask(above):
                above.setVisible(False)


def _hide(copy: Document, nodes: Sequence[str]) -> None:
    for unique_id in nodes:
        node = documents.find_node(copy, unique_id)
        if node is not None:
            node.setVisible(False)


def _read_beneath(copy: Document, box: Box, plan: Plan) -> Pixels:
    _hide_above(documents.need_node(copy, plan.source.node))
    _hide(copy, (plan.source.node,) + plan.wish.without)
    return _projection(copy, box, plan.depth)


def _read_seen(copy: Document, box: Box, plan: Plan) -> Pixels:
    """The picture with the layer in it, without what lies above."""
    _hide_above(documents.need_node(copy, plan.source.node))
    _hide(copy, plan.wish.without)
    return _projection(copy, box, plan.depth)


def _read_chosen(copy: Document, box: Box, plan: Plan) -> Pixels:
    """The chosen layer or group, also a hidden one; of a group that holds the object, what lies beneath it."""
    chosen = plan.wish.painting
    node = documents.find_node(copy, chosen)
    if node is None:
        raise Problem(tr("The layer chosen as the painting is gone: choose another one."))
    source = documents.need_node(copy, plan.source.node)
    if any(documents.node_id(layer) == chosen for layer in documents.ancestors(source)):
        _hide_above(source, within=chosen)
    _hide(copy, (plan.source.node,) + plan.wish.without)
    for layer in documents.ancestors(node):
        layer.setVisible(True)  # Krita does not draw a hidden group
    return (yield from _rendered(copy, node, box, plan.depth))


def _read_layer(copy: Document, box: Box, plan: Plan) -> Pixels:
    node = documents.need_node(copy, plan.source.node)
    _hide_above(node)
    for group in documents.ancestors(node)[1:]:
        # What the groups around it do to the layer they will do to its result.
        group.setOpacity(255)
        group.setBlendingMode("normal")
    if node.layerStyleToAsl():
        node.setLayerStyleFromAsl(_NO_STYLE)  # its result has it itself
    own = yield from _rendered(copy, node, box, plan.depth)
    size = colors.CHANNEL_BYTES[plan.depth]
    if plan.as_seen:
        own = _as_seen(own, (yield from _projection(copy, box, plan.depth)), size)
    if node.inheritAlpha():
        node.setVisible(False)
        own = _clipped(own, (yield from _rendered(copy, _clipping(node), box, plan.depth)), size)
    return own


def _as_seen(own: bytearray, seen: bytearray, size: int) -> bytearray:
    """Colours as they show through opacity and blending; the shape is the layer's own."""
    for byte in range(size):
        seen[3 * size + byte :: 4 * size] = own[3 * size + byte :: 4 * size]
    return seen


def _clipping(node: Node) -> Node:
    """The group whose pixels beneath the node give it its alpha; one that is passed through has none."""
    group = node.parentNode()
    while group.parentNode() is not None and group.passThroughMode():
        group = group.parentNode()
    return group


def _clipped(own: bytearray, beneath: bytearray, size: int) -> bytearray:
    """`own` transparent where nothing is beneath; elsewhere its result inherits alpha as it does."""
    kept = 0
    for byte in range(3 * size, 4 * size):
        kept |= int.from_bytes(beneath[byte :: 4 * size].translate(_FILLED), "little")
    for byte in range(3 * size, 4 * size):
        alpha = own[byte :: 4 * size]
        left = int.from_bytes(alpha, "little") & kept
        own[byte :: 4 * size] = left.to_bytes(len(alpha), "little")
    return own


def _projection(copy: Document, box: Box, depth: str) -> Pixels:
    """The whole picture in sRGB, as shown on screen."""
    if depth != "U8":
        return _rendered(copy, copy.rootNode(), box, depth, colors.space_of(copy))
    return _screen(copy, box)


def _screen(copy: Document, box: Box) -> Pixels:
    copy.refreshProjection()
    copy.waitForDone()
    data = bytearray()
    for strip in _strips(copy, box):
        image = copy.projection(strip.left, strip.top, strip.width, strip.height)
        data += image.constBits().asstring(4 * strip.width * strip.height)
        yield
    return data


def _rendered(
    copy: Document, node: Node, box: Box, depth: str, space: Optional[colors.Space] = None
) -> Pixels:
    """What the node shows, whose pixels are in `space` (by default its own), in sRGB."""
    copy.refreshProjection()
    copy.waitForDone()
    given, data = space or colors.space_of(node), bytearray()
    for strip in _strips(copy, box):
        own = node.projectionPixelData(strip.left, strip.top, strip.width, strip.height)
        data += bytes(colors.convert_in(copy, own, strip.width, strip.height, given, colors.srgb(depth)))
        yield
    return data
