"""Export from real documents, against pictures that Krita itself shows."""

import scenes
from krita import Krita, Selection
from scenes import (
    HEIGHT,
    SMALL,
    WIDTH,
    add_layer,
    difference,
    export,
    flat,
    noise,
    problem_of,
    scene,
)

from plugin.painterly.canvas import Canvas, documents, exporting, reading
from plugin.painterly.job import ExportWish
from plugin.painterly.protocol.geometry import Box


def _bytes_of(node, box):
    return bytes(node.pixelData(box.left, box.top, box.width, box.height))


def case_painting_and_layer_are_exact():
    doc, painting, pasted = scene()
    got = export(doc, pasted)
    assert bytes(got.painting.data) == _bytes_of(painting, got.origin.window)
    assert (got.layer.x + got.origin.window.left, got.layer.y + got.origin.window.top) == (100, 80)
    assert (got.layer.raster.width, got.layer.raster.height) == (40, 30)
    assert bytes(got.layer.raster.data) == noise(40, 30, seed=2)
    assert got.selection is None and not got.origin.keep_source and got.origin.depth == "U8"


def case_window_is_smaller_than_a_large_canvas():
    doc = scenes.document(width=1200, height=900)
    data = noise(1200, 900)
    doc.topLevelNodes()[0].setPixelData(data, 0, 0, 1200, 900)
    pasted = add_layer(doc, "object", flat(40, 30, 1, 2, 3), 500, 400, 40, 30)
    got = export(doc, pasted)
    window = got.origin.window
    assert window.width < 600 and window.intersect(Box(500, 400, 540, 430)) == Box(500, 400, 540, 430)
    rows = [4 * (y * 1200 + window.left) for y in range(window.top, window.bottom)]
    assert bytes(got.painting.data) == b"".join(data[at : at + 4 * window.width] for at in rows)


def case_document_is_left_as_it_was():
    doc, _, pasted = scene()
    before = scenes.seen(doc, Box(0, 0, WIDTH, HEIGHT))
    doc.setModified(False)
    export(doc, pasted)
    assert not doc.modified()
    assert all(node.visible() for node in doc.topLevelNodes())
    assert scenes.seen(doc, Box(0, 0, WIDTH, HEIGHT)) == before
    assert len(Krita.instance().documents()) == 1


def case_strips_join_without_a_seam():
    doc, _, pasted = scene()
    blended = add_layer(doc, "half", noise(60, 60, alpha=120, seed=3), 80, 60, 60, 60)
    whole = export(doc, blended)
    reading.STRIP_PIXELS, kept = 1000, reading.STRIP_PIXELS
    try:
        cut = export(doc, blended)
    finally:
        reading.STRIP_PIXELS = kept
    assert bytes(cut.painting.data) == bytes(whole.painting.data)
    assert bytes(cut.layer.raster.data) == bytes(whole.layer.raster.data)


def case_object_in_nested_groups():
    doc, _, _ = scene()
    outer, inner = doc.createGroupLayer("outer"), doc.createGroupLayer("inner")
    doc.rootNode().addChildNode(outer, None)
    outer.addChildNode(inner, None)
    add_layer(doc, "below in inner", noise(80, 80, alpha=100, seed=4), 90, 60, 80, 80, inner)
    pasted = add_layer(doc, "pasted", noise(20, 20, seed=5), 110, 80, 20, 20, inner)
    above = add_layer(doc, "above in inner", flat(99, 99, 9, 9, 9), 80, 60, 99, 99, inner)
    above_outer = add_layer(doc, "above in outer", flat(99, 99, 9, 99, 9), 80, 60, 99, 99, outer)
    got = export(doc, pasted)
    for node in (above, above_outer, pasted):
        node.setVisible(False)
    assert bytes(got.painting.data) == scenes.seen(doc, got.origin.window)


