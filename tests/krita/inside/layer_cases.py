"""Kinds of layers that the fake Krita does not know: file layers, and paintings of all sorts of layers."""

import os
import tempfile

import scenes
from krita import Selection
from scenes import INLINE, OUTLINE, SMALL, add_layer, export, finish, flat, noise, scene

from plugin.painterly.canvas import Canvas
from plugin.painterly.job import ABOVE, REPLACE
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.qt import QtGui


def case_file_layer_as_object():
    doc, _, _ = scene()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "picture.png")
        picture = QtGui.QImage(noise(20, 10, seed=3), 20, 10, 80, QtGui.QImage.Format.Format_ARGB32)
        assert picture.save(path)
        layer = doc.createFileLayer("file", path, "None")
        doc.rootNode().addChildNode(layer, None)
        doc.waitForDone()
        doc.refreshProjection()
        got = export(doc, layer)
    assert got.layer.box.shifted(got.origin.window.left, got.origin.window.top) == Box(0, 0, 20, 10)
    assert bytes(got.layer.raster.data) == noise(20, 10, seed=3)


def case_the_painting_is_what_groups_masks_opacity_and_modes_show():
    doc, _, _ = scene()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    add_layer(doc, "multiplied", noise(120, 90, alpha=180, seed=4), 80, 60, 120, 90, group).setBlendingMode(
        "multiply"
    )
    add_layer(doc, "faint", noise(90, 90, seed=5), 70, 50, 90, 90, group).setOpacity(90)
    half = Selection()
    half.select(80, 60, 50, 90, 255)
    doc.setSelection(half)
    doc.setActiveNode(group)
    group.addChildNode(doc.createNode("mask", "transparencymask"), None)
    doc.setSelection(Selection())
    group.setOpacity(200)
    pasted = add_layer(doc, "pasted", flat(20, 20, 5, 6, 7), 110, 80, 20, 20)
    add_layer(doc, "over", flat(99, 99, 9, 99, 9), 80, 60, 99, 99)
    got = export(doc, pasted)
    for node in doc.topLevelNodes()[-2:]:
        node.setVisible(False)
    assert bytes(got.painting.data) == scenes.seen(doc, got.origin.window)
    assert bytes(got.layer.raster.data) == flat(20, 20, 5, 6, 7)


def case_what_a_group_does_to_its_layers_is_done_once():
    for opacity, mode, passed in ((128, "normal", False), (255, "multiply", False), (128, "normal", True)):
        doc, _, group = _grouped("half", flat(60, 60, 9, 99, 200), 140, 10, 60, 60)
        pasted = add_layer(doc, "pasted", noise(30, 20, seed=6), 150, 20, 30, 20, group)
        group.setOpacity(opacity)
        group.setBlendingMode(mode)
        group.setPassThroughMode(passed)
        assert _unchanged_by_its_own_result(doc, pasted)


def case_a_layers_own_mode_shows_in_the_colours_its_groups_does_not():
    doc, _, group = _grouped("beneath", flat(60, 60, 9, 99, 200), 140, 10, 60, 60)
    pasted = add_layer(doc, "pasted", noise(30, 20, seed=6), 150, 20, 30, 20, group)
    pasted.setBlendingMode("multiply")
    doc.refreshProjection()
    expected = bytes(group.projectionPixelData(150, 20, 30, 20))
    group.setBlendingMode("screen")
    group.setOpacity(99)
    assert bytes(export(doc, pasted).layer.raster.data) == expected


def case_a_clipped_object_is_what_is_seen_of_it_and_so_is_its_result():
    for passed in (False, True):
        doc, painting, group = _grouped("base", flat(20, 20, 9, 99, 200, 128), 150, 20, 20, 20)
        group.setPassThroughMode(passed)
        if passed:  # then it is clipped to all that lies beneath
            painting.setPixelData(flat(300, 20, 0, 0, 0, 0), 0, 30, 300, 20)
        pasted = doc.createNode("pasted", "paintlayer")
        pasted.setPixelData(noise(30, 20, seed=6), 155, 20, 30, 20)
        pasted.setInheritAlpha(True)
        group.addChildNode(pasted, None)
        alpha = export(doc, pasted).layer.raster.data[3::4]
        top, bottom = bytes(alpha[: 10 * 30]), bytes(alpha[10 * 30 :])
        assert bottom == (b"\xff" * 15 + b"\0" * 15) * 10
        assert top == (b"\xff" * 30 * 10 if passed else bottom)
        assert _unchanged_by_its_own_result(doc, pasted)


def case_a_hidden_group_whose_result_is_seen_is_painted_again():
    doc, _, group = _grouped("object", noise(30, 20, seed=6), 150, 20, 30, 20)
    canvas = Canvas()
    for name in ("first", "second"):
        got = export(doc, group, canvas=canvas)
        assert bytes(got.layer.raster.data) == noise(30, 20, seed=6)
        landing = finish(canvas.place(got.origin, got.layer, name, ABOVE))
        assert not group.visible() and landing.note == ""
    shown = [node.name() for node in doc.topLevelNodes() if node.visible()]
    assert shown == ["Background", "object", "above", "second"]


def _grouped(name, *pixels):
    """(document, painting layer, topmost group with one layer of that name and pixels)."""
    doc, painting, _ = scene()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    add_layer(doc, name, *pixels, group)
    doc.refreshProjection()
    return doc, painting, group


def _unchanged_by_its_own_result(doc, node):
    """Whether the picture stays as it is if the layer's result is the layer as it was exported."""
    before = _visible(doc)
    canvas = Canvas()
    got = export(doc, node, canvas=canvas)
    finish(canvas.place(got.origin, got.layer, "result", ABOVE))
    assert not node.visible()
    return _visible(doc) == before


def _visible(doc):
    """The pixels of the picture; those that are transparent have no colour that counts."""
    data = scenes.seen(doc, Box(0, 0, scenes.WIDTH, scenes.HEIGHT))
    return [data[at : at + 4] if data[at + 3] else b"" for at in range(0, len(data), 4)]


def case_an_outline_is_around_the_result():
    for mode in (ABOVE, REPLACE):
        doc, painting, pasted = scene()
        doc.nodeByName("above").remove()
        pasted.setLayerStyleFromAsl(OUTLINE)
        line = Box(95, 90, 99, 100)
        assert scenes.seen(doc, line) == flat(4, 10, 255, 0, 255)
        canvas = Canvas()
        got = export(doc, pasted, SMALL, canvas)
        assert bytes(got.painting.data) == bytes(painting.pixelData(*_rect(got.origin.window)))
        finish(canvas.place(got.origin, got.layer, "result", mode))
        doc.waitForDone()
        shown = doc.projection(line.left, line.top, 4, 10)  # without asking to render anew
        assert shown.constBits().asstring(160) == flat(4, 10, 255, 0, 255), mode


def case_what_a_style_lays_on_a_faint_layer_is_not_painted():
    doc, _, pasted = scene()
    pasted.setOpacity(128)
    plain = export(doc, pasted)
    pasted.setLayerStyleFromAsl(INLINE)
    assert bytes(export(doc, pasted).layer.raster.data) == bytes(plain.layer.raster.data)


def _rect(box):
    return box.left, box.top, box.width, box.height
