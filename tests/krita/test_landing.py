"""A result arrives while the artist goes on, or once more, in the Krita program."""

import time

from .program import SHOWN, finished, layers, running, step

CANVAS = """
canvas = [w for w in main_window().findChildren(QtWidgets.QWidget) if "Canvas" in w.metaObject().className()
          and w.metaObject().className() in ("KisQPainterCanvas", "KisOpenGLCanvas2") and w.isVisible()][0]
corner = canvas.mapToGlobal(canvas.rect().center())
result = [corner.x(), corner.y()]
"""
ACTIVE = "doc.activeNode().name()"


def activate(krita, node):
    krita.run("doc.setActiveNode({})".format(node))
    krita.wait_for("doc.activeNode() == {}".format(node), 10)


def harmonized(krita):
    count = krita.value("len(session.history)")
    krita.run("K.action('painterly_harmonize').trigger()")
    krita.wait_for("len(session.history) > {} and not session.busy".format(count))


def test_a_stroke_is_finished_before_the_result_is_added(start):
    krita = start()
    krita.run("behave(0, 10, 50)\nsketch = add('sketch', 0, 0, 1, 1)")
    krita.run("K.action('KritaShape/KisToolBrush').trigger()")
    activate(krita, "pasted")
    x, y = krita.run(CANVAS)
    krita.run("K.action('painterly_harmonize').trigger()")
    running(krita)
    activate(krita, "sketch")
    krita.xdotool("mousemove", str(x - 60), str(y), "mousedown", "1")
    for right in range(-60, 1, 20):
        krita.xdotool("mousemove", str(x + right), str(y))
        time.sleep(0.1)
    krita.wait_for("session.current.current.state == 'placing'", 60)
    for right in range(0, 61, 20):
        krita.xdotool("mousemove", str(x + right), str(y))
        time.sleep(0.1)
    assert krita.value("len(layers())") == 3
    krita.xdotool("mouseup", "1")
    finished(krita)
    assert [name for name, _ in layers(krita)] == ["Background", "object", "object (harmonized)", "sketch"]
    assert krita.value(ACTIVE) == "sketch"
    # The whole stroke is on the layer where it was begun.
    assert krita.value("sketch.bounds().width()") > 110 and krita.value("len(session.history)") == 1


def transforming_meanwhile(krita):
    """A result is ready while another layer, `sketch`, is being transformed."""
    krita.run("behave(0, 10, 50)\nsketch = add('sketch', 0, 0)")
    activate(krita, "pasted")
    krita.run("K.action('painterly_harmonize').trigger()")
    running(krita)
    activate(krita, "sketch")
    krita.run("K.action('KisToolTransform').trigger()")
    krita.wait_for("session.current.current.state == 'placing'", 60)


def test_a_transformation_under_way_is_not_broken_off(start):
    """To Krita it is a stroke without a button down, as a pen's is."""
    krita = start()
    transforming_meanwhile(krita)
    time.sleep(0.5)
    assert krita.value("len(layers())") == 3 and krita.value("session.busy")
    krita.run("K.action('KritaShape/KisToolBrush').trigger()")
    finished(krita)
    assert krita.value("len(layers())") == 4 and krita.value(ACTIVE) == "sketch"


def test_that_a_result_waits_for_a_tool_is_told_and_it_can_be_cancelled(start):
    krita = start()
    krita.run("import painterly.canvas.placing as placing")
    transforming_meanwhile(krita)
    krita.wait_for("panel().headline.toPlainText() == 'Ready, waits for your tool'", 20)
    assert "“object” is ready" in krita.value("session.message")
    krita.click("panel().cancel")
    krita.wait_for("not session.busy", 5)
    assert "is in the history" in krita.value("session.message")
    assert krita.value("placing._is_drawing(doc)"), "the tool was broken off"
    krita.run("K.action('KritaShape/KisToolBrush').trigger()")
    krita.wait_for("not placing._is_drawing(doc)", 20)
    time.sleep(0.5)
    assert layers(krita)[1:] == [["object", True], ["sketch", True]]
    krita.run("panel().history.list.setCurrentRow(0)\npanel().history.again.click()")
    finished(krita)
    assert layers(krita)[1:] == [["object", False], ["object (harmonized)", True], ["sketch", True]]
    step(krita, "edit_undo")
    krita.wait_for("layers()[1:] == [['object', True], ['sketch', True]]", 20)


def test_the_result_of_the_active_layer_becomes_active_of_another_not(start):
    krita = start()
    krita.run("behave(0, 10, 50)\nbackground = doc.nodeByName('Background')")
    krita.run("K.action('painterly_harmonize').trigger()")
    running(krita)
    activate(krita, "background")
    finished(krita)
    time.sleep(0.3)
    assert krita.value(ACTIVE) == "Background"
    krita.run("pasted.setVisible(True)")
    activate(krita, "pasted")
    harmonized(krita)
    time.sleep(0.3)
    assert krita.value(ACTIVE + ", documents.node_id(doc.activeNode()) == session.history[1].landing.node") == [
        "object (harmonized)", True,
    ]  # fmt: skip


def test_harmonizing_the_result_paints_its_original_again_in_one_step(start):
    krita = start()
    krita.run("behave()")
    pictures = [krita.value(SHOWN)]
    for count in range(3):
        if count:  # the fake backend gives back what it was given
            krita.run("halve_results()")
        harmonized(krita)
        shown = [["object (harmonized)", False]] * count + [["object (harmonized)", True]]
        krita.wait_for("layers() == {!r}".format([["Background", True], ["object", False]] + shown), 10)
        assert krita.value("[entry.source.name for entry in session.history]") == ["object"] * (count + 1)
        pictures.append(krita.value(SHOWN))
    assert len(set(pictures)) == 3  # of an opaque noise the first result looks as the layer itself
    for count in (2, 1, 0):
        step(krita, "edit_undo")
        krita.wait_for("len(layers()) == {} and {} == {!r}".format(count + 2, SHOWN, pictures[count]), 20)
    for count in (1, 2, 3):
        step(krita, "edit_redo")
        krita.wait_for("len(layers()) == {} and {} == {!r}".format(count + 2, SHOWN, pictures[count]), 20)


