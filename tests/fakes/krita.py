"""A Krita in memory: sRGB documents with layers, groups, clones, transparency masks and a selection.

It is as odd as the real one where the plugin relies on it: tests/krita/inside/quirk_cases.py holds both to
the same assertions. What the plugin does not use is not here. `install()` makes it `import krita`, with as
much of Qt as the canvas needs.
"""

import enum
import pickle
import sys

from PIL import Image as Picture

from . import krita_pixels as pixels
from . import qt
from .krita_layers import Image, Layer
from .krita_nodes import SRGB, Node, Selection
from .krita_pixels import Plane


class Document:
    """A wrapper, as Node is."""

    def __init__(self, image):
        self._image = image

    def __eq__(self, other):
        return isinstance(other, Document) and self._image is other._image

    __hash__ = None

    def name(self):
        return self._image.name

    def fileName(self):
        return self._image.file_name

    def width(self):
        return self._image.width

    def height(self):
        return self._image.height

    def colorModel(self):
        return "RGBA"

    def colorDepth(self):
        return self._image.depth

    def colorProfile(self):
        return SRGB

    def setBatchmode(self, on):
        pass

    def modified(self):
        return self._image.modified

    def setModified(self, modified):
        self._image.modified = modified

    def rootNode(self):
        return Node(self._image.root)

    def topLevelNodes(self):
        return [node for node in self.rootNode().childNodes() if not node.type().endswith("mask")]

    def nodeByName(self, name):
        return next((Node(layer) for layer in self._image.root.walk() if layer.name == name), None)

    def activeNode(self):
        return Node(self._image.active) if self._image.active else None

    def setActiveNode(self, node):
        self._image.active = node._layer

    def createNode(self, name, kind):
        return Node(Layer(self._image, name, kind, "MASK" if kind.endswith("mask") else self._image.depth))

    def createGroupLayer(self, name):
        return self.createNode(name, "grouplayer")

    def createCloneLayer(self, name, source):
        node = self.createNode(name, "clonelayer")
        node._layer.original = source._layer
        return node

    def createSelectionMask(self, name):
        return self.createNode(name, "selectionmask")

    def selection(self):
        return None if self._image.selection is None else Selection(self._image.selection)

    def setSelection(self, selection):
        assert selection is not None, "Krita 5.1 ends here"
        self._image.selection = selection._plane
        masks = [child for child in self._image.root.children if child.kind == "selectionmask"]
        if not masks:
            mask = Layer(self._image, "Selection", "selectionmask", "MASK")
            mask.parent = self._image.root
            self._image.root.children.append(mask)

    def setHorizontalGuides(self, lines):
        pass

    def setGuidesVisible(self, visible):
        """They are in a node of Krita's own, which is then on top, and stays."""
        if not any(child.kind == "" for child in self._image.root.children):
            guides = Layer(self._image, "decorations-wrapper-layer", "", self._image.depth)
            guides.parent = self._image.root
            self._image.root.children.append(guides)

    def annotationTypes(self):
        return list(self._image.annotations)

    def annotation(self, kind):
        return pixels.ByteArray(self._image.annotations[kind])

    def setAnnotation(self, kind, description, data):
        self._image.annotations[kind] = bytes(data)
        self._image.modified = True

    def refreshProjection(self):
        self._image.render()

    def waitForDone(self):
        pass

    def tryBarrierLock(self):
        """False while a brush stroke is drawn, which nobody does here."""
        return True

    def unlock(self):
        pass

    def projection(self, x, y, width, height):
        return pixels.Picture(self._image.canvas.converted("U8").read(x, y, width, height))

    def resizeImage(self, x, y, width, height):
        image = self._image
        image.width, image.height = width, height
        for layer in image.root.walk():
            layer.plane = layer.plane.moved(-x, -y)
        image.canvas = Plane(image.depth)
        image.render()

    def clone(self):
        """Not among the open documents; the layers' ids are the same."""
        image = self._image
        new = Image(image.width, image.height, image.depth, image.name)
        new.root = image.root.copied(new, with_id=True)
        new.canvas = image.canvas.copied()
        originals = dict(zip(image.root.walk(), new.root.walk()))
        for layer in new.root.walk():
            layer.original = originals.get(layer.original)
        return Document(new)

    def saveAs(self, path):
        self._image.file_name = path
        image = self._image
        with open(path, "wb") as file:
            root = image.root.copied(None, with_id=True)
            pickle.dump((root, image.annotations, image.width, image.height, image.depth), file)
        return True

    def close(self):
        krita = Krita.instance()
        krita.images = [image for image in krita.images if image is not self._image]
        return True


