"""Colours and tones in closed form: what pass 2 begins with, and what its result is given."""

from dataclasses import replace

import pytest
import torch

from backend.harmonize import recolor
from backend.harmonize.composite import Scene
from backend.harmonize.ops import color_transfer
from backend.harmonize.ops.color import luminance, rgb_to_lab
from backend.harmonize.ops.field import Mapping, upsampled
from backend.harmonize.recolor import (
    LEAST_CONTRAST,
    LIGHT_EVENED,
    MOST_CONTRAST,
    MOST_PAINTED,
    PAINTED,
    begun,
    recolored,
)
from backend.harmonize.recolor import toned as toned_by
from tests.harmonize.scenes import composed, core

SIZE = (208, 224)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.at(composed(*SIZE, 88, 96, 24), SIZE, 60, False, mask_scale=0.1)


def cells(scene: Scene) -> tuple[int, int]:
    part = scene.region
    return (part.bottom - part.top) // 8, (part.right - part.left) // 8


@pytest.fixture(scope="module")
def large() -> Scene:
    """An object that is more than its fading rim."""
    return Scene.at(composed(*SIZE, 64, 72, 72), SIZE, 60, False, mask_scale=0.1)


def everywhere(scene: Scene, row: int, column: int) -> torch.Tensor:
    """Each cell of the region matched to the same cell of the painting."""
    return torch.tensor([row, column]).view(2, 1, 1).expand(2, *cells(scene)).clone()


def toned(picture: torch.Tensor, field: torch.Tensor, scene: Scene) -> torch.Tensor:
    """By a mapping of which both fields are the same."""
    return toned_by(picture, Mapping(field, field), scene)


