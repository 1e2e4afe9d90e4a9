"""What becomes of a result whose layer was repainted while it was computed."""

from scenes import SMALL, add_layer, export, finish, flat, noise, scene, select

from plugin.painterly.canvas import Canvas, documents, look, placing
from plugin.painterly.job import ABOVE, ADDED, REPLACE, DocumentClosed
from plugin.painterly.protocol.geometry import Box

CHANGED = "“object” was changed meanwhile: its result shows it as it was. Harmonize again to paint it anew."
MOVED = "“object” was moved: its result moved along."
BEYOND = "“object” reaches beyond the canvas, where nothing is painted: it was hidden instead of removed."
PART = "Only the selection of “object” was painted; the rest is in the hidden original."
OBJECT = noise(40, 30, seed=2)


def _landed(doc, node, change, mode=ABOVE):
    """(note, result layer) of a result that is the layer itself as it was exported, before `change()`."""
    canvas = Canvas()
    got = export(doc, node, SMALL, canvas)
    change()
    landing = finish(canvas.place(got.origin, got.layer, "result", mode))
    return landing.note, documents.find_node(doc, landing.node)


def _mirror(layer):
    """From left to right, the object of `scene`."""
    rows = [OBJECT[160 * y : 160 * (y + 1)] for y in range(30)]
    mirrored = b"".join(row[x : x + 4] for row in rows for x in range(156, -1, -4))
    layer.setPixelData(mirrored, 100, 80, 40, 30)


def case_what_reaches_beyond_the_canvas_is_hidden_not_removed():
    doc, _, pasted = scene()
    pasted.setPixelData(noise(30, 30, seed=4), -10, 80, 30, 30)
    note, result = _landed(doc, pasted, lambda: None, REPLACE)
    assert note == BEYOND
    assert result.visible() and not pasted.visible() and pasted.bounds().x() == -10


def case_in_a_cropped_picture_the_result_moves_along():
    for mode in (ABOVE, REPLACE):
        doc, _, pasted = scene()
        note, result = _landed(doc, pasted, lambda doc=doc: doc.resizeImage(10, 20, 250, 150), mode)
        assert note == MOVED and documents.box_of(result.bounds()) == Box(90, 60, 130, 90)
        assert bytes(result.pixelData(90, 60, 40, 30)) == OBJECT
        names = [node.name() for node in doc.topLevelNodes()]
        assert names == ["Background", *(["object"] if mode == ABOVE else []), "result", "above"]


def case_a_group_with_hidden_layers_is_hidden_not_removed():
    doc, _, _ = scene()
    group, _, small = _group(doc)
    small.setVisible(False)
    doc.refreshProjection()
    note, result = _landed(doc, group, lambda: None, REPLACE)
    assert result.visible() and not group.visible()
    assert note == "“object” has hidden layers or masks in it: it was hidden instead of removed."


def case_a_mirrored_layer_stays_visible_beneath_the_result_that_shows_it_as_it_was():
    for mode in (ABOVE, REPLACE):
        doc, _, pasted = scene()
        note, result = _landed(doc, pasted, lambda layer=pasted: _mirror(layer), mode)
        assert note == CHANGED and pasted.visible() and result.visible()
        names = [node.name() for node in doc.topLevelNodes()]
        assert names == ["Background", "object", "result", "above"]
        assert bytes(result.pixelData(100, 80, 40, 30)) == OBJECT


def case_harmonized_again_a_changed_layer_and_its_older_result_are_hidden():
    doc, _, pasted = scene()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    _mirror(pasted)
    finish(canvas.place(got.origin, got.layer, "first", ABOVE))
    got = export(doc, pasted, SMALL, canvas)
    assert finish(canvas.place(got.origin, got.layer, "second", ABOVE)).note == ""
    assert [(node.name(), node.visible()) for node in doc.topLevelNodes()[1:4]] == [
        ("object", False), ("first", False), ("second", True),
    ]  # fmt: skip


