"""Faults of ours and memory that runs out: they end their own job, and everything else goes on."""

import pytest

from plugin.painterly import tasks
from plugin.painterly.computing import Computing
from plugin.painterly.protocol import codec, messages

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
def test_a_job_that_cannot_be_handed_over_fails_alone_and_the_next_one_works(driver, monkeypatch, fault):
    behave(driver, steps=30, milliseconds=20)
    running = driver.session.harmonize_active()
    driver.running(running)
    backend = driver.launcher._process
    encode = codec.encode

    def refuse(message, *exchange):
        if isinstance(message, messages.Harmonize):
            raise fault
        return encode(message, *exchange)

    with monkeypatch.context() as patched:
        patched.setattr(codec, "encode", refuse)
        driver.canvas.selected = [source("other")]
        task = driver.session.harmonize_active()
        driver.until(lambda: task.ended)
    assert not running.ended and task.jobs[0].id not in driver.link._connection._unfinished
    said = "The job could not be handed to the backend ({}): harmonize again."
    assert [(job.state, job.message) for job in task.jobs] == [
        (tasks.FAILED, said.format(str(fault) or "MemoryError"))
    ]
    assert driver.session.message == "other: " + task.jobs[0].message
    assert driver.finish(running) == [tasks.DONE]
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert driver.launcher._process is backend


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


@pytest.mark.parametrize("fault", [TypeError("a bug"), MemoryError("no room")])
def test_a_result_that_cannot_be_added_is_kept_and_the_rest_of_the_batch_goes_on(driver, monkeypatch, fault):
    behave(driver)
    driver.canvas.selected = [source("low"), source("middle"), source("high")]
    place = driver.canvas.place

    def broken(origin, result, name, mode):
        if origin.source.name == "middle":
            yield
            raise fault
        return (yield from place(origin, result, name, mode))

    monkeypatch.setattr(driver.canvas, "place", broken)
    task = driver.session.harmonize_selected()
    assert driver.finish(task) == [tasks.DONE, tasks.FAILED, tasks.DONE]
    (_, path), failed = driver.canvas.saved[0], task.jobs[1]
    assert str(fault) in failed.detail and failed.message == "{} Its result is in {}.".format(FAULT, path)
    assert driver.session.message == "2 of 3 layers are done. " + failed.message
    assert [entry.source.name for entry in driver.session.history] == ["low", "middle", "high"]
    driver.until(lambda: not driver.session._computing._sent)
    monkeypatch.undo()
    driver.session.place_again(driver.session.history[1])
    driver.until(lambda: not driver.session.busy)
    assert [name for _, name, _, _ in driver.canvas.placed] == [
        "low (harmonized)", "high (harmonized)", "middle (harmonized)",
    ]  # fmt: skip


def test_a_variant_that_cannot_be_taken_over_leaves_the_others(driver, monkeypatch):
    behave(driver)
    run = Computing.run

    def broken(computing, job, task, export):
        yield from run(computing, job, task, export)
        if job is task.jobs[0]:
            raise MemoryError("no room")

    monkeypatch.setattr(Computing, "run", broken)
    task = driver.session.variants([1.0, 5.0])
    assert driver.finish(task) == [tasks.FAILED, tasks.DONE]
    assert driver.canvas.placed == [("1", "object (variants)", ["style 5"])]


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
