"""The state machine against a canvas in memory and a real service with a worker that misbehaves."""

import os
import signal
from dataclasses import replace

import pytest

from plugin.painterly import tasks
from plugin.painterly.job import Landing, Selected
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.protocol.raster import DEPTHS, Raster
from plugin.painterly.status_words import stage_text
from tests.fakes import backend

from .fakes import source


def behave(driver, does=backend.WELL, steps=1, milliseconds=0):
    driver.session.settings.preset = "balanced"
    driver.session.settings.changes = {"seed": does, "first_iterations": steps, "feather": milliseconds}


def test_a_layer_goes_through_all_states_in_order(driver):
    behave(driver, steps=5, milliseconds=20)
    seen = []
    driver.session.subscribe(
        lambda: seen.extend(job.state for task in driver.session.tasks for job in task.jobs)
    )
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.DONE]
    order = list(dict.fromkeys(seen))
    assert order == ["idle", "exporting", "starting", "running", "placing", "done"]
    assert driver.canvas.placed == [("1", "object (harmonized)", "above", Box(2, 3, 10, 11))]
    entry = driver.session.history[0]
    assert entry.values == task.jobs[0].values and bytes(entry.result.raster.data) == b"\x09" * 256


def test_progress_previews_and_time_left_are_shown(driver):
    behave(driver, steps=20, milliseconds=50)
    driver.session.want_preview(True)
    task = driver.session.harmonize_active()
    job = task.jobs[0]
    driver.until(lambda: 0 < job.fraction < 1 and job.preview is not None)
    assert job.stage == "fake pass" and job.seconds_left > 0
    assert driver.finish(task) == [tasks.DONE] and job.preview is None


@pytest.mark.parametrize("does,words", [
    (backend.REFUSES, "mask is empty"), (backend.RAISES, ""), (backend.DIES, ""),
])  # fmt: skip
def test_a_failed_job_is_told_and_the_next_one_works(driver, does, words):
    behave(driver, does)
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert words in task.jobs[0].message and "object: " in driver.session.message
    assert driver.canvas.placed == []
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert driver.session.message == ""


@pytest.mark.parametrize(
    "depth,way_out", [("U8", "."), ("F32", ", or convert the image to 16-bit integers.")]
)
def test_what_no_message_can_hold_is_a_sentence_and_nothing_is_started(driver, monkeypatch, depth, way_out):
    behave(driver)
    export = driver.canvas.export

    def exported(*arguments):
        got = yield from export(*arguments)
        data = bytes(32 * 32 * 16)[: 32 * 32 * 4 * DEPTHS[depth]]
        return replace(got, painting=Raster(32, 32, "RGBA", depth, data))

    monkeypatch.setattr(driver.canvas, "export", exported)
    monkeypatch.setattr("plugin.painterly.computing.LARGEST", 4095)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.FAILED]
    said = "object: It is too large to be painted at once with its surroundings: select a smaller part of it"
    assert driver.session.message == said + way_out and driver.link.state == "stopped"


def test_the_backend_killed_mid_job_is_told_and_started_again(driver):
    behave(driver, steps=500, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    os.kill(driver.launcher._process.pid, signal.SIGKILL)
    assert driver.finish(task) == [tasks.FAILED]
    assert "ended unexpectedly: it left no message" in task.jobs[0].message
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]


def test_a_batch_gives_each_layer_its_own_result_or_error(driver):
    behave(driver)
    driver.canvas.selected = [source("low"), source("void"), source("high")]
    driver.canvas.empty = {"void"}
    task = driver.session.harmonize_selected()
    assert driver.finish(task) == [tasks.DONE, tasks.FAILED, tasks.DONE]
    assert [name for _, name, _, _ in driver.canvas.placed] == ["low (harmonized)", "high (harmonized)"]
    assert "empty" in task.jobs[1].message and task.fraction == 1.0


def test_what_is_to_be_known_of_one_layer_of_a_batch_is_told(driver):
    behave(driver)
    driver.canvas.selected = [source("low"), source("high")]
    driver.canvas.notes = {"low (harmonized)": "“low” was moved."}
    driver.finish(driver.session.harmonize_selected())
    assert driver.session.message == "“low” was moved."


