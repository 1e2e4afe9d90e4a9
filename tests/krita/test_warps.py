"""Layers with a warp, cage or liquify mask in the Krita program: headless, Krita never draws them."""

import zipfile

import pytest

from .harness import InsideError

PARAMS = """<!DOCTYPE transform_params><transform_params><main id="tooltransformparams"/>
<data mode="{mode}">{body}</data></transform_params>"""
CORNERS = ((150, 120), (210, 120), (210, 170), (150, 170))
# What Krita shows of a layer, and what was exported, in AREA.
WORDS = """
from painterly.canvas import flattening
from painterly.job import ExportWish
AREA = (100, 80, 160, 140)
def shown(node):
    return bytes(node.projectionPixelData(*AREA))
def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
def exported(node):
    source = documents.source_of(session._canvas._documents.key(doc), node)
    return finish(session._canvas.export(source, ExportWish(64)))
def waited(node):
    "Gives None while the export waits, then True."
    source = documents.source_of(session._canvas._documents.key(doc), node)
    def steps():
        got.append((yield from session._canvas.export(source, ExportWish(64))))
    yield from (None for step in steps() if step == "waiting")
    yield True
def on_area(placed, window):
    "The pixels of AREA, of which the others are transparent."
    layer = doc.createNode("copy", "paintlayer")
    layer.setPixelData(placed.raster.data, placed.x + window.left, placed.y + window.top, placed.raster.width,
                       placed.raster.height)
    return bytes(layer.pixelData(*AREA))
def mask_of(path):
    other = K.openDocument(path)
    mask = documents.children(other.nodeByName("object"))[0].duplicate()
    other.close()
    return mask
"""


def points(name, at):
    items = ['<item_{} type="pointf" x="{}" y="{}"/>'.format(i, x, y) for i, (x, y) in enumerate(at)]
    return '<{0} type="array">{1}</{0}>'.format(name, "".join(items))


def warp(x, y, mode=1):
    """A warp of the object whose first corner is drawn to (x, y); with mode 2 a cage."""
    body = '<defaultPoints type="value" value="0"/><warpType type="value" value="0"/>'
    body += points("originalPoints", CORNERS) + points("transformedPoints", ((x, y), *CORNERS[1:]))
    body += '<alpha type="value" value="1"/><pixelPrecision type="value" value="8"/>'
    body += '<previewPixelPrecision type="value" value="16"/>'
    return PARAMS.format(mode=mode, body="<warp_transform>{}</warp_transform>".format(body))


def liquify(x, y):
    """The pixel in the middle of the object drawn to (x, y)."""
    grid = [(column, row) for row in range(120, 177, 8) for column in range(144, 217, 8)]
    body = points("originalPoints", grid)
    body += points("transformedPoints", [(x, y) if at == (176, 144) else at for at in grid])
    body += '<srcBounds type="rect" x="144" y="120" w="73" h="57"/><gridSize type="size" w="10" h="8"/>'
    body += '<pixelPrecision type="value" value="8"/>'
    numbers = ("mode", "size", "amount", "spacing", "sizeHasPressure", "amountHasPressure", "reverseDirection",
               "useWashMode", "flow")  # fmt: skip
    tool = "".join('<{} type="value" value="1"/>'.format(name) for name in numbers)
    body = "<liquify_properties>{}</liquify_properties><liquify_points>{}</liquify_points>".format(tool, body)
    return PARAMS.format(mode=3, body="<liquify_transform>{}</liquify_transform>".format(body))


KINDS = {
    "warp": (warp(140, 110), warp(135, 130)),
    "cage": (warp(140, 110, 2), warp(135, 130, 2)),
    "liquify": (liquify(180, 144), liquify(170, 140)),
}


