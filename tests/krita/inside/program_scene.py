"""Run in the Krita program before each test: a small scene, and words for what tests do again and again.

Its names stay known to all code that a test sends after it.
"""

import dataclasses
import hashlib
import random

import painterly.extension
from krita import Krita, Selection  # noqa: F401
from painterly.canvas import documents
from painterly.qt import QtCore, QtGui, QtWidgets  # noqa: F401

K = Krita.instance()
plugin = painterly.extension._extension
session = plugin.session


def main_window():
    return K.activeWindow().qwindow()


def panel():
    dock = [each for each in K.dockers() if each.objectName() == "painterly_docker"][0]
    return dock.widget().widget()


def layers(parent=None):
    nodes = documents.children(parent or doc.rootNode())
    return [[node.name(), node.visible()] for node in nodes if not node.type().endswith("mask")]


def add(name, x, y, width=60, height=50):
    node = doc.createNode(name, "paintlayer")
    node.setPixelData(random.Random(name).randbytes(4 * width * height), x, y, width, height)
    doc.rootNode().addChildNode(node, None)
    return node


def new_document(width=400, height=300, depth="U8", profile="sRGB-elle-V2-srgbtrc.icc"):
    made = K.createDocument(width, height, "scene", "RGBA", depth, profile, 72.0)
    K.activeWindow().addView(made)
    return made


def digest(document):
    """Of the whole picture as Krita shows it, without asking it to render anew."""
    document.waitForDone()
    image = document.projection(0, 0, document.width(), document.height())
    # `bits` does not keep its image alive: named, it lives until its bytes are read.
    return hashlib.sha1(image.bits().asstring(image.sizeInBytes())).hexdigest()


def behave(does=0, steps=1, milliseconds=0):
    session.settings.choose_preset("draft")
    session.settings.changes = {"seed": does, "first_iterations": steps, "feather": milliseconds}


def halve_results():
    """The fake backend gives the layer back as it came: shrunk, what it uncovers must change."""
    place = session._canvas.place
    session._canvas.place = lambda origin, result, *more: place(origin, half(result), *more)


def half(placed):
    raster = placed.raster
    height = raster.height // 2
    data = bytes(raster.data)[: height * 4 * raster.width]
    return dataclasses.replace(placed, raster=dataclasses.replace(raster, height=height, data=data))


for dock in K.dockers():
    if dock.objectName() not in ("painterly_docker", "KisLayerBox"):
        dock.hide()
    else:
        dock.show()
main_window().setGeometry(0, 0, 1200, 860)
doc = new_document()
pasted = add("object", 150, 120)
doc.setActiveNode(pasted)
