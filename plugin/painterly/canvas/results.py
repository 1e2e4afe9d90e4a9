"""Which layers are results of which layer: known as long as Krita runs."""

from typing import Dict, List, NamedTuple, Tuple

from krita import Document, Node

from ..job import Origin, Source
from . import documents


class _Result(NamedTuple):
    node: str  # the unique id of the layer or, of variants, of their group
    origin: Origin


class Results:
    """The results in all documents, the oldest first; those that were undone or deleted are passed over."""

    def __init__(self) -> None:
        self._known: Dict[str, List[_Result]] = {}

    def add(self, origin: Origin, node: Node) -> None:
        result = _Result(documents.node_id(node), origin)
        self._known.setdefault(origin.source.document, []).append(result)

    def of(self, document: Document, source: Source) -> List[Node]:
        """The results of that layer that are in the document."""
        return [node for node, _ in self._present(document, source)]

    def rivals(self, document: Document, origin: Origin) -> List[Node]:
        """Earlier results of what is painted again: of the same selection, of a whole layer all."""
        present = self._present(document, origin.source)
        return [node for node, earlier in present if origin.part in (None, earlier.part)]

    def seen(self, document: Document, source: Source) -> bool:
        """Whether a result of that layer is visible."""
        results = self.of(document, source)
        return any(all(layer.visible() for layer in documents.ancestors(node)) for node in results)

    def painted(self, document: Document, key: str, node: Node) -> Node:
        """What was painted, if `node` is a result or in one and that is still there; else `node`."""
        chain = [documents.node_id(layer) for layer in documents.ancestors(node)]
        for result in self._known.get(key, []):
            if result.node in chain:
                return documents.find_node(document, result.origin.source.node) or node
        return node

    def _present(self, document: Document, source: Source) -> List[Tuple[Node, Origin]]:
        found = [
            (documents.find_node(document, result.node), result.origin)
            for result in self._known.get(source.document, [])
            if result.origin.source.node == source.node
        ]
        return [(node, origin) for node, origin in found if node is not None]
