"""Session and canvas together: the fake Krita on one side, a real service with the fake worker on the other."""

from pathlib import Path

import pytest

from plugin.painterly import tasks
from plugin.painterly.backend_link import BackendLink
from plugin.painterly.job import REPLACE
from plugin.painterly.session import Session
from plugin.painterly.settings import Settings
from tests.fakes import krita, qt

from .conftest import Driver
from .test_session import behave


@pytest.fixture
def whole(inside, launcher, tmp_path):
    """(driver, scenes, document): "object" is active above a painting, a layer "above" covers it."""
    scenes = inside("scenes")
    document, _, pasted = scenes.scene()
    document.setActiveNode(pasted)
    canvas, link = scenes.Canvas(), BackendLink(launcher)
    session = Session(canvas, link, Settings(), tmp_path / "recovered")
    driver = Driver(session, canvas, link, launcher)
    behave(driver)
    yield driver, scenes, document
    session.close()


def names(document):
    return [(node.name(), node.visible()) for node in document.topLevelNodes()]


def select(document, *boxes):
    """Selects these boxes (x, y, width, height), or nothing."""
    selection = krita.Selection()
    for box in boxes:
        selection.select(*box, 255)
    document.setSelection(selection)


def test_the_active_layer_comes_back_above_its_hidden_original(whole):
    driver, scenes, document = whole
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    result = document.nodeByName("object (harmonized)")
    # The fake worker gives the layer back as it came.
    assert bytes(result.pixelData(100, 80, 40, 30)) == scenes.noise(40, 30, seed=2)
    assert names(document) == [
        ("Background", True), ("object", False), ("object (harmonized)", True), ("above", True),
    ]  # fmt: skip


def test_a_layer_that_krita_is_just_removing_is_passed_over(whole, monkeypatch):
    driver, _, document = whole
    node, there = type(document.rootNode()), type(document.rootNode()).childNodes
    monkeypatch.setattr(node, "childNodes", lambda self: [*there(self), None])
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert document.nodeByName("object (harmonized)").visible()


def test_what_masks_showed_beyond_the_pixels_of_an_original_is_rendered_anew(whole):
    driver, scenes, document = whole
    document.nodeByName("object").addChildNode(document.createNode("colours", "colorizemask"), None)
    document.nodeByName("Background").setPixelData(scenes.flat(1, 1, 7, 7, 7), 250, 150, 1, 1)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert document.projection(250, 150, 1, 1).constBits().asstring(4) == scenes.flat(1, 1, 7, 7, 7)


def test_replacing_leaves_one_layer(whole):
    driver, _, document = whole
    driver.session.settings.result = REPLACE
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert names(document) == [("Background", True), ("object", True), ("above", True)]


def test_a_result_harmonized_again_is_its_original_painted_again(whole):
    driver, _, document = whole
    driver.finish(driver.session.harmonize_active())
    again = document.nodeByName("object (harmonized)")
    document.setActiveNode(again)
    document._image.selected = [node._layer for node in (document.nodeByName("object"), again)]
    for ask in (driver.session.harmonize_active, driver.session.harmonize_selected):
        task = ask()
        assert driver.finish(task) == [tasks.DONE] and task.jobs[0].source.name == "object"
    assert names(document)[1:-1] == [("object", False)] + [("object (harmonized)", False)] * 2 + [
        ("object (harmonized)", True)
    ]


def test_a_result_in_a_document_opened_again_is_its_original_painted_again(whole, tmp_path):
    driver, scenes, document = whole
    driver.finish(driver.session.harmonize_active())
    document.saveAs(str(tmp_path / "picture.kra"))
    document.close()
    document = scenes.Krita.instance().openDocument(str(tmp_path / "picture.kra"))
    document.setActiveNode(document.nodeByName("object (harmonized)"))
    task = driver.session.harmonize_active()
    assert driver.finish(task) == [tasks.DONE] and task.jobs[0].source.name == "object"
    assert names(document)[1:-1] == [
        ("object", False), ("object (harmonized)", False), ("object (harmonized)", True),
    ]  # fmt: skip


def test_a_hidden_layer_is_painted_only_while_its_result_is_seen(whole):
    driver, _, document = whole
    driver.finish(driver.session.harmonize_active())
    document.nodeByName("object (harmonized)").setVisible(False)
    assert driver.finish(driver.session.harmonize_active()) == [tasks.FAILED]
    assert "“object” is hidden" in driver.session.message


def test_a_result_that_replaced_its_original_is_painted_itself(whole):
    driver, _, document = whole
    driver.session.settings.result = REPLACE
    driver.finish(driver.session.harmonize_active())
    document.setActiveNode(document.nodeByName("object"))
    assert driver.finish(driver.session.harmonize_active()) == [tasks.DONE]
    assert names(document) == [("Background", True), ("object", True), ("above", True)]


@pytest.mark.parametrize("busy", ["stroke", "button"])
def test_nothing_is_added_while_the_artist_draws(whole, monkeypatch, busy):
    driver, _, document = whole
    drawing = [True]
    if busy == "stroke":
        monkeypatch.setattr(type(document), "tryBarrierLock", lambda _: not drawing)
    else:
        monkeypatch.setattr(qt.QApplication, "mouseButtons", lambda: len(drawing))
    task = driver.session.harmonize_active()
    driver.until(lambda: task.jobs[0].state == tasks.PLACING)
    for _ in range(20):
        driver.session.tick()
    assert [name for name, _ in names(document)] == ["Background", "object", "above"]
    drawing.clear()
    assert driver.finish(task) == [tasks.DONE]
    assert document.nodeByName("object (harmonized)").visible()


