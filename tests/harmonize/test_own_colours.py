"""The object's own colours, given back in the end as far as the artist likes."""

from dataclasses import replace

import pytest
import torch

from backend.harmonize.closing import with_own_colours
from backend.harmonize.composite import Composite, Scene
from backend.harmonize.errors import Cancelled
from backend.harmonize.memo import Memo
from backend.harmonize.ops.color import rgb_to_lab
from backend.harmonize.optimize import Plan
from backend.harmonize.pipeline import harmonize
from plugin.painterly.protocol.parameters import BY_NAME, PRESETS, InvalidParameter
from tests.harmonize.scenes import composed, core, painted, short

SIZE = (208, 224)
RED, GREEN, BLUE = ((170.0, 60.0, 50.0), (70.0, 130.0, 60.0), (70.0, 80.0, 150.0))


def flat(colour: tuple) -> torch.Tensor:
    return torch.tensor(colour).view(3, 1, 1)


def scene_of(naive: torch.Tensor) -> Scene:
    """A square object of the colours `naive`, 0..255, more than its fading rim."""
    scene = Scene.at(composed(*SIZE, 64, 72, 72), SIZE, 60, False, mask_scale=0.1)
    return replace(scene, naive=naive.expand_as(scene.painting))


def lab(picture: torch.Tensor) -> torch.Tensor:
    return rgb_to_lab(picture / 255)


@pytest.mark.parametrize("share", [0.25, 0.6, 1.0])
def test_colours_come_back_by_their_share_and_strokes_stay(share):
    scene = scene_of(flat(RED))
    inside = core(scene)
    stroke = torch.arange(inside.shape[1]) % 6 < 2
    picture = (flat(BLUE) + torch.where(stroke, 16.0, 0.0)).expand(3, *inside.shape)
    before, after = (lab(x)[:, inside] for x in (picture, with_own_colours(picture, scene, share)))
    moved, whole = (after - before).mean(dim=1), lab(flat(RED))[:, 0, 0] - before.mean(dim=1)
    torch.testing.assert_close(moved, share * whole, atol=1.5, rtol=0)
    torch.testing.assert_close(
        after - after.mean(dim=1)[:, None], before - before.mean(dim=1)[:, None], atol=2, rtol=0
    )


def test_next_to_an_edge_there_is_each_sides_own_colour():
    middle = SIZE[1] // 2
    column = torch.arange(SIZE[1]).expand(*SIZE)
    scene = scene_of(torch.where(column < middle, flat(RED), flat(GREEN)))
    column, inside = scene.region.of(column[None])[0], core(scene)
    picture = flat((120.0, 120.0, 120.0)).expand(3, *inside.shape)
    found = lab(with_own_colours(picture, scene, 1.0))
    for side, colour in ((column == middle - 2, RED), (column == middle + 1, GREEN)):
        own = lab(flat(colour))[:, 0]
        assert (found[:, inside & side] - own).norm(dim=0).max() < 3


def test_only_the_object_and_a_thin_rim_change():
    scene = scene_of(flat(RED))
    picture = scene.region.of(scene.painting)
    changed = (with_own_colours(picture, scene, 1.0) - picture).abs().amax(dim=0)
    tight = scene.region.of(scene.tight)
    far = torch.nn.functional.max_pool2d(tight[None], 13, stride=1, padding=6)[0, 0] == 0
    assert far.any() and changed[far].max() < 0.01 and changed[core(scene)].mean() > 20


@pytest.fixture(scope="module")
def red() -> Composite:
    """A red square on a painting without red."""
    painting = painted(96, 128, 3) * torch.tensor([0.3, 0.7, 1.0]).view(3, 1, 1)
    mask = torch.zeros(1, 96, 128)
    mask[:, 20:70, 30:80] = 1
    return Composite(painting, torch.where(mask > 0, flat(RED) / 255, painting), mask)


def redness(picture: torch.Tensor) -> float:
    """The mean a of CIELAB in the object's middle."""
    return rgb_to_lab(picture)[1, 32:58, 42:68].mean().item()


@pytest.mark.parametrize("changes", [{}, {"published": True}, {"working_scale": 0.8}, {"working_scale": 1.5}])
def test_the_finished_picture_has_them(red, thin, changes):
    plain, half, own = (
        harmonize(red, thin, short(own_colours=share, **changes)) for share in (0.0, 0.5, 1.0)
    )
    found = [redness(outcome.image) for outcome in (plain, half, own)]
    pasted = redness(red.naive)
    if changes != {"published": True}:  # few iterations from the naive picture leave it red
        assert pasted - found[0] > 10
    assert found[1] == pytest.approx((found[0] + pasted) / 2, abs=4)
    assert found[2] == pytest.approx(pasted, abs=4)
    assert all(torch.equal(outcome.alpha, plain.alpha) for outcome in (half, own))


