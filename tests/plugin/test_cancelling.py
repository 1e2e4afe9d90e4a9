"""Cancelling before the backend's last word: what is not done yet is not begun any more."""

import pytest

from plugin.painterly import tasks
from plugin.painterly.job import WAITING
from tests.fakes import backend

from .fakes import source
from .test_session import behave


def test_cancel_ends_a_running_job(driver):
    behave(driver, backend.WELL, steps=500, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    driver.session.cancel()
    assert driver.finish(task) == [tasks.CANCELLED]
    assert driver.canvas.placed == []


def test_cancel_keeps_what_a_batch_has_done(driver):
    behave(driver, steps=25, milliseconds=20)
    driver.canvas.selected = [source("low"), source("middle"), source("high")]
    task = driver.session.harmonize_selected()
    driver.until(lambda: task.jobs[1].state == tasks.RUNNING)
    driver.session.cancel()
    assert driver.finish(task) == [tasks.DONE, tasks.CANCELLED, tasks.CANCELLED]
    assert len(driver.canvas.placed) == 1


def test_cancelled_while_its_layers_are_read_a_job_reads_no_further_and_is_not_sent(driver, monkeypatch):
    behave(driver)
    events, export = [], driver.canvas.export

    def slow(*arguments):
        try:
            for _ in range(50):
                events.append("read")
                yield WAITING
            return (yield from export(*arguments))
        finally:
            events.append("closed")

    monkeypatch.setattr(driver.canvas, "export", slow)
    for ask in (driver.session.harmonize_active, lambda: driver.session.variants([1.0, 5.0])):
        task = ask()
        driver.until(lambda: events)
        driver.session.cancel()
        assert set(driver.finish(task)) == {tasks.CANCELLED} and driver.link.state == "stopped"
        assert events == ["read", "closed"] and task.jobs[0].message == "Cancelled."
        events.clear()


@pytest.mark.parametrize("variants", [False, True])
def test_what_is_cancelled_before_its_turn_is_not_sent(driver, monkeypatch, variants):
    behave(driver, steps=500, milliseconds=20)
    sent, submit = [], driver.link.submit
    monkeypatch.setattr(driver.link, "submit", lambda request: (sent.append(request.job), submit(request)))
    driver.canvas.selected = [source("low"), source("high")]
    session = driver.session
    task = session.variants([1.0, 5.0]) if variants else session.harmonize_selected()
    driver.running(task)
    session.cancel()
    assert driver.finish(task) == [tasks.CANCELLED] * 2 and sent == [task.jobs[0].id]


def test_cancelled_just_when_all_is_read_a_job_is_not_sent(driver, monkeypatch):
    behave(driver)
    export = driver.canvas.export

    def exported(*arguments):
        got = yield from export(*arguments)
        driver.session.cancel()
        return got

    monkeypatch.setattr(driver.canvas, "export", exported)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.CANCELLED]
    assert driver.link.state == "stopped"
