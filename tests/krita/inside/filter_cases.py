"""Paintings with filters that see far, or go by the corner of the picture they are in."""

import scenes
from krita import Krita, Selection
from scenes import add_layer, export, noise

from plugin.painterly.canvas import Canvas, documents, flattening, reading
from plugin.painterly.job import WAITING, ExportWish
from plugin.painterly.protocol.geometry import Box

WIDTH, HEIGHT = 300, 400
CANVAS = Box(0, 0, WIDTH, HEIGHT)
WHOLE = ExportWish(resolution=512)


def _filter(name):
    used = Krita.instance().filter(name)
    settings = used.configuration()
    for size in ("horizRadius", "vertRadius"):
        if name == "gaussian blur":
            settings.setProperty(size, 100)
    used.setConfiguration(settings)
    return used


def _filtered(name, change=lambda layer: None, whole=True):
    """(document, object layer) of a painting, a filter layer and an object above it."""
    doc = scenes.document(width=WIDTH, height=HEIGHT)
    doc.topLevelNodes()[0].setPixelData(noise(WIDTH, HEIGHT), 0, 0, WIDTH, HEIGHT)
    selection = Selection()
    selection.select(*((0, 0, WIDTH, HEIGHT, 255) if whole else (50, 50, 200, 300, 120)))
    layer = doc.createFilterLayer("filter", _filter(name), selection)
    doc.rootNode().addChildNode(layer, None)
    change(layer)
    return doc, add_layer(doc, "object", noise(40, 30, seed=2), 100, 180, 40, 30)


def _is_exported_as_seen(doc, pasted, wish=WHOLE, hidden=()):
    """Read in ten strips, where none of the hidden layers is seen."""
    doc.refreshProjection()
    doc.waitForDone()
    reading.STRIP_PIXELS, kept = 40 * WIDTH, reading.STRIP_PIXELS
    try:
        got = export(doc, pasted, wish)
    finally:
        reading.STRIP_PIXELS = kept
    assert got.origin.window == CANVAS
    for node in (pasted, *hidden):
        node.setVisible(False)
    assert bytes(got.painting.data) == scenes.seen(doc, CANVAS)
    return got


def case_a_filter_layer_beneath_shows_no_edges_of_strips():
    for name in ("gaussian blur", "halftone", "wave", "pixelize", "invert"):
        _is_exported_as_seen(*_filtered(name))


def case_whatever_its_opacity_mode_and_selection():
    changes = (lambda layer: layer.setOpacity(99), lambda layer: layer.setBlendingMode("multiply"))
    for change in (*changes, lambda layer: None):
        for whole in (True, False):
            _is_exported_as_seen(*_filtered("halftone", change, whole))


def case_of_several_each_is_as_it_was():
    doc, pasted = _filtered("halftone")
    selection = Selection()
    selection.select(0, 0, WIDTH, HEIGHT, 200)
    upper = doc.createFilterLayer("upper", _filter("wave"), selection)
    doc.rootNode().addChildNode(upper, doc.nodeByName("filter"))
    _is_exported_as_seen(doc, pasted)


def case_a_filter_mask_beneath_shows_none_either():
    for name in ("gaussian blur", "halftone"):
        doc, pasted = _filtered("invert")
        doc.nodeByName("filter").remove()
        painting = doc.topLevelNodes()[0]
        painting.addChildNode(doc.createFilterMask("mask", _filter(name), painting), None)
        _is_exported_as_seen(doc, pasted)


def case_a_filter_above_what_is_left_out_is_rendered_without_it():
    doc, pasted = _filtered("sharpen")
    other = add_layer(doc, "other", noise(60, 60, seed=3), 20, 20, 60, 60)
    other.remove()
    doc.rootNode().addChildNode(other, doc.topLevelNodes()[0])
    wish = ExportWish(512, without=(documents.node_id(other),))
    _is_exported_as_seen(doc, pasted, wish, [other])


