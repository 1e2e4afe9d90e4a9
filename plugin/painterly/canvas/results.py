"""Which layers are results of which layer: the document's record, and what came to it since."""

from typing import Dict, List, Tuple

from krita import Document, Node

from ..job import Origin, Source
from . import documents, record
from .record import Result


class Results:
    """The results in all documents, the oldest first; those that were undone or deleted are passed over.

    A record is read when first asked for. Then it is only written: what was undone can be redone.
    """

    def __init__(self) -> None:
        self._read: Dict[str, List[Result]] = {}

    def add(self, document: Document, origin: Origin, node: Node) -> None:
        known = self._known(document, origin.source.document)
        known.append(Result(documents.node_id(node), origin.source.node, origin.part, origin.fingerprint))
        record.write(document, known)

    def of(self, document: Document, source: Source) -> List[Node]:
        """The results of that layer that are in the document."""
        return [node for node, _ in self._present(document, source)]

    def rivals(self, document: Document, origin: Origin) -> List[Node]:
        """Earlier results of what is painted again: of the same selection, of a whole layer all."""
        present = self._present(document, origin.source)
        return [node for node, result in present if origin.replaces(result.part, result.fingerprint)]

    def seen(self, document: Document, source: Source) -> bool:
        """Whether a result of that layer is visible."""
        results = self.of(document, source)
        return any(all(layer.visible() for layer in documents.ancestors(node)) for node in results)

    def painted(self, document: Document, key: str, node: Node) -> Node:
        """What was painted, if `node` is a result or in one and that is still there; else `node`."""
        chain = [documents.node_id(layer) for layer in documents.ancestors(node)]
        for result in self._known(document, key):
            if result.node in chain:
                return documents.find_node(document, result.source) or node
        return node

    def _known(self, document: Document, key: str) -> List[Result]:
        if key not in self._read:
            self._read[key] = record.read(document)
        return self._read[key]

    def _present(self, document: Document, source: Source) -> List[Tuple[Node, Result]]:
        nodes = {documents.node_id(node): node for node in documents.walk(document.rootNode())}
        known = [each for each in self._known(document, source.document) if each.source == source.node]
        return [(nodes[result.node], result) for result in known if result.node in nodes]
