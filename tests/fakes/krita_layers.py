"""What lies behind the fake Krita's nodes and documents, however many wrappers there are."""

from . import krita_pixels as pixels
from .krita_pixels import Plane, Rect


class UniqueId:
    """As QUuid."""

    _made = 0

    def __init__(self):
        UniqueId._made += 1
        self._number = UniqueId._made

    def toString(self):
        return "{{{:08x}-0000-4000-8000-000000000000}}".format(self._number)

    def __eq__(self, other):
        return self._number == other._number

    def __hash__(self):
        return self._number


class Layer:
    """What lies behind a node."""

    def __init__(self, image, name, kind, depth):
        self.image, self.name, self.kind, self.depth = image, name, kind, depth
        self.id = UniqueId()
        self.plane = Plane(depth)
        self.parent, self.children = None, []
        self.visible, self.locked, self.opacity, self.mode = True, False, 255, "normal"
        self.animated, self.style = False, ""
        self.original = None  # of a clone layer
        self.dx, self.dy = 0, 0

    @property
    def shown(self):
        """Its pixels with its children's and masks', without its own opacity."""
        if self.kind == "grouplayer":
            plane = pixels.blended([child for child in self.children if not child.is_mask], self.depth)
        elif self.kind == "clonelayer":
            plane = self.original.shown.moved(self.dx, self.dy)
        else:
            plane = self.plane
        for child in self.children:
            if child.kind == "transparencymask" and child.visible:
                plane = plane.masked(child.plane)
        return plane

    @property
    def is_mask(self):
        return self.kind.endswith("mask")

    def copied(self, image, with_id):
        new = Layer(image, self.name, self.kind, self.depth)
        new.id = self.id if with_id else new.id
        new.plane = self.plane.copied()
        new.visible, new.locked, new.opacity, new.mode = self.visible, self.locked, self.opacity, self.mode
        new.animated, new.style = self.animated, self.style
        new.original, new.dx, new.dy = self.original, self.dx, self.dy
        for child in self.children:
            grown = child.copied(image, with_id)
            grown.parent = new
            new.children.append(grown)
        return new

    def walk(self):
        for child in self.children:
            yield child
            yield from child.walk()


class Image:
    """What lies behind a document."""

    def __init__(self, width, height, depth, name):
        self.width, self.height, self.depth, self.name = width, height, depth, name
        self.root = Layer(self, "root", "grouplayer", depth)
        self.selection = None
        self.active, self.selected = None, []
        self.modified, self.file_name = False, ""
        self.annotations = {}
        self.canvas = Plane(depth)

    def render(self, rect=None):
        """Shows `rect` (everything by default) as the layers are now."""
        whole = Rect(0, 0, self.width, self.height)
        rect = whole if rect is None else rect.intersected(whole)
        if rect.width() > 0 and rect.height() > 0:
            self.canvas.write(self.root.shown.read(*rect), *rect)
