"""A layer and the painting beneath it, as the artist sees them, without touching the document.

The work is cut into strips of the window. Each is read from a small copy of the document (Krita shares
the pixels, a copy costs milliseconds), so that no single call holds up the artist's brush. `export` is a
generator: run a step, let Krita breathe, run the next.
"""

import zlib
from contextlib import contextmanager
from typing import Generator, Iterator, List, NamedTuple, Optional, Sequence

from krita import Document, Node

from ..job import Export, ExportWish, Origin, Problem, Selected, Source
from ..protocol import geometry
from ..protocol.geometry import Box
from ..protocol.raster import Placed, Raster
from ..translation import tr
from . import colors, documents, look
from .strips import CONVERTED_STRIP_PIXELS, STRIP_PIXELS, strips

# Surroundings rendered with a strip, so that filters in the document see past its edge.
OVERLAP = 64
# For bytes.translate: 255 for what is not 0, and for what is.
_FILLED, _EMPTY = b"\0" + b"\xff" * 255, b"\xff" + b"\0" * 255

Steps = Generator[None, None, Export]
Pauses = Generator[None, None, None]


class _Plan(NamedTuple):
    """What is read from each strip."""

    source: Source
    wish: ExportWish
    window: Box
    layer: Box  # the part of the layer inside the window
    depth: str
    as_seen: bool  # the layer's own blending shows: its colours are taken from the picture


def export(document: Document, source: Source, wish: ExportWish, result_seen: bool = False) -> Steps:
    """Yields between steps; returns the Export. Raises Problem with a sentence for the artist.

    With `result_seen` an earlier result stands for the layer, which may be hidden itself.
    """
    node = documents.need_node(document, source.node)
    documents.check_source(node, result_seen)
    if wish.painting == source.node:
        raise Problem(
            tr("“{layer}” is itself chosen as the painting: choose another one.", layer=node.name())
        )
    bounds = documents.box_of(node.bounds())
    plan = _plan(document, node, source, wish, _object_box(document, node, bounds, wish.selected))
    mask = _mask(wish.selected, plan.layer) if wish.selected else None
    snapshot = document.clone()
    try:
        yield
        copied = documents.need_node(snapshot, source.node)
        checksum = yield from look.checksum(copied, plan.layer)
        copied.setVisible(True)
        canvas = documents.canvas_box(snapshot)
        painting, layer = yield from _read(snapshot, plan)
        yield from _check_layer(plan, layer, mask, canvas)
        part = yield from _part(plan, layer, mask, bounds.intersect(canvas))
        fingerprint = None if part is None else zlib.crc32(mask.data)
        keep_source = not (yield from _any_alpha(painting, plan.depth))
        if keep_source:
            _check_nothing_beneath(plan, mask)
            # The layer around the selection is itself the painting.
            painting = yield from _read_strips(snapshot, plan, plan.window, _read_seen)
    finally:
        snapshot.close()
    return Export(
        Origin(source, plan.window, bounds, canvas, plan.depth, keep_source, part, fingerprint, checksum),
        _raster(painting, plan.window, plan.depth),
        _placed(_raster(layer, plan.layer, plan.depth), plan),
        None if mask is None else _placed(mask, plan),
    )


def _plan(document: Document, node: Node, source: Source, wish: ExportWish, obj: Box) -> _Plan:
    window = geometry.source_window(obj, documents.canvas_box(document), wish.resolution)
    depth = colors.working_depth(colors.space_of(document))
    as_seen = node.opacity() < 255 or node.blendingMode() not in ("normal", "pass through")
    return _Plan(source, wish, window, obj.intersect(window), depth, as_seen)


def selected(document: Document) -> Optional[Selected]:
    """What is selected now; None if nothing is."""
    selection = document.selection()
    if selection is None or selection.width() == 0 or selection.height() == 0:
        return None
    x, y = selection.x(), selection.y()
    whole = Box(x, y, x + selection.width(), y + selection.height())
    box = whole.intersect(documents.canvas_box(document))
    pieces = (selection.pixelData(part.left, part.top, part.width, part.height)
              for part in strips(box, STRIP_PIXELS))  # fmt: skip
    return Selected(box, b"".join(bytes(piece) for piece in pieces))


def _object_box(document: Document, node: Node, bounds: Box, selection: Optional[Selected]) -> Box:
    """Where the object is on the canvas; raises Problem if it is nowhere."""
    if bounds.empty:
        raise Problem(tr("“{layer}” is empty: select the layer with the pasted object.", layer=node.name()))
    inside = bounds.intersect(documents.canvas_box(document))
    if inside.empty:
        raise Problem(tr("“{layer}” lies outside the canvas: move it into the picture.", layer=node.name()))
    if selection is None:
        return inside
    inside = inside.intersect(selection.box)
    if inside.empty:
        raise Problem(
            tr(
                "The selection does not touch “{layer}”: select the object on it, or nothing.",
                layer=node.name(),
            )
        )
    return inside


