"""What is kept of finished results: to compare them, add them again and take their settings; and what is not kept."""

import pytest

from plugin.painterly import tasks
from plugin.painterly.job import REPLACE

from .fakes import source
from .test_session import behave


def test_in_the_history_a_long_name_hides_nothing(driver):
    behave(driver)
    driver.canvas.selected = [source("long " * 40)]
    driver.session.settings.change("style", 3.0)
    driver.finish(driver.session.harmonize_active())
    assert driver.session.history[0].title == "style 3, 0 s: " + "long " * 40
    driver.finish(driver.session.variants(["auto"]))
    assert driver.session.history[1].title == "style auto, 0 s: " + "long " * 40


def test_history_places_again_compares_and_gives_back_its_settings(driver):
    behave(driver)
    driver.session.settings.change("style", 3.0)
    driver.finish(driver.session.harmonize_active())
    entry = driver.session.history[0]
    driver.session.settings.choose_preset("draft")
    driver.session.use_settings(entry)
    assert driver.session.settings.resolved() == entry.values
    driver.session.settings.result = REPLACE
    driver.session.place_again(entry)
    driver.until(lambda: not driver.session.busy)
    assert driver.canvas.placed[-1][2] == REPLACE
    driver.session.show_only(entry)
    assert driver.canvas.shown[0] == entry.landing.node


def test_history_forgets_the_oldest_pixels(driver, monkeypatch):
    monkeypatch.setattr("plugin.painterly.delivery.HISTORY_BYTES", 300)
    behave(driver)
    for _ in range(3):
        driver.finish(driver.session.harmonize_active())
    assert len(driver.session.history) == 1


def test_what_is_kept_of_a_closed_document_is_forgotten_and_pushes_nothing_out(driver, monkeypatch):
    monkeypatch.setattr("plugin.painterly.delivery.HISTORY_BYTES", 600)
    behave(driver)
    driver.finish(driver.session.harmonize_active())
    driver.canvas.selected = [source("other", "2")]
    driver.finish(driver.session.harmonize_active())
    assert [entry.source.document for entry in driver.session.history] == ["1", "2"]
    driver.canvas.open.remove("1")
    driver.session.tick()
    assert [entry.source.document for entry in driver.session.history] == ["2"]


def test_a_result_whose_document_was_closed_is_kept_only_without_one(driver):
    lose(driver)
    assert driver.session.history == [] and len(driver.session.homeless) == 1


def write(result, path):
    """As a canvas saves a result."""
    yield
    path.parent.mkdir(exist_ok=True)
    path.touch()


def lose(driver):
    """A result whose document is closed before it comes."""
    behave(driver, steps=3, milliseconds=20)
    driver.canvas.open.add("1")
    task = driver.session.harmonize_active()
    driver.running(task)
    driver.canvas.open.remove("1")
    assert driver.finish(task) == [tasks.DONE]


@pytest.mark.parametrize("written", [True, False])
def test_a_result_without_a_document_is_offered_no_more_if_it_is_a_file(driver, monkeypatch, written):
    if written:
        monkeypatch.setattr(driver.canvas, "save", write)
    lose(driver)
    (homeless,) = driver.session.homeless
    driver.session.dismiss(homeless)
    assert driver.session.homeless == ([] if written else [homeless])
    assert driver.session.message.startswith(
        "“object (harmonized)” is in " + (homeless.path if written else "no file")
    )


@pytest.mark.parametrize("written", [True, False])
def test_of_results_without_a_document_the_oldest_go_if_they_are_files(driver, monkeypatch, written):
    monkeypatch.setattr("plugin.painterly.delivery.HISTORY_BYTES", 600)
    if written:
        monkeypatch.setattr(driver.canvas, "save", write)
    made = []
    for _ in range(3):
        lose(driver)
        made.append(driver.session.homeless[-1])
    assert driver.session.homeless == (made[1:] if written else made)
