"""Backends elsewhere, silent and refusing ones: what the artist is told, and that no job hangs on them."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plugin.painterly import connection, tasks
from plugin.painterly.status_words import backend_text, headline
from tests.fakes import backend

from .fakes import source
from .test_session import behave


@pytest.fixture
def elsewhere(tmp_path):
    """A service that somebody else started, as if on another machine: (its process, its connection file)."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, backend.__file__, "serve", str(folder)], stdout=subprocess.PIPE, text=True
    )
    path = process.stdout.readline().split(" ", 2)[2].strip()
    yield process, path
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(connection, "PING_EVERY", 0.1)
    monkeypatch.setattr(connection, "LOST_AFTER", 0.5)


def test_a_backend_elsewhere_computes_and_outlives_krita(driver, elsewhere):
    process, path = elsewhere
    driver.session.settings.connection_file = path
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert driver.launcher._process is None and backend_text(driver.link) == "Ready on fake."
    driver.session.close()
    assert process.poll() is None


def test_what_is_said_first_is_how_the_backend_comes_up_then_what_it_does(driver):
    told = []
    driver.session.subscribe(lambda: told.append(headline(driver.link, driver.session.current)))
    behave(driver, steps=30, milliseconds=20)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    driver.until(lambda: not driver.session.busy)
    starting, painting = (
        next(i for i, text in enumerate(told) if said in text) for said in ("starting", "pass")
    )
    assert starting < painting and " left" in " ".join(told[painting:])
    assert "Ready" not in " ".join(told[:painting]) and told[-1] == "Ready on fake."


def test_another_connection_file_counts_from_the_next_job_on(driver, elsewhere):
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    driver.session.settings.connection_file = elsewhere[1]
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert not driver.launcher.running
    driver.session.settings.connection_file = ""
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert driver.launcher.running


def test_another_connection_file_does_not_end_a_running_job(driver, elsewhere):
    behave(driver, steps=30, milliseconds=20)
    first = driver.session.harmonize_active()
    driver.running(first)
    driver.session.settings.connection_file = elsewhere[1]
    behave(driver)
    driver.canvas.selected = [source("other")]
    second = driver.session.harmonize_active()
    driver.until(lambda: first.ended and second.ended and not driver.session.busy)
    assert [task.jobs[0].state for task in (first, second)] == [tasks.DONE, tasks.DONE]


def test_a_connection_file_in_the_home_folder_may_be_written_short(driver, elsewhere, monkeypatch):
    monkeypatch.setenv("HOME", str(Path(elsewhere[1]).parent))
    driver.session.settings.connection_file = "~/" + Path(elsewhere[1]).name
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert driver.launcher._process is None


@pytest.mark.parametrize("text", [None, "not JSON", "{}"])
def test_what_is_no_connection_file_is_a_sentence(driver, tmp_path, text):
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    driver.session.settings.connection_file = str(path)
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "connection file cannot be read" in task.jobs[0].message
    assert backend_text(driver.link) == task.jobs[0].message


def test_a_backend_elsewhere_that_never_answers_is_given_up(driver, elsewhere, impatient, tmp_path):
    data = json.loads(open(elsewhere[1]).read())
    path = tmp_path / "nobody.json"
    path.write_text(json.dumps(dict(data, address="tcp://127.0.0.1:1", pid=0, started="")))
    driver.session.settings.connection_file = str(path)
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "does not answer" in task.jobs[0].message and "does not answer" in backend_text(driver.link)


def test_a_backend_that_falls_silent_is_shown_and_its_job_can_be_cancelled(driver, impatient):
    behave(driver, steps=500, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    told = []
    driver.session.subscribe(lambda: told.append(headline(driver.link, driver.session.current)))
    os.kill(driver.launcher._process.pid, signal.SIGSTOP)
    try:
        driver.until(lambda: told and "still trying" in told[-1])
        assert not task.ended
        driver.session.cancel()
        assert driver.finish(task) == [tasks.CANCELLED]
    finally:
        os.kill(driver.launcher._process.pid, signal.SIGCONT)
    driver.until(lambda: driver.link.ready)
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]


def test_a_backend_of_another_version_is_told_in_its_words(driver, monkeypatch):
    monkeypatch.setattr("plugin.painterly.protocol.codec.PROTOCOL", 999)
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "install the same Painterly" in task.jobs[0].message


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_that_zeromq_is_missing_is_a_sentence(driver, elsewhere, monkeypatch, where):
    monkeypatch.setattr(connection, "zmq", None)
    monkeypatch.setattr(connection, "_ZMQ_MISSING", "No module named 'zmq'", raising=False)
    driver.session.settings.connection_file = elsewhere[1] if where == "elsewhere" else ""
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    said = "ZeroMQ for this Python is missing (No module named 'zmq'): run install.py again."
    assert said in task.jobs[0].message and backend_text(driver.link) == said


@pytest.fixture
def slow_hand_over(driver, monkeypatch):
    """A connected driver whose jobs are handed over only once this event is set."""
    behave(driver)
    driver.finish(driver.session.harmonize_active())
    released, submit = threading.Event(), driver.link._connection.submit
    monkeypatch.setattr(
        driver.link._connection, "submit", lambda request: (released.wait(5), submit(request))
    )
    behave(driver, steps=500, milliseconds=20)
    yield released
    released.set()


def cancelled_meanwhile(driver):
    """A task that is cancelled while it is handed over."""
    task = driver.session.harmonize_active()
    driver.until(lambda: driver.link._handing_over is not None)
    driver.session.cancel()
    driver.session.tick()
    assert driver.link._handing_over.is_alive(), "Krita stood still until all was written"
    return task


def test_cancelled_while_it_is_handed_over_a_job_holds_nothing_up(driver, slow_hand_over):
    task = cancelled_meanwhile(driver)
    slow_hand_over.set()
    assert driver.finish(task) == [tasks.CANCELLED]


def test_what_was_cancelled_while_it_was_handed_over_is_so_when_krita_ends(
    driver, slow_hand_over, monkeypatch
):
    task, said = cancelled_meanwhile(driver), []
    monkeypatch.setattr(driver.link._connection, "cancel", said.append)
    slow_hand_over.set()
    driver.session.close()
    assert said == [task.jobs[0].id]
