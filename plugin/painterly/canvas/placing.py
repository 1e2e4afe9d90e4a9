"""Results become layers: filled first, then added, so that one step takes them away and brings them back."""

import time
from typing import Generator, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from krita import Document, Node

from ..job import ABOVE, ADDED, HELD, REPLACE, WAITING, Landing, Origin
from ..protocol.geometry import Box
from ..protocol.raster import Placed, Raster
from ..qt import QtCore, QtWidgets
from ..translation import tr
from . import colors, documents, look
from .documents import Documents
from .results import Results
from .strips import CONVERTED_STRIP_PIXELS, STRIP_PIXELS, strips
from .undo import Swap, UndoFollower

# Turns of the event loop within which Krita makes an added layer the active one; one is usual.
ACTIVATION_TURNS = 20
# Converted in one document, which keeps them all until it is closed.
SCRATCH_PIXELS = 1 << 22
# A stroke is rarely longer: then a tool that is at work must be told of.
HELD_SECONDS = 3.0

Steps = Generator[Optional[str], None, Landing]
Pauses = Generator[Optional[str], None, None]


class _Spot(NamedTuple):
    """Where a result goes: into `parent` just above `above`, moved by (`x`, `y`) with its layer.

    It takes the place of `original` (None if that stays visible) and of the earlier results `rivals`.
    """

    parent: Node
    above: Optional[Node]
    original: Optional[Node] = None
    rivals: Sequence[Node] = ()
    x: int = 0
    y: int = 0
    note: str = ""


