"""The fake Krita's nodes and selections."""

from . import krita_pixels as pixels
from .krita_pixels import Plane

SRGB = "sRGB-elle-V2-srgbtrc.icc"


class Node:
    """A wrapper: each call of the API makes a new one; those of the same layer are equal."""

    def __init__(self, layer):
        self._layer = layer

    def __eq__(self, other):
        return isinstance(other, Node) and self._layer is other._layer

    __hash__ = None

    def name(self):
        return self._layer.name

    def setName(self, name):
        self._layer.name = name

    def type(self):
        return self._layer.kind

    def uniqueId(self):
        return self._layer.id

    def parentNode(self):
        return Node(self._layer.parent) if self._layer.parent else None

    def childNodes(self):
        return [Node(child) for child in self._layer.children]

    def visible(self):
        return self._layer.visible

    def setVisible(self, visible):
        self._layer.visible = visible  # what is shown does not change before a refresh

    def locked(self):
        return self._layer.locked

    def setLocked(self, locked):
        self._layer.locked = locked

    def opacity(self):
        return self._layer.opacity

    def setOpacity(self, opacity):
        self._layer.opacity = opacity

    def blendingMode(self):
        return self._layer.mode

    def setBlendingMode(self, mode):
        self._layer.mode = mode

    def animated(self):
        return self._layer.animated

    def enableAnimation(self):
        """From then on it has frames, whose pixels the fake does not tell apart."""
        self._layer.animated = True

    def layerStyleToAsl(self):
        return self._layer.style

    def setLayerStyleFromAsl(self, style):
        """Kept, not shown; what is empty leaves the style as it is."""
        self._layer.style = style or self._layer.style

    def inheritAlpha(self):
        return False

    def colorModel(self):
        return "RGBA"

    def colorDepth(self):
        return self._layer.depth

    def colorProfile(self):
        return SRGB

    def setColorSpace(self, model, depth, profile):
        assert (model, profile) == ("RGBA", SRGB), "the fake knows sRGB only"
        self._layer.plane = self._layer.plane.converted(depth)
        self._layer.depth = depth

    def bounds(self):
        return self._layer.shown.bounds() if self._layer.children else self._drawn().bounds()

    def _drawn(self):
        return self._layer.shown if self._layer.kind == "clonelayer" else self._layer.plane

    def pixelData(self, x, y, width, height):
        return pixels.ByteArray(self._layer.plane.read(x, y, width, height))

    def projectionPixelData(self, x, y, width, height):
        return pixels.ByteArray(self._layer.shown.read(x, y, width, height))

    def setPixelData(self, data, x, y, width, height):
        """Nothing for a short buffer; locks do not matter."""
        if not isinstance(data, (bytes, bytearray, pixels.ByteArray)):
            raise TypeError("setPixelData() takes bytes, bytearray or QByteArray")
        data = bytes(data)
        if len(data) < width * height * self._layer.plane.pixel_bytes:
            return False
        self._layer.plane.write(data, x, y, width, height)
        return True

    def selection(self):
        """Of a selection mask, live."""
        return Selection(self._layer.plane)

    def setSelection(self, selection):
        self._layer.plane = selection._plane.copied()

    def move(self, x, y):
        """Moves the layer by (x, y)."""
        layer = self._layer
        layer.plane = layer.plane.moved(x - layer.dx, y - layer.dy)
        layer.dx, layer.dy = x, y

    def duplicate(self):
        return Node(self._layer.copied(self._layer.image, with_id=False))

    def addChildNode(self, node, above):
        """Above `above`, or on top; what the added layer covers is shown at once, the rest as before."""
        parent, layer = self._layer, node._layer
        at = len(parent.children) if above is None else parent.children.index(above._layer) + 1
        parent.children.insert(at, layer)
        layer.parent = parent
        if layer.kind == "transparencymask" and parent.image.selection is not None:
            layer.plane = parent.image.selection.copied()
        parent.image.render(layer.shown.bounds())

    def remove(self):
        layer = self._layer
        if layer.parent is None:
            return False
        layer.parent.children.remove(layer)
        layer.parent = None
        layer.image.render(layer.shown.bounds())
        return True


class Selection:
    """One byte a pixel; a document's own is live."""

    def __init__(self, plane=None):
        self._plane = plane or Plane("MASK")

    def select(self, x, y, width, height, value):
        self._plane.write(bytes([value]) * (width * height), x, y, width, height)

    def x(self):
        return self._plane.bounds().x()

    def y(self):
        return self._plane.bounds().y()

    def width(self):
        return self._plane.bounds().width()

    def height(self):
        return self._plane.bounds().height()

    def pixelData(self, x, y, width, height):
        return pixels.ByteArray(self._plane.read(x, y, width, height))

    def duplicate(self):
        return Selection(self._plane.copied())
