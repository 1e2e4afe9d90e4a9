"""A layer and the painting beneath it, as the artist sees them, without touching the document.

`export` is a generator: run a step, let Krita breathe, run the next.
"""

import zlib
from typing import Generator, Iterator, List, Optional, Tuple

from krita import Document, Node

from ..job import Export, ExportWish, Origin, Problem, Selected, Source
from ..protocol import geometry
from ..protocol.geometry import Box
from ..protocol.raster import Placed, Raster
from ..translation import tr
from . import colors, documents, flattening, look, reading
from .reading import Plan
from .strips import STRIP_PIXELS

# For bytes.translate: 255 for what is 0.
_EMPTY = b"\xff" + b"\0" * 255

Steps = Generator[None, None, Export]
Pauses = Generator[None, None, None]


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
    needed = needed_layers(source, wish)
    snapshot = as_is = document.clone()
    try:
        yield
        if flattening.targets(as_is.rootNode(), needed):
            snapshot = as_is.clone()
            yield
            yield from flattening.flatten(snapshot, needed)
        copied = documents.need_node(snapshot, source.node)
        canvas = documents.canvas_box(snapshot)
        shown = yield from reading.shown_box(snapshot, copied)
        plan = _plan(snapshot, copied, source, wish, _object_box(snapshot, copied, shown, wish.selected))
        mask = _mask(wish.selected, plan.layer) if wish.selected else None
        checksum = yield from look.checksum(documents.need_node(as_is, source.node), plan.layer)
        copied.setVisible(True)
        painting, layer = yield from reading.pixels(snapshot, plan)
        yield from _check_layer(plan, layer, mask, canvas)
        part = yield from _part(plan, layer, mask, shown.intersect(canvas))
        fingerprint = None if part is None else zlib.crc32(mask.data)
        keep_source = not (yield from _any_alpha(painting, plan.depth))
        if keep_source:
            _check_nothing_beneath(plan, mask)
            # The layer around the selection is itself the painting.
            painting = yield from reading.picture(snapshot, plan)
    finally:
        for copy in (snapshot,) if snapshot is as_is else (snapshot, as_is):
            copy.close()
    return Export(
        Origin(source, plan.window, bounds, canvas, plan.depth, keep_source, part, fingerprint, checksum),
        _raster(painting, plan.window, plan.depth),
        _placed(_raster(layer, plan.layer, plan.depth), plan),
        None if mask is None else _placed(mask, plan),
    )


def needed_layers(source: Source, wish: ExportWish) -> Tuple[str, ...]:
    """Unique ids of the layers that are looked for or hidden while the others are rendered."""
    return (source.node, wish.painting, *wish.without)


def _plan(document: Document, node: Node, source: Source, wish: ExportWish, obj: Box) -> Plan:
    window = geometry.source_window(obj, documents.canvas_box(document), wish.resolution)
    depth = colors.working_depth(colors.space_of(document))
    as_seen = node.opacity() < 255 or node.blendingMode() not in ("normal", "pass through")
    return Plan(source, wish, window, obj.intersect(window), depth, as_seen, reading.uncut(document))


def _object_box(document: Document, node: Node, shown: Box, selection: Optional[Selected]) -> Box:
    """Where the object is on the canvas; raises Problem if it is nowhere."""
    if documents.box_of(node.bounds()).empty:
        raise Problem(tr("“{layer}” is empty: select the layer with the pasted object.", layer=node.name()))
    inside = shown.intersect(documents.canvas_box(document))
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
    if data.count(0) == len(data):
        raise Problem(tr("The selection does not touch the layer: select the object on it, or nothing."))
    return Raster(box.width, box.height, "MASK", "U8", data)


def _check_layer(plan: Plan, layer: bytearray, mask: Optional[Raster], canvas: Box) -> Pauses:
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
    plan: Plan, layer: bytearray, mask: Optional[Raster], whole: Box
) -> Generator[None, None, Optional[Box]]:
    """The selected box if the layer, which fills `whole`, shows something outside the selection too."""
    if mask is None:
        return None
    if whole != plan.layer:
        return plan.layer
    start = 0
    for alpha in _alpha_pieces(layer, plan.depth):
        end = start + len(alpha[0])
        others = int.from_bytes(mask.data[start:end].translate(_EMPTY), "little")
        if any(int.from_bytes(byte, "little") & others for byte in alpha):
            return plan.layer
        start = end
        yield
    return None


def _check_nothing_beneath(plan: Plan, mask: Optional[Raster]) -> None:
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


def _placed(raster: Raster, plan: Plan) -> Placed:
    return Placed(raster, plan.layer.left - plan.window.left, plan.layer.top - plan.window.top)