class Krita:
    """The application; `images` are the open documents', the last one in front."""

    _instance = None

    def __init__(self):
        self.images, self.dockers = [], []

    @classmethod
    def instance(cls):
        cls._instance = cls._instance or Krita()
        return cls._instance

    def version(self):
        return "5.1.5 (fake)"

    def setBatchmode(self, on):
        pass

    def addDockWidgetFactory(self, factory):
        self.dockers.append(factory.name)

    def documents(self):
        return [Document(image) for image in self.images]

    def activeDocument(self):
        return self.documents()[-1] if self.images else None

    def activeWindow(self):
        return Window(self) if self.images else None

    def windows(self):
        return []

    def createDocument(self, width, height, name, model, depth, profile, resolution):
        assert (model, profile) == ("RGBA", SRGB), "the fake knows sRGB only"
        image = Image(width, height, depth, name)
        background = Layer(image, "Background", "paintlayer", depth)
        background.parent = image.root
        image.root.children.append(background)
        self.images.append(image)
        return Document(image)

    def openDocument(self, path):
        if path.endswith(".png"):
            return self._open_picture(path)
        with open(path, "rb") as file:
            root, annotations, *size, depth = pickle.load(file)
        image = Image(*size, depth, path)
        image.root, image.annotations, image.file_name = root, annotations, path
        for layer in [root, *root.walk()]:
            layer.image = image
        image.render()
        self.images.append(image)
        return Document(image)

    def _open_picture(self, path):
        with Picture.open(path) as picture:
            data = picture.convert("RGBA").tobytes("raw", "BGRA")
        document = self.createDocument(*picture.size, path, "RGBA", "U8", SRGB, 72.0)
        document.topLevelNodes()[0].setPixelData(data, 0, 0, *picture.size)
        document.refreshProjection()
        return document


class Window:
    """The one window; it has one view, of the document in front."""

    def __init__(self, krita):
        self._krita = krita

    def activeView(self):
        return self

    def document(self):
        return self._krita.activeDocument()

    def selectedNodes(self):
        """The multi-selection, bottom to top, whatever the order of choosing."""
        image = self._krita.images[-1]
        selected = image.selected or [image.active]
        return [Node(layer) for layer in image.root.walk() if layer in selected]


def install(monkeypatch):
    """`import krita` and `import PyQt5` give the fakes, for the test that `monkeypatch` belongs to."""
    Krita._instance = None
    for name in list(sys.modules):
        if name.startswith(("plugin.painterly.canvas", "plugin.painterly.qt")):
            monkeypatch.delitem(sys.modules, name)
    for name, module in {"krita": sys.modules[__name__], **qt.modules()}.items():
        monkeypatch.setitem(sys.modules, name, module)


class _OnlyInherited:
    """Base of what `canvas.host` hands out; nothing of it is used without a window."""


class DockWidgetFactoryBase:
    """Its enumeration is scoped, as Krita 6 demands and Krita 5 allows."""

    class DockPosition(enum.Enum):
        DockRight = 3


class DockWidgetFactory:
    """What makes the dockers of a class, when a window opens, which none does here."""

    def __init__(self, name, area, docker):
        assert isinstance(area, DockWidgetFactoryBase.DockPosition)
        self.name = name


DockWidget = Extension = _OnlyInherited
