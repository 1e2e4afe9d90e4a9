"""The whole plugin in the Krita program, under an X server of its own; it asserts state, not window pixels."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from plugin.painterly.protocol import process

from . import harness
from .program import ABOVE, BEFORE, backend_pid, finished, layers, open_menu, running, step


def test_menu_action_by_its_menu_with_the_real_backend(start):
    krita = start(real=True)
    krita.run("session.settings.choose_preset('draft')\n"
              "session.settings.changes = {'resolution': 64, 'first_iterations': 2, 'second_iterations': 2}")  # fmt: skip
    krita.run("[dock.hide() for dock in K.dockers() if dock.objectName() == 'painterly_docker']")
    open_menu(krita, "main_window().menuBar()", "Tools")
    top = "QtWidgets.QApplication.activePopupWidget()"
    open_menu(krita, top, "Scripts")
    open_menu(krita, top, "Harmonize pasted layer")
    krita.wait_for("len(session.tasks) == 1", 20)
    finished(krita, 180)
    assert layers(krita) == ABOVE, krita.value("session.message")
    report = krita.value("session.tasks[-1].jobs[0].report")
    assert report["device"] and krita.value("session.message") == ""
    krita.run("[dock.show() for dock in K.dockers() if dock.objectName() == 'painterly_docker']")
    time.sleep(1)
    # Of a run in CI it stays in the checkout's build folder.
    folder = harness.ROOT / "build" if os.environ.get("CI") else krita.profile.root
    kept = Path(os.environ.get("PAINTERLY_ARTIFACTS") or folder) / "krita.png"
    kept.parent.mkdir(parents=True, exist_ok=True)
    krita.screenshot(kept)
    assert kept.stat().st_size > 10_000


def test_the_shortcut_starts_the_menu_action(start):
    krita = start()
    krita.run("behave()")
    krita.click("K.activeWindow().qwindow().centralWidget()")
    krita.xdotool("key", "ctrl+alt+h")
    krita.wait_for("layers() == {!r}".format(ABOVE))


def test_what_is_in_the_way_is_told_over_the_canvas_at_each_try(start):
    krita = start()
    krita.run("shown = []\npainterly.extension.host.show = shown.append\nbehave(steps=200, milliseconds=50)\n"
              "K.action('painterly_harmonize').trigger()")  # fmt: skip
    running(krita)
    for tries in (1, 2):
        krita.run("K.action('painterly_harmonize').trigger()")
        assert krita.value("shown") == ["“object” is being harmonized already: wait or cancel first."] * tries
    time.sleep(0.5)  # while the job goes on, nothing is told anew
    assert len(krita.value("shown")) == 2


def test_docker_button_harmonizes_three_layers_bottom_to_top(start):
    krita = start()
    krita.run("behave()\nadd('second', 60, 60)\nadd('third', 200, 60)")
    krita.run("doc.setActiveNode(pasted)\nK.action('select_all_layers').trigger()")
    krita.wait_for("len(K.activeWindow().activeView().selectedNodes()) == 4", 20)
    krita.click("panel().harmonize")
    krita.wait_for("session.tasks and session.tasks[-1].ended and not session.busy")
    states = krita.value("[[job.source.name, job.state] for job in session.tasks[-1].jobs]")
    # The white background is opaque and covers the canvas: a sentence of its own, the others go on.
    assert states == [["Background", "failed"], ["object", "done"], ["second", "done"], ["third", "done"]]
    names = ["Background"]
    for name in ("object", "second", "third"):
        names += [name, name + " (harmonized)"]
    assert [name for name, _ in layers(krita)] == names
    for remaining in (2, 1, 0):
        step(krita, "edit_undo")
        krita.wait_for("sum('harmonized' in name for name, _ in layers()) == {}".format(remaining), 20)
    krita.wait_for("all(visible for _, visible in layers())", 20)


def test_variants_are_one_undo_step(start):
    krita = start()
    krita.run("behave()")
    krita.click("panel().variants")
    krita.wait_for("session.history and not session.busy")
    assert layers(krita)[2] == ["object (variants)", True]
    assert krita.value("[each[1] for each in layers(doc.nodeByName('object (variants)'))]") == [False] * 3 + [
        True
    ]
    step(krita, "edit_undo")
    krita.wait_for("layers() == {!r}".format(BEFORE), 20)


def test_cancel_by_the_docker(start):
    krita = start()
    krita.run("behave(0, 500, 50)")
    krita.click("panel().harmonize")
    running(krita)
    krita.click("panel().cancel")
    finished(krita)
    assert krita.value("session.tasks[-1].jobs[0].state") == "cancelled" and layers(krita) == BEFORE
    assert krita.value("not panel().harmonize.visibleRegion().isEmpty()"), "the docker scrolled away"


def test_a_document_closed_mid_job_leaves_a_file_and_an_offer(start):
    krita = start()
    krita.run("behave(0, 30, 50)\nK.action('painterly_harmonize').trigger()")
    running(krita)
    krita.run("other = new_document()")
    krita.run("doc.setModified(False)\ndoc.close()\ndoc = other")
    finished(krita)
    assert [name for name, _ in layers(krita)] == ["Background"]
    files = list((krita.profile.home / "data" / "recovered").glob("*.png"))
    assert len(files) == 1 and str(files[0]) in krita.value("session.message")
    krita.wait_for("panel().history.adopt.isVisible()", 20)
    krita.run("panel().history.adopt.click()")
    krita.wait_for("[name for name, _ in layers()] == ['Background', 'object (harmonized)']", 20)


def test_backend_killed_mid_job_then_harmonized_again(start):
    krita = start()
    krita.run("behave(0, 500, 50)\nK.action('painterly_harmonize').trigger()")
    running(krita)
    os.kill(backend_pid(krita), signal.SIGKILL)
    finished(krita)
    assert "ended unexpectedly" in krita.value("session.message")
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("layers() == {!r}".format(ABOVE))


def test_worker_killed_mid_job_then_harmonized_again(start):
    krita = start()
    krita.run("behave(3)\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("session.tasks and session.tasks[-1].ended")
    assert krita.value("session.tasks[-1].jobs[0].state") == "failed"
    krita.run("behave()\nK.action('painterly_harmonize').trigger()")
    krita.wait_for("layers() == {!r}".format(ABOVE))


def test_what_another_krita_saved_meanwhile_stays_when_this_one_quits(start):
    krita = start()
    path = Path(krita.value("str(plugin._path)"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    krita.quit()
    assert path.read_text() == "{}"


def test_a_setting_changed_just_before_quitting_is_saved(start):
    krita = start()
    path = Path(krita.value("str(plugin._path)"))
    krita.run("session.settings.choose_preset('draft')\nplugin.save_soon()")
    krita.quit()
    assert json.loads(path.read_text())["preset"] == "draft"


def test_quitting_mid_job_leaves_no_process(start):
    krita = start()
    krita.run("behave(0, 500, 50)\nK.action('painterly_harmonize').trigger()")
    running(krita)
    pid = backend_pid(krita)
    worker = krita.value("session.link.device['pid']")
    began = {each: process.started(each) for each in (pid, worker)}
    assert all(began.values())
    krita.quit()
    deadline = time.monotonic() + 20
    while any(process.started(each) == began[each] for each in began):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.1)


@pytest.mark.parametrize("depth", ["U8", "F32"])
def test_a_result_that_waits_when_krita_quits_becomes_a_file(start, depth):
    krita = start()
    krita.run(
        "doc.setColorSpace('RGBA', {!r}, 'sRGB-elle-V2-srgbtrc.icc')\ndoc.waitForDone()\nbehave()".format(
            depth
        )
    )
    krita.run("import painterly.canvas.placing\npainterly.canvas.placing._is_drawing = lambda document: True")
    krita.run("K.action('painterly_harmonize').trigger()")
    krita.wait_for("session.current.current.state == 'placing'", 60)
    # The documents are open until Krita itself closes them, and that nobody has time to notice.
    krita.run(
        "plugin._timer.stop()\ndoc.setModified(False)\n"
        "QtCore.QTimer.singleShot(100, K.action('file_quit').trigger)"
    )
    krita.process.wait(30)
    (file,) = (krita.profile.home / "data" / "recovered").glob("*")
    with Image.open(file) as picture:
        assert picture.size == (60, 50)


def test_settings_survive_a_restart(start):
    krita = start()
    krita.run("panel().simple.fields['style'].auto.setChecked(False)\n"
              "panel().simple.fields['style'].box.setValue(7.5)")  # fmt: skip
    krita.quit()
    again = start()
    assert again.value("session.settings.changes") == {"style": 7.5}
    assert again.value("panel().simple.fields['style'].box.value()") == 7.5


def test_a_vector_layer_as_the_object(start):
    krita = start()
    krita.run("""
behave()
vector = doc.createVectorLayer("shape")
doc.rootNode().addChildNode(vector, None)
vector.addShapesFromSvg('<svg xmlns="http://www.w3.org/2000/svg" width="100px" height="100px">'
                        '<rect x="20" y="20" width="40" height="40" fill="#ff0000"/></svg>')
doc.waitForDone()
doc.refreshProjection()
doc.setActiveNode(vector)
""")
    krita.wait_for("doc.activeNode().name() == 'shape' and vector.bounds().width() > 0", 20)
    krita.run("K.action('painterly_harmonize').trigger()")
    krita.wait_for("session.tasks[-1].ended and not session.busy")
    assert layers(krita)[-2:] == [["shape", False], ["shape (harmonized)", True]], krita.value(
        "session.message"
    )
