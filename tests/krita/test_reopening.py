"""A saved document still knows its results when it is opened again, in the Krita program."""

import time

from .program import finished, layers, step

TWO = [["Background", True], ["object", False]]
RESULT = "object (harmonized)"


def open_again(krita, path):
    """Opens the file in front, with its topmost layer active."""
    krita.run(
        "doc = K.openDocument({!r})\nK.activeWindow().addView(doc)\n"
        "top = documents.children(doc.rootNode())[-1]\ndoc.setActiveNode(top)".format(path)
    )
    krita.wait_for("K.activeDocument() == doc and doc.activeNode() == top", 20)


def harmonize_the_result(krita, count):
    """The `count` earlier results are hidden and the original is what was painted."""
    # Counted they say nothing: those of a closed document go.
    krita.run("last = session.history[-1] if session.history else None")
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("bool(session.history) and session.history[-1] is not last", 60)
    finished(krita)
    assert krita.value("session.history[-1].source.name") == "object", krita.value("session.message")
    assert layers(krita) == TWO + [[RESULT, False]] * count + [[RESULT, True]]


def close_saved(krita, path):
    assert krita.run("doc.waitForDone()\nresult = doc.saveAs({!r})".format(path))
    # Krita 5.1 crashes if its layer docker still has changes to show of a document that is closed.
    time.sleep(1)
    krita.run("doc.setModified(False)\ndoc.close()")
    krita.wait_for("doc not in K.documents()", 20)


def test_a_result_harmonized_after_opening_again_is_its_original_painted_again(start, tmp_path):
    path = str(tmp_path / "picture.kra")
    krita = start()
    harmonize_the_result(krita, 0)
    close_saved(krita, path)
    open_again(krita, path)
    harmonize_the_result(krita, 1)
    step(krita, "edit_undo")
    krita.wait_for("layers() == {!r}".format(TWO + [[RESULT, True]]), 20)
    step(krita, "edit_redo")
    krita.wait_for("layers() == {!r}".format(TWO + [[RESULT, False], [RESULT, True]]), 20)
    close_saved(krita, path)
    krita.quit()
    again = start()
    open_again(again, path)
    harmonize_the_result(again, 2)


def test_a_result_undone_before_saving_is_forgotten(start, tmp_path):
    path = str(tmp_path / "picture.kra")
    krita = start()
    harmonize_the_result(krita, 0)
    step(krita, "edit_undo")
    krita.wait_for("layers() == [['Background', True], ['object', True]]", 20)
    close_saved(krita, path)
    open_again(krita, path)
    harmonize_the_result(krita, 0)
