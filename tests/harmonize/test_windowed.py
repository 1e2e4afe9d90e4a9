"""The engine works on the window that an object needs (`backend/windowed.py`)."""

import pytest
import torch

from backend import engine as module
from backend.engine import Engine
from backend.harmonize.composite import Composite
from backend.harmonize.errors import Cancelled
from backend.windowed import Window, object_box
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.protocol.parameters import resolve
from tests.harmonize.scenes import composed

RESOLUTION = 64  # of which a canvas of 500 x 520 px is more than a window
SETTINGS = {
    "device": "cpu",
    "precision": "float32",
    "first_iterations": 1,
    "second_iterations": 1,
    "resolution": RESOLUTION,
    "style": 4,
}


@pytest.fixture(scope="module")
def clean():
    return composed(500, 520, 30, 40, 24)


@pytest.fixture(scope="module")
def specked(clean):
    """The same with a speck of alpha 0.05 far away from the object."""
    mask = clean.mask.clone()
    mask[:, 490, 510] = 0.05
    return Composite(clean.painting, clean.naive, mask)


def test_a_speck_far_away_does_not_widen_what_is_worked_on(clean, specked):
    window = Window.needed(specked, RESOLUTION)
    assert window.region == Window.needed(clean, RESOLUTION).region
    assert max(window.part().mask.shape) < 320 and window.region.of(clean.mask).sum() == clean.mask.sum()


def test_a_preview_shows_the_object_and_no_speck(specked):
    assert object_box(specked) == Box(40, 30, 64, 54)


def test_a_composite_no_larger_than_its_window_is_worked_on_as_it_is():
    small = composed(64, 64, 20, 20, 24)
    window, told = Window.needed(small, RESOLUTION), [].append
    assert window.part() is small and window.telling(told) is told
    outcome = object()
    assert window.back(outcome) is outcome


def test_the_result_is_in_its_place_and_that_of_the_window_alone(clean, specked):
    window, steps = Window.needed(specked, RESOLUTION), []
    settings = resolve("draft", SETTINGS)
    whole = Engine().harmonize(specked, settings, steps.append)
    part = Engine().harmonize(window.part(), settings)
    assert whole.image.shape == (3, 500, 520) and whole.alpha.shape == (1, 500, 520)
    assert torch.equal(window.region.of(whole.image), part.image)
    assert torch.equal(window.region.of(whole.alpha), part.alpha) and part.alpha.max() > 0.9
    assert whole.alpha.sum() == part.alpha.sum()
    around = torch.ones(1, 500, 520, dtype=torch.bool)
    window.region.of(around).fill_(False)
    assert torch.equal(whole.image[:, around[0]], clean.painting[:, around[0]])
    assert whole.report["working_size"] == part.report["working_size"]
    previews = [step.preview() for step in steps if step.preview]
    assert previews and all(preview.shape == (3, 500, 520) for preview in previews)


def test_the_best_so_far_is_in_its_place_too(specked):
    def stop(step):
        if step.stage == "second pass":
            raise Cancelled()

    with pytest.raises(Cancelled) as stopped:
        Engine().harmonize(specked, resolve("draft", SETTINGS), stop)
    assert stopped.value.best.image.shape == (3, 500, 520) and stopped.value.best.alpha[0, 40, 50] == 1


def test_the_memory_follows_the_object_and_not_a_speck(specked, monkeypatch):
    """The numerics are handed the window alone."""
    sizes = []

    def seen(part, *others):
        sizes.append(tuple(part.mask.shape[1:]))
        raise Cancelled()

    monkeypatch.setattr(module, "harmonize", seen)
    with pytest.raises(Cancelled):
        Engine().harmonize(specked, resolve("draft", SETTINGS))
    region = Window.needed(specked, RESOLUTION).region
    assert sizes == [(region.bottom - region.top, region.right - region.left)]
