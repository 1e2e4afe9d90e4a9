"""Results into real documents: exact pixels, the right place, save and reload."""

import os
import tempfile
from pathlib import Path

import scenes
from krita import Krita, Selection
from scenes import HEIGHT, SMALL, WIDTH, add_layer, export, finish, flat, noise, scene, select

from plugin.painterly.canvas import Canvas, documents, record
from plugin.painterly.job import ABOVE, REPLACE, DocumentClosed
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.protocol.raster import Placed, Raster

RESULT = noise(50, 40, alpha=200, seed=11)


def _result(got, x=95, y=75):
    """A 50 x 40 result at (x, y) of the document."""
    return Placed(Raster(50, 40, "BGRA", "U8", RESULT), x - got.origin.window.left, y - got.origin.window.top)


def _placed(doc, pasted, mode=ABOVE, change=None):
    """(landing, result layer) after export, `change()` by the artist, and placing."""
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    if change:
        change()
    landing = finish(canvas.place(got.origin, _result(got), "result", mode))
    return landing, documents.find_node(doc, landing.node)


def _harmonized(canvas, doc, pasted, name):
    """Exports and places once more, through a canvas that knows what was placed before; the Landing."""
    got = export(doc, pasted, SMALL, canvas)
    return finish(canvas.place(got.origin, _result(got), name, ABOVE))


def _layers(parent):
    """Layers, bottom to top; the document's selection is a node too."""
    return [node for node in parent.childNodes() if not documents.is_mask(node)]


def _names(parent):
    return [node.name() for node in _layers(parent)]


def case_result_is_above_its_hidden_original():
    doc, painting, pasted = scene()
    landing, layer = _placed(doc, pasted)
    assert _names(doc.rootNode()) == ["Background", "object", "result", "above"]
    assert documents.box_of(layer.bounds()) == Box(95, 75, 145, 115)
    assert bytes(layer.pixelData(95, 75, 50, 40)) == RESULT
    assert layer.visible() and not pasted.visible() and landing.note == ""


def case_pixels_outside_the_result_are_untouched():
    doc, painting, pasted = scene()
    doc.topLevelNodes()[-1].remove()
    _placed(doc, pasted)
    shown = scenes.seen(doc, Box(0, 0, WIDTH, HEIGHT))
    expected = noise(WIDTH, HEIGHT)
    for y in range(HEIGHT):
        row, other = shown[4 * y * WIDTH :][: 4 * WIDTH], expected[4 * y * WIDTH :][: 4 * WIDTH]
        if 75 <= y < 115:
            row, other = row[: 4 * 95] + row[4 * 145 :], other[: 4 * 95] + other[4 * 145 :]
        assert row == other, y


def case_replacing_removes_the_original():
    doc, _, pasted = scene()
    _placed(doc, pasted, REPLACE)
    assert _names(doc.rootNode()) == ["Background", "result", "above"]


def case_a_locked_original_is_hidden_not_removed():
    doc, _, pasted = scene()
    pasted.setLocked(True)
    landing, _ = _placed(doc, pasted, REPLACE)
    assert _names(doc.rootNode()) == ["Background", "object", "result", "above"] and not pasted.visible()
    assert landing.note == "“object” is locked: it was hidden instead of removed."


def case_what_was_not_selected_of_an_original_is_hidden_not_removed():
    for mode in (ABOVE, REPLACE):
        doc, _, pasted = scene()
        select(doc, 110, 85, 10, 10)
        landing, _ = _placed(doc, pasted, mode)
        assert _names(doc.rootNode()) == ["Background", "object", "result", "above"]
        assert not pasted.visible()
        assert landing.note == (
            "Only the selection of “object” was painted; the rest is in the hidden original."
        )


