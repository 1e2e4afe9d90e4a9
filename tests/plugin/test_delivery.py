"""Finished results: that they wait for the artist, are kept when cancelled or Krita ends, and not kept twice."""

import gc
import weakref

import pytest

from plugin.painterly import tasks
from plugin.painterly.job import ADDED, HELD, WAITING
from plugin.painterly.protocol import messages
from plugin.painterly.status_words import stage_text

from .fakes import source
from .test_session import behave

READY = (
    "The result of “object” is ready: it is added once Krita has rendered, or you end the stroke, or apply or leave "
    "the tool."
)
KEPT = "Cancelled. The result is in the history: “Add again” adds it."


def hold_back(driver, monkeypatch):
    """From now on results wait, as for a tool that is at work, until the list is emptied."""
    behave(driver)
    working = [True]

    def waiting(name):
        steps = getattr(driver.canvas, name)

        def wait(*arguments):
            while working:
                yield HELD
            return (yield from steps(*arguments))

        monkeypatch.setattr(driver.canvas, name, wait)

    for name in ("place", "place_group", "place_on_top"):
        waiting(name)
    return working


def held(driver, monkeypatch):
    """(A task whose result waits, what holds it)."""
    working = hold_back(driver, monkeypatch)
    task = driver.session.harmonize_active()
    driver.until(lambda: task.jobs[0].held)
    return task, working


@pytest.mark.parametrize("variants", [False, True])
def test_while_a_result_waits_what_it_was_painted_from_is_not_kept(driver, monkeypatch, variants):
    exported, export = [], driver.canvas.export

    def noted(*arguments):
        got = yield from export(*arguments)
        exported.append(weakref.ref(got.painting))
        return got

    monkeypatch.setattr(driver.canvas, "export", noted)
    working = hold_back(driver, monkeypatch)
    task = driver.session.variants([1.0, 5.0]) if variants else driver.session.harmonize_active()
    driver.until(lambda: task.jobs[-1].held)
    gc.collect()
    assert [kept() for kept in exported] == [None]
    working.clear()
    driver.finish(task)


def test_that_a_result_waits_for_the_artist_is_told_until_it_does_not(driver, monkeypatch):
    working = hold_back(driver, monkeypatch)
    task = driver.session.harmonize_active()
    driver.session.say("Another layer was moved.")
    driver.until(lambda: task.jobs[0].held)
    assert driver.session.message == READY and stage_text(task) == "Ready, waits for your tool"
    before = driver.session.message_count
    working.clear()
    assert driver.finish(task) == [tasks.DONE]
    assert driver.session.message_count == before, "an old sentence is told as news"
    assert driver.session.message == "Another layer was moved." and len(driver.canvas.placed) == 1


def test_of_two_results_that_wait_none_is_said_to_wait_afterwards(driver, monkeypatch):
    working = hold_back(driver, monkeypatch)
    first = driver.session.harmonize_active()
    driver.canvas.selected = [source("other", "2")]
    second = driver.session.harmonize_active()
    driver.until(lambda: first.jobs[0].held and second.jobs[0].held)
    assert "“other” is ready" in driver.session.message
    working.clear()
    driver.until(lambda: first.ended and second.ended and not driver.session.busy)
    assert driver.session.message == ""


def test_a_result_whose_document_is_closed_waits_no_more(driver, monkeypatch):
    task, working = held(driver, monkeypatch)
    driver.canvas.open.remove("1")
    working.clear()
    driver.finish(task)
    assert "was closed" in driver.session.message
    working.append(True)
    driver.canvas.selected = [source("other", "2")]
    other = driver.session.harmonize_active()
    driver.until(lambda: other.jobs[0].held)
    working.clear()
    assert driver.finish(other) == [tasks.DONE] and driver.session.message == ""


def test_a_result_that_waits_is_cancelled_at_once_and_kept_in_the_history(driver, monkeypatch):
    task, working = held(driver, monkeypatch)
    driver.session.cancel()
    driver.session.tick()
    assert [job.state for job in task.jobs] == [tasks.CANCELLED] and not driver.session.busy
    assert driver.session.message == KEPT
    (entry,) = driver.session.history
    driver.session.show_only(entry)
    assert driver.session.message == "This result was not added to its document: use “Add again”."
    driver.session.place_again(entry)
    driver.until(lambda: driver.session.tasks[-1].jobs[0].held)
    driver.session.cancel()
    driver.session.tick()
    assert driver.session.history == [entry]
    again = driver.session.harmonize_active()
    working.clear()
    assert driver.finish(again) == [tasks.DONE] and len(driver.canvas.placed) == 1
    driver.session.place_again(entry)
    driver.until(lambda: not driver.session.busy)
    assert len(driver.canvas.placed) == 2 and len(driver.session.history) == 3