def _mask(selection: Selected, box: Box) -> Raster:
    """What of `box`, which lies in the selection's own, is selected; raises Problem if nothing is."""
    whole, coverage = selection.box, memoryview(selection.coverage)
    first = (box.top - whole.top) * whole.width + box.left - whole.left
    starts = range(first, first + box.height * whole.width, whole.width)
    data = b"".join(coverage[start : start + box.width] for start in starts)
    if not any(data):
        raise Problem(tr("The selection does not touch the layer: select the object on it, or nothing."))
    return Raster(box.width, box.height, "MASK", "U8", data)


def _check_layer(plan: _Plan, layer: bytearray, mask: Optional[Raster], canvas: Box) -> Pauses:
    name = plan.source.name
    if not (yield from _any_alpha(layer, plan.depth)):
        raise Problem(
            tr("“{layer}” is empty in the picture: select the layer with the pasted object.", layer=name)
        )
    if mask is None and plan.layer == canvas and (yield from _opaque(layer, plan.depth)):
        raise Problem(
            tr(
                "“{layer}” covers the whole canvas: select the pasted object (any selection tool), "
                "then harmonize again.",
                layer=name,
            )
        )


def _part(
    plan: _Plan, layer: bytearray, mask: Optional[Raster], whole: Box
) -> Generator[None, None, Optional[Box]]:
    """The selected box if the layer, which fills `whole`, shows something outside the selection too."""
    if mask is None:
        return None
    if whole != plan.layer:
        return plan.layer
    unselected, start = bytes(mask.data).translate(_EMPTY), 0
    for alpha in _alpha_pieces(layer, plan.depth):
        end = start + len(alpha[0])
        others = int.from_bytes(unselected[start:end], "little")
        if any(int.from_bytes(byte, "little") & others for byte in alpha):
            return plan.layer
        start = end
        yield
    return None


def _check_nothing_beneath(plan: _Plan, mask: Optional[Raster]) -> None:
    """Raises Problem unless the painting is the layer itself, around a selection."""
    name = plan.source.name
    if plan.wish.painting:
        raise Problem(
            tr("The layer chosen as the painting is empty around “{layer}”: choose another one.", layer=name)
        )
    if mask is None:
        raise Problem(
            tr("Nothing is visible beneath “{layer}”: put it above the painting, and show that.", layer=name)
        )


def _read(snapshot: Document, plan: _Plan) -> Generator[None, None, tuple]:
    """Pixels of the painting in the window and of the layer in its box."""
    if plan.wish.painting:
        painting = yield from _read_strips(snapshot, plan, plan.window, _read_chosen)
    else:
        painting = yield from _read_strips(snapshot, plan, plan.window, _read_beneath)
    layer = yield from _read_strips(snapshot, plan, plan.layer, _read_layer)
    return painting, layer


def _read_strips(snapshot: Document, plan: _Plan, box: Box, read) -> Generator[None, None, bytearray]:
    """The pixels that `read(copy, shift, strip, plan)` gives for each strip of `box`, one below the other."""
    plain = colors.space_of(snapshot) == colors.srgb("U8")
    data = bytearray(box.width * box.height * colors.srgb(plan.depth).pixel_bytes)
    filled = 0
    for strip in strips(box, STRIP_PIXELS if plain else CONVERTED_STRIP_PIXELS):
        with _cropped(snapshot, strip) as (copy, origin):
            yield
            piece = read(copy, strip.shifted(-origin.left, -origin.top), plan)
            data[filled : filled + len(piece)] = piece
            filled += len(piece)
        yield
    return data


@contextmanager
def _cropped(snapshot: Document, strip: Box):
    """A copy of the document whose canvas is the strip with some surroundings, and where that lies."""
    around = strip.grown(OVERLAP).intersect(documents.canvas_box(snapshot))
    copy = snapshot.clone()
    try:
        if around != documents.canvas_box(snapshot):
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


def _read_beneath(copy: Document, box: Box, plan: _Plan) -> bytes:
    _hide_above(documents.need_node(copy, plan.source.node))
    _hide(copy, (plan.source.node,) + plan.wish.without)
    return _projection(copy, box, plan.depth)


def _read_seen(copy: Document, box: Box, plan: _Plan) -> bytes:
    """The picture with the layer in it, without what lies above."""
    _hide_above(documents.need_node(copy, plan.source.node))
    _hide(copy, plan.wish.without)
    return _projection(copy, box, plan.depth)