def case_an_animated_original_is_hidden_not_removed():
    for mode in (ABOVE, REPLACE):
        for in_group in (False, True):
            doc, _, pasted = scene()
            pasted.enableAnimation()
            if in_group:
                pasted.setName("inside")
                pasted.remove()
                group = doc.createGroupLayer("object")
                doc.rootNode().addChildNode(group, doc.topLevelNodes()[0])
                group.addChildNode(pasted, None)
                doc.refreshProjection()
            original = doc.nodeByName("object")
            landing, _ = _placed(doc, original, mode)
            assert _names(doc.rootNode()) == ["Background", "object", "result", "above"]
            assert not original.visible()
            assert landing.note == (
                "Only the frame in front of “object” was painted, and its result lies on all frames: "
                "they are in the hidden original."
            )


def case_only_visible_pixels_count_as_not_selected():
    doc, _, pasted = scene()
    pasted.setPixelData(flat(5, 30, 1, 2, 3, 0), 135, 80, 5, 30)
    pasted.setPixelData(flat(5, 1, 1, 2, 3), 135, 80, 5, 1)
    # The selection is the layer's shape, without the transparent pixels in its corner.
    selection = Selection()
    selection.select(100, 80, 40, 1, 255)
    selection.select(100, 81, 35, 29, 255)
    doc.setSelection(selection)
    landing, _ = _placed(doc, pasted, REPLACE)
    assert _names(doc.rootNode()) == ["Background", "result", "above"] and landing.note == ""


def case_painted_again_the_new_result_is_on_top_and_the_older_hidden():
    doc, _, pasted = scene()
    canvas = Canvas()
    for name in ("first", "second", "third"):
        _harmonized(canvas, doc, pasted, name)
    assert [(node.name(), node.visible()) for node in _layers(doc.rootNode())[1:5]] == [
        ("object", False), ("first", False), ("second", False), ("third", True),
    ]  # fmt: skip


def case_a_result_of_another_selection_stays_visible():
    doc, _, pasted = scene()
    canvas = Canvas()
    for name, x in (("left", 100), ("right", 120), ("left again", 100)):
        select(doc, x, 85, 10, 10)
        _harmonized(canvas, doc, pasted, name)
    assert [(node.name(), node.visible()) for node in _layers(doc.rootNode())[1:5]] == [
        ("object", False), ("left", False), ("right", True), ("left again", True),
    ]  # fmt: skip


def case_a_selection_is_the_same_if_it_is_so_on_the_layer_not_if_its_box_is():
    doc, _, _ = scene()
    rising, falling = ((110, 90), (115, 85)), ((110, 85), (115, 90))
    # The second begins beside the layer, the third farther away.
    loose, looser = ((90, 85), (100, 85)), ((85, 85), (100, 85))
    for number, squares in enumerate((rising, loose, falling, looser, rising)):
        selection = Selection()
        for square in squares:
            selection.select(*square, 5, 5, 255)
        doc.setSelection(selection)
        _harmonized(Canvas(), doc, doc.nodeByName("object"), str(number))
        doc = _reopened(doc)
    assert [(node.name(), node.visible()) for node in _layers(doc.rootNode())[1:7]] == [
        ("object", False), ("0", False), ("1", False), ("2", True), ("3", True), ("4", True),
    ]  # fmt: skip