def anywhere(scene: Scene) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    limits = torch.tensor([side // 8 for side in scene.painting.shape[1:]]).view(2, 1, 1)
    return (torch.rand((2, *cells(scene)), generator=generator) * limits).long()


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
def test_the_object_takes_the_mean_colour_of_its_matches(large, change):
    """All cells are matched to one, and that has one colour."""
    flat = large.painting.clone()
    flat[:, 8:40, 16:48] = torch.tensor([140.0, 125.0, 110.0]).view(3, 1, 1)
    painted = replace(large, painting=flat)
    found = rgb_to_lab(change(large.region.of(large.naive), everywhere(large, 2, 3), painted) / 255)
    wanted = rgb_to_lab(flat[:, 20:21, 28:29] / 255)[:, 0, 0]
    torch.testing.assert_close(found[:, core(large)].mean(dim=1), wanted, atol=3.0, rtol=0)


def test_toned_has_the_lightness_of_the_matched_set(large, monkeypatch):
    """Within what a contrast may become: matched to flat grey the object keeps its form, faintly. Evening out, which
    gives back the object's own contrast, is left to its own test."""
    monkeypatch.setattr(recolor, "LIGHT_EVENED", 0.0)
    picture, inside = large.region.of(large.naive), core(large)
    grey = replace(large, painting=torch.full_like(large.painting, 128.0))

    def contrast(picture: torch.Tensor) -> float:
        return rgb_to_lab(picture / 255)[0][inside].std().item()

    faint = contrast(toned(picture, anywhere(large), grey))
    assert faint == pytest.approx(LEAST_CONTRAST * contrast(picture), rel=0.1)
    quiet = 128 + 0.1 * (picture - 128)
    assert contrast(toned(quiet, anywhere(large), large)) == pytest.approx(
        MOST_CONTRAST * contrast(quiet), rel=0.1
    )


def test_tones_come_from_what_either_field_matched(large):
    """One of two greys each: the object gets both, and from one field only that."""
    greys = large.painting.clone()
    greys[:, 8:40, 16:48], greys[:, 136:168, 16:48] = 60.0, 180.0
    painted = replace(large, painting=greys)
    dark, light = everywhere(large, 2, 3), everywhere(large, 18, 3)
    picture, inside = large.region.of(large.naive), core(large)

    def lightness(*fields: torch.Tensor) -> float:
        return rgb_to_lab(toned_by(picture, Mapping(*fields), painted) / 255)[0][inside].mean().item()

    alone, both = (lightness(dark, dark), lightness(light, light)), lightness(dark, light)
    assert alone[1] - alone[0] > 30
    assert both == pytest.approx(sum(alone) / 2, abs=3) == lightness(light, dark)


@pytest.mark.parametrize("filled, light", [(0.0, 0.25), (0.5, 0.375), (1.0, 0.5)])
def test_lightness_counts_matches_as_often_as_they_were_matched_unless_it_is_a_scene(
    large, monkeypatch, filled, light
):
    """A quarter of the object is matched to as much of a light area as three quarters are to a dark one."""
    greys = large.painting.clone()
    greys[:, 8:40, 16:48], greys[:, 136:168, 16:48] = 60.0, 180.0
    field, inside = everywhere(large, 2, 3), core(large)
    field[0, :, ::4] = 18
    monkeypatch.setattr(Scene, "filled", lambda self: filled)
    monkeypatch.setattr(recolor, "LIGHT_EVENED", 0.0)
    noise = torch.rand(inside.shape, generator=torch.Generator().manual_seed(0))
    picture = (40 + 180 * noise).expand(3, *inside.shape)
    ends = rgb_to_lab(torch.tensor([60.0, 180.0]).view(1, 1, 2).expand(3, 1, 2) / 255)[0, 0]
    found = rgb_to_lab(toned(picture, field, replace(large, painting=greys)) / 255)[0][inside].mean()
    share = (found - ends[0]) / (ends[1] - ends[0])
    assert share == pytest.approx(light, abs=0.06)


def blotched(large, naive, saturation: float) -> tuple:
    """A picture in blotches of red and green, as it was matched, with narrow strokes of blue; the field, the scene with
    an object of the colours `naive` (3, 1, columns), and two of its columns' parts: red ones, strokes."""
    red, green, blue = (
        torch.lerp(torch.tensor(120.0), torch.tensor(colour), saturation).view(3, 1, 1)
        for colour in ((160.0, 100, 110), (110.0, 150, 100), (90.0, 110, 190))
    )
    colours = large.painting.clone()
    colours[:, 8:40, 16:48], colours[:, 136:168, 16:48] = red, green
    scene = replace(large, painting=colours, naive=naive.expand_as(colours))
    field = everywhere(large, 2, 3)
    field[0, :, ::2] = 18
    inside = core(large)
    column = torch.arange(inside.shape[1])
    blotch, stroke = column // 8 % 2 == 0, column % 4 == 0
    picture = torch.where(stroke, blue, torch.where(blotch, red, green)).expand(3, *inside.shape)
    return picture, field, scene, blotch, stroke


def flat(*colour: float) -> torch.Tensor:
    return torch.tensor(colour).view(3, 1, 1)


def apart(image: torch.Tensor, inside: torch.Tensor, columns: torch.Tensor) -> float:
    """How far the mean chroma `inside` differs between these columns and the others."""
    chroma = rgb_to_lab(image / 255)[1:]
    return (chroma[:, inside & columns].mean(dim=1) - chroma[:, inside & ~columns].mean(dim=1)).norm().item()


def test_a_grey_object_gets_no_blotches_but_keeps_its_strokes(large):
    picture, field, grey, blotch, stroke = blotched(large, flat(120.0, 120, 120), 1.0)
    inside, after = core(large), toned(picture, field, grey)
    assert apart(after, inside, blotch) < 0.2 * apart(picture, inside, blotch)
    assert apart(after, inside, stroke) > LEAST_CONTRAST * apart(picture, inside, stroke)


def test_a_colourful_object_keeps_a_paintings_many_colours_and_not_the_blotches_of_a_muted_one(large):
    def kept(saturation: float) -> float:
        picture, field, yellow, blotch, _ = blotched(large, flat(230.0, 200, 30), saturation)
        return apart(toned(picture, field, yellow), core(large), blotch) / apart(picture, core(large), blotch)

    assert kept(1.0) > 0.8 and kept(0.1) < 0.3


def test_what_was_of_two_colours_keeps_two_hues_without_their_blotches(large):
    """Light and dark stripes as wide as a blotch and a half, one of them redder."""
    stripe = torch.arange(SIZE[1]) // 12 % 2 == 0
    naive = torch.where(stripe, flat(140.0, 140, 140), flat(100.0, 100, 100))
    picture, field, scene, blotch, _ = blotched(large, naive, 0.3)
    striped = stripe[large.region.left : large.region.right]
    picture = picture + torch.where(striped, flat(12.0, -6, 0), flat(0.0, 0, 0))
    inside, after = core(large), toned(picture, field, scene)
    assert apart(after, inside, striped) > 0.8 * apart(picture, inside, striped)
    assert apart(after, inside, blotch) < 0.3 * apart(picture, inside, blotch)


def test_a_flat_object_gets_fewer_lumps_of_light_but_keeps_its_strokes_and_its_mean(large, monkeypatch):
    """One half lighter than the other and strokes of one pixel in four, on an object of one grey."""
    _, field, grey, _, stroke = blotched(large, flat(120.0, 120, 120), 0.0)
    left = torch.arange(len(stroke)) < len(stroke) // 2
    light, inside = torch.where(left, 140.0, 100.0) + torch.where(stroke, 30.0, 0.0), core(large)
    picture = light.expand(3, *inside.shape)
    greys = large.painting.clone()
    greys[:, 8:40, 16:48], greys[:, 136:168, 16:48] = 90.0, 160.0  # what was matched has tones for both
    scene = replace(grey, painting=greys)

    def told(share: float) -> tuple[float, float, float]:
        monkeypatch.setattr(recolor, "LIGHT_EVENED", share)
        found = rgb_to_lab(toned(picture, field, scene) / 255)[0]
        lumps, strokes = (
            found[inside & columns].mean() - found[inside & ~columns].mean() for columns in (left, stroke)
        )
        return lumps.item(), strokes.item(), found[inside].mean().item()

    (lumps, strokes, mean), evened = told(0.0), told(LIGHT_EVENED)
    assert evened[0] == pytest.approx((1 - LIGHT_EVENED) * lumps, rel=0.1) and lumps > 3
    assert evened[1] > 0.75 * strokes and evened[2] == pytest.approx(mean, abs=1.0)


def test_where_nothing_was_matched_tones_stay(scene):
    field = torch.full((2, *cells(scene)), -1)
    picture = scene.region.of(scene.naive)
    assert torch.equal(toned(picture, field, scene), picture)


@pytest.mark.parametrize("level, share", [(1.0, PAINTED), (4.0, 4 * PAINTED), (10.0, MOST_PAINTED)])
def test_pass_2_begins_with_a_share_of_the_patches_that_the_mapping_lays(scene, level, share):
    """Every cell matched two cells further left: there each of the nine patches over a pixel says the same."""
    part = scene.region
    rows, columns = torch.meshgrid(
        torch.arange(part.top // 8, part.bottom // 8),
        torch.arange(part.left // 8, part.right // 8),
        indexing="ij",
    )
    field = torch.stack((rows, columns - 2))
    plain, started = recolored(part.of(scene.naive), field, scene), begun(field, scene, level)
    moved = scene.painting.roll(16, dims=2)
    mixture = torch.lerp(plain, part.of(moved), share * part.of(scene.loose))
    expected = recolored(mixture, field, scene)
    torch.testing.assert_close(started, expected, atol=1e-2, rtol=0)
    outside = (part.of(scene.loose) == 0).expand_as(plain)
    assert torch.equal(started[outside], part.of(scene.naive)[outside])
    assert (started - plain).abs().max() > 3 * level


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