@pytest.mark.parametrize("stage, iteration", [("first pass", 2), ("second pass", 2)])
def test_previews_and_what_is_left_of_a_cancelled_job_have_them_too(red, thin, stage, iteration):
    def stop(step) -> None:
        if (step.stage, step.iteration) == (stage, iteration):
            previews.append(step.preview())
            raise Cancelled("stopped")

    previews: list[torch.Tensor] = []
    with pytest.raises(Cancelled) as caught:
        harmonize(red, thin, short(own_colours=1.0), stop)
    for picture in (previews[0], caught.value.best.image):
        assert redness(picture) == pytest.approx(redness(red.naive), abs=4)


@pytest.mark.parametrize(
    "top, left, height, width, opacity",
    [(40, 50, 2, 2, 1.0), (40, 50, 30, 1, 1.0), (0, 0, 30, 40, 1.0), (20, 30, 50, 50, 0.3)],
)
def test_tiny_faint_and_cut_objects_get_no_other_colours(thin, top, left, height, width, opacity):
    """None beyond the red that was pasted and the grey around it."""
    painting = torch.full((3, 96, 128), 0.5) + 0.1 * (painted(96, 128, 3) - 0.5)
    mask = torch.zeros(1, 96, 128)
    mask[:, top : top + height, left : left + width] = opacity
    composite = Composite(painting, torch.where(mask > 0, flat(RED) / 255, painting), mask)
    image = harmonize(composite, thin, short(own_colours=1.0, feather=0.0)).image
    assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1
    found = rgb_to_lab(image)[1][mask[0] > 0]
    assert found.min() > -15 and found.max() < redness(flat(RED).expand(3, 96, 128) / 255) + 5


def test_watching_changes_nothing(red, thin):
    settings = short(own_colours=0.7)
    watched = harmonize(red, thin, settings, lambda step: step.preview and step.preview())
    assert torch.equal(watched.image, harmonize(red, thin, settings).image)


def test_they_and_the_feather_are_tried_out_without_painting_anew(red, thin):
    memo, painted_anew = Memo(), []
    for changes in ({}, {"own_colours": 0.6}, {"own_colours": 0.6, "feather": 5.0}, {}):
        steps: list = []
        outcome = harmonize(red, thin, short(**changes), steps.append, memo)
        alone = harmonize(red, thin, short(**changes))
        assert torch.equal(outcome.image, alone.image) and torch.equal(outcome.alpha, alone.alpha)
        painted_anew.append({step.stage for step in steps} != {"postprocess"})
    assert painted_anew == [True, False, False, False]


@pytest.mark.parametrize(
    "changes",
    [
        {"style_level": 6.0},
        {"content": 2.0},
        {"smoothness": 2.0},
        {"grow": 1},
        {"chroma_denoise": False},
        {"seed": 1},
        {"working_scale": 0.9},
        {"settling": Plan(1)},
    ],
)
def test_every_other_setting_paints_anew(red, thin, changes):
    memo = Memo()
    harmonize(red, thin, short(), memo=memo)
    outcome = harmonize(red, thin, short(**changes), memo=memo)
    assert torch.equal(outcome.image, harmonize(red, thin, short(**changes)).image)


@pytest.mark.parametrize("part", ["painting", "naive", "mask"])
def test_so_does_another_picture(red, thin, part):
    """The object one grey darker, the painting too, or the mask without a corner of the object."""
    memo = Memo()
    harmonize(red, thin, short(), memo=memo)
    changed = getattr(red, part).clone()
    changed[:, 21:30, 31:40] *= 0.0 if part == "mask" else 0.99
    other = replace(red, **{part: changed})
    steps: list = []
    outcome = harmonize(other, thin, short(), steps.append, memo)
    assert "patch synthesis" in {step.stage for step in steps}
    assert torch.equal(outcome.image, harmonize(other, thin, short()).image)


def test_no_preset_has_them_and_they_have_bounds():
    assert {preset["own_colours"] for preset in PRESETS.values()} == {0}
    for wrong in (-0.1, 1.1, "auto"):
        with pytest.raises(InvalidParameter, match="Own colours is a number from 0 to 1"):
            BY_NAME["own_colours"].check(wrong)