def case_one_pixel_is_enough_in_any_piece():
    kept, look.PIECE_PIXELS = look.PIECE_PIXELS, 100
    try:
        for x, y in ((100, 80), (139, 109)):
            doc, _, pasted = scene()
            note, _ = _landed(doc, pasted, lambda: pasted.setPixelData(flat(1, 1, 7, 7, 7), x, y, 1, 1))
            assert note == CHANGED
    finally:
        look.PIECE_PIXELS = kept


def case_another_opacity_or_mode_of_the_layer_is_noticed():
    changes = (lambda layer: layer.setOpacity(99), lambda layer: layer.setBlendingMode("multiply"))
    for mode in (ABOVE, REPLACE):
        for number, change in enumerate(changes):
            doc, _, pasted = scene()
            note, result = _landed(doc, pasted, lambda change=change, layer=pasted: change(layer), mode)
            assert note == CHANGED and pasted.visible() and result.visible(), number


def case_what_was_painted_and_taken_back_is_no_change():
    doc, _, pasted = scene()

    def change():
        pasted.setPixelData(flat(40, 30, 7, 7, 7), 100, 80, 40, 30)
        pasted.setPixelData(OBJECT, 100, 80, 40, 30)

    assert _landed(doc, pasted, change)[0] == "" and not pasted.visible()


def case_a_change_of_a_moved_layer_is_noticed_and_the_result_is_where_it_was():
    doc, _, pasted = scene()

    def change():
        _mirror(pasted)
        pasted.move(30, -10)

    note, result = _landed(doc, pasted, change)
    assert note == CHANGED and documents.box_of(result.bounds()) == Box(100, 80, 140, 110)


def case_moved_partly_off_the_canvas_it_is_the_same():
    doc, _, pasted = scene()
    note, result = _landed(doc, pasted, lambda: pasted.move(-120, -90))
    assert note == MOVED and documents.box_of(result.bounds()) == Box(-20, -10, 20, 20)


def case_only_what_was_painted_of_a_layer_counts():
    for x, wanted in ((130, PART), (112, CHANGED)):
        doc, _, pasted = scene()
        select(doc, 110, 85, 10, 10)
        note, _ = _landed(doc, pasted, lambda: pasted.setPixelData(flat(5, 5, 7, 7, 7), x, 87, 5, 5))
        assert note == wanted


def case_painting_on_beside_the_selection_of_a_flattened_picture_is_no_change():
    doc, painting, _ = scene()
    for node in doc.topLevelNodes()[1:]:
        node.remove()
    select(doc, 110, 85, 10, 10)
    note, _ = _landed(doc, painting, lambda: painting.setPixelData(flat(9, 9, 7, 7, 7), 20, 20, 9, 9))
    assert note == "" and painting.visible()


def _group(doc):
    """A group "object": a layer "small" on a larger one."""
    group = doc.createGroupLayer("object")
    doc.rootNode().addChildNode(group, None)
    large = add_layer(doc, "large", noise(40, 30, seed=5), 20, 20, 40, 30, group)
    small = add_layer(doc, "small", noise(10, 10, seed=6), 30, 30, 10, 10, group)
    doc.refreshProjection()
    return group, large, small


def case_a_change_of_any_layer_in_a_group_is_noticed():
    changes = (
        lambda large, small: large.setPixelData(flat(1, 1, 7, 7, 7), 20, 20, 1, 1),
        lambda large, small: small.setPixelData(flat(1, 1, 7, 7, 7), 30, 30, 1, 1),
        lambda large, small: small.move(1, 0),
        lambda large, small: small.setVisible(False),
        lambda large, small: small.setOpacity(99),
        lambda large, small: small.setBlendingMode("multiply"),
    )
    for number, change in enumerate(changes):
        doc, _, _ = scene()
        group, *layers = _group(doc)
        note, _ = _landed(doc, group, lambda: (change(*layers), doc.refreshProjection()))
        assert note == CHANGED and group.visible(), number


