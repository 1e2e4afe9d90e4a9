"""One Ctrl+Z takes back a whole result in the Krita program, and the picture is what it was before."""

import time

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


def test_merging_the_result_does_not_bring_the_original_back(start):
    krita = start()
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("session.history and not session.busy")
    krita.run("doc.nodeByName('object (harmonized)').remove()")
    time.sleep(0.5)
    assert layers(krita) == [["Background", True], ["object", False]]
