"""What is painted larger than its canvas, and shrunk in the end."""

from dataclasses import replace

import pytest
import torch

from backend.engine import configure
from backend.harmonize.composite import Composite
from backend.harmonize.config import Level
from backend.harmonize.optimize import Plan
from backend.harmonize.pipeline import harmonize
from plugin.painterly.protocol.parameters import BY_NAME, PRESETS, InvalidParameter, resolve
from tests.harmonize.scenes import composed, short

STILL = {
    "first": Level(1.0, Plan(0)),
    "second": (Level(1.0, Plan(0)),),
    "chroma_denoise": False,
    "patch_synthesis": False,
    "published": True,
}


@pytest.mark.parametrize("times", [1, 1.5, 2])
def test_the_working_scale_is_as_many_times_larger(times):
    large = composed(400, 600, 50, 50, 300)
    # In one round, whose scale does not depend on the object.
    once = {"resolution": 256, "second_iterations": 30}
    changes = {**once, "supersampling": times}
    plain = configure(large, resolve("balanced", once))
    assert configure(large, resolve("balanced", changes)) == replace(
        plain, working_scale=times * plain.working_scale
    )


def test_no_preset_has_it_and_it_has_bounds():
    assert {preset["supersampling"] for preset in PRESETS.values()} == {1}
    for wrong in (0.5, 2.5, "auto"):
        with pytest.raises(InvalidParameter, match="Supersampling is a number from 1 to 2 x"):
            BY_NAME["supersampling"].check(wrong)


@pytest.mark.parametrize("height, width", [(96, 128), (67, 83)])
def test_what_was_painted_larger_comes_back_at_its_size(thin, height, width):
    composite, steps = composed(height, width, 20, 30, 40), []
    outcome = harmonize(composite, thin, short(working_scale=1.5), steps.append)
    assert outcome.report["working_size"] == [round(1.5 * width), round(1.5 * height)]
    assert outcome.image.shape == composite.painting.shape
    outside = (outcome.alpha == 0).expand(3, -1, -1)
    assert outside.any() and torch.equal(outcome.image[outside], composite.painting[outside])
    assert not torch.equal(outcome.image, composite.naive)
    # There is no finer texture to look for: the rest of the post-process is one step.
    assert [step.fraction for step in steps if step.stage == "postprocess"] == [1.0]


def test_an_edge_of_two_pixels_survives_it(thin):
    """With nothing painted the object comes back as it was, as sharp as enlarging and shrinking leave it."""
    painting, naive = torch.full((3, 80, 80), 0.5), torch.full((3, 80, 80), 0.5)
    naive[:, 20:60, 20:60] = 0.9
    naive[:, 30:50, 39:41] = 0.1
    mask = torch.zeros(1, 80, 80)
    mask[:, 20:60, 20:60] = 1
    composite = Composite(painting, naive, mask)
    result = harmonize(composite, thin, short(working_scale=2.0, feather=0.0, **STILL)).image
    assert (result - naive).abs()[:, 24:56, 24:56].mean() < 0.01
    assert result[:, 35:45, 39:41].max() < 0.2


def test_previews_have_the_size_of_the_canvas(thin):
    composite, sizes = composed(80, 96, 20, 30, 40), set()
    harmonize(
        composite,
        thin,
        short(working_scale=1.5),
        lambda step: step.preview and sizes.add(tuple(step.preview().shape)),
    )
    assert sizes == {(3, 80, 96)}
