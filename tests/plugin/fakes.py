"""A canvas in memory, with what the session must cope with: closed documents, bad layers, slow steps."""

import zlib
from dataclasses import replace

from plugin.painterly.job import DocumentClosed, Export, Landing, Origin, Problem, Source
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.protocol.raster import Placed, Raster


def source(name="object", document="1"):
    return Source(document, "{" + name + "}", name)


def pixels(width, height, value=7):
    return Raster(width, height, "BGRA", "U8", bytes([value]) * (4 * width * height))


class FakeCanvas:
    """As plugin.painterly.canvas.Canvas."""

    def __init__(self):
        self.open = {"1", "2"}
        self.selected = [source()]
        self.area = None
        self.areas = {}  # of layers with a local selection, by name
        self.numbered = False
        self.empty = set()
        self.placed = []
        self.saved = []
        self.wishes = []
        self.notes = {}
        self.refuses_to_save = False

    def active_source(self):
        if not self.selected:
            raise Problem("Open a document first.")
        return self.selected[0]

    def selected_sources(self):
        return list(self.selected)

    def selections(self, sources):
        return [self.areas.get(wanted.name, self.area) for wanted in sources]

    def active_document(self):
        return "2"

    def is_open(self, document):
        return document in self.open

    def export(self, wanted, wish):
        self.wishes.append((wanted.name, wish))
        self._check(wanted.document)
        yield
        if wanted.name in self.empty:
            raise Problem("“{}” is empty.".format(wanted.name))
        origin = Origin(wanted, Box(10, 20, 42, 52), Box(12, 23, 20, 31), Box(0, 0, 90, 80), "U8")
        if wish.selected is not None:
            fingerprint = zlib.crc32(wish.selected.coverage)
            origin = replace(origin, part=wish.selected.box, fingerprint=fingerprint)
        return Export(origin, pixels(32, 32), Placed(pixels(8, 8, 9), 2, 3), None)

    def place(self, origin, result, name, mode):
        self._check(origin.source.document)
        yield
        self._check(origin.source.document)
        self.placed.append((origin.source.document, name, mode, result.box))
        node = "{{result {}}}".format(len(self.placed)) if self.numbered else "{result of " + name + "}"
        return Landing(origin.source.document, node, self.notes.get(name, ""))

    def place_group(self, origin, results, name):
        self._check(origin.source.document)
        yield
        self.placed.append((origin.source.document, name, [label for label, _ in results]))
        layers = tuple("{{variant {}}}".format(label) for label, _ in results)
        return Landing(origin.source.document, "{group}", variants=layers)

    def place_on_top(self, origin, result, name):
        yield
        self.placed.append(("2", name, "on top", result.box))
        return Landing("2", "{adopted}")

    def save(self, result, path):
        yield
        if self.refuses_to_save:
            raise Problem("The disk is full.")
        self.saved.append((result, path))

    def show_only(self, document, node, others, group=""):
        self.shown = (node, sorted(others), group)

    def _check(self, document):
        if document not in self.open:
            raise DocumentClosed("The document was closed.")