def test_a_result_that_is_being_added_is_not_cancelled_any_more(driver, monkeypatch):
    behave(driver)
    place = driver.canvas.place

    def slow(*arguments):
        yield ADDED
        driver.session.cancel()
        yield WAITING
        return (yield from place(*arguments))

    monkeypatch.setattr(driver.canvas, "place", slow)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert len(driver.canvas.placed) == 1


def test_variants_that_wait_are_cancelled_together(driver, monkeypatch):
    hold_back(driver, monkeypatch)
    task = driver.session.variants([1.0, 5.0])
    driver.until(lambda: task.jobs[1].held)
    assert stage_text(task) == "2 of 2: Ready, waits for your tool"
    driver.session.cancel()
    assert driver.finish(task) == [tasks.CANCELLED] * 2 and driver.session.message == KEPT
    assert [entry.label for entry in driver.session.history] == ["style 1", "style 5"]


def test_a_result_without_a_document_that_waits_is_cancelled_and_offered_again(driver, monkeypatch):
    behave(driver, steps=10, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    driver.canvas.open.remove("1")
    driver.finish(task)
    (homeless,) = driver.session.homeless
    working = hold_back(driver, monkeypatch)
    driver.session.adopt(homeless)
    driver.until(lambda: driver.session.message == READY)
    driver.session.cancel()
    driver.session.tick()
    assert not driver.session.busy and driver.session.homeless == [homeless]
    working.clear()
    driver.session.adopt(homeless)
    driver.until(lambda: not driver.session.busy)
    assert driver.session.homeless == [] and len(driver.canvas.placed) == 1


def test_a_result_that_waits_when_krita_ends_becomes_a_file(driver, monkeypatch):
    held(driver, monkeypatch)
    driver.session.close()
    assert [bytes(result.raster.data) for result, _ in driver.canvas.saved] == [b"\x09" * 256]
    assert driver.link.state == "stopped"


def test_a_result_that_is_just_written_when_krita_ends_is_one_file(driver, monkeypatch, tmp_path):
    behave(driver, steps=10, milliseconds=20)
    writes = []

    def save(result, path):
        writes.append(path)
        try:
            while True:
                yield WAITING
        finally:
            path.parent.mkdir(exist_ok=True)
            path.touch()

    monkeypatch.setattr(driver.canvas, "save", save)
    driver.running(driver.session.harmonize_active())
    driver.canvas.open.remove("1")
    driver.until(lambda: writes)
    driver.session.close()
    assert len(writes) == 1 and writes[0].exists()


def slowly_copied(driver, monkeypatch):
    """A job whose result, 256 bytes, came just now and is copied a quarter a tick."""
    monkeypatch.setattr("plugin.painterly.computing.PIECE", 64)
    monkeypatch.setattr("plugin.painterly.session.TICK_SECONDS", 0)
    behave(driver)
    (job,) = driver.session.harmonize_active().jobs
    driver.until(lambda: job.result is not None)
    return job


def test_a_result_is_copied_a_piece_at_a_time(driver, monkeypatch):
    job, ticks = slowly_copied(driver, monkeypatch), 0
    while job.state == tasks.RUNNING:
        driver.session.tick()
        ticks += 1
    assert ticks == 4
    driver.until(lambda: not driver.session.busy)
    (entry,) = driver.session.history
    assert bytes(entry.result.raster.data) == b"\x09" * 256


def test_a_result_that_is_just_copied_when_krita_ends_becomes_a_file(driver, monkeypatch):
    slowly_copied(driver, monkeypatch)
    driver.session.close()
    assert [bytes(result.raster.data) for result, _ in driver.canvas.saved] == [b"\x09" * 256]


def test_a_result_that_comes_twice_is_taken_once(driver, monkeypatch):
    heard, again, poll = [], [], driver.link.poll

    def repeated():
        news = poll()
        heard.extend(message for message in news if isinstance(message, messages.Result))
        return news + again

    monkeypatch.setattr(driver.link, "poll", repeated)
    task, working = held(driver, monkeypatch)
    taken = task.jobs[0].result
    again += heard
    driver.session.tick()
    again.clear()
    assert task.jobs[0].result is taken
    working.clear()
    assert driver.finish(task) == [tasks.DONE] and driver.session.history[0].result is taken


@pytest.mark.parametrize("variants", [False, True])
def test_no_pixels_are_kept_beside_the_history(driver, monkeypatch, variants):
    monkeypatch.setattr("plugin.painterly.delivery.HISTORY_BYTES", 600)
    behave(driver)
    driver.canvas.selected = [source("layer {}".format(number)) for number in range(4)]
    task = driver.session.variants([1.0] * 4) if variants else driver.session.harmonize_selected()
    assert driver.finish(task) == [tasks.DONE] * 4
    assert len(driver.session.history) == 2 and driver.session.tasks == [task]
    assert [job.result for job in task.jobs] == [None] * 4
