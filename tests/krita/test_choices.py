"""What the artist chooses in the docker is what happens: real clicks and keys in the Krita program."""

import time

from .program import finished, layers, reach, running, step

EXPORTED = """
wishes = []
export = session._canvas.export
def noted(source, wish):
    wishes.append([source.name, wish.painting, list(wish.without)])
    return export(source, wish)
session._canvas.export = noted
def unique(name):
    return doc.nodeByName(name).uniqueId().toString()
"""


def harmonized(krita):
    reach(krita, "panel().harmonize")
    krita.xdotool("key", "space")
    krita.wait_for("session.tasks and session.tasks[-1].ended and not session.busy", 60)


def test_the_painting_is_the_group_chosen_by_keys(start):
    krita = start()
    krita.run(
        "behave()\n"
        + EXPORTED
        + """
group = doc.createGroupLayer("the masters")
doc.rootNode().addChildNode(group, doc.nodeByName("Background"))
node = doc.createNode("inside", "paintlayer")
node.setPixelData(random.Random(1).randbytes(4 * 400 * 300), 0, 0, 400, 300)
group.addChildNode(node, None)
doc.refreshProjection()
"""
    )
    krita.run("doc.setActiveNode(pasted)")
    krita.wait_for("doc.activeNode() == pasted", 10)
    reach(krita, "panel().painting")
    listed = krita.value("[panel().painting.itemText(i) for i in range(panel().painting.count())]")
    assert listed == ["Everything beneath", "object", "inside", "the masters", "Background"]
    for _ in range(3):
        krita.xdotool("key", "Down")
    krita.wait_for("panel().painting.currentText() == 'the masters'", 10)
    harmonized(krita)
    assert krita.value("[w[1] == unique('the masters') for w in wishes]") == [True]
    assert krita.value("session.tasks[-1].jobs[0].state") == "done", krita.value("session.message")


