"""Selections of a layer in the Krita program: two on their way at once, and those of the layer alone."""

import time

import pytest

from .program import SHOWN, finished, layers, running, step

# In the same box, so that only their shapes tell them apart.
SELECTIONS = """
import krita
def select(*squares):
    selection = krita.Selection()
    for x, y in squares:
        selection.select(x, y, 20, 20, 255)
    doc.setSelection(selection)
    doc.waitForDone()
RISING, FALLING = ((160, 145), (180, 125)), ((160, 125), (180, 145))
"""
# Of two results the one that was asked for last is added first.
LATE = """
place, asked = session._canvas.place, []
def late(*arguments):
    asked.append(arguments)
    number = len(asked)
    while number == 1 and len(session.history) == 0:
        yield "waiting"
    return (yield from place(*arguments))
session._canvas.place = late
"""
RESULT = ["object (harmonized)", True]


@pytest.mark.parametrize("order", ["", LATE], ids=["as asked", "the other way"])
def test_two_selections_at_once_are_two_results_undone_one_by_one(start, order):
    krita = start()
    krita.run(SELECTIONS + "behave(0, 10, 50)\nhalve_results()\nselect(*RISING)\n" + order)
    krita.run("K.action('painterly_harmonize').trigger()")
    running(krita)
    before = krita.value(SHOWN)
    krita.run("K.action('painterly_harmonize').trigger()")
    assert "being harmonized already" in krita.value("session.message")
    krita.run("select(*FALLING)\nK.action('painterly_harmonize').trigger()")
    assert krita.value("[task.jobs[0].ended for task in session.tasks]") == [False, False]
    finished(krita)
    assert layers(krita)[1:] == [["object", False], RESULT, RESULT], krita.value("session.message")
    assert krita.value("len({entry.origin.fingerprint for entry in session.history})") == 2
    assert krita.value("len({entry.origin.part for entry in session.history})") == 1
    after = krita.value(SHOWN)
    for _ in range(2):
        step(krita, "edit_undo")
        krita.wait_for("layers()[1:] == {!r}".format([["object", False], RESULT]), 20)
        time.sleep(0.7)
        between = krita.value(SHOWN)
        krita.run("doc.refreshProjection()")
        assert krita.value(SHOWN) == between
        assert len({before, between, after}) == 3
        step(krita, "edit_undo")
        krita.wait_for("layers()[1:] == [['object', True]] and {} == {!r}".format(SHOWN, before), 20)
        step(krita, "edit_redo")
        krita.wait_for(
            "layers()[1:] == {!r} and {} == {!r}".format([["object", False], RESULT], SHOWN, between), 20
        )
        step(krita, "edit_redo")
        krita.wait_for("len(layers()) == 4 and {} == {!r}".format(SHOWN, after), 20)
    assert layers(krita)[1:] == [["object", False], RESULT, RESULT]


def test_the_whole_layer_painted_afterwards_hides_both_and_gives_both_back(start):
    krita = start()
    krita.run(SELECTIONS + "behave()\nhalve_results()")
    for count, squares in enumerate(("RISING", "FALLING"), 1):
        krita.run("select(*{})\nK.action('painterly_harmonize').trigger()".format(squares))
        krita.wait_for("len(session.history) == {} and not session.busy".format(count), 60)
    krita.run("session.show_only(session.history[0])")
    both = [["object", False], RESULT, RESULT]
    assert layers(krita)[1:] == both
    shown = krita.value(SHOWN)
    krita.run("K.action('deselect').trigger()")
    krita.wait_for("session._canvas.selections([session._canvas.active_source()]) == [None]", 20)
    krita.run("K.action('painterly_harmonize').trigger()")
    krita.wait_for("len(session.history) == 3 and not session.busy", 60)
    whole = [["object", False], [RESULT[0], False], [RESULT[0], False], RESULT]
    assert layers(krita)[1:] == whole, krita.value("session.message")
    for _ in range(2):
        step(krita, "edit_undo")
        krita.wait_for("layers()[1:] == {!r} and {} == {!r}".format(both, SHOWN, shown), 20)
        step(krita, "edit_redo")
        krita.wait_for("layers()[1:] == {!r}".format(whole), 20)


def locally_selected(start):
    krita = start()
    krita.run(SELECTIONS + "behave(0, 20, 50)\nhalve_results()\nselect(*RISING)")
    krita.trigger("add_new_selection_mask")  # what is selected becomes the layer's alone, and active
    krita.wait_for("len(documents.children(pasted)) == 1", 20)
    krita.run("doc.waitForDone()")
    return krita


def test_a_local_selection_counts_until_it_is_deselected(start):
    krita = locally_selected(start)
    for action, part in (("", [160, 125, 200, 165]), ("deselect", None), ("reselect", [160, 125, 200, 165])):
        krita.run("pasted.setVisible(True)\ndoc.setActiveNode(pasted)")
        krita.wait_for("doc.activeNode() == pasted", 10)
        if action:
            krita.trigger(action)
            krita.run("doc.waitForDone()")
            time.sleep(0.5)
        count = krita.value("len(session.history)")
        krita.run("K.action('painterly_harmonize').trigger()")
        krita.wait_for("len(session.history) > {} and not session.busy".format(count), 60)
        # Krita leaves the mask visible and only makes it inactive.
        assert krita.value("[mask.visible() for mask in documents.children(pasted)]") == [True]
        assert krita.value("session.history[-1].origin.part") == part, action


def test_a_local_selection_changed_meanwhile_is_another_one(start):
    krita = locally_selected(start)
    krita.run("K.action('painterly_harmonize').trigger()")
    running(krita)
    krita.run("K.action('painterly_harmonize').trigger()")
    assert "being harmonized already" in krita.value("session.message")
    krita.run("select(*FALLING)\ndocuments.children(pasted)[0].setSelection(doc.selection().duplicate())")
    krita.run("doc.waitForDone()\nK.action('painterly_harmonize').trigger()")
    assert krita.value("[task.jobs[0].ended for task in session.tasks]") == [False, False]
    finished(krita)
    assert layers(krita)[1:] == [["object", False], RESULT, RESULT], krita.value("session.message")
    assert krita.value("len({entry.origin.fingerprint for entry in session.history})") == 2
