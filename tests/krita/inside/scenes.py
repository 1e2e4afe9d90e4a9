"""Documents with known pixels, for the cases."""

import dataclasses
import os
import random
import tempfile
import zipfile

from krita import Krita, Selection

from plugin.painterly.canvas import Canvas, colors, documents
from plugin.painterly.job import ExportWish, Source

SRGB = "sRGB-elle-V2-srgbtrc.icc"
WIDTH, HEIGHT = 300, 200
SMALL = ExportWish(resolution=64)
# The layer style of a magenta line, 6 pixels wide, around what a layer shows.
OUTLINE = """<asl><node type="Descriptor" classId="null" name="">
 <node key="Scl " type="UnitFloat" unit="#Prc" value="100"/>
 <node key="masterFXSwitch" type="Boolean" value="1"/>
 <node key="FrFX" type="Descriptor" classId="FrFX" name="">
  <node key="enab" type="Boolean" value="1"/>
  <node key="Styl" type="Enum" typeId="FStl" value="OutF"/>
  <node key="PntT" type="Enum" typeId="FrFl" value="SClr"/>
  <node key="Md  " type="Enum" typeId="BlnM" value="Nrml"/>
  <node key="Opct" type="UnitFloat" unit="#Prc" value="100"/>
  <node key="Sz  " type="UnitFloat" unit="#Pxl" value="6"/>
  <node key="Clr " type="Descriptor" classId="RGBC" name="">
   <node key="Rd  " type="Double" value="255"/>
   <node key="Grn " type="Double" value="0"/>
   <node key="Bl  " type="Double" value="255"/>
  </node>
 </node>
</node></asl>"""
INLINE = OUTLINE.replace("OutF", "InsF")


def noise(width, height, alpha=255, seed=1):
    """Random BGRA bytes with one alpha."""
    data = bytearray(random.Random(seed).randbytes(4 * width * height))
    data[3::4] = bytes([alpha]) * (width * height)
    return bytes(data)


def flat(width, height, b, g, r, a=255):
    return bytes([b, g, r, a]) * (width * height)


def document(model="RGBA", depth="U8", profile=SRGB, width=WIDTH, height=HEIGHT):
    made = Krita.instance().createDocument(width, height, "scene", model, depth, profile, 72.0)
    made.setBatchmode(True)
    return made


def add_layer(doc, name, data, x, y, width, height, parent=None):
    """A paint layer on top of `parent` (the root by default), filled before it is added."""
    node = doc.createNode(name, "paintlayer")
    node.setPixelData(data, x, y, width, height)
    (parent or doc.rootNode()).addChildNode(node, None)
    return node


def scene(**options):
    """(document, painting layer, object layer): noise below a 40 x 30 object at (100, 80) and a top layer."""
    doc = document(**options)
    painting = doc.topLevelNodes()[0]
    painting.setPixelData(noise(WIDTH, HEIGHT), 0, 0, WIDTH, HEIGHT)
    pasted = add_layer(doc, "object", noise(40, 30, seed=2), 100, 80, 40, 30)
    add_layer(doc, "above", flat(50, 50, 0, 0, 255), 90, 70, 50, 50)
    doc.refreshProjection()
    return doc, painting, pasted


def select(doc, x, y, width, height):
    selection = Selection()
    selection.select(x, y, width, height, 255)
    doc.setSelection(selection)


def select_locally(doc, node, value, x=110, y=85, name="local"):
    """A mask of the layer that selects 10 x 10 pixels of the object of `scene` by `value`, 0..255; not active."""
    mask, selection = doc.createSelectionMask(name), Selection()
    selection.select(x, y, 10, 10, value)
    mask.setSelection(selection)
    node.addChildNode(mask, None)
    return mask


def reopened(doc, edited):
    """The document as a file of which `edited(name, data)` gives each part: what Krita's Python cannot set."""
    doc.waitForDone()
    with tempfile.TemporaryDirectory() as folder:
        saved, changed = os.path.join(folder, "saved.kra"), os.path.join(folder, "changed.kra")
        assert doc.saveAs(saved)
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(changed, "w") as new:
            for name in old.namelist():
                new.writestr(name, edited(name, old.read(name)))
        doc.setModified(False)
        doc.close()
        doc = Krita.instance().openDocument(changed)
    doc.setBatchmode(True)
    doc.refreshProjection()
    doc.waitForDone()
    return doc


def source(canvas, doc, node):
    return documents.source_of(canvas._documents.key(doc), node)


def convert(data, width, height, given, wanted):
    """Pixels of the space `given` in that of `wanted`."""
    document = finish(colors.scratch_document(given))
    try:
        return colors.convert_in(document, data, width, height, given, wanted)
    finally:
        document.close()


def finish(steps):
    """Run a generator to its end; returns what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def export(doc, node, wish=SMALL, canvas=None):
    """Of what is selected now."""
    canvas = canvas or Canvas()
    layer = source(canvas, doc, node)
    wish = dataclasses.replace(wish, selected=canvas.selections([layer])[0])
    return finish(canvas.export(layer, wish))


def missing_source(canvas, doc):
    return Source(canvas._documents.key(doc), "{00000000-0000-0000-0000-000000000000}", "nobody")


def problem_of(action):
    """The sentence of the Problem that `action` raises."""
    from plugin.painterly.job import Problem

    try:
        action()
    except Problem as problem:
        return str(problem)
    raise AssertionError("no Problem was raised")


def difference(one, other):
    """The largest difference between two byte strings of the same length."""
    assert len(one) == len(other), (len(one), len(other))
    return max((abs(a - b) for a, b in zip(one, other)), default=0)


def seen(doc, box):
    """What the screen shows in `box`, BGRA 8 bit."""
    doc.refreshProjection()
    doc.waitForDone()
    image = doc.projection(box.left, box.top, box.width, box.height)
    return image.constBits().asstring(4 * box.width * box.height)


def at_most(value, limit):
    assert value <= limit, "{} is more than {}".format(value, limit)