def test_a_batch_exports_each_layer_only_after_the_one_beneath_is_placed(driver):
    behave(driver)
    driver.canvas.selected = [source("low"), source("high")]
    events = []
    place, export = driver.canvas.place, driver.canvas.export
    driver.canvas.place = lambda *a: (events.append(("place", a[2])), place(*a))[1]
    driver.canvas.export = lambda *a: (events.append(("export", a[0].name)), export(*a))[1]
    driver.finish(driver.session.harmonize_selected())
    assert [event[0] for event in events] == ["export", "place", "export", "place"]


def test_a_batch_without_the_others_leaves_their_results_out_too(driver):
    behave(driver)
    driver.session.settings.without_others = True
    driver.canvas.selected = [source("low"), source("high")]
    driver.finish(driver.session.harmonize_selected())
    assert driver.canvas.wishes[1][1].without == ("{low}", "{high}", "{result of low (harmonized)}")


def test_variants_are_one_export_and_one_group(driver):
    behave(driver)
    task = driver.session.variants([1.0, 5.0])
    assert driver.finish(task) == [tasks.DONE, tasks.DONE]
    assert len(driver.canvas.wishes) == 1
    assert driver.canvas.placed == [("1", "object (variants)", ["style 1", "style 5"])]
    assert [entry.values["style"] for entry in driver.session.history] == [1.0, 5.0]


def test_the_status_follows_variants_one_by_one(driver):
    behave(driver, steps=3, milliseconds=20)
    task = driver.session.variants([1.0, 5.0, 10.0])
    said, fractions = [], []
    driver.session.subscribe(lambda: (said.append(stage_text(task)), fractions.append(task.fraction)))
    driver.finish(task)
    assert list(dict.fromkeys(text.split(":")[0] for text in said)) == ["1 of 3", "2 of 3", "3 of 3", "Done."]
    assert "2 of 3: fake pass, 1 s left" in said and "3 of 3: Adding the result" in said
    assert fractions == sorted(fractions)


def test_a_failed_variant_is_told_beside_where_the_others_went(driver):
    behave(driver)

    def moved(origin, results, name):
        yield
        return Landing("1", "{group}", "The layer was moved.")

    driver.canvas.place_group = moved
    task = driver.session.variants([1.0, 5.0, 10.0])
    task.jobs[1].values["seed"] = backend.REFUSES
    assert driver.finish(task) == [tasks.DONE, tasks.FAILED, tasks.DONE]
    assert driver.session.message == (
        "2 of 3 variants are done. The layer was moved. The mask is empty; mark the pasted object."
    )


def test_variants_of_an_empty_layer_all_fail(driver):
    driver.canvas.empty = {"object"}
    assert driver.finish(driver.session.variants([1.0, 5.0])) == [tasks.FAILED, tasks.FAILED]


def test_a_closed_document_makes_the_result_a_file_that_can_be_adopted(driver):
    behave(driver, steps=10, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    driver.canvas.open.remove("1")
    driver.finish(task)
    assert driver.canvas.placed == []
    ((result, path),) = driver.canvas.saved
    assert bytes(result.raster.data) == b"\x09" * 256 and str(path) in task.jobs[0].message
    driver.session.adopt(driver.session.homeless[0])
    driver.until(lambda: not driver.session.busy)
    assert driver.canvas.placed == [("2", "object (harmonized)", "on top", Box(2, 3, 10, 11))]
    assert driver.session.homeless == []


def test_a_result_that_cannot_be_saved_is_still_kept(driver):
    behave(driver, steps=10, milliseconds=20)
    driver.canvas.refuses_to_save = True
    task = driver.session.harmonize_active()
    driver.running(task)
    driver.canvas.open.remove("1")
    driver.finish(task)
    assert len(driver.session.homeless) == 1 and "The disk is full." in driver.session.message


def test_a_document_closed_before_its_export_is_a_sentence(driver):
    driver.canvas.open.remove("1")
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED] and task.jobs[0].message == "The document was closed."


def test_nothing_selected_is_a_sentence(driver):
    driver.canvas.selected = []
    assert driver.session.harmonize_active() is None
    assert driver.session.message == "Open a document first."


def test_a_backend_that_dies_at_start_is_told_in_its_own_words(driver, home):
    (home / "behaviour").write_text("dead")
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "torch is broken" in task.jobs[0].message
    (home / "behaviour").unlink()
    behave(driver)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]


def test_a_backend_that_is_silent_is_given_up(driver, home, monkeypatch):
    monkeypatch.setattr("plugin.painterly.launcher.START_SECONDS", 0.5)
    (home / "behaviour").write_text("silent")
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "did not start" in task.jobs[0].message