def case_a_filter_above_the_object_or_around_it_is_rendered_as_before():
    doc, pasted = _filtered("sharpen")
    pasted.remove()
    doc.rootNode().addChildNode(pasted, doc.topLevelNodes()[0])
    _is_exported_as_seen(doc, pasted, hidden=[doc.nodeByName("filter")])
    doc, pasted = _filtered("sharpen")
    pasted.remove()
    group = doc.createGroupLayer("group")
    doc.rootNode().addChildNode(group, None)
    group.addChildNode(pasted, None)
    group.addChildNode(doc.createFilterMask("mask", _filter("sharpen"), group), None)
    _is_exported_as_seen(doc, pasted)


def case_in_a_group_that_is_passed_through_too():
    doc, pasted = _filtered("halftone")
    layer, group = doc.nodeByName("filter"), doc.createGroupLayer("group")
    layer.remove()
    doc.rootNode().addChildNode(group, doc.topLevelNodes()[0])
    group.setPassThroughMode(True)
    group.addChildNode(layer, None)
    _is_exported_as_seen(doc, pasted)


def case_in_other_colours_too():
    for model, depth in (("CMYKA", "U8"), ("RGBA", "F32"), ("LABA", "U16")):
        doc = scenes.document(model, depth, "", WIDTH, HEIGHT)
        painting, selection = doc.topLevelNodes()[0], Selection()
        size = len(bytes(painting.pixelData(0, 0, 1, 1)))
        painting.setPixelData(b"\x3f" * (size * WIDTH * HEIGHT // 2), 0, 0, WIDTH, HEIGHT // 2)
        selection.select(0, 0, WIDTH, HEIGHT, 255)
        doc.rootNode().addChildNode(
            doc.createFilterLayer("filter", _filter("gaussian blur"), selection), None
        )
        before, copy = scenes.seen(doc, CANVAS), doc.clone()
        assert len(flattening.targets(copy.rootNode(), ())) == 1
        scenes.finish(flattening.flatten(copy, ()))
        assert [node.type() for node in copy.topLevelNodes()] == ["paintlayer", "paintlayer"]
        assert scenes.seen(copy, CANVAS) == before, model
        copy.close()


def case_a_filter_of_each_pixel_alone_stays_a_filter():
    for name in ("invert", "levels"):
        assert flattening.targets(_filtered(name)[0].rootNode(), ()) == []


def case_what_is_just_being_rendered_is_waited_for_but_not_for_ever():
    doc, pasted = _filtered("halftone")
    doc.refreshProjection()
    canvas = Canvas()
    layer = scenes.source(canvas, doc, pasted)
    is_at_rest, seconds = documents.is_at_rest, flattening.SETTLE_SECONDS
    for end in ("rendered", "late"):
        steps = canvas.export(layer, WHOLE)
        documents.is_at_rest = lambda document: document != doc
        try:
            assert [next(steps) for _ in range(3)] == [WAITING] * 3
            if end == "late":
                flattening.SETTLE_SECONDS = 0
                scenes.finish(canvas.export(layer, WHOLE))
        finally:
            documents.is_at_rest, flattening.SETTLE_SECONDS = is_at_rest, seconds
        if end == "rendered":
            assert scenes.finish(steps).origin.window == CANVAS
    doc.setModified(False)
    doc.close()
    assert "was closed" in scenes.problem_of(lambda: scenes.finish(steps))


def case_a_hidden_filter_does_nothing_and_the_document_is_left_as_it_was():
    doc, pasted = _filtered("halftone", lambda layer: layer.setVisible(False))
    doc.setModified(False)
    before = scenes.seen(doc, CANVAS)
    got = export(doc, pasted, WHOLE)
    assert bytes(got.painting.data) == noise(WIDTH, HEIGHT)
    assert not doc.modified() and scenes.seen(doc, CANVAS) == before
    assert [node.type() for node in doc.topLevelNodes()] == ["paintlayer", "filterlayer", "paintlayer"]