def _read_chosen(copy: Document, box: Box, plan: _Plan) -> bytes:
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
    copy.refreshProjection()
    copy.waitForDone()
    return _node_pixels(node, box, plan.depth)


def _read_layer(copy: Document, box: Box, plan: _Plan) -> bytes:
    node = documents.need_node(copy, plan.source.node)
    _hide_above(node)
    for group in documents.ancestors(node)[1:]:
        # What the groups around it do to the layer they will do to its result.
        group.setOpacity(255)
        group.setBlendingMode("normal")
    copy.refreshProjection()
    copy.waitForDone()
    own = _node_pixels(node, box, plan.depth)
    size = colors.CHANNEL_BYTES[plan.depth]
    if plan.as_seen:
        own = _as_seen(own, _projection(copy, box, plan.depth), size)
    if node.inheritAlpha():
        node.setVisible(False)
        copy.refreshProjection()
        copy.waitForDone()
        own = _clipped(own, _node_pixels(_clipping(node), box, plan.depth), size)
    return own


def _as_seen(own: bytes, picture: bytes, size: int) -> bytes:
    """Colours as they show through opacity and blending; the shape is the layer's own."""
    seen = bytearray(picture)
    for byte in range(size):
        seen[3 * size + byte :: 4 * size] = own[3 * size + byte :: 4 * size]
    return bytes(seen)


def _clipping(node: Node) -> Node:
    """The group whose pixels beneath the node give it its alpha; one that is passed through has none."""
    group = node.parentNode()
    while group.parentNode() is not None and group.passThroughMode():
        group = group.parentNode()
    return group


def _clipped(own: bytes, beneath: bytes, size: int) -> bytes:
    """`own` transparent where nothing is beneath; elsewhere its result inherits alpha as it does."""
    kept = 0
    for byte in range(3 * size, 4 * size):
        kept |= int.from_bytes(beneath[byte :: 4 * size].translate(_FILLED), "little")
    clipped = bytearray(own)
    for byte in range(3 * size, 4 * size):
        alpha = clipped[byte :: 4 * size]
        left = int.from_bytes(alpha, "little") & kept
        clipped[byte :: 4 * size] = left.to_bytes(len(alpha), "little")
    return bytes(clipped)


def _projection(copy: Document, box: Box, depth: str) -> bytes:
    """The whole picture in sRGB, as shown on screen."""
    copy.refreshProjection()
    copy.waitForDone()
    if depth == "U8":
        image = copy.projection(box.left, box.top, box.width, box.height)
        return image.constBits().asstring(4 * box.width * box.height)
    return _node_pixels(copy.rootNode(), box, depth, colors.space_of(copy))


def _node_pixels(node: Node, box: Box, depth: str, space: Optional[colors.Space] = None) -> bytes:
    data = node.projectionPixelData(box.left, box.top, box.width, box.height)
    return bytes(
        colors.convert(data, box.width, box.height, space or colors.space_of(node), colors.srgb(depth))
    )


def _any_alpha(data: bytearray, depth: str) -> Generator[None, None, bool]:
    """Whether any pixel is not fully transparent; yields between pieces."""
    for alpha in _alpha_pieces(data, depth):
        if any(any(byte) for byte in alpha):
            return True
        yield
    return False


def _opaque(data: bytearray, depth: str) -> Generator[None, None, bool]:
    """Whether every pixel is opaque; yields between pieces."""
    one = {"U8": b"\xff", "U16": b"\xff\xff", "F32": b"\x00\x00\x80\x3f"}[depth]
    for alpha in _alpha_pieces(data, depth):
        if any(byte.count(one[index : index + 1]) < len(byte) for index, byte in enumerate(alpha)):
            return False
        yield
    return True


def _alpha_pieces(data: bytearray, depth: str) -> Iterator[List[bytearray]]:
    """For each piece of the pixels its alphas: their first bytes, their second bytes, ..."""
    size = colors.CHANNEL_BYTES[depth]
    piece = 4 * size * STRIP_PIXELS
    for start in range(0, len(data), piece):
        part = memoryview(data)[start : start + piece]
        yield [bytearray(part[3 * size + byte :: 4 * size]) for byte in range(size)]


def _raster(data: bytearray, box: Box, depth: str) -> Raster:
    return Raster(box.width, box.height, colors.layout(depth), depth, data)


def _placed(raster: Raster, plan: _Plan) -> Placed:
    return Placed(raster, plan.layer.left - plan.window.left, plan.layer.top - plan.window.top)
