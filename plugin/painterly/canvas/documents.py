"""Finding documents and layers again, however long a job took."""

from typing import Dict, Iterator, List, Optional

from krita import Document, Krita, Node

from ..job import DocumentClosed, Problem, Source
from ..protocol.geometry import Box
from ..translation import tr

# Types of nodes that are no layer of their own but change their parent.
_MASKS = "mask"
_RESHAPING = ("transformmask", "filtermask", "colorizemask")
_WITHOUT_PIXELS = ("filterlayer", "filllayer", "adjustmentlayer")


class Documents:
    """Names the open documents by keys that stay valid until they are closed.

    A handle is compared with the open ones, never trusted: files, names and even the layers' unique
    ids may be shared by copies of one document.
    """

    def __init__(self) -> None:
        self._handles: Dict[str, Document] = {}
        self._made = 0

    def key(self, document: Document) -> str:
        for key, handle in self._handles.items():
            if handle == document:
                return key
        self._made += 1
        key = str(self._made)
        self._handles[key] = document
        return key

    def find(self, key: str) -> Document:
        """The open document of that key; raises DocumentClosed."""
        handle = self._handles.get(key)
        if handle is None or not any(handle == other for other in Krita.instance().documents()):
            raise DocumentClosed(tr("The document was closed."))
        return handle

    def is_open(self, key: str) -> bool:
        try:
            self.find(key)
        except DocumentClosed:
            return False
        return True

    def active(self) -> Document:
        """The document in front; raises Problem."""
        document = Krita.instance().activeDocument()
        if document is None:
            raise Problem(tr("Open a document and select the layer with the pasted object."))
        return document


def active_node(document: Document) -> Optional[Node]:
    """The active layer in the view in front; None if there is none.

    Each view of a document has one of its own, and the document itself answers for its first view.
    """
    active = document.activeNode()
    window = Krita.instance().activeWindow()
    view = window.activeView() if window is not None else None
    if view is None or view.document() != document:
        return active
    chosen = list(view.selectedNodes())
    return active if active in chosen or not chosen else chosen[-1]


def node_id(node: Node) -> str:
    return node.uniqueId().toString()


def is_at_rest(document: Document) -> bool:
    """Whether Krita is not rendering it and no tool is at work on it: else it lets nobody lock it."""
    if not document.tryBarrierLock():
        return False
    document.unlock()
    return True


def canvas_box(document: Document) -> Box:
    return Box(0, 0, document.width(), document.height())


def box_of(rect) -> Box:
    """A Box from a QRect."""
    return Box(rect.x(), rect.y(), rect.x() + rect.width(), rect.y() + rect.height())


def children(node: Node) -> List[Node]:
    """What lies in `node`, bottom to top, without Krita's own node for guides and assistants, which has no type.

    Krita counts its children, then asks for one after the other: one removed meanwhile in another thread is None.
    """
    return [child for child in node.childNodes() if child is not None and child.type()]


def topmost(document: Document) -> Optional[Node]:
    """The topmost layer that is not in a group; None if there is no layer."""
    layers = [child for child in children(document.rootNode()) if not is_mask(child)]
    return layers[-1] if layers else None


def walk(node: Node) -> Iterator[Node]:
    """All nodes below `node`, bottom to top, parents before their children."""
    for child in children(node):
        yield child
        yield from walk(child)


def find_node(document: Document, unique_id: str) -> Optional[Node]:
    return next((node for node in walk(document.rootNode()) if node_id(node) == unique_id), None)


def need_node(document: Document, unique_id: str) -> Node:
    node = find_node(document, unique_id)
    if node is None:
        raise Problem(tr("The layer is not in the document any more."))
    return node


def ancestors(node: Node) -> List[Node]:
    """`node` and its parents up to, not including, the root."""
    chain: List[Node] = []
    while node is not None and node.parentNode() is not None:
        chain.append(node)
        node = node.parentNode()
    return chain


def is_mask(node: Node) -> bool:
    return node.type().endswith(_MASKS)


def reshaping_masks(node: Node) -> List[Node]:
    """The visible masks of a layer that may show it where it has no pixels, which its bounds do not tell."""
    return [child for child in children(node) if child.type() in _RESHAPING and child.visible()]


def transform_masks(node: Node) -> List[Node]:
    """The visible ones, whose bounds are those of what they show."""
    return [mask for mask in reshaping_masks(node) if mask.type() == "transformmask"]


def warping_masks(node: Node) -> List[Node]:
    """The visible transform masks of which no matrix tells what they do: they warp, cage, liquify, or do nothing yet."""
    return [mask for mask in transform_masks(node) if mask.finalAffineTransform().isIdentity()]


def warped_box(node: Node) -> Box:
    """Where a layer with warping masks may show something."""
    found = box_of(node.bounds())
    for mask in warping_masks(node):
        found = found.united(box_of(mask.bounds()))
    return found


def selection_masks(node: Node) -> List[Node]:
    """The visible ones of a layer, bottom to top, of which at most one is active."""
    return [child for child in children(node) if child.type() == "selectionmask" and child.visible()]


def is_canvas_selection(node: Node) -> bool:
    """Whether it is the document's selection, which is a mask of the root."""
    return is_mask(node) and node.parentNode().parentNode() is None


def owning_layer(node: Optional[Node]) -> Node:
    """The layer that `node` is or, for a mask, that it belongs to; raises Problem."""
    while node is not None and is_mask(node):
        node = node.parentNode()
    if node is None or node.parentNode() is None:
        raise Problem(tr("Select the layer with the pasted object first."))
    return node


def check_source(node: Node, result_seen: bool = False) -> None:
    """Raises Problem if nothing of this layer can be harmonized; it may be hidden if its result is seen."""
    if node.type() in _WITHOUT_PIXELS:
        raise Problem(
            tr(
                "“{layer}” has no pixels of its own: select the layer with the pasted object.",
                layer=node.name(),
            )
        )
    chain = ancestors(node)[1:] if result_seen else ancestors(node)
    hidden = next((layer for layer in chain if not layer.visible()), None)
    if hidden is not None:
        raise Problem(
            tr("“{layer}” is hidden: show it first, so that you see what is harmonized.", layer=hidden.name())
        )


def source_of(key: str, node: Node) -> Source:
    return Source(key, node_id(node), node.name())
