"""One artist's session in the Krita program with the real backend: small real jobs, and all that goes wrong."""

import os
import signal
import time
from pathlib import Path

from plugin.painterly.protocol import process

from .program import BEFORE, backend_pid, finished, layers, running, step

NAMES = ("object", "second", "third")
BATCH = [["Background", True]] + [
    each for name in NAMES for each in ([name, False], [name + " (harmonized)", True])
]
JOB = """
session.settings.choose_preset('draft')
session.settings.changes = {{'resolution': 64, 'first_iterations': {}, 'second_iterations': 2}}
"""
STATES = "[job.state for job in session.tasks[-1].jobs]"


def harmonize(krita, iterations):
    """By a click on the docker's button."""
    krita.run(JOB.format(iterations))
    krita.click("panel().harmonize")
    krita.wait_for("session.busy", 20)


def test_a_session_with_the_real_backend(start):
    krita = start(real=True)
    cancel_a_job(krita)
    batch_with_undo_and_redo(krita)
    kill_the_backend_and_harmonize_again(krita)
    close_the_document(krita)
    quit_krita(krita)


def cancel_a_job(krita):
    harmonize(krita, 5000)
    krita.wait_for("session.current is not None and session.current.current.fraction > 0", 180)
    krita.click("panel().cancel")
    finished(krita)
    assert krita.value(STATES) == ["cancelled"] and layers(krita) == BEFORE


def batch_with_undo_and_redo(krita):
    krita.run("add('second', 60, 60)\nadd('third', 200, 60)")
    krita.run("K.action('select_all_layers').trigger()")
    krita.wait_for("len(K.activeWindow().activeView().selectedNodes()) == 4", 20)
    harmonize(krita, 2)
    finished(krita, 180)
    # The white background is the painting itself: a sentence, the others go on.
    assert krita.value(STATES) == ["failed", "done", "done", "done"], krita.value("session.message")
    assert layers(krita) == BATCH
    for action, numbers in (("edit_undo", (2, 1, 0)), ("edit_redo", (1, 2, 3))):
        for number in numbers:
            step(krita, action)
            krita.wait_for("sum('harmonized' in name for name, _ in layers()) == {}".format(number), 20)
    krita.wait_for("layers() == {!r}".format(BATCH), 20)


def kill_the_backend_and_harmonize_again(krita):
    krita.run("fourth = add('fourth', 20, 20)\ndoc.setActiveNode(fourth)")
    krita.wait_for("[n.name() for n in K.activeWindow().activeView().selectedNodes()] == ['fourth']", 20)
    harmonize(krita, 5000)
    running(krita)
    os.kill(backend_pid(krita), signal.SIGKILL)
    finished(krita)
    assert krita.value(STATES) == ["failed"] and "ended unexpectedly" in krita.value("session.message")
    harmonize(krita, 2)
    finished(krita, 180)
    assert krita.value(STATES) == ["done"] and layers(krita)[-1] == ["fourth (harmonized)", True]


def close_the_document(krita):
    krita.run("doc.setActiveNode(fourth)\nfourth.setVisible(True)")
    krita.wait_for("doc.activeNode() == fourth", 20)
    harmonize(krita, 300)
    running(krita)
    krita.run("other = new_document()")
    krita.run("doc.setModified(False)\ndoc.close()\ndoc = other")
    finished(krita, 180)
    assert [name for name, _ in layers(krita)] == ["Background"]
    (file,) = (krita.profile.home / "data" / "recovered").glob("*.png")
    assert str(file) in krita.value("session.message")


def quit_krita(krita):
    krita.run("pasted = add('object', 150, 120)\ndoc.setActiveNode(pasted)")
    krita.wait_for("K.activeDocument() == doc and doc.activeNode() == pasted", 20)
    harmonize(krita, 5000)
    running(krita)
    service = backend_pid(krita)
    workers = Path("/proc/{0}/task/{0}/children".format(service)).read_text().split()
    began = {each: process.started(each) for each in (service, *map(int, workers))}
    assert len(began) > 1 and all(began.values())
    krita.quit()
    deadline = time.monotonic() + 20
    while any(process.started(each) == began[each] for each in began):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.1)
