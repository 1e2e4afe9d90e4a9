"""What Krita does that one would not expect and that the plugin relies on.

The same cases are run against tests/fakes/krita.py, so that the fake is as odd as the real one.
"""

import os
import tempfile

import scenes
from krita import Krita, Selection
from scenes import HEIGHT, WIDTH, add_layer, flat, noise, scene, select_locally

from plugin.painterly import qt
from plugin.painterly.protocol.geometry import Box


def _rect(rect):
    return (rect.x(), rect.y(), rect.width(), rect.height())


def _names(parent):
    return [node.name() for node in parent.childNodes()]


def case_integer_pixels_are_blue_first():
    doc, _, _ = scene()
    red = add_layer(doc, "red", flat(1, 1, 0, 0, 255), 5, 5, 1, 1)
    assert bytes(red.pixelData(5, 5, 1, 1)) == b"\0\0\xff\xff"
    deep = scenes.document("RGBA", "U16")
    deep.topLevelNodes()[0].setPixelData(b"\1\0\2\0\3\0\xff\xff", 0, 0, 1, 1)
    assert bytes(deep.topLevelNodes()[0].pixelData(0, 0, 1, 1)) == b"\1\0\2\0\3\0\xff\xff"


def case_what_a_short_buffer_writes_is_nothing_and_nothing_is_said():
    doc, painting, _ = scene()
    painting.setPixelData(b"\0" * 10, 0, 0, 10, 10)
    assert bytes(painting.pixelData(0, 0, WIDTH, HEIGHT)) == noise(WIDTH, HEIGHT)


def case_memoryviews_are_refused_by_krita_5_bytearrays_are_not():
    doc, painting, _ = scene()
    try:
        painting.setPixelData(memoryview(flat(1, 1, 8, 8, 8)), 0, 0, 1, 1)
    except TypeError:
        assert qt.MAJOR == 5
    else:
        assert qt.MAJOR == 6
    painting.setPixelData(bytearray(flat(1, 1, 7, 7, 7)), 0, 0, 1, 1)
    assert bytes(painting.pixelData(0, 0, 1, 1)) == flat(1, 1, 7, 7, 7)


def case_a_lock_does_not_keep_pixels_from_being_written():
    doc, painting, _ = scene()
    painting.setLocked(True)
    painting.setPixelData(flat(1, 1, 7, 7, 7), 0, 0, 1, 1)
    assert bytes(painting.pixelData(0, 0, 1, 1)) == flat(1, 1, 7, 7, 7)


def case_pixels_written_are_not_shown_before_a_refresh():
    doc, painting, _ = scene()
    before = _shown(doc, Box(0, 0, 20, 20))
    painting.setPixelData(flat(20, 20, 7, 7, 7), 0, 0, 20, 20)
    assert _shown(doc, Box(0, 0, 20, 20)) == before
    doc.refreshProjection()
    assert _shown(doc, Box(0, 0, 20, 20)) == flat(20, 20, 7, 7, 7)


def _shown(doc, box):
    doc.waitForDone()
    image = doc.projection(box.left, box.top, box.width, box.height)
    return image.constBits().asstring(4 * box.width * box.height)


def case_bounds_are_tight_and_know_no_canvas():
    doc, _, _ = scene()
    data = bytearray(flat(6, 4, 1, 2, 3, 0))
    data[4 * (6 + 1) + 3] = 255  # the pixel (1, 1)
    data[4 * (2 * 6 + 3) + 3] = 1  # and (3, 2)
    assert _rect(add_layer(doc, "far", bytes(data), -20, -30, 6, 4).bounds()) == (-19, -29, 3, 2)
    empty = doc.createNode("empty", "paintlayer")
    assert empty.bounds().width() == 0 and empty.bounds().height() == 0


def case_outside_of_a_layer_pixels_are_transparent():
    doc, _, pasted = scene()
    data = bytes(pasted.pixelData(90, 70, 20, 20))
    assert data[:40] == b"\0" * 40
    assert data[4 * (10 * 20 + 10) :][:40] == noise(40, 30, seed=2)[:40]


def case_a_group_has_no_pixels_but_a_projection():
    doc, _, _ = scene()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    add_layer(doc, "inside", flat(2, 2, 1, 2, 3), 10, 10, 2, 2, group)
    doc.refreshProjection()
    assert not any(bytes(group.pixelData(10, 10, 2, 2)))
    assert bytes(group.projectionPixelData(10, 10, 2, 2)) == flat(2, 2, 1, 2, 3)
    assert _rect(group.bounds()) == (10, 10, 2, 2)


def case_a_projection_is_without_the_nodes_own_opacity():
    doc, _, pasted = scene()
    pasted.setOpacity(10)
    doc.refreshProjection()
    assert bytes(pasted.projectionPixelData(100, 80, 40, 30)) == noise(40, 30, seed=2)


def case_every_call_makes_new_wrappers_that_are_equal():
    doc, painting, pasted = scene()
    assert doc.topLevelNodes()[1] is not pasted and doc.topLevelNodes()[1] == pasted
    assert pasted != painting
    assert Krita.instance().documents()[0] is not doc and Krita.instance().documents()[0] == doc


def case_ids_survive_cloning_a_document_but_not_duplicating_a_layer():
    doc, _, pasted = scene()
    copy = doc.clone()
    ids = [node.uniqueId().toString() for node in doc.topLevelNodes()]
    assert [node.uniqueId().toString() for node in copy.topLevelNodes()] == ids
    assert copy != doc and len(Krita.instance().documents()) == 1
    copy.close()
    assert pasted.duplicate().uniqueId() != pasted.uniqueId()