class Placer:
    """Adds results to one document, which may be closed between any two steps: then DocumentClosed."""

    def __init__(self, open_documents: Documents, key: str, undo: UndoFollower, results: Results):
        self._documents, self._key, self._undo, self._results = open_documents, key, undo, results

    @property
    def _document(self) -> Document:
        return self._documents.find(self._key)

    def place(self, origin: Origin, result: Placed, name: str, mode: str) -> Steps:
        """One result (relative to the origin's window) above its layer, or in its place."""
        yield from self._hand_rests()
        layer = self._document.createNode(name, "paintlayer")
        yield from _fill(layer, result, _place_of(result, origin))
        return (yield from self._add(origin, [layer], layer, mode))

    def place_group(self, origin: Origin, results: Sequence[Tuple[str, Placed]], name: str) -> Steps:
        """Several results of one layer as a group, in one step; only the topmost is visible."""
        yield from self._hand_rests()
        group, layers = self._document.createGroupLayer(name), []
        for label, result in results:
            layers.append(self._document.createNode(label, "paintlayer"))
            yield from _fill(layers[-1], result, _place_of(result, origin))
            layers[-1].setVisible(len(layers) == len(results))
            group.addChildNode(layers[-1], None)
        return (yield from self._add(origin, layers, group, ABOVE))

    def place_on_top(self, result: Placed, at: Box, name: str) -> Steps:
        """A result without a layer of its own (its document was closed) as the topmost layer."""
        layer = self._document.createNode(name, "paintlayer")
        yield from _fill(layer, result, at)
        yield from self._hand_rests()
        self._document.rootNode().addChildNode(layer, documents.topmost(self._document))
        return Landing(self._key, documents.node_id(layer))

    def _add(self, origin: Origin, filled: Sequence[Node], layer: Node, mode: str) -> Steps:
        """Adds the layer, which is or has the filled ones; what it takes the place of is hidden or removed."""
        # Looked at last: whatever the artist did while it was filled in counts.
        spot = self._spot(origin, (yield from self._repainted_at_rest(origin)))
        for each in filled:
            each.move(spot.x, spot.y)
        style = self._style(origin)
        if style:
            layer.setLayerStyleFromAsl(style)
        why_kept = _why_kept(origin, spot, mode)
        removed = spot.original if mode == REPLACE and not why_kept else None
        replaced = [node for node in (spot.original, *spot.rivals) if node is not None]
        hidden = [node for node in replaced if node.visible() and node is not removed]
        active = documents.active_node(self._document)
        follows = active is not None and _is_within(active, replaced)
        for node in hidden:
            node.setVisible(False)
        if any(node.inheritAlpha() for node in replaced):
            layer.setInheritAlpha(True)
        spot.parent.addChildNode(layer, spot.above)  # renders all that lies under the result
        yield ADDED
        self._documents.find(self._key)
        if removed is not None:
            removed.remove()
        self._follow(origin, layer, hidden, removed)
        yield from self._activate(layer, layer if follows else active)
        covered = [node for node in replaced if node in hidden or node is removed]
        if not _covers(layer, covered, documents.canvas_box(self._document)):
            yield
            # The one call that cannot be cut: some 130 ms at 4096 x 4096.
            self._document.refreshProjection()
        return Landing(self._key, documents.node_id(layer), " ".join(filter(None, (spot.note, why_kept))))

    def _follow(self, origin: Origin, layer: Node, hidden: List[Node], removed: Optional[Node]) -> None:
        """Notes the result, and what its undoing is to bring back."""
        self._results.add(self._document, origin, layer)
        for node in hidden if removed is None else [*hidden, removed]:
            swap = Swap(documents.node_id(node), documents.node_id(layer), removed=node is removed)
            self._undo.watch(self._key, swap)

    def _hand_rests(self) -> Pauses:
        """Waits until nothing is drawn: that a layer becomes active would cut off a stroke."""
        since = time.monotonic()
        while _is_drawing(self._document):
            if _is_button_down():
                since = time.monotonic()
            yield HELD if time.monotonic() - since > HELD_SECONDS else WAITING

    def _repainted_at_rest(self, origin: Origin) -> Generator[Optional[str], None, bool]:
        """As `_repainted`, and it still is so: nothing was drawn since it began to look."""
        while True:
            yield from self._hand_rests()
            looking = self._repainted(origin)
            try:
                while not _is_drawing(self._document):
                    yield next(looking)
            except StopIteration as stop:
                return stop.value

    def _activate(self, layer: Node, wanted: Optional[Node]) -> Pauses:
        """Makes `wanted` active once Krita has made the added layer so, which it does a little later."""
        for _ in range(ACTIVATION_TURNS):
            if wanted is None or documents.active_node(self._document) == layer:
                break
            yield WAITING
        # Else the artist was faster: what they chose stays.
        if wanted is not None and documents.active_node(self._document) == layer:
            self._document.setActiveNode(wanted)

    def _repainted(self, origin: Origin) -> Generator[None, None, bool]:
        """Whether other pixels are now where the layer was painted; it may have been moved."""
        source = documents.find_node(self._document, origin.source.node)
        if source is None:
            return False
        x, y = _move(documents.box_of(source.bounds()), origin)
        painted = origin.painted.shifted(x, y)
        checksum = yield from look.checksum(source, painted, lambda: self._documents.find(self._key))
        return checksum != origin.checksum

    def _style(self, origin: Origin) -> str:
        """The painted layer's outline, shadow and the like, if it is gone its last result's; empty for none.

        What is a part of a picture has none of its own.
        """
        source = documents.find_node(self._document, origin.source.node)
        results = self._results.of(self._document, origin.source)
        node = source or (results[-1] if results else None)
        return "" if node is None or origin.keep_source else node.layerStyleToAsl()

    def _spot(self, origin: Origin, repainted: bool) -> _Spot:
        document, name = self._document, origin.source.name
        source = documents.find_node(document, origin.source.node)
        results = self._results.of(document, origin.source)
        rivals = self._results.rivals(document, origin)
        if source is None and not results:
            note = tr("“{layer}” is gone: its result is the topmost layer.", layer=name)
            return _Spot(document.rootNode(), documents.topmost(document), note=note)
        parent = (source or results[-1]).parentNode()
        above = _topmost(parent, [node for node in (source, *results) if node is not None])
        if source is None:
            return _Spot(parent, above, None, rivals)
        bounds = documents.box_of(source.bounds())
        if _size(bounds) != _size(origin.bounds):
            note = tr("“{layer}” was changed meanwhile: its result is where it was.", layer=name)
            return _Spot(parent, above, note=note)
        if repainted:
            note = tr(
                "“{layer}” was changed meanwhile: its result shows it as it was. "
                "Harmonize again to paint it anew.",
                layer=name,
            )
            return _Spot(parent, above, note=note)
        x, y = _move(bounds, origin)
        note = tr("“{layer}” was moved: its result moved along.", layer=name) if x or y else ""
        return _Spot(parent, above, None if origin.keep_source else source, rivals, x, y, note)


def _is_drawing(document: Document) -> bool:
    """Whether a button is down, or a stroke of a pen or the work of a tool such as Transform is going on."""
    if _is_button_down():
        return True
    # Qt does not count a pen's tip among the buttons, but Krita lets nobody lock an image that is at work.
    return not documents.is_at_rest(document)


def _is_button_down() -> bool:
    return QtWidgets.QApplication.mouseButtons() != QtCore.Qt.MouseButton.NoButton


