"""Local selections: masks of a layer that select of it, of which at most one is active."""

import re

import scenes
from krita import Krita
from scenes import SMALL, add_layer, export, finish, flat, noise, scene, select, select_locally

from plugin.painterly.canvas import Canvas, documents
from plugin.painterly.job import ABOVE, ExportWish
from plugin.painterly.protocol.geometry import Box

OBJECT = noise(40, 30, seed=2)
LEFT, RIGHT = Box(102, 85, 112, 95), Box(125, 85, 135, 95)
BOXES = {"left": LEFT, "right": RIGHT}
PART = "Only the selection of “object” was painted; the rest is in the hidden original."


def _activated(doc, name="local"):
    """(document, object layer) with the local selection of that name made active.

    Made by Krita's Python it is not, and that can neither be told nor set: it is in the file.
    """
    inactive = rb'(?=[^>]*name="%s")([^>]*)active="0"' % name.encode()

    def edited(part, data):
        return re.sub(b"<mask" + inactive, rb'<mask\1active="1"', data) if part == "maindoc.xml" else data

    doc = scenes.reopened(doc, edited)
    return doc, doc.nodeByName("object")


def _selected_left_and_right(active):
    """(document, object layer) of `scene` with two local selections, "left" beneath "right"."""
    doc, _, pasted = scene()
    for name, box in BOXES.items():
        select_locally(doc, pasted, 255, box.left, box.top, name)
    return _activated(doc, active)


def case_an_active_selection_of_the_layer_counts_instead_of_the_documents():
    for elsewhere in (False, True):
        doc, _, pasted = scene()
        select_locally(doc, pasted, 77)
        if elsewhere:
            select(doc, 0, 0, 10, 10)
        doc, pasted = _activated(doc)
        got = export(doc, pasted)
        assert got.origin.part == Box(110, 85, 120, 95)
        assert bytes(got.selection.raster.data) == b"\x4d" * 100
        documents.children(pasted)[0].setVisible(False)
        if elsewhere:
            assert "does not touch" in scenes.problem_of(lambda doc=doc, layer=pasted: export(doc, layer))
        else:
            assert export(doc, pasted).selection is None


def case_one_that_is_visible_and_not_active_does_not():
    doc, pasted = _selected_left_and_right("neither")
    assert len(documents.selection_masks(pasted)) == 2 and export(doc, pasted).selection is None
    select(doc, 110, 85, 7, 9)
    assert export(doc, pasted).origin.part == Box(110, 85, 117, 94)


def case_of_two_the_active_one_counts_as_for_kritas_own_filters():
    for active, box in BOXES.items():
        doc, pasted = _selected_left_and_right(active)
        assert export(doc, pasted).origin.part == box
        assert Krita.instance().filter("invert").startFilter(pasted, 100, 80, 40, 30)
        doc.waitForDone()
        beside = bytes(pasted.pixelData(box.left - 1, box.top, 12, 1))
        row = OBJECT[4 * (5 * 40 + box.left - 101) :][:48]
        assert beside[:4] + beside[-4:] == row[:4] + row[-4:]
        assert all(beside[at] != row[at] for at in range(4, 44) if at % 4 != 3)


def case_nothing_of_the_document_is_touched_to_find_out():
    doc, pasted = _selected_left_and_right("right")
    select(doc, 3, 4, 5, 6)
    doc.waitForDone()
    doc.setModified(False)
    before = scenes.seen(doc, Box(0, 0, 300, 200))
    assert export(doc, pasted).origin.part == RIGHT
    assert not doc.modified() and doc.selection().x() == 3 and len(Krita.instance().documents()) == 1
    assert scenes.seen(doc, Box(0, 0, 300, 200)) == before
    assert [mask.selection().x() for mask in documents.children(pasted)] == [LEFT.left, RIGHT.left]


def case_a_group_and_a_document_in_other_colours_have_them_too():
    for model, depth, profile in (("CMYKA", "U8", ""), ("RGBA", "F32", ""), ("GRAYA", "U16", "")):
        doc = scenes.document(model, depth, profile)
        painting = doc.topLevelNodes()[0]
        size = len(bytes(painting.pixelData(0, 0, 1, 1)))
        painting.setPixelData(b"\x3f" * (size * 300 * 200), 0, 0, 300, 200)
        group = doc.createGroupLayer("object")
        doc.rootNode().addChildNode(group, None)
        add_layer(doc, "inside", b"\x3f" * (size * 40 * 30), 100, 80, 40, 30, group)
        for name, box in BOXES.items():
            select_locally(doc, group, 255, box.left, box.top, name)
        for active, part in (("neither", None), ("left", LEFT)):
            doc, group = _activated(doc, active)
            assert export(doc, group).origin.part == part, (model, depth, active)


def case_what_was_selected_when_it_was_asked_for_counts():
    doc, pasted = _selected_left_and_right("left")
    canvas = Canvas()
    layer = scenes.source(canvas, doc, pasted)
    (asked,) = canvas.selections([layer])
    left, right = documents.children(pasted)
    left.setSelection(right.selection().duplicate())
    (later,) = canvas.selections([layer])
    assert (asked.box, later.box) == (LEFT, RIGHT)
    assert finish(canvas.export(layer, ExportWish(64, selected=asked))).origin.part == LEFT


def case_another_local_selection_is_no_change_of_the_layer():
    doc, pasted = _selected_left_and_right("left")
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    documents.children(pasted)[0].remove()
    assert finish(canvas.place(got.origin, got.layer, "result", ABOVE)).note == PART and not pasted.visible()


def case_each_layer_of_several_has_its_own():
    doc, _, pasted = scene()
    select_locally(doc, pasted, 255, LEFT.left, LEFT.top)
    select(doc, 3, 4, 5, 6)
    doc, pasted = _activated(doc)
    other = add_layer(doc, "other", flat(9, 9, 7, 7, 7), 0, 0, 9, 9)
    canvas = Canvas()
    areas = canvas.selections([scenes.source(canvas, doc, node) for node in (pasted, other)])
    assert [area.box for area in areas] == [LEFT, Box(3, 4, 8, 10)]