def case_group_as_object():
    doc, painting, _ = scene()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    add_layer(doc, "one", flat(10, 10, 1, 2, 3), 20, 20, 10, 10, group)
    add_layer(doc, "two", flat(10, 10, 4, 5, 6, 128), 30, 20, 10, 10, group)
    doc.refreshProjection()
    got = export(doc, group)
    assert (got.layer.raster.width, got.layer.raster.height) == (20, 10)
    data = bytes(got.layer.raster.data)
    assert data[:4] == b"\1\2\3\xff" and data[40:44] == b"\4\5\6\x80"


def case_clone_layer_as_object():
    doc, _, pasted = scene()
    clone = doc.createCloneLayer("clone", pasted)
    doc.rootNode().addChildNode(clone, None)
    clone.move(50, 20)
    doc.refreshProjection()
    got = export(doc, clone)
    data = bytes(got.layer.raster.data)
    width = got.layer.raster.width
    x, y = 150 - got.origin.window.left - got.layer.x, 100 - got.origin.window.top - got.layer.y
    first = 4 * (y * width + x)
    assert data[first : first + 160] == noise(40, 30, seed=2)[:160]


def case_layers_masks_belong_to_the_object():
    doc, _, pasted = scene()
    half = Selection()
    half.select(100, 80, 20, 30, 255)
    doc.setSelection(half)
    doc.setActiveNode(pasted)
    mask = doc.createNode("mask", "transparencymask")
    pasted.addChildNode(mask, None)
    doc.refreshProjection()
    expected = bytes(pasted.projectionPixelData(100, 80, 40, 30))
    doc.setSelection(Selection())
    got = export(doc, pasted)
    box = got.layer.box.shifted(got.origin.window.left, got.origin.window.top)
    assert bytes(got.layer.raster.data) == bytes(
        pasted.projectionPixelData(box.left, box.top, box.width, box.height)
    )
    assert len(expected) == 40 * 30 * 4


def case_opacity_shows_in_the_colours_not_in_the_shape():
    doc, _, pasted = scene()
    pasted.setOpacity(128)
    got = export(doc, pasted)
    doc.topLevelNodes()[-1].setVisible(False)
    box = Box(100, 80, 140, 110)
    assert bytes(got.layer.raster.data) == scenes.seen(doc, box)
    assert set(got.layer.raster.data[3::4]) == {255}


def case_blend_mode_shows_in_the_colours():
    doc, _, pasted = scene()
    pasted.setBlendingMode("multiply")
    got = export(doc, pasted)
    doc.topLevelNodes()[-1].setVisible(False)
    assert bytes(got.layer.raster.data) == scenes.seen(doc, Box(100, 80, 140, 110))


def case_soft_selection_limits_the_object():
    doc, _, pasted = scene()
    selection = Selection()
    selection.select(110, 85, 10, 10, 77)
    doc.setSelection(selection)
    got = export(doc, pasted)
    assert got.selection.box == got.layer.box
    assert got.selection.box.shifted(got.origin.window.left, got.origin.window.top) == Box(110, 85, 120, 95)
    assert bytes(got.selection.raster.data) == b"\x4d" * 100


def case_of_a_selection_beyond_the_canvas_what_lies_on_the_object_is_taken_as_it_was():
    doc, _, pasted = scene()
    selection = Selection()
    selection.select(-20, -10, 400, 250, 50)
    selection.select(-20, 95, 130, 250, 150)
    doc.setSelection(selection)
    canvas = Canvas()
    layer = scenes.source(canvas, doc, pasted)
    (selected,) = canvas.selections([layer])
    selection.select(100, 80, 40, 30, 1)
    doc.setSelection(selection)
    got = scenes.finish(canvas.export(layer, ExportWish(64, selected=selected)))
    row, lower = b"\x32" * 40, b"\x96" * 10 + b"\x32" * 30
    assert selected.box == Box(0, 0, WIDTH, HEIGHT) and got.origin.part is None
    assert bytes(got.selection.raster.data) == row * 15 + lower * 15