def _is_within(node: Node, others: Sequence[Node]) -> bool:
    """Whether `node` is one of the others or in one."""
    return any(layer == other for layer in documents.ancestors(node) for other in others)


def _topmost(parent: Node, nodes: Sequence[Node]) -> Node:
    """The topmost of those nodes that are in `parent`; one is."""
    return [child for child in documents.children(parent) if any(child == node for node in nodes)][-1]


def _move(bounds: Box, origin: Origin) -> Tuple[int, int]:
    """How far the layer, now in `bounds`, was moved."""
    return bounds.left - origin.bounds.left, bounds.top - origin.bounds.top


def _size(box: Box) -> Tuple[int, int]:
    return box.width, box.height


def _why_kept(origin: Origin, spot: _Spot, mode: str) -> str:
    """What the artist should know about the hidden original: why there is something left in it."""
    if spot.original is None:
        return ""
    name = origin.source.name
    if any(node.animated() for node in (spot.original, *documents.walk(spot.original))):
        return tr(
            "Only the frame in front of “{layer}” was painted, and its result lies on all frames: "
            "they are in the hidden original.",
            layer=name,
        )
    if origin.part is not None:
        return tr(
            "Only the selection of “{layer}” was painted; the rest is in the hidden original.", layer=name
        )
    if mode != REPLACE:
        return ""
    if any(layer.locked() for layer in documents.ancestors(spot.original)):
        return tr("“{layer}” is locked: it was hidden instead of removed.", layer=name)
    if origin.bounds.intersect(origin.canvas) != origin.bounds:
        return tr(
            "“{layer}” reaches beyond the canvas, where nothing is painted: it was hidden instead of removed.",
            layer=name,
        )
    if any(not node.visible() for node in documents.walk(spot.original)):
        return tr("“{layer}” has hidden layers or masks in it: it was hidden instead of removed.", layer=name)
    return ""


def _covers(layer: Node, originals: Sequence[Node], canvas: Box) -> bool:
    """Whether adding the layer has rendered everything that the hidden originals showed."""
    if any(documents.reshaping_masks(node) for node in originals):
        return False
    rendered = documents.box_of(layer.bounds())
    shown = [documents.box_of(node.bounds()).intersect(canvas) for node in originals]
    return all(box.empty or box.intersect(rendered) == box for box in shown)


def _place_of(result: Placed, origin: Origin) -> Box:
    """Where the result lies in the document if its layer was not moved."""
    return result.box.shifted(origin.window.left, origin.window.top)


def _fill(layer: Node, result: Placed, box: Box) -> Generator[None, None, None]:
    """Writes the result's pixels into a layer that is not in the document yet."""
    for piece in _converted(result.raster, box, colors.space_of(layer)):
        if piece is not None:
            strip, data = piece
            layer.setPixelData(data, strip.left, strip.top, strip.width, strip.height)
        yield


def integers(raster: Raster) -> Generator[None, None, Raster]:
    """Steps that return the raster itself or, of floats, one of 16 bits."""
    if raster.depth != "F32":
        return raster
    data = bytearray()
    for piece in _converted(raster, Box(0, 0, raster.width, raster.height), colors.srgb("U16")):
        data += piece[1] if piece is not None else b""
        yield
    return Raster(raster.width, raster.height, colors.layout("U16"), "U16", data)


def _converted(raster: Raster, box: Box, space: colors.Space) -> Iterator[Optional[Tuple[Box, bytes]]]:
    """Strips of `box`, which the raster fills, and their pixels in `space`; None between steps that lead there."""
    given = colors.srgb(raster.depth)
    if space == given:
        for strip in strips(box, STRIP_PIXELS):
            yield strip, _pixels(raster, box, strip)
        return
    for part in strips(box, SCRATCH_PIXELS):
        scratch = yield from colors.scratch_document(given)
        try:
            yield None
            for strip in strips(part, CONVERTED_STRIP_PIXELS):
                own = _pixels(raster, box, strip)
                yield strip, colors.convert_in(scratch, own, strip.width, strip.height, given, space)
        finally:
            scratch.close()


def _pixels(raster: Raster, box: Box, strip: Box) -> bytes:
    """What the raster, which fills `box`, has in a strip of it."""
    row = colors.srgb(raster.depth).pixel_bytes * raster.width
    view = memoryview(raster.data).cast("B")
    return bytes(view[(strip.top - box.top) * row : (strip.bottom - box.top) * row])
