"""Results become layers: filled first, then added, so that one step takes them away and brings them back."""

from typing import Generator, Iterator, NamedTuple, Optional, Sequence, Tuple

from krita import Document, Node

from ..job import ABOVE, REPLACE, Landing, Origin
from ..protocol.geometry import Box
from ..protocol.raster import Placed, Raster
from ..translation import tr
from . import colors, documents
from .documents import Documents
from .exporting import CONVERTED_STRIP_PIXELS, STRIP_PIXELS, strips
from .undo import Swap, UndoFollower

Steps = Generator[None, None, Landing]


class _Spot(NamedTuple):
    """Where a result goes: into `parent` just above `above`, moved by (`x`, `y`) with its layer."""

    parent: Node
    above: Optional[Node]
    x: int
    y: int
    note: str

    def box_of(self, result: Placed, origin: Origin) -> Box:
        """Where the result lies in the document."""
        return result.box.shifted(origin.window.left + self.x, origin.window.top + self.y)


class Placer:
    """Adds results to one document, which may be closed between any two steps: then DocumentClosed."""

    def __init__(self, open_documents: Documents, key: str, undo: UndoFollower):
        self._documents, self._key, self._undo = open_documents, key, undo

    @property
    def _document(self) -> Document:
        return self._documents.find(self._key)

    def place(self, origin: Origin, result: Placed, name: str, mode: str) -> Steps:
        """One result (relative to the origin's window) above its layer, or in its place."""
        spot = _spot(self._document, origin)
        layer = self._document.createNode(name, "paintlayer")
        yield from _fill(layer, result, spot.box_of(result, origin))
        return (yield from self._add(origin, layer, mode))

    def place_group(self, origin: Origin, results: Sequence[Tuple[str, Placed]], name: str) -> Steps:
        """Several results of one layer as a group, in one step; only the topmost is visible."""
        spot = _spot(self._document, origin)
        group = self._document.createGroupLayer(name)
        for index, (label, result) in enumerate(results):
            layer = self._document.createNode(label, "paintlayer")
            yield from _fill(layer, result, spot.box_of(result, origin))
            layer.setVisible(index == len(results) - 1)
            group.addChildNode(layer, None)
        return (yield from self._add(origin, group, ABOVE))

    def place_on_top(self, result: Placed, at: Box, name: str) -> Steps:
        """A result without a layer of its own (its document was closed) as the topmost layer."""
        layer = self._document.createNode(name, "paintlayer")
        yield from _fill(layer, result, at)
        self._document.rootNode().addChildNode(layer, None)
        return Landing(self._key, documents.node_id(layer))

    def _add(self, origin: Origin, layer: Node, mode: str) -> Steps:
        """Adds the filled layer; its original is hidden or removed."""
        spot = _spot(self._document, origin)
        hides = spot.above is not None and not origin.keep_source
        active = self._document.activeNode()
        was_active = hides and active is not None and active.uniqueId() == spot.above.uniqueId()
        if hides and mode != REPLACE:
            spot.above.setVisible(False)
        spot.parent.addChildNode(layer, spot.above)  # renders all that lies under the result
        yield
        self._documents.find(self._key)
        if hides and mode == REPLACE:
            spot.above.remove()
        if hides:
            swap = Swap(origin.source.node, documents.node_id(layer), removed=mode == REPLACE)
            self._undo.watch(self._key, swap)
        if was_active:
            self._document.setActiveNode(layer)
        if hides and not _covers(layer, spot.above, documents.canvas_box(self._document)):
            yield
            # The one call that cannot be cut: some 130 ms at 4096 x 4096.
            self._document.refreshProjection()
        return Landing(self._key, documents.node_id(layer), spot.note)


def _covers(layer: Node, original: Node, canvas: Box) -> bool:
    """Whether adding the layer has rendered everything that the hidden original showed."""
    shown = documents.box_of(original.bounds()).intersect(canvas)
    return shown.empty or shown.intersect(documents.box_of(layer.bounds())) == shown


def _spot(document: Document, origin: Origin) -> _Spot:
    source = documents.find_node(document, origin.source.node)
    if source is None:
        note = tr("“{layer}” is gone: its result is the topmost layer.", layer=origin.source.name)
        return _Spot(document.rootNode(), None, 0, 0, note)
    bounds = documents.box_of(source.bounds())
    x, y = bounds.left - origin.bounds.left, bounds.top - origin.bounds.top
    if (bounds.width, bounds.height) == (origin.bounds.width, origin.bounds.height) and (x or y):
        note = tr("“{layer}” was moved: its result moved along.", layer=origin.source.name)
        return _Spot(source.parentNode(), source, x, y, note)
    return _Spot(source.parentNode(), source, 0, 0, "")


def _fill(layer: Node, result: Placed, box: Box) -> Generator[None, None, None]:
    """Writes the result's pixels into a layer that is not in the document yet."""
    for strip, data in _converted(result.raster, box, colors.space_of(layer)):
        layer.setPixelData(data, strip.left, strip.top, strip.width, strip.height)
        yield


def integers(raster: Raster) -> Generator[None, None, Raster]:
    """Steps that return the raster itself or, of floats, one of 16 bits."""
    if raster.depth != "F32":
        return raster
    data = bytearray()
    for _, piece in _converted(raster, Box(0, 0, raster.width, raster.height), colors.srgb("U16")):
        data += piece
        yield
    return Raster(raster.width, raster.height, colors.layout("U16"), "U16", data)


def _converted(raster: Raster, box: Box, space: colors.Space) -> Iterator[Tuple[Box, bytes]]:
    """Strips of `box`, which the raster fills, and their pixels in `space`."""
    given = colors.srgb(raster.depth)
    row = given.pixel_bytes * raster.width
    view = memoryview(raster.data).cast("B")
    for strip in strips(box, STRIP_PIXELS if space == given else CONVERTED_STRIP_PIXELS):
        first = strip.top - box.top
        data = bytes(view[first * row : (first + strip.height) * row])
        yield strip, colors.convert(data, strip.width, strip.height, given, space)
