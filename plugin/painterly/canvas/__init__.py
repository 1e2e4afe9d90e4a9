"""Krita's documents, layers, selections and undo, as the session needs them.

Only this package imports krita.
"""

from dataclasses import replace
from pathlib import Path
from typing import Generator, List, Optional, Sequence, Tuple

from krita import Document, Krita, Node

from ..job import WAITING, Export, ExportWish, Origin, Problem, Selected, Source
from ..picture_file import Writing
from ..protocol.raster import Placed
from ..translation import tr
from . import documents, exporting, flattening, placing, selecting
from .documents import Documents
from .placing import Placer, Steps
from .results import Results
from .undo import UndoFollower


class Canvas:
    """The one wrapper around Krita. Its generators are run step by step from the event loop."""

    def __init__(self) -> None:
        self._documents = Documents()
        self._undo = UndoFollower(self._documents)
        self._results = Results()

    def active_source(self) -> Source:
        """The active layer of the active document, of a result what was painted; raises Problem."""
        document = self._documents.active()
        key = self._documents.key(document)
        return documents.source_of(key, self._painted(document, key, documents.active_node(document)))

    def _painted(self, document: Document, key: str, node: Optional[Node]) -> Node:
        """The layer to paint if this node is chosen; raises Problem."""
        return self._results.painted(document, key, documents.owning_layer(node))

    def selected_sources(self) -> List[Source]:
        """The selected layers, bottom to top, without those inside another selected one; raises Problem."""
        document = self._documents.active()
        window = Krita.instance().activeWindow()
        selected = window.activeView().selectedNodes()
        # What is selected on the canvas belongs to no layer: all layers selected, it is among them.
        chosen = [node for node in selected if not documents.is_canvas_selection(node)]
        key = self._documents.key(document)
        chosen = chosen or [documents.active_node(document)]
        ids = {documents.node_id(self._painted(document, key, node)) for node in chosen}
        ordered = [node for node in documents.walk(document.rootNode()) if documents.node_id(node) in ids]
        return [
            documents.source_of(key, node)
            for node in ordered
            if not any(documents.node_id(parent) in ids for parent in documents.ancestors(node)[1:])
        ]

    def selections(self, sources: Sequence[Source]) -> List[Optional[Selected]]:
        """What is selected now of each of these layers of one document, None where nothing is; raises Problem."""
        document = self._documents.find(sources[0].document)
        return selecting.selections(document, [source.node for source in sources])

    def active_document(self) -> str:
        """The key of the document in front; raises Problem."""
        return self._documents.key(self._documents.active())

    def is_open(self, document: str) -> bool:
        return self._documents.is_open(document)

    def document_name(self, document: str) -> str:
        handle = self._documents.find(document)
        return Path(handle.fileName()).name or handle.name()

    def layers(self, document: str) -> List[Tuple[str, str]]:
        """(unique id, name) of all layers, topmost first, as the layer docker lists them."""
        root = self._documents.find(document).rootNode()
        nodes = [node for node in documents.walk(root) if not documents.is_mask(node)]
        return [(documents.node_id(node), node.name()) for node in reversed(nodes)]

    def export(self, source: Source, wish: ExportWish) -> Generator[Optional[str], None, Export]:
        """Steps that return the Export; raises Problem, and DocumentClosed if it was."""
        needed = exporting.needed_layers(source, wish)
        yield from flattening.settled(self._documents.find(source.document), needed)
        document = self._documents.find(source.document)  # it may have been closed meanwhile
        return (yield from exporting.export(document, source, wish, self._results.seen(document, source)))

    def place(self, origin: Origin, result: Placed, name: str, mode: str) -> Steps:
        """Steps that add the result to its document; raises DocumentClosed if there is none any more."""
        return self._placer(origin.source.document).place(origin, result, name, mode)

    def place_group(self, origin: Origin, results: Sequence[Tuple[str, Placed]], name: str) -> Steps:
        """Steps that add several results of one layer as one group; raises DocumentClosed."""
        landing = yield from self._placer(origin.source.document).place_group(origin, results, name)
        group = documents.find_node(self._documents.find(landing.document), landing.node)
        layers = documents.children(group) if group is not None else []
        if len(layers) != len(results):
            return landing  # the artist has taken it apart already
        return replace(landing, variants=tuple(documents.node_id(layer) for layer in layers))

    def place_on_top(self, origin: Origin, result: Placed, name: str) -> Steps:
        """Steps that add a homeless result to the document in front, where it was in its own."""
        at = result.box.shifted(origin.window.left, origin.window.top)
        return self._placer(self.active_document()).place_on_top(result, at, name)

    def _placer(self, document: str) -> Placer:
        self._documents.find(document)
        return Placer(self._documents, document, self._undo, self._results)

    def save(self, result: Placed, path: Path) -> Generator[str, None, None]:
        """Steps that write a result as a PNG file of its own, floats in 16 bits; raises Problem."""
        writing = Writing(path, (yield from placing.integers(result.raster)))
        writing.start()
        try:
            while writing.is_alive():
                yield WAITING
        finally:
            writing.join()  # also if Krita ends meanwhile: the file is all that is left then
        if writing.problem is not None:
            raise Problem(
                tr("The result could not be written to {path}: {error}.", path=path, error=writing.problem)
            )

    def show_only(self, document: str, node: str, others: Sequence[str], group: str = "") -> None:
        """Makes one of several results visible, also its `group` of variants, and hides the others.

        Raises Problem if it is gone.
        """
        handle = self._documents.find(document)
        if documents.find_node(handle, node) is None:
            raise Problem(tr("This result was deleted: use “Add again”."))
        shown = {node, group}
        for unique_id in shown.union(others):
            found = documents.find_node(handle, unique_id)
            if found is not None:
                found.setVisible(unique_id in shown)
        handle.refreshProjection()