def _reopened(doc):
    """The document after saving, closing and loading it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "picture.kra")
        assert doc.saveAs(path)
        doc.setModified(False)
        doc.close()
        return Krita.instance().openDocument(path)


def case_a_loaded_document_knows_which_of_its_layers_are_results():
    doc, _, pasted = scene()
    canvas = Canvas()
    _harmonized(canvas, doc, pasted, "first")
    # The same Krita, then one that was started anew; hidden itself, the layer is seen in its result.
    for canvas, name in ((canvas, "second"), (Canvas(), "third")):
        doc = _reopened(doc)
        _harmonized(canvas, doc, doc.nodeByName("object"), name)
    assert [(node.name(), node.visible()) for node in _layers(doc.rootNode())[1:5]] == [
        ("object", False), ("first", False), ("second", False), ("third", True),
    ]  # fmt: skip


def case_a_loaded_document_knows_of_which_selection_a_result_is():
    doc, _, _ = scene()
    for name, x in (("left", 100), ("right", 120), ("left again", 100)):
        select(doc, x, 85, 10, 10)
        _harmonized(Canvas(), doc, doc.nodeByName("object"), name)
        doc = _reopened(doc)
    assert [(node.name(), node.visible()) for node in _layers(doc.rootNode())[1:5]] == [
        ("object", False), ("left", False), ("right", True), ("left again", True),
    ]  # fmt: skip


def case_a_result_undone_before_saving_is_none_after_loading():
    doc, _, pasted = scene()
    landing, layer = _placed(doc, pasted)
    layer.remove()
    doc = _reopened(doc)
    pasted, canvas = doc.nodeByName("object"), Canvas()
    said = scenes.problem_of(lambda: export(doc, pasted, SMALL, canvas))
    assert said.startswith("“object” is hidden")
    pasted.setVisible(True)
    assert _harmonized(canvas, doc, pasted, "second").note == ""
    assert _names(doc.rootNode()) == ["Background", "object", "second", "above"]


def case_what_is_no_record_of_results_is_none():
    for data in (b"", b"\xff{", b"[]", b'{"version": 1}', b'{"version": 2, "results": 7}'):
        doc, _, pasted = scene()
        _placed(doc, pasted)
        doc.setAnnotation(record.ANNOTATION, "", data)
        pasted.setVisible(True)
        assert _harmonized(Canvas(), doc, pasted, "second").note == ""
        assert [(node.name(), node.visible()) for node in _layers(doc.rootNode())[1:4]] == [
            ("object", False), ("second", True), ("result", True),
        ]  # fmt: skip


def case_added_again_it_is_above_the_result_that_replaced_the_original():
    doc, _, pasted = scene()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    for name in ("first", "second"):
        landing = finish(canvas.place(got.origin, _result(got), name, REPLACE))
    assert _names(doc.rootNode()) == ["Background", "first", "second", "above"]
    assert not doc.nodeByName("first").visible() and landing.note == ""


def case_only_a_result_that_is_there_is_shown_alone():
    doc, _, pasted = scene()
    canvas = Canvas()
    landings = [_harmonized(canvas, doc, pasted, name) for name in ("first", "second")]
    (first, second), key = (landing.node for landing in landings), landings[0].document
    canvas.show_only(key, first, [second])
    assert doc.nodeByName("first").visible() and not doc.nodeByName("second").visible()
    doc.nodeByName("second").remove()
    said = scenes.problem_of(lambda: canvas.show_only(key, second, [first]))
    assert said == "This result was deleted: use “Add again”." and doc.nodeByName("first").visible()


def case_result_stays_in_the_originals_group():
    doc, _, _ = scene()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    inside = add_layer(doc, "inside", noise(20, 20, seed=5), 110, 80, 20, 20, group)
    add_layer(doc, "over", flat(5, 5, 1, 1, 1), 0, 0, 5, 5, group)
    _placed(doc, inside)
    assert _names(group) == ["inside", "result", "over"]


def case_result_follows_a_moved_layer():
    doc, _, pasted = scene()
    landing, layer = _placed(doc, pasted, change=lambda: pasted.move(30, -10))
    assert documents.box_of(layer.bounds()) == Box(125, 65, 175, 105)
    assert "moved" in landing.note


def case_result_of_a_changed_layer_stays_in_place():
    doc, _, pasted = scene()

    def paint():
        pasted.setPixelData(flat(10, 10, 0, 0, 0), 60, 60, 10, 10)

    _assert_where_it_was(doc, pasted, change=paint)


def _assert_where_it_was(doc, pasted, change):
    landing, layer = _placed(doc, pasted, REPLACE, change)
    assert documents.box_of(layer.bounds()) == Box(95, 75, 145, 115)
    assert landing.note == "“object” was changed meanwhile: its result is where it was."
    assert _names(doc.rootNode()) == ["Background", "object", "result", "above"] and pasted.visible()


def case_result_of_a_restacked_layer_is_above_it():
    doc, _, pasted = scene()

    def restack():
        group = doc.createGroupLayer("elsewhere")
        doc.rootNode().addChildNode(group, None)
        pasted.remove()
        group.addChildNode(pasted, None)

    _placed(doc, pasted, change=restack)
    assert _names(doc.nodeByName("elsewhere")) == ["object", "result"]


def case_result_of_a_deleted_layer_is_on_top():
    doc, _, pasted = scene()
    landing, layer = _placed(doc, pasted, change=pasted.remove)
    assert _names(doc.rootNode()) == ["Background", "above", "result"]
    assert documents.box_of(layer.bounds()) == Box(95, 75, 145, 115) and "gone" in landing.note


def case_guides_are_no_layer_and_stay_on_top():
    doc, _, pasted = scene()
    doc.setHorizontalGuides([20.0])
    doc.setGuidesVisible(True)
    doc.waitForDone()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    assert [name for _, name in canvas.layers(got.origin.source.document)] == [
        "above",
        "object",
        "Background",
    ]
    pasted.remove()
    finish(canvas.place(got.origin, got.layer, "result", ABOVE))
    finish(canvas._placer(got.origin.source.document).place_on_top(got.layer, got.layer.box, "adopted"))
    names = [node.name() for node in doc.rootNode().childNodes()]
    assert names[:-1] == ["Background", "above", "result", "adopted"] and names[-1].startswith("decorations")


def case_result_never_lands_in_another_document():
    doc, _, pasted = scene()
    twin = doc.clone()  # the same unique ids
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    doc.setModified(False)
    doc.close()
    try:
        canvas.place(got.origin, _result(got), "result", ABOVE)
    except DocumentClosed:
        pass
    else:
        raise AssertionError("it was placed")
    assert len(twin.topLevelNodes()) == 3
    twin.close()


def case_result_finds_its_document_among_others():
    doc, _, pasted = scene()
    other, _, _ = scene()
    _, layer = _placed(doc, pasted)
    assert len(doc.topLevelNodes()) == 4 and len(other.topLevelNodes()) == 3


def case_a_selection_on_a_flattened_picture_keeps_it_visible():
    doc, painting, _ = scene()
    for node in doc.topLevelNodes()[1:]:
        node.remove()
    select(doc, 110, 85, 10, 10)
    _placed(doc, painting)
    assert painting.visible() and _names(doc.rootNode()) == ["Background", "result"]


def case_variants_are_one_group():
    doc, _, pasted = scene()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    results = [("style 1", _result(got)), ("style 5", _result(got))]
    landing = finish(canvas.place_group(got.origin, results, "variants"))
    group = documents.find_node(doc, landing.node)
    assert _names(doc.rootNode()) == ["Background", "object", "variants", "above"]
    assert [(node.name(), node.visible()) for node in group.childNodes()] == [
        ("style 1", False),
        ("style 5", True),
    ]
    assert bytes(group.childNodes()[0].pixelData(95, 75, 50, 40)) == RESULT


def case_saved_and_reloaded():
    doc, _, pasted = scene()
    _placed(doc, pasted)
    shown = scenes.seen(doc, Box(0, 0, WIDTH, HEIGHT))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "picture.kra")
        assert doc.saveAs(path)
        again = Krita.instance().openDocument(path)
        layer = again.nodeByName("result")
        assert bytes(layer.pixelData(95, 75, 50, 40)) == RESULT
        assert not again.nodeByName("object").visible()
        assert scenes.seen(again, Box(0, 0, WIDTH, HEIGHT)) == shown


def case_result_as_a_file():
    doc, _, pasted = scene()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new folder" / "result.png"
        finish(canvas.save(_result(got), path))
        again = Krita.instance().openDocument(str(path))
        assert bytes(again.topLevelNodes()[0].pixelData(0, 0, 50, 40)) == RESULT