def case_one_pixel_outside_the_selection_is_noticed_in_any_strip():
    doc, _, pasted = scene()
    exporting.STRIP_PIXELS, kept = 100, exporting.STRIP_PIXELS
    try:
        for last_row, part in ((40, None), (39, Box(100, 80, 140, 110))):
            selection = Selection()
            selection.select(100, 80, 40, 29, 255)
            selection.select(100, 109, last_row, 1, 255)
            doc.setSelection(selection)
            assert export(doc, pasted).origin.part == part
    finally:
        exporting.STRIP_PIXELS = kept


def case_to_be_clipped_to_any_bit_of_a_deep_alpha_counts():
    own = b"\1\1\2\2\3\3\xff\xff" * 3
    beneath = bytes(6) + b"\1\0" + bytes(6) + b"\0\1" + bytes(8)
    assert reading._clipped(bytearray(own), beneath, 2) == own[:16] + b"\1\1\2\2\3\3\0\0"


def case_selection_beside_the_object_is_a_sentence():
    doc, _, pasted = scene()
    selection = Selection()
    selection.select(0, 0, 10, 10, 255)
    doc.setSelection(selection)
    assert "does not touch" in problem_of(lambda: export(doc, pasted))


def case_object_partly_off_the_canvas():
    doc, _, _ = scene()
    data = noise(400, 60, seed=6)
    oversized = add_layer(doc, "oversized", data, -50, -20, 400, 60)
    got = export(doc, oversized)
    box = got.layer.box.shifted(got.origin.window.left, got.origin.window.top)
    assert box == Box(0, 0, 300, 40) and got.origin.bounds == Box(-50, -20, 350, 40)
    assert bytes(got.layer.raster.data[:1200]) == data[4 * (20 * 400 + 50) :][:1200]


def case_sentences_for_layers_without_an_object():
    doc, _, pasted = scene()
    empty = doc.createNode("void", "paintlayer")
    doc.rootNode().addChildNode(empty, None)
    assert "is empty" in problem_of(lambda: export(doc, empty))
    outside = add_layer(doc, "far", flat(5, 5, 1, 1, 1), 1000, 1000, 5, 5)
    assert "outside the canvas" in problem_of(lambda: export(doc, outside))
    pasted.setVisible(False)
    assert "“object” is hidden" in problem_of(lambda: export(doc, pasted))
    canvas = Canvas()
    gone = scenes.missing_source(canvas, doc)
    assert "not in the document" in problem_of(lambda: scenes.finish(canvas.export(gone, SMALL)))


def case_the_group_that_is_hidden_is_named():
    doc, _, _ = scene()
    outer, inner = doc.createGroupLayer("outer"), doc.createGroupLayer("inner")
    doc.rootNode().addChildNode(outer, None)
    outer.addChildNode(inner, None)
    pasted = add_layer(doc, "pasted", noise(20, 20, seed=5), 110, 80, 20, 20, inner)
    outer.setVisible(False)
    assert "“outer” is hidden" in problem_of(lambda: export(doc, pasted))


def case_locked_layers_are_fine():
    doc, _, pasted = scene()
    pasted.setLocked(True)
    assert bytes(export(doc, pasted).layer.raster.data) == noise(40, 30, seed=2)


def case_opaque_cover_needs_a_selection():
    doc, _, _ = scene()
    cover = add_layer(doc, "cover", noise(WIDTH, HEIGHT, seed=7), 0, 0, WIDTH, HEIGHT)
    assert "select the pasted object" in problem_of(lambda: export(doc, cover))
    holed = bytearray(noise(WIDTH, HEIGHT, seed=7))
    holed[3] = 0
    cover.setPixelData(bytes(holed), 0, 0, WIDTH, HEIGHT)
    assert export(doc, cover).layer.raster.width == WIDTH


def case_selection_on_a_flattened_picture():
    doc, painting, pasted = scene()
    for node in doc.topLevelNodes()[1:]:
        node.remove()
    selection = Selection()
    selection.select(110, 85, 10, 10, 255)
    doc.setSelection(selection)
    got = export(doc, painting)
    assert got.origin.keep_source
    assert bytes(got.painting.data) == _bytes_of(painting, got.origin.window)


