"""Colours in closed form: what pass 2 begins with."""

from dataclasses import replace

import pytest
import torch

from backend.harmonize.composite import Scene
from backend.harmonize.ops import color_transfer
from backend.harmonize.ops.color import luminance, rgb_to_lab
from backend.harmonize.ops.field import upsampled
from backend.harmonize.recolor import MOST_PAINTED, PAINTED, begun, recolored
from tests.harmonize.fields import SIZE, anywhere, cells, everywhere, toned
from tests.harmonize.scenes import composed, core


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.at(composed(*SIZE, 88, 96, 24), SIZE, 60, False, mask_scale=0.1)


@pytest.mark.parametrize("change", [recolored, toned])
def test_only_the_object_and_a_thin_rim_take_other_colours(change):
    """The loose mask's rim is the painting's own already; recoloured it would spoil the statistics."""
    scene = Scene.at(composed(*SIZE, 64, 72, 72), SIZE, 60, False, mask_scale=1.0)
    picture = scene.region.of(scene.naive)
    changed = (change(picture, everywhere(scene, 2, 3), scene) - picture).abs().amax(dim=0)
    tight, loose = (scene.region.of(mask)[0] for mask in (scene.tight, scene.loose))
    far = torch.nn.functional.max_pool2d(tight[None], 13, stride=1, padding=6)[0] == 0
    assert (far & (loose > 0)).sum() > 1000
    assert changed[far].max() < 0.01 and changed[tight == 1].mean() > 5


@pytest.mark.parametrize("change", [recolored, toned])
def test_the_object_takes_the_mean_colour_of_its_matches(large, unlit, change):
    """All cells are matched to one, and that has one colour."""
    flat = large.painting.clone()
    flat[:, 8:40, 16:48] = torch.tensor([140.0, 125.0, 110.0]).view(3, 1, 1)
    grey = large.naive.mean(dim=0, keepdim=True).expand_as(flat)  # a colourful object may keep its own hues
    painted = replace(large, painting=flat, naive=grey)
    found = rgb_to_lab(change(large.region.of(grey), everywhere(large, 2, 3), painted) / 255)
    wanted = rgb_to_lab(flat[:, 20:21, 28:29] / 255)[:, 0, 0]
    torch.testing.assert_close(found[:, core(large)].mean(dim=1), wanted, atol=3.0, rtol=0)


@pytest.mark.parametrize(
    "level, firmness, share",
    [
        (1.0, 1.0, PAINTED / 2),
        (4.0, 1.0, 4 * PAINTED / 2),
        (10.0, 1.0, MOST_PAINTED / 2),
        (10.0, 0.0, MOST_PAINTED),
        (4.0, 3.0, 4 * PAINTED / 4),
    ],
)
def test_pass_2_begins_with_a_share_of_the_patches_that_the_mapping_lays(scene, level, firmness, share):
    """Every cell matched two cells further left: there each of the nine patches over a pixel says the same."""
    part = scene.region
    rows, columns = torch.meshgrid(
        torch.arange(part.top // 8, part.bottom // 8),
        torch.arange(part.left // 8, part.right // 8),
        indexing="ij",
    )
    field = torch.stack((rows, columns - 2))
    plain, started = recolored(part.of(scene.naive), field, scene), begun(field, scene, level, firmness)
    moved = scene.painting.roll(16, dims=2)
    mixture = torch.lerp(plain, part.of(moved), share * part.of(scene.loose))
    expected = recolored(mixture, field, scene)
    torch.testing.assert_close(started, expected, atol=1e-2, rtol=0)
    outside = (part.of(scene.loose) == 0).expand_as(plain)
    assert torch.equal(started[outside], part.of(scene.naive)[outside])
    assert (started - plain).abs().max() > 30 * share


def test_the_mixture_has_the_contrast_of_the_matches(scene, monkeypatch):
    """Half photograph, half unlike patches: without recolouring it would be flatter than either. As far as a
    gain may go, that is; here it would have to go further."""
    part, field = scene.region, anywhere(scene)
    inside = part.of(scene.tight)[0] == 1
    fine = upsampled(field, tuple(inside.shape), tuple(scene.painting.shape[1:]), 8)
    matches = luminance(scene.painting[:, fine[0][inside], fine[1][inside]][:, None])

    def contrast(gain: float) -> float:
        monkeypatch.setattr(color_transfer, "LARGEST_GAIN", gain)
        return luminance(begun(field, scene, 5.0))[:, inside].std().item()

    flat, usual, free = map(contrast, (1.0, color_transfer.LARGEST_GAIN, 100.0))
    assert free == pytest.approx(matches.std().item(), rel=0.15)
    assert 1.2 * flat < usual < free


def test_where_nothing_was_matched_it_begins_with_the_naive_picture(scene):
    part = scene.region
    field = torch.full((2, *cells(scene)), -1)
    field[:, 0, 0] = 3  # far from the object
    assert torch.equal(begun(field, scene, 5.0), part.of(scene.naive))
