"""Faults of ours and memory that runs out: they end their own job, and everything else goes on."""

import pytest

from plugin.painterly import tasks
from plugin.painterly.computing import Computing
from plugin.painterly.protocol import messages

from .fakes import source
from .test_session import behave

FAULT = "Something unexpected happened: use “Copy diagnostics” and report it."


@pytest.mark.parametrize("kind", [messages.Accepted, messages.Result])
def test_what_cannot_be_taken_in_ends_its_job_and_no_other(driver, monkeypatch, kind):
    behave(driver, steps=10, milliseconds=10)
    first = driver.session.harmonize_active()
    driver.canvas.selected = [source("other")]
    other = driver.session.harmonize_active()
    take = Computing._take

    def short_of_memory(computing, message):
        if message.job == first.jobs[0].id and isinstance(message, kind):
            raise MemoryError("no room")
        take(computing, message)

    monkeypatch.setattr(Computing, "_take", short_of_memory)
    assert driver.finish(first) == [tasks.FAILED]
    assert first.jobs[0].message == FAULT and "no room" in first.jobs[0].detail
    assert driver.finish(other) == [tasks.DONE]
    driver.until(lambda: not driver.session._computing._sent)


def test_a_fault_on_the_line_ends_its_jobs_and_the_next_one_works(driver, monkeypatch):
    behave(driver, steps=500, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)

    def broken():
        raise OSError("no such socket")

    close = driver.link._connection.close
    monkeypatch.setattr(driver.link._connection, "poll", broken)
    monkeypatch.setattr(driver.link._connection, "close", lambda: (close(), broken()))
    assert driver.finish(task) == [tasks.FAILED]
    assert FAULT in task.jobs[0].message and "no such socket" in task.jobs[0].detail
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]


@pytest.mark.parametrize("fault", [MemoryError(), ValueError("no such thing")])
def test_a_job_that_cannot_be_handed_over_fails_and_the_next_one_works(driver, monkeypatch, fault):
    behave(driver)
    driver.finish(driver.session.harmonize_active())

    def refuse(request):
        raise fault

    monkeypatch.setattr(driver.link._connection, "submit", refuse)
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    said = "could not be handed to the backend: {}".format(str(fault) or "MemoryError")
    assert said in task.jobs[0].message
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]


def test_what_fails_when_it_is_to_show_a_job_does_not_harm_it(driver):
    behave(driver)

    def broken():
        if any(job.state == tasks.PLACING for task in driver.session.tasks for job in task.jobs):
            raise ValueError("a broken widget")

    driver.session.subscribe(broken)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert len(driver.canvas.placed) == 1 and driver.session.homeless == []
    assert "a broken widget" in driver.session.fault


def test_a_result_that_memory_is_too_short_for_becomes_a_file(driver, monkeypatch):
    behave(driver)

    class Short(bytearray):
        def __iadd__(self, piece):
            raise MemoryError("no room")

    monkeypatch.setattr("plugin.painterly.computing.bytearray", Short, raising=False)
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "no room" in task.jobs[0].detail and driver.session.message.startswith(FAULT)
    assert [bytes(result.raster.data) for result, _ in driver.canvas.saved] == [b"\x09" * 256]


def test_a_fault_of_ours_ends_the_job_and_keeps_its_result(driver):
    behave(driver)

    def broken(origin, result, name, mode):
        yield
        raise TypeError("a bug")

    place, driver.canvas.place = driver.canvas.place, broken
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "a bug" in task.jobs[0].detail and len(driver.session.homeless) == 1
    assert task.jobs[0].result is None
    driver.canvas.place = place
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