def case_chosen_painting():
    doc, _, pasted = scene()
    chosen = add_layer(doc, "chosen", noise(WIDTH, HEIGHT, seed=8), 0, 0, WIDTH, HEIGHT)
    got = export(doc, pasted, ExportWish(64, painting=documents.node_id(chosen)))
    assert bytes(got.painting.data) == _bytes_of(chosen, got.origin.window)


def case_a_chosen_group_is_the_painting_even_if_hidden():
    doc, _, pasted = scene()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    inside = add_layer(doc, "inside", noise(WIDTH, HEIGHT, seed=8), 0, 0, WIDTH, HEIGHT, group)
    group.setVisible(False)
    doc.refreshProjection()
    got = export(doc, pasted, ExportWish(64, painting=documents.node_id(group)))
    assert bytes(got.painting.data) == _bytes_of(inside, got.origin.window)
    assert bytes(got.layer.raster.data) == noise(40, 30, seed=2) and not group.visible()


def case_of_a_chosen_group_with_the_object_in_it_the_rest_is_the_painting():
    doc, _, _ = scene()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    beneath = add_layer(doc, "beneath", noise(WIDTH, HEIGHT, seed=8), 0, 0, WIDTH, HEIGHT, group)
    pasted = add_layer(doc, "pasted", noise(40, 30, seed=9), 100, 80, 40, 30, group)
    add_layer(doc, "earlier result", noise(40, 30, seed=10), 100, 80, 40, 30, group)
    add_layer(doc, "beside", flat(50, 50, 9, 9, 9), 90, 70, 50, 50)
    got = export(doc, pasted, ExportWish(64, painting=documents.node_id(group)))
    assert bytes(got.painting.data) == _bytes_of(beneath, got.origin.window)


def case_sentences_for_a_chosen_painting_that_is_none():
    doc, _, pasted = scene()
    assert "is itself chosen" in problem_of(
        lambda: export(doc, pasted, ExportWish(64, painting=documents.node_id(pasted)))
    )
    far = add_layer(doc, "far", flat(5, 5, 1, 1, 1), 1000, 1000, 5, 5)
    assert "is empty around" in problem_of(
        lambda: export(doc, pasted, ExportWish(64, painting=documents.node_id(far)))
    )
    gone = documents.node_id(far)
    far.remove()
    assert "is gone" in problem_of(lambda: export(doc, pasted, ExportWish(64, painting=gone)))


def case_nothing_visible_beneath_is_a_sentence():
    doc, painting, pasted = scene()
    painting.setVisible(False)
    assert "Nothing is visible beneath" in problem_of(lambda: export(doc, pasted))


def case_painting_without_other_selected_layers():
    doc, painting, pasted = scene()
    other = doc.topLevelNodes()[-1]
    upper = add_layer(doc, "upper", noise(40, 30, seed=9), 95, 75, 40, 30)
    got = export(doc, upper, ExportWish(64, without=(documents.node_id(pasted), documents.node_id(other))))
    assert bytes(got.painting.data) == _bytes_of(painting, got.origin.window)


def case_an_unnoticed_change_during_export_is_not_torn():
    doc, painting, pasted = scene()
    canvas = Canvas()
    steps = canvas.export(scenes.source(canvas, doc, pasted), SMALL)
    next(steps)
    expected = noise(WIDTH, HEIGHT)
    painting.setPixelData(flat(WIDTH, HEIGHT, 0, 0, 0), 0, 0, WIDTH, HEIGHT)
    doc.refreshProjection()
    got = scenes.finish(steps)
    first = 4 * (got.origin.window.top * WIDTH + got.origin.window.left)
    assert bytes(got.painting.data[:40]) == expected[first : first + 40]


def case_difference_is_zero_only_for_equals():
    assert difference(b"\1\2", b"\1\5") == 3 and difference(b"\1", b"\1") == 0