def test_a_painting_that_is_not_used_is_not_shown(start):
    krita = start()
    choose = """
painting = panel().painting
painting._fill(session.layers())
painting.setCurrentIndex(painting.findText("masters"))
"""
    everything = "painting.currentText() == 'Everything beneath'"
    krita.run("behave()\nmasters = add('masters', 10, 10)" + choose)
    krita.run("doc.setActiveNode(pasted)")
    krita.wait_for("doc.activeNode() == pasted", 10)
    krita.run("masters.remove()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for(everything, 10)
    finished(krita)
    krita.run("masters = add('masters', 10, 10)" + choose + "session.say('It is there.')")
    assert krita.value("painting.currentText()") == "masters"
    krita.run("new_document()")
    krita.wait_for(everything, 10)


def test_a_number_can_be_typed_while_a_job_runs_and_counts_without_return(start):
    krita = start()
    krita.run("behave(0, 500, 50)\nK.action('painterly_harmonize').trigger()")
    running(krita)
    box = "panel().simple.fields['content'].box"
    reach(krita, box)
    krita.run(box + ".selectAll()")
    for key in "7.5":
        krita.xdotool("type", key)
        time.sleep(0.3)  # messages of the job come in between
    krita.wait_for(box + ".text() == '7.5 x'", 10)
    assert "content" not in krita.value("session.settings.changes")
    krita.run("session.cancel()")
    finished(krita)
    krita.xdotool("key", "ctrl+alt+h")
    krita.wait_for("len(session.tasks) == 1 and session.tasks[0].jobs[0].values['content'] == 7.5", 10)


def test_several_layers_each_without_the_others(start):
    krita = start()
    krita.run("behave()\npanel().more.setChecked(True)\nadd('second', 60, 60)\n" + EXPORTED)
    krita.trigger("select_all_layers")
    krita.wait_for("len(K.activeWindow().activeView().selectedNodes()) == 3", 20)
    reach(krita, "panel().without_others")
    krita.xdotool("key", "space")
    krita.wait_for("session.settings.without_others", 10)
    harmonized(krita)
    assert krita.value("wishes[2][:2] + [set(wishes[2][2]) >= {unique('object'), unique('Background')}]") == [
        "second", "", True,
    ]  # fmt: skip
    # With the background left out nothing lies beneath: each layer's own sentence.
    assert krita.value("[job.state for job in session.tasks[-1].jobs]") == ["failed"] * 3
    assert "Nothing is visible beneath “second”" in krita.value("session.message")


def test_with_all_layers_the_selection_on_the_canvas_is_selected_too(start):
    krita = start()
    krita.run(
        "behave()\nselection = Selection()\nselection.select(0, 0, 400, 300, 255)\ndoc.setSelection(selection)"
    )
    krita.trigger("show-global-selection-mask")
    krita.wait_for(
        "doc.waitForDone() or 'selectionmask' in [node.type() for node in doc.topLevelNodes()]", 10
    )
    krita.trigger("select_all_layers")
    types = "[node.type() for node in K.activeWindow().activeView().selectedNodes()]"
    krita.wait_for(types + " == ['paintlayer', 'paintlayer', 'selectionmask']", 20)
    harmonized(krita)
    assert krita.value("[[job.source.name, job.state] for job in session.tasks[-1].jobs]") == [
        ["Background", "done"], ["object", "done"],
    ]  # fmt: skip


def test_a_connection_file_is_typed_in_and_used(start, tmp_path):
    krita = start()
    krita.run("behave()\npanel().more.setChecked(True)")
    reach(krita, "panel().elsewhere")
    krita.xdotool("type", str(tmp_path / "nowhere.json"))
    krita.xdotool("key", "Tab")
    krita.wait_for("session.settings.connection_file == {!r}".format(str(tmp_path / "nowhere.json")), 10)
    harmonized(krita)
    assert "connection file cannot be read" in krita.value("session.message")
    assert krita.value("session.link._launcher._process is None")


def test_history_shows_one_adds_again_and_gives_back_settings(start):
    krita = start()
    for seed_steps in (1, 2):
        krita.run("doc.setActiveNode(pasted)\npasted.setVisible(True)\nbehave(0, {})".format(seed_steps))
        krita.wait_for("doc.activeNode() == pasted", 10)
        harmonized(krita)
    results = [name for name, _ in layers(krita)]
    assert results == ["Background", "object", "object (harmonized)", "object (harmonized)"]
    assert "Iterations, first pass: 1\n" in krita.value("panel().history.list.item(0).toolTip()")
    reach(krita, "panel().history.list")
    krita.xdotool("key", "Home")
    krita.wait_for("panel().history.list.currentRow() == 0", 10)
    for button in ("show_only", "use", "again"):
        reach(krita, "panel().history." + button)
        krita.xdotool("key", "space")
        if button == "show_only":
            first = "session.history[0].landing.node"
            shown = "[n.uniqueId().toString() for n in doc.rootNode().childNodes()[2:4] if n.visible()]"
            krita.wait_for("{} == [{}]".format(shown, first), 10)
        if button == "use":
            krita.wait_for("session.settings.resolved()['first_iterations'] == 1", 10)
    krita.wait_for("len(session.history) == 3 and not session.busy", 20)
    assert len(layers(krita)) == 5
    assert krita.value("panel().history.list.count()") == 3
    assert krita.value("panel().history.list.currentRow()") == 0  # as chosen
    step(krita, "edit_undo")
    krita.wait_for("len(layers()) == 4", 10)


def test_a_layer_deleted_meanwhile_does_not_take_its_result_along(start):
    krita = start()
    krita.run("behave(0, 30, 50)\nadd('over', 10, 10)")
    krita.run("doc.setActiveNode(pasted)")
    krita.wait_for("doc.activeNode() == pasted", 10)
    krita.run("K.action('painterly_harmonize').trigger()")
    krita.wait_for("session.current is not None and session.current.current.fraction > 0")
    krita.run("K.action('remove_layer').trigger()")
    krita.wait_for("len(layers()) == 2", 10)
    krita.wait_for("not session.busy", 60)
    assert [name for name, _ in layers(krita)] == ["Background", "over", "object (harmonized)"]
    assert "is gone" in krita.value("session.message")


def test_diagnostics_are_copied_without_keys(start):
    krita = start()
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("session.history and not session.busy")
    reach(krita, "panel().copy")
    krita.xdotool("key", "space")
    copied = krita.wait_for("QtWidgets.QApplication.clipboard().text()", 10)
    assert (
        copied.startswith("Painterly ")
        and "Krita " + krita.value("K.version()") in copied
        and "Job " in copied
    )
    secret = krita.value("session.link._connection._endpoint.client_secret")
    assert secret and secret not in copied