def case_a_clone_is_a_picture_of_its_own():
    doc, painting, _ = scene()
    copy = doc.clone()
    copy.topLevelNodes()[0].setVisible(False)
    painting.setPixelData(flat(1, 1, 7, 7, 7), 0, 0, 1, 1)
    assert painting.visible() and bytes(copy.topLevelNodes()[0].pixelData(0, 0, 1, 1)) == noise(1, 1)[:4]
    copy.close()


def case_resizing_moves_layers_so_that_the_corner_is_the_origin():
    doc, _, pasted = scene()
    copy = doc.clone()
    copy.resizeImage(90, 70, 60, 50)
    assert (copy.width(), copy.height()) == (60, 50)
    assert _rect(copy.topLevelNodes()[1].bounds()) == (10, 10, 40, 30)
    copy.close()


def case_no_selection_is_none_an_empty_one_has_no_size():
    doc, _, _ = scene()
    assert doc.selection() is None
    doc.setSelection(Selection())
    chosen = doc.selection()
    assert chosen is None or (chosen.width(), chosen.height()) == (0, 0)


def case_a_selection_is_live_and_a_duplicate_is_not():
    doc, _, _ = scene()
    selection = Selection()
    selection.select(-5, -5, 20, 20, 200)
    doc.setSelection(selection)
    live = doc.selection()
    kept = live.duplicate()
    assert (live.x(), live.y(), live.width(), live.height()) == (-5, -5, 20, 20)
    assert bytes(live.pixelData(13, 0, 4, 1)) == b"\xc8\xc8\0\0"
    other = Selection()
    other.select(50, 50, 3, 3, 255)
    doc.setSelection(other)
    assert doc.selection().x() == 50 and kept.x() == -5


def case_a_selection_mask_of_a_layer_is_not_the_documents_selection():
    doc, _, pasted = scene()
    select_locally(doc, pasted, 200)
    assert doc.selection() is None
    copy = doc.clone()
    for node in (pasted.childNodes()[0], copy.topLevelNodes()[1].childNodes()[0]):
        local = node.selection()
        assert node.type() == "selectionmask" and node.visible()
        assert (local.x(), local.y(), local.width(), local.height()) == (110, 85, 10, 10)
        assert bytes(local.pixelData(109, 85, 2, 1)) == b"\0\xc8"
    copy.close()


def case_the_selection_is_among_the_nodes():
    doc, _, _ = scene()
    selection = Selection()
    selection.select(1, 1, 2, 2, 255)
    doc.setSelection(selection)
    types = [node.type() for node in doc.rootNode().childNodes()]
    assert types.count("paintlayer") == 3 and set(types) - {"paintlayer"} <= {"selectionmask"}


def case_guides_are_a_node_without_a_type():
    doc, _, _ = scene()
    doc.setHorizontalGuides([20.0])
    doc.setGuidesVisible(True)
    doc.waitForDone()
    types = [node.type() for node in doc.rootNode().childNodes()]
    assert types == ["paintlayer"] * 3 + [""]


def case_no_layer_above_means_on_top_and_above_means_just_above():
    doc, painting, _ = scene()
    for name, above in (("top", None), ("low", painting)):
        doc.rootNode().addChildNode(doc.createNode(name, "paintlayer"), above)
    assert _names(doc.rootNode()) == ["Background", "low", "object", "above", "top"]


def case_adding_shows_only_where_the_added_layer_is():
    doc, _, pasted = scene()
    doc.topLevelNodes()[-1].remove()
    doc.refreshProjection()
    pasted.setVisible(False)
    add_layer(doc, "new", flat(5, 5, 9, 9, 9), 100, 80, 5, 5)
    assert _shown(doc, Box(100, 80, 105, 85)) == flat(5, 5, 9, 9, 9)
    doc.refreshProjection()
    assert _shown(doc, Box(139, 109, 140, 110)) == noise(WIDTH, HEIGHT)[4 * (109 * WIDTH + 139) :][:4]


def case_a_removed_layer_has_no_parent_and_can_be_added_again():
    doc, _, pasted = scene()
    pasted.remove()
    assert pasted.parentNode() is None and _names(doc.rootNode()) == ["Background", "above"]
    doc.rootNode().addChildNode(pasted, None)
    assert _names(doc.rootNode()) == ["Background", "above", "object"]


def case_a_picture_at_rest_can_be_locked_and_let_go_again_and_again():
    doc, _, _ = scene()
    doc.waitForDone()
    for _ in range(3):
        assert doc.tryBarrierLock()
        doc.unlock()


def case_the_root_is_a_node_without_a_parent():
    doc, _, pasted = scene()
    assert pasted.parentNode() == doc.rootNode() and doc.rootNode().parentNode() is None


def case_ids_and_annotations_are_saved_and_loaded():
    doc, _, _ = scene()
    doc.waitForDone()
    assert doc.annotationTypes() == []
    doc.setModified(False)
    for data in (b"older", b"\0 \xff"):
        doc.setAnnotation("a_kind", "what it is", data)
    assert doc.modified() and doc.annotationTypes() == ["a_kind"]
    ids = [node.uniqueId().toString() for node in doc.topLevelNodes()]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "picture.kra")
        assert doc.saveAs(path)
        again = Krita.instance().openDocument(path)
    assert again != doc and again.annotationTypes() == ["a_kind"]
    assert bytes(again.annotation("a_kind")) == b"\0 \xff"
    assert [node.uniqueId().toString() for node in again.topLevelNodes()] == ids
