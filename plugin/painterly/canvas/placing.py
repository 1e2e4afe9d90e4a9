"""Results become layers: filled first, then added, so that one step takes them away and brings them back."""

from typing import Generator, NamedTuple, Optional, Sequence, Tuple

from krita import Document, Node

from ..job import REPLACE, Landing, Origin
from ..protocol.geometry import Box
from ..protocol.raster import Placed
from . import colors, documents
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


def place(
    document: Document, key: str, origin: Origin, result: Placed, name: str, mode: str, undo: UndoFollower
) -> Steps:
    """Adds the result (relative to the origin's window) to the document; yields between steps."""
    spot = _spot(document, origin)
    layer = document.createNode(name, "paintlayer")
    box = result.box.shifted(origin.window.left + spot.x, origin.window.top + spot.y)
    yield from _fill(document, layer, result, box)
    return (yield from _add(document, key, origin, layer, mode, spot, undo))


def place_group(
    document: Document,
    key: str,
    origin: Origin,
    results: Sequence[Tuple[str, Placed]],
    name: str,
    undo: UndoFollower,
) -> Steps:
    """Adds several results of one layer as a group in one step; only the topmost is visible."""
    spot = _spot(document, origin)
    group = document.createGroupLayer(name)
    for index, (label, result) in enumerate(results):
        layer = document.createNode(label, "paintlayer")
        box = result.box.shifted(origin.window.left + spot.x, origin.window.top + spot.y)
        yield from _fill(document, layer, result, box)
        layer.setVisible(index == len(results) - 1)
        group.addChildNode(layer, None)
    return (yield from _add(document, key, origin, group, "", spot, undo))


def _add(
    document: Document, key: str, origin: Origin, layer: Node, mode: str, spot: _Spot, undo: UndoFollower
) -> Steps:
    source = documents.find_node(document, origin.source.node)
    hides = source is not None and not origin.keep_source
    was_active = hides and _is_active(document, source)
    if hides:
        source.setVisible(False)
    yield
    spot.parent.addChildNode(layer, spot.above)
    yield
    swap = None
    if hides:
        swap = Swap(documents.node_id(source), documents.node_id(layer), removed=mode == REPLACE)
        if mode == REPLACE:
            source.remove()
        yield
        document.refreshProjection()
    if was_active:
        document.setActiveNode(layer)
    if swap is not None:
        undo.watch(key, swap)
    return Landing(key, documents.node_id(layer), spot.note)


def _is_active(document: Document, node: Node) -> bool:
    active = document.activeNode()
    return active is not None and active.uniqueId() == node.uniqueId()


def _spot(document: Document, origin: Origin) -> _Spot:
    source = documents.find_node(document, origin.source.node)
    if source is None:
        note = "“{}” is gone: its result is the topmost layer.".format(origin.source.name)
        return _Spot(document.rootNode(), None, 0, 0, note)
    bounds = documents.box_of(source.bounds())
    x, y = bounds.left - origin.bounds.left, bounds.top - origin.bounds.top
    if (bounds.width, bounds.height) == (origin.bounds.width, origin.bounds.height) and (x or y):
        note = "“{}” was moved: its result moved along.".format(origin.source.name)
        return _Spot(source.parentNode(), source, x, y, note)
    return _Spot(source.parentNode(), source, 0, 0, "")


def _fill(document: Document, layer: Node, result: Placed, box: Box) -> Generator[None, None, None]:
    """Writes the result's pixels into a layer that is not in the document yet."""
    space, raster = colors.space_of(layer), result.raster
    given = colors.srgb(raster.depth)
    row = given.pixel_bytes * raster.width
    view = memoryview(raster.data).cast("B")
    limit = STRIP_PIXELS if space == given else CONVERTED_STRIP_PIXELS
    for strip in strips(box, limit):
        first = strip.top - box.top
        data = bytes(view[first * row : (first + strip.height) * row])
        converted = colors.convert(data, strip.width, strip.height, given, space)
        layer.setPixelData(converted, strip.left, strip.top, strip.width, strip.height)
        yield


def place_on_top(document: Document, key: str, result: Placed, at: Box, name: str) -> Steps:
    """Adds a result without a layer of its own (its document was closed) as the topmost layer."""
    layer = document.createNode(name, "paintlayer")
    yield from _fill(document, layer, result, at)
    document.rootNode().addChildNode(layer, None)
    return Landing(key, documents.node_id(layer))
