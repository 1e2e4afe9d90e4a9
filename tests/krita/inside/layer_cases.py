"""Kinds of layers that the fake Krita does not know: file layers, and paintings of all sorts of layers."""

import os
import tempfile

import scenes
from krita import Selection
from PyQt5.QtGui import QImage
from scenes import add_layer, export, flat, noise, scene

from plugin.painterly.protocol.geometry import Box


def case_file_layer_as_object():
    doc, _, _ = scene()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "picture.png")
        assert QImage(noise(20, 10, seed=3), 20, 10, 80, QImage.Format_ARGB32).save(path)
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


def case_an_object_in_a_faint_group_is_exported_as_seen():
    doc, _, _ = scene()
    group = doc.createGroupLayer("faint group")
    doc.rootNode().addChildNode(group, None)
    pasted = add_layer(doc, "pasted", noise(30, 20, seed=6), 150, 20, 30, 20, group)
    group.setOpacity(128)
    got = export(doc, pasted)
    assert bytes(got.layer.raster.data) == scenes.seen(doc, Box(150, 20, 180, 40))