def case_a_group_is_the_same_hidden_or_moved():
    doc, _, _ = scene()
    group, *layers = _group(doc)
    assert _landed(doc, group, lambda: group.setVisible(False))[0] == ""
    doc, _, _ = scene()
    group, *layers = _group(doc)
    note, result = _landed(
        doc, group, lambda: ([layer.move(50, 9) for layer in layers], doc.refreshProjection())
    )
    assert note == MOVED and documents.box_of(result.bounds()) == Box(70, 29, 110, 59)


def case_what_is_added_to_a_group_beside_what_is_painted_is_no_change():
    doc, _, _ = scene()
    group, *_ = _group(doc)
    select(doc, 20, 20, 20, 20)
    note, _ = _landed(
        doc,
        group,
        lambda: (
            group.addChildNode(doc.createNode("empty", "paintlayer"), None),
            add_layer(doc, "beside", flat(9, 9, 7, 7, 7), 45, 40, 9, 9, group),
            doc.refreshProjection(),
        ),
    )
    assert note == PART


def case_a_change_of_what_a_clone_shows_is_noticed():
    for data, wanted in ((None, ""), (flat(1, 1, 7, 7, 7), CHANGED)):
        doc, _, pasted = scene()
        clone = doc.createCloneLayer("object", pasted)
        doc.rootNode().addChildNode(clone, None)
        doc.refreshProjection()

        def change():
            if data:
                pasted.setPixelData(data, 110, 90, 1, 1)
            doc.refreshProjection()

        assert _landed(doc, clone, change)[0] == wanted


def case_variants_of_a_changed_layer_are_told_too():
    doc, _, pasted = scene()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    _mirror(pasted)
    landing = finish(canvas.place_group(got.origin, [("style 1", got.layer)], "variants"))
    assert landing.note == CHANGED and pasted.visible()


def case_a_document_closed_while_its_layer_is_looked_at():
    doc, _, pasted = scene()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    kept, look.PIECE_PIXELS = look.PIECE_PIXELS, 100
    try:
        steps = canvas.place(got.origin, got.layer, "result", ABOVE)
        for _ in range(5):
            next(steps)
        assert len(doc.topLevelNodes()) == 3
        doc.setModified(False)
        doc.close()
        next(steps)  # not one more pixel of it is read
    except DocumentClosed:
        pass
    else:
        raise AssertionError("it was placed")
    finally:
        look.PIECE_PIXELS = kept


def _landed_at_each_step(change, mode):
    """(doc, note, result, object) of results whose layer was changed at their first step, second, ... until it is there.

    As by a stroke, which goes on for a moment.
    """
    at_work = []
    kept = look.PIECE_PIXELS, placing.STRIP_PIXELS, placing._is_drawing
    look.PIECE_PIXELS = placing.STRIP_PIXELS = 160
    placing._is_drawing = lambda _: bool(at_work) and at_work.pop()
    try:
        for step in range(1000):
            doc, _, pasted = scene()
            canvas = Canvas()
            got = export(doc, pasted, SMALL, canvas)
            steps = canvas.place(got.origin, got.layer, "result", mode)
            if ADDED in [next(steps) for _ in range(step)]:
                assert step > 9
                return
            change(pasted)
            at_work.append(True)
            landing = finish(steps)
            yield doc, landing.note, documents.find_node(doc, landing.node), pasted
            doc.setModified(False)
            doc.close()
    finally:
        look.PIECE_PIXELS, placing.STRIP_PIXELS, placing._is_drawing = kept


def case_a_layer_painted_on_while_its_result_is_filled_in_stays_visible():
    for mode in (ABOVE, REPLACE):
        for doc, note, result, pasted in _landed_at_each_step(_mirror, mode):
            assert note == CHANGED and pasted.visible() and result.visible()
            assert [node.name() for node in doc.topLevelNodes()[1:3]] == ["object", "result"]


def case_a_layer_moved_while_its_result_is_filled_in_takes_it_along():
    for _, note, result, pasted in _landed_at_each_step(lambda layer: layer.move(30, -10), ABOVE):
        assert note == MOVED and not pasted.visible()
        assert documents.box_of(result.bounds()) == Box(130, 70, 170, 100)