def test_a_deleted_result_is_not_shown_alone(whole):
    driver, _, document = whole
    for _ in range(2):
        driver.finish(driver.session.harmonize_active())
    document.nodeByName("object (harmonized)").remove()
    driver.session.show_only(driver.session.history[0])
    assert driver.session.message == "This result was deleted: use “Add again”."
    assert document.nodeByName("object (harmonized)").visible()


def test_one_of_several_variants_is_shown_alone_also_after_another_result(whole):
    driver, _, document = whole
    driver.finish(driver.session.variants([1.0, 5.0, 10.0]))
    group = document.nodeByName("object (variants)")
    first, *_ = driver.session.history
    for entry, seen in zip(driver.session.history, ([1, 0, 0], [0, 1, 0], [0, 0, 1])):
        driver.session.show_only(entry)
        assert [layer.visible() for layer in group.childNodes()] == [bool(each) for each in seen]
        assert group.visible() and not document.nodeByName("object").visible()
    driver.session.show_only(first)
    driver.finish(driver.session.harmonize_active())
    single = document.nodeByName("object (harmonized)")
    assert single.visible() and not group.visible()
    for entry in (first, driver.session.history[-1], first):
        driver.session.show_only(entry)
        assert (group.visible(), single.visible()) == (entry is first, entry is not first)
    assert [layer.visible() for layer in group.childNodes()] == [True, False, False]


def test_a_batch_goes_from_the_bottom_up_and_tells_every_error(whole):
    driver, scenes, document = whole
    high = scenes.add_layer(document, "high", scenes.noise(20, 20, seed=5), 10, 10, 20, 20)
    void = document.createNode("void", "paintlayer")
    document.rootNode().addChildNode(void, None)
    chosen = [high, void, document.nodeByName("object"), document.topLevelNodes()[0]]
    document._image.selected = [node._layer for node in chosen]
    task = driver.session.harmonize_selected()
    assert driver.finish(task) == [tasks.FAILED, tasks.DONE, tasks.DONE, tasks.FAILED]
    assert [job.source.name for job in task.jobs] == ["Background", "object", "high", "void"]
    said = driver.session.message
    assert said.startswith("2 of 4 layers are done.") and "covers the whole" in said and "“void” is" in said


@pytest.mark.parametrize("later", [[(200, 150, 20, 20)], []], ids=["elsewhere", "nothing"])
def test_a_batch_paints_what_was_selected_when_it_was_asked_for(whole, later):
    driver, scenes, document = whole
    high = scenes.add_layer(document, "high", scenes.noise(20, 20, seed=5), 110, 85, 20, 20)
    document._image.selected = [node._layer for node in (document.nodeByName("object"), high)]
    select(document, (112, 87, 5, 5))
    behave(driver, steps=10, milliseconds=20)
    task = driver.session.harmonize_selected()
    driver.running(task)
    select(document, *later)
    assert driver.finish(task) == [tasks.DONE] * 2, driver.session.message
    assert [tuple(job.origin.part) for job in task.jobs] == [(112, 87, 117, 92)] * 2
    assert [job.selected for job in task.jobs] == [None] * 2, "an ended job keeps pixels that nobody needs"


def test_the_selection_among_the_selected_layers_is_passed_over(whole):
    driver, _, document = whole
    selection = krita.Selection()
    selection.select(100, 80, 40, 30, 255)
    document.setSelection(selection)
    mask = document.rootNode().childNodes()[-1]
    document._image.selected = [mask._layer, document.nodeByName("object")._layer]
    task = driver.session.harmonize_selected()
    assert mask.type() == "selectionmask" and [job.source.name for job in task.jobs] == ["object"]
    assert driver.finish(task) == [tasks.DONE]
    document._image.selected = [mask._layer]
    document.setActiveNode(mask)
    assert driver.session.harmonize_selected() is None
    assert driver.session.message == "Select the layer with the pasted object first."


def test_a_layer_moved_meanwhile_takes_its_result_along(whole):
    driver, _, document = whole
    behave(driver, steps=10, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    document.nodeByName("object").move(7, -3)
    driver.finish(task)
    assert tuple(document.nodeByName("object (harmonized)").bounds()) == (107, 77, 40, 30)
    assert "moved along" in driver.session.message


def test_a_layer_repainted_meanwhile_stays_visible_beneath_its_result(whole):
    driver, scenes, document = whole
    driver.session.settings.result = REPLACE
    behave(driver, steps=10, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    document.nodeByName("object").setPixelData(scenes.noise(40, 30, seed=9), 100, 80, 40, 30)
    assert driver.finish(task) == [tasks.DONE]
    assert names(document)[1:3] == [("object", True), ("object", True)]
    assert "“object” was changed meanwhile: its result shows it as it was." in driver.session.message


def test_a_document_closed_meanwhile_leaves_a_file_that_is_added_to_another(whole):
    driver, scenes, document = whole
    behave(driver, steps=10, milliseconds=20)
    task = driver.session.harmonize_active()
    driver.running(task)
    document.close()
    other, _, _ = scenes.scene()
    driver.finish(task)
    assert [name for name, _ in names(other)] == ["Background", "object", "above"]
    (homeless,) = driver.session.homeless
    assert homeless.path in driver.session.message and Path(homeless.path).exists()
    driver.session.adopt(homeless)
    driver.until(lambda: not driver.session.busy)
    added = other.topLevelNodes()[-1]
    assert bytes(added.pixelData(100, 80, 40, 30)) == scenes.noise(40, 30, seed=2)