def test_a_backend_that_is_not_installed_is_told(driver, home):
    (home / "env" / "bin" / "python").unlink()
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.FAILED]
    assert "run install.py" in task.jobs[0].message and driver.link.why == task.jobs[0].message


def test_two_tasks_at_once_both_arrive(driver):
    behave(driver, steps=10, milliseconds=10)
    first = driver.session.harmonize_active()
    driver.canvas.selected = [source("other", "2")]
    second = driver.session.harmonize_active()
    driver.until(lambda: first.ended and second.ended and not driver.session.busy)
    assert sorted(document for document, *_ in driver.canvas.placed) == ["1", "2"]


def test_a_layer_on_its_way_is_not_started_again(driver):
    behave(driver, steps=20, milliseconds=20)
    first = driver.session.harmonize_active()
    driver.running(first)
    driver.canvas.selected = [source(), source("other")]
    session = driver.session
    for start in (session.harmonize_active, session.harmonize_selected, lambda: session.variants([1.0])):
        assert start() is None
        assert session.message == "“object” is being harmonized already: wait or cancel first."
    assert driver.finish(first) == [tasks.DONE] and len(driver.canvas.placed) == 1
    again = session.harmonize_active()
    session.cancel()
    behave(driver)
    assert driver.finish(session.harmonize_active()) == [tasks.DONE] and again.ended


LEFT, RIGHT = (Selected(Box(x, 25, x + 2, 27), b"\xff" * 4) for x in (12, 16))


def test_another_selection_of_a_layer_on_its_way_is_queued(driver):
    behave(driver, steps=20, milliseconds=20)
    driver.canvas.area = LEFT
    left = driver.session.harmonize_active()
    driver.running(left)
    for area in (LEFT, None):
        driver.canvas.area = area
        for ask in (driver.session.harmonize_active, lambda: driver.session.variants([1.0])):
            assert ask() is None and "being harmonized already" in driver.session.message
    driver.canvas.area = RIGHT
    right = driver.session.harmonize_active()
    driver.until(lambda: left.ended and right.ended and not driver.session.busy)
    assert [entry.origin.part for entry in driver.session.history] == [LEFT.box, RIGHT.box]
    driver.canvas.area = None
    driver.running(driver.session.harmonize_active())
    driver.canvas.area = RIGHT
    assert driver.session.harmonize_active() is None


def test_a_layers_own_selection_is_its_jobs_and_another_one_is_queued(driver):
    behave(driver, steps=20, milliseconds=20)
    driver.canvas.selected, driver.canvas.area = [source(), source("other")], RIGHT
    driver.canvas.areas = {"object": LEFT}
    task = driver.session.harmonize_selected()
    assert [job.selected for job in task.jobs] == [LEFT, RIGHT]
    driver.running(task)
    driver.canvas.selected, driver.canvas.areas = [source()], {"object": RIGHT}
    later = driver.session.harmonize_active()
    driver.until(lambda: task.ended and later.ended and not driver.session.busy)
    parts = {(entry.source.name, entry.origin.part) for entry in driver.session.history}
    assert parts == {("object", LEFT.box), ("other", RIGHT.box), ("object", RIGHT.box)}


def test_shown_alone_a_result_hides_those_of_the_same_selection_and_a_whole_layers_all(driver):
    behave(driver)
    driver.canvas.numbered = True
    for area in (LEFT, RIGHT, LEFT, Selected(LEFT.box, b"\xff\0\0\0"), None):
        driver.canvas.area = area
        driver.finish(driver.session.harmonize_active())
    hidden = []
    for entry in driver.session.history:
        driver.session.show_only(entry)
        hidden.append(driver.canvas.shown[1])
    first, right, again, corner, whole = ("{{result {}}}".format(number) for number in range(1, 6))
    assert hidden == [[first, again], [right], [first, again], [corner], [first, right, again, corner, whole]]


def test_what_is_typed_counts_before_the_settings_are_taken(driver):
    behave(driver)
    driver.session.before_start = lambda: driver.session.settings.change("content", 7.5)
    assert driver.session.harmonize_active().jobs[0].values["content"] == 7.5
    behave(driver)
    driver.canvas.selected = [source("other")]
    assert driver.session.variants([1.0]).jobs[0].values["content"] == 7.5


def test_closing_ends_the_backend(driver):
    behave(driver, steps=500, milliseconds=20)
    driver.running(driver.session.harmonize_active())
    process = driver.launcher._process
    driver.session.close()
    assert process.poll() is not None