def saved(krita, folder, name, transform, group):
    """The scene as a file in which the object, or a group "object" around it, has that transform mask."""
    krita.run("made = new_document()\nlayer = made.createNode('inside', 'paintlayer')\n"
              "layer.setPixelData(pasted.pixelData(150, 120, 60, 50), 150, 120, 60, 50)\n"
              "made.rootNode().addChildNode(layer, None)")  # fmt: skip
    if group:
        krita.run("layer.remove()\nouter = made.createGroupLayer('object')\n"
                  "made.rootNode().addChildNode(outer, None)\nouter.addChildNode(layer, None)\nlayer = outer")  # fmt: skip
    plain, path = folder / "plain.kra", folder / name
    krita.run("layer.setName('object')\nlayer.addChildNode(made.createTransformMask('mask'), None)\n"
              "made.waitForDone()\nmade.saveAs({!r})\nmade.close()".format(str(plain)))  # fmt: skip
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for part in old.namelist():
            new.writestr(part, transform if part.endswith(".transformconfig") else old.read(part))
    return str(path)


def drawn(krita, node="pasted"):
    """Waits until Krita shows the layer, which it does some seconds after a picture was opened or changed."""
    krita.run("doc.refreshProjection()")
    krita.wait_for("any(shown({}))".format(node), 30)
    krita.run("doc.waitForDone()")


def warped(start, folder, kind, group=False):
    """(Krita with the warped layer or group `pasted`, the path of the same picture warped otherwise)."""
    krita = start()
    krita.run(WORDS + "behave()")
    path, other = (saved(krita, folder, str(n) + ".kra", KINDS[kind][n], group) for n in range(2))
    krita.run("doc = K.openDocument({!r})\nK.activeWindow().addView(doc)\n"
              "pasted = doc.nodeByName('object')\ndoc.setActiveNode(pasted)".format(path))  # fmt: skip
    drawn(krita)
    return krita, other


@pytest.mark.parametrize("kind,group", [("warp", False), ("cage", False), ("liquify", False), ("warp", True)])
def test_a_warped_layer_is_exported_as_it_is_seen_and_its_change_is_noticed(start, tmp_path, kind, group):
    krita, other = warped(start, tmp_path, kind, group)
    krita.run("before = shown(pasted)\ngot = exported(pasted)")
    assert krita.value("on_area(got.layer, got.origin.window) == before")
    place = "landing = finish(session._canvas.place(got.origin, got.layer, 'result', 'above'))\nresult = landing.note"
    assert krita.run(place) == ""
    krita.run("doc.nodeByName('result').remove()\npasted.setVisible(True)")
    drawn(krita)
    krita.run(
        "mask = mask_of({!r})\ndocuments.children(pasted)[-1].remove()\npasted.addChildNode(mask, None)".format(
            other
        )
    )
    drawn(krita)
    assert krita.value("shown(pasted) != before")
    assert "was changed meanwhile" in krita.run(place) and krita.value("pasted.visible()")


def test_a_warped_layer_beneath_is_part_of_the_painting(start, tmp_path):
    krita, _ = warped(start, tmp_path, "warp")
    krita.run("top = add('top', 0, 0)\ndoc.nodeByName('Background').setVisible(False)")
    drawn(krita)
    assert krita.run(
        "got = exported(top)\nplaced = type(got.layer)(got.painting)\n"
        "result = on_area(placed, got.origin.window) == shown(pasted)"
    )
    # As after a result was placed, it is drawn only some seconds later.
    krita.run("steps, got = waited(top), []\ndoc.refreshProjection()")
    assert not krita.value("any(shown(pasted))")
    krita.wait_for("next(steps) is not None", 30)
    assert krita.run("result = any(bytes(got[0].painting.data)) and any(shown(pasted))")
    krita.run("flattening.DRAW_SECONDS = 0\ndoc.refreshProjection()")
    with pytest.raises(InsideError, match="Krita has not drawn “object” yet: wait until you see it"):
        krita.run("exported(top)")
    assert (
        krita.run("pasted.setVisible(False)\ndoc.nodeByName('Background').setVisible(True)\nexported(top)")
        is None
    )