def test_replacing_a_hidden_original_is_undone_in_one_step_with_the_older_result(start):
    krita = start()
    krita.run("behave()")
    harmonized(krita)
    before, shown = layers(krita), krita.value(SHOWN)
    krita.run("halve_results()\nsession.settings.result = 'replace'")
    harmonized(krita)
    after = [["Background", True], ["object (harmonized)", False], ["object", True]]
    assert layers(krita) == after
    for _ in range(2):
        step(krita, "edit_undo")
        krita.wait_for("layers() == {!r} and {} == {!r}".format(before, SHOWN, shown), 20)
        step(krita, "edit_redo")
        krita.wait_for("layers() == {!r}".format(after), 20)


def test_two_undone_at_once_come_back_one_by_one(start):
    krita = start()
    krita.run("behave()")
    for _ in range(2):
        harmonized(krita)
    krita.run("doc.waitForDone()\nK.action('edit_undo').trigger()\ndoc.waitForDone()\n"
              "K.action('edit_undo').trigger()")  # fmt: skip
    krita.wait_for("layers() == [['Background', True], ['object', True]]", 10)
    step(krita, "edit_redo")
    krita.wait_for("layers()[1:] == [['object', False], ['object (harmonized)', True]]", 10)


def test_undoing_what_was_added_again_leaves_a_hidden_original_hidden(start):
    krita = start()
    krita.run("behave()")
    harmonized(krita)
    krita.run("doc.nodeByName('object (harmonized)').setVisible(False)\ndoc.refreshProjection()")
    krita.run("session.place_again(session.history[0])")
    krita.wait_for("len(session.history) == 2 and not session.busy")
    hidden = [["object", False], ["object (harmonized)", False]]
    assert layers(krita)[1:] == hidden + [["object (harmonized)", True]]
    step(krita, "edit_undo")
    krita.wait_for("len(layers()) == 3", 10)
    time.sleep(0.7)
    assert layers(krita)[1:] == hidden


def test_a_locked_layer_is_hidden_with_a_note_instead_of_replaced(start):
    krita = start()
    krita.run("behave()\npasted.setLocked(True)\nsession.settings.result = 'replace'")
    harmonized(krita)
    assert layers(krita)[1:] == [["object", False], ["object", True]]
    assert krita.value("session.message") == "“object” is locked: it was hidden instead of removed."
    step(krita, "edit_undo")
    krita.wait_for("layers()[1:] == [['object', True]]", 10)


def test_an_image_scaled_meanwhile_keeps_its_original(start):
    krita = start()
    krita.run("behave(0, 10, 50)\nK.action('painterly_harmonize').trigger()")
    running(krita)
    krita.run("doc.scaleImage(200, 150, 72, 72, 'Bicubic')")
    finished(krita)
    assert layers(krita)[1:] == [["object", True], ["object (harmonized)", True]]
    assert krita.value("session.message") == ("“object” was changed meanwhile: its result is where it was.")


CHANGED = "“object” was changed meanwhile: its result shows it as it was. Harmonize again to paint it anew."
BOTH = [["object", True], ["object (harmonized)", True]]


def test_a_layer_mirrored_meanwhile_stays_visible_and_is_painted_anew_when_asked(start):
    krita = start()
    krita.run("behave(0, 10, 50)\nbox = pasted.bounds()\nK.action('painterly_harmonize').trigger()")
    running(krita)
    krita.run("K.action('mirrorNodeX').trigger()")
    finished(krita)
    assert layers(krita)[1:] == BOTH and krita.value("session.message") == CHANGED
    # Krita mirrors a layer about the middle of the picture: it looks moved, but its result is where it was.
    assert krita.value("pasted.bounds() != box and documents.children(doc.rootNode())[-1].bounds() == box")
    harmonized(krita)
    assert krita.value("session.message") == ""
    twice = [["object", False], ["object (harmonized)", False], ["object (harmonized)", True]]
    assert layers(krita)[1:] == twice
    for left in (BOTH, BOTH[:1]):
        step(krita, "edit_undo")
        krita.wait_for("layers()[1:] == {!r}".format(left), 20)
    for back in (BOTH, twice):
        step(krita, "edit_redo")
        krita.wait_for("layers()[1:] == {!r}".format(back), 20)


def test_a_change_of_a_masked_layer_or_of_its_mask_is_noticed_before_it_is_shown(start):
    krita = start()
    for change, message in (
        ("mask.setPixelData(bytes([255]) * 100, 165, 135, 10, 10)", ""),  # as it is
        ("mask.setPixelData(bytes(100), 165, 135, 10, 10)", CHANGED),
        ("pasted.setPixelData(bytes(400), 165, 135, 10, 10)", CHANGED),
    ):
        krita.run("pasted.setVisible(True)\nbehave(0, 10, 50)")
        krita.trigger("add_new_transparency_mask")
        krita.wait_for("len(documents.children(pasted)) == 1", 20)
        krita.run("doc.waitForDone()\nmask = documents.children(pasted)[0]\n"
                  "K.action('painterly_harmonize').trigger()")  # fmt: skip
        running(krita)
        krita.run(change)
        finished(krita)
        assert krita.value("session.message") == message, change
        krita.run("mask.remove()\ndoc.nodeByName('object (harmonized)').remove()\ndoc.waitForDone()")
        activate(krita, "pasted")
