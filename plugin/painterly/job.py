"""What session and canvas say to each other about one layer's work; no Krita, no widgets."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Optional, Tuple

from .protocol.geometry import Box
from .protocol.raster import Placed, Raster

ABOVE, REPLACE = "above", "replace"
# What a step yields that can go on only after the event loop has turned; other steps may follow at once.
WAITING = "waiting"
# A result's steps: it waits longer than a moment for the artist; and it is in the document, steps now must go on.
HELD, ADDED = "held", "added"


class Problem(Exception):
    """Something the artist can understand and mend; the message is one sentence for them."""


class DocumentClosed(Problem):
    """The document that a result belongs to is not open any more."""


@dataclass(frozen=True)
class Source:
    """A layer of an open document: `document` is the canvas's key for it, `node` the layer's unique id."""

    document: str
    node: str
    name: str


class Selected(NamedTuple):
    """What was selected: coverage of the canvas's `box`, one byte a pixel; nothing is outside."""

    box: Box
    coverage: bytes


@dataclass(frozen=True)
class ExportWish:
    """How a layer is to be exported.

    `resolution` sizes the window (`geometry.source_window`). `painting` is the unique id of the layer
    or group that serves as the painting, empty for everything beneath. `without` are unique ids of
    layers that the painting leaves out. Only what is `selected` of the layer is painted, all without one.
    """

    resolution: int
    painting: str = ""
    without: Tuple[str, ...] = ()
    selected: Optional[Selected] = None


@dataclass(frozen=True)
class Origin:
    """What is needed to find a result's place again.

    `window` lies in document coordinates; results are relative to it. `bounds` is where the whole layer
    was, `canvas` the document. `depth` is the result's depth that the document can hold. With
    `keep_source` the layer is itself the painting and must stay visible. `part` is the selected box that
    was painted, None if all that is visible of the layer was; `fingerprint` tells its shape from others in
    the same box. `checksum` tells whether the layer was changed since (canvas/look.py).
    """

    source: Source
    window: Box
    bounds: Box
    canvas: Box
    depth: str
    keep_source: bool = False
    part: Optional[Box] = None
    fingerprint: Optional[int] = None
    checksum: int = 0

    @property
    def painted(self) -> Box:
        """Where the painted part of the layer was."""
        return self.part or self.bounds.intersect(self.canvas)

    def replaces(self, part: Optional[Box], fingerprint: Optional[int]) -> bool:
        """Whether its result takes the place of one of that part of the layer: of the same, of a whole layer any.

        Results of an earlier Painterly have no fingerprint: of them the box decides.
        """
        if self.part is None:
            return True
        unknown = self.fingerprint is None or fingerprint is None
        return self.part == part and (unknown or self.fingerprint == fingerprint)


@dataclass(frozen=True)
class Export:
    """All pixels that a job needs; `painting` fills the origin's window, the others are relative to it."""

    origin: Origin
    painting: Raster
    layer: Placed
    selection: Optional[Placed]


@dataclass(frozen=True)
class Landing:
    """Where a result went: the new layer's unique id, and a sentence if it is not where one expects it.

    Of variants `node` is their group and `variants` are their own layers, in order.
    """

    document: str
    node: str
    note: str = ""
    variants: Tuple[str, ...] = ()
    group: str = ""

    def of(self, index: int) -> "Landing":
        """Where that one of the results went: of variants its own layer, in their `group`."""
        if not self.variants:
            return self
        return replace(self, node=self.variants[index], variants=(), group=self.node)
