"""One Ctrl+Z takes back a whole result in the Krita program, and the picture is what it was before."""

import time

import pytest

from .program import ABOVE, BEFORE, NODES, SHOWN, finished, layers, step


def test_undo_and_redo_take_one_step(start):
    krita = start()
    before = krita.value(SHOWN)
    krita.run("behave()\nhalve_results()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("layers() == {!r}".format(ABOVE))
    finished(krita)
    after = krita.value(SHOWN)
    assert after != before
    for _ in range(2):
        step(krita, "edit_undo")
        krita.wait_for("layers() == {!r} and {} == {!r}".format(BEFORE, SHOWN, before), 20)
        step(krita, "edit_redo")
        krita.wait_for("layers() == {!r} and {} == {!r}".format(ABOVE, SHOWN, after), 20)


def replaced(krita):
    """Harmonizes in the mode "replace"; the new layer's id."""
    krita.run(
        "behave()\nhalve_results()\nsession.settings.result = 'replace'\nK.action('painterly_harmonize').trigger()"
    )
    krita.wait_for("session.history and not session.busy")
    return krita.value("session.history[0].landing.node")


def test_replacing_leaves_one_layer_of_the_same_name(start):
    krita = start()
    result = replaced(krita)
    assert layers(krita) == [["Background", True], ["object", True]]
    assert result in krita.value(NODES)


def test_replacing_is_undone_and_redone_in_one_step(start):
    krita = start()
    before = krita.value(SHOWN)
    result = replaced(krita)
    after = krita.value(SHOWN)
    for _ in range(2):
        step(krita, "edit_undo")
        krita.wait_for("len({0}) == 2 and {1!r} not in {0} and layers()[1][1]".format(NODES, result), 20)
        krita.wait_for("{} == {!r}".format(SHOWN, before), 10)
        step(krita, "edit_redo")
        krita.wait_for("len({0}) == 2 and {1!r} in {0}".format(NODES, result), 20)
        krita.wait_for("{} == {!r}".format(SHOWN, after), 10)


def test_what_is_shown_follows_without_a_refresh(start):
    krita = start()
    krita.run("behave()\ndoc.refreshProjection()")
    before = krita.value(SHOWN)
    krita.run("halve_results()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("session.history and not session.busy")
    after = krita.value(SHOWN)
    krita.run("doc.refreshProjection()")
    assert after != before
    krita.wait_for("{} == {!r}".format(SHOWN, after), 10)


def test_deleting_the_result_does_not_bring_the_original_back(start):
    krita = start()
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("session.history and not session.busy")
    krita.run("doc.nodeByName('object (harmonized)').remove()")
    time.sleep(0.5)
    assert layers(krita) == [["Background", True], ["object", False]]


def test_merging_the_result_is_a_step_of_its_own(start):
    krita = start()
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("session.history and not session.busy and layers() == {!r}".format(ABOVE))
    before = krita.value(SHOWN)
    krita.run("doc.setActiveNode(doc.nodeByName('object (harmonized)'))")
    krita.wait_for("doc.activeNode().name() == 'object (harmonized)'")
    krita.run("K.action('merge_layer').trigger()")
    merged = [["Background", True], ["object (harmonized)", True]]  # Krita drops what is hidden beneath
    krita.wait_for("layers() == {!r}".format(merged))
    time.sleep(0.5)
    assert layers(krita) == merged and krita.value(SHOWN) == before
    step(krita, "edit_undo")
    krita.wait_for("layers() == {!r}".format(ABOVE))
    time.sleep(0.5)
    assert layers(krita) == ABOVE
    step(krita, "edit_undo")
    krita.wait_for("layers() == {!r}".format(BEFORE))


def test_a_result_whose_adding_left_the_history_disturbs_no_further_step(start, profile):
    settings = profile.config / "kritarc"
    settings.write_text("undoStackLimit=4\n" + settings.read_text())
    krita = start()
    result = replaced(krita)
    for number in range(3):
        krita.run("add('more {}', 5, 5)".format(number))
        time.sleep(0.3)
    for _ in range(4):
        step(krita, "edit_undo")
    krita.wait_for("len({0}) == 3 and {1!r} in {0}".format(NODES, result), 20)
    both = layers(krita)
    krita.run("add('later', 5, 5)\nmoves = []\nview = list(session._canvas._undo._views)[0]\n"
              "view.model().modelReset.connect(lambda: moves.append(view.currentIndex().row()))")  # fmt: skip
    time.sleep(1.5)
    assert layers(krita) == [*both, ["later", True]] and krita.value("len(moves)") < 10


def test_a_step_between_adding_and_removing_is_given_back(start):
    krita = start()
    krita.run("made = add('result', 5, 5)\nadd('between', 5, 5)\npasted.remove()\n"
              "from painterly.canvas.undo import Swap\ncanvas = session._canvas\n"
              "canvas._undo.watch(canvas.active_document(), Swap(documents.node_id(pasted), "
              "documents.node_id(made), True))")  # fmt: skip
    names = ["Background", "object", "result", "between"]
    step(krita, "edit_undo")
    time.sleep(1.5)
    assert [name for name, _ in layers(krita)] == names
    for count in (3, 2):
        step(krita, "edit_undo")
        time.sleep(0.6)
        assert [name for name, _ in layers(krita)] == names[:count]


def second_window(krita):
    """Opens one, `second`, beside `first`; it shows no document yet."""
    krita.run("first = K.activeWindow()\nsecond = K.openWindow()\nsecond.qwindow().show()")
    krita.wait_for("len(K.windows()) == 2")


@pytest.mark.parametrize("opened,closed", [("before", "second"), ("after", "first")])
def test_undo_is_followed_after_one_of_two_windows_was_closed(start, opened, closed):
    krita = start()
    before = krita.value(SHOWN)
    if opened == "before":
        second_window(krita)
        krita.run("first.activate()")
        krita.wait_for("K.activeDocument() == doc")
    krita.run("behave()\nhalve_results()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("session.history and not session.busy")
    if opened == "after":
        second_window(krita)
        krita.wait_for("len(session._canvas._undo._views) == 2")  # Krita tells of a window a little later
    krita.run("second.addView(doc)\n{}.qwindow().close()".format(closed))
    krita.wait_for("len(K.windows()) == 1")
    krita.run("K.windows()[0].activate()")
    krita.wait_for("K.activeDocument() == doc")
    step(krita, "edit_undo")
    krita.wait_for("layers() == {!r} and {} == {!r}".format(BEFORE, SHOWN, before), 20)


def test_deleting_the_result_is_no_undo_while_another_window_can_redo(start):
    krita = start()
    second_window(krita)
    krita.run("other = K.createDocument(40, 30, 'other', 'RGBA', 'U8', '', 72.0)\nsecond.addView(other)\n"
              "second.activate()\nother.rootNode().addChildNode(other.createNode('new', 'paintlayer'), None)")  # fmt: skip
    krita.wait_for("K.activeDocument() == other")
    krita.wait_for("(K.action('edit_undo').trigger(), len(documents.children(other.rootNode())) == 1)[1]", 10)
    krita.run("first.activate()\nbehave()")
    krita.wait_for("K.activeDocument() == doc")
    krita.run("K.action('painterly_harmonize').trigger()")
    krita.wait_for("session.history and not session.busy")
    krita.run("doc.nodeByName('object (harmonized)').remove()")
    time.sleep(0.6)
    assert layers(krita) == [["Background", True], ["object", False]]
