"""Two views of one document: the active layer is that of the view in front."""

import time

import pytest

from .program import finished, layers, running

# In the view in front; what the document says is that of its first view.
ACTIVE = "[node.name() for node in K.activeWindow().activeView().selectedNodes()]"


@pytest.fixture
def krita(start):
    """A Krita with "object" active in the first view and "other" in the second, which is in front."""
    krita = start()
    krita.run("other = add('other', 20, 20)")
    krita.wait_for("doc.activeNode() == other", 10)
    krita.run("doc.setActiveNode(pasted)")
    krita.wait_for("doc.activeNode() == pasted", 10)
    krita.run("K.activeWindow().addView(doc)")
    krita.wait_for("len(K.activeWindow().views()) == 2", 10)
    time.sleep(0.5)  # the new view chooses a layer of its own
    activate(krita, "other")
    assert krita.value("doc.activeNode().name()") == "object"
    return krita


def activate(krita, node):
    krita.run("doc.setActiveNode({})".format(node))
    krita.wait_for("{} == [{}.name()]".format(ACTIVE, node), 10)


def test_the_layer_active_in_the_view_in_front_is_painted(krita):
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("len(session.history) == 1 and not session.busy")
    shown = [["Background", True], ["object", True], ["other", False], ["other (harmonized)", True]]
    assert layers(krita) == shown
    krita.wait_for(ACTIVE + " == ['other (harmonized)']", 10)


def test_a_result_leaves_the_layer_active_that_is_so_in_the_view_in_front(krita):
    krita.run("behave(0, 30, 50)")
    activate(krita, "pasted")
    krita.run("K.action('painterly_harmonize').trigger()")
    running(krita)
    assert krita.value("session.current.current.source.name") == "object"
    activate(krita, "other")
    finished(krita)
    time.sleep(0.3)
    assert [name for name, _ in layers(krita)] == ["Background", "object", "object (harmonized)", "other"]
    assert krita.value(ACTIVE) == ["other"]
