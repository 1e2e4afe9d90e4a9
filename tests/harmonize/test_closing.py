"""Colours and tones in closed form: what pass 2's result is given."""

from dataclasses import replace

import pytest
import torch

from backend.harmonize import closing
from backend.harmonize.closing import LAID, LEAST_CONTRAST, LIGHT_EVENED, MOST_CONTRAST
from backend.harmonize.composite import Scene
from backend.harmonize.firmness import USUAL
from backend.harmonize.ops.color import rgb_to_lab
from backend.harmonize.ops.field import Mapping
from tests.harmonize.fields import SIZE, anywhere, cells, everywhere, toned
from tests.harmonize.scenes import core


def grey(value: float) -> float:
    """Of 0..255: L of CIELAB."""
    return rgb_to_lab(torch.full((3, 1, 1), value / 255))[0].item()


def test_toned_has_the_lightness_of_the_matched_set(large, unlit, monkeypatch):
    """Within what a contrast may become: matched to flat grey the object keeps its form, faintly. Evening out, which
    gives back the object's own contrast, is left to its own test."""
    monkeypatch.setattr(closing, "LIGHT_EVENED", 0.0)
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


def test_tones_come_from_what_either_field_matched(large, unlit):
    """One of two greys each: the object gets both, and from one field only that."""
    greys = large.painting.clone()
    greys[:, 8:40, 16:48], greys[:, 136:168, 16:48] = 60.0, 180.0
    painted = replace(large, painting=greys)
    dark, light = everywhere(large, 2, 3), everywhere(large, 18, 3)
    picture, inside = large.region.of(large.naive), core(large)

    def lightness(*fields: torch.Tensor) -> float:
        return rgb_to_lab(closing.toned(picture, Mapping(*fields), painted) / 255)[0][inside].mean().item()

    alone, both = (lightness(dark, dark), lightness(light, light)), lightness(dark, light)
    assert alone[1] - alone[0] > 30
    assert both == pytest.approx(sum(alone) / 2, abs=3) == lightness(light, dark)


def test_each_matched_place_counts_once(large, unlit, monkeypatch):
    """A quarter of the object is matched to as much of a light area as three quarters are to a dark one."""
    greys = large.painting.clone()
    greys[:, 8:40, 16:48], greys[:, 136:168, 16:48] = 60.0, 180.0
    field, inside = everywhere(large, 2, 3), core(large)
    field[0, :, ::4] = 18
    monkeypatch.setattr(closing, "LIGHT_EVENED", 0.0)
    noise = torch.rand(inside.shape, generator=torch.Generator().manual_seed(0))
    picture = (40 + 180 * noise).expand(3, *inside.shape)
    found = rgb_to_lab(toned(picture, field, replace(large, painting=greys)) / 255)[0][inside].mean()
    assert (found - grey(60.0)) / (grey(180.0) - grey(60.0)) == pytest.approx(0.5, abs=0.06)


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


def test_a_flat_object_gets_fewer_lumps_of_light_but_keeps_its_strokes_and_its_mean(
    large, unlit, monkeypatch
):
    """One half lighter than the other and strokes of one pixel in four, on an object of one grey."""
    _, field, grey, _, stroke = blotched(large, flat(120.0, 120, 120), 0.0)
    left = torch.arange(len(stroke)) < len(stroke) // 2
    light, inside = torch.where(left, 140.0, 100.0) + torch.where(stroke, 30.0, 0.0), core(large)
    picture = light.expand(3, *inside.shape)
    greys = large.painting.clone()
    greys[:, 8:40, 16:48], greys[:, 136:168, 16:48] = 90.0, 160.0  # what was matched has tones for both
    scene = replace(grey, painting=greys)

    def told(share: float) -> tuple[float, float, float]:
        monkeypatch.setattr(closing, "LIGHT_EVENED", share)
        found = rgb_to_lab(toned(picture, field, scene) / 255)[0]
        lumps, strokes = (
            found[inside & columns].mean() - found[inside & ~columns].mean() for columns in (left, stroke)
        )
        return lumps.item(), strokes.item(), found[inside].mean().item()

    (lumps, strokes, mean), evened = told(0.0), told(LIGHT_EVENED)
    assert evened[0] == pytest.approx((1 - LIGHT_EVENED / 2) * lumps, rel=0.1) and lumps > 3
    assert evened[1] > 0.75 * strokes and evened[2] == pytest.approx(mean, abs=1.0)


def test_where_nothing_was_matched_tones_stay(large):
    field = torch.full((2, *cells(large)), -1)
    picture = large.region.of(large.naive)
    assert torch.equal(toned(picture, field, large), picture)


def lit(
    scene: Scene, naive: torch.Tensor, matched: float, ends: tuple[float, float], firmness: float = USUAL
) -> torch.Tensor:
    """The lightness, 0..100 (h, w), of a grey object `naive` (H, W) that was painted in one grey and `matched` to such a
    one, in a painting whose darkest and lightest fifths are the `ends`; all 0..255."""
    painting = torch.full_like(scene.painting, matched)
    painting[:, : SIZE[0] // 5], painting[:, -SIZE[0] // 5 :] = ends
    told = replace(scene, painting=painting, naive=naive.expand_as(painting))
    picture = torch.full_like(scene.region.of(painting), matched)
    return rgb_to_lab(toned(picture, everywhere(scene, 13, 3), told, firmness) / 255)[0]


@pytest.mark.parametrize(
    "pasted, matched, ends, wanted",
    [
        ((80.0, 160.0), 128.0, (20.0, 240.0), (80.0, 160.0)),
        ((5.0, 250.0), 100.0, (70.0, 150.0), (70.0, 150.0)),  # black and white, of which it has neither
        ((80.0, 250.0), 128.0, (20.0, 190.0), (80.0, 190.0)),
    ],
)
def test_an_object_has_half_of_its_own_light_and_shadow_as_the_painting_has_them(
    large, pasted, matched, ends, wanted
):
    """Blocks of two greys, all matched to one; half of how much lighter they are on the whole is the photograph's."""
    dark = torch.arange(SIZE[1]) // 40 % 2 == 0
    found = lit(large, torch.where(dark, *pasted).expand(SIZE), matched, ends)
    blocks, inside = dark[large.region.left : large.region.right], core(large)
    share = blocks.expand_as(inside)[large.region.of(large.loose)[0] > 0].float().mean().item()
    mean = share * grey(wanted[0]) + (1 - share) * grey(wanted[1])
    for columns, own in zip((blocks, ~blocks), wanted):
        half = grey(matched) + (grey(own) - (mean + grey(matched)) / 2) / 2
        assert found[inside & columns].mean().item() == pytest.approx(half, abs=3.0)


@pytest.mark.parametrize("firmness, share", [(0.0, 0.0), (1 / 3, 0.5), (3.0, 1.5)])
def test_the_firmer_the_object_the_more_it_has_of_its_own_light(large, firmness, share):
    """Blocks of two greys, all matched to one; of what they have at the usual firmness."""
    dark = torch.arange(SIZE[1]) // 40 % 2 == 0
    naive, blocks = torch.where(dark, 80.0, 160.0).expand(SIZE), dark[large.region.left : large.region.right]

    def apart(firmness: float) -> float:
        found = lit(large, naive, 128.0, (20.0, 240.0), firmness)
        inside = core(large)
        return (found[inside & ~blocks].mean() - found[inside & blocks].mean()).item()

    assert apart(firmness) == pytest.approx(share * apart(USUAL), abs=0.1 * apart(USUAL))


@pytest.mark.parametrize("pasted", [30.0, 100.0, 230.0])
def test_an_object_of_one_grey_is_nearly_as_light_as_its_matches(large, pasted):
    """A photograph taken in too little light is not to make a face dark among light ones."""
    found = lit(large, torch.full(SIZE, pasted), 150.0, (20.0, 240.0))
    wanted = grey(150.0) + (1 - large.filled()) * (grey(pasted) - grey(150.0)) / 4
    assert found[core(large)].mean().item() == pytest.approx(wanted, abs=0.5)


@pytest.mark.parametrize("filled, share", [(0.0, 0.0), (0.5, 0.25), (1.0, 0.5)])
def test_a_scene_keeps_half_of_the_light_that_pass_2_left(large, monkeypatch, filled, share):
    """Pasted and painted in a light grey, matched to a dark one."""
    monkeypatch.setattr(Scene, "filled", lambda self: filled)
    painting = torch.full_like(large.painting, 60.0)
    told = replace(large, painting=painting, naive=torch.full_like(painting, 180.0))
    picture = torch.full_like(large.region.of(painting), 180.0)
    found = rgb_to_lab(toned(picture, everywhere(large, 13, 3), told, firmness=0.0) / 255)[0]
    found = found[core(large)].mean().item()
    assert (found - grey(60.0)) / (grey(180.0) - grey(60.0)) == pytest.approx(share, abs=0.02)


def line(
    scene: Scene, drawn: float, ends: tuple[float, float] = (20.0, 240.0), firmness: float = USUAL
) -> float:
    """How much darker, in L of CIELAB, a thin line that is `drawn` of (0..255) is than the grey object around it, which
    pass 2 left without any, in a painting of those `ends`."""
    columns = torch.arange(SIZE[1]) % 16 == 0
    found = lit(scene, torch.where(columns, drawn, 128.0).expand(SIZE), 128.0, ends, firmness)
    there, inside = columns[scene.region.left : scene.region.right], core(scene)
    return (found[inside & ~there].mean() - found[inside & there].mean()).item()


def test_thin_dark_lines_of_the_object_are_drawn_as_strongly_as_the_painting_allows(large, monkeypatch):
    monkeypatch.setattr(closing, "_own_light", lambda lightness, *rest: torch.zeros_like(lightness))
    bold, light, in_haze = line(large, 50.0), line(large, 206.0), line(large, 50.0, (110.0, 150.0))
    assert bold > 6 and abs(light) < bold / 8 and 0 < in_haze < bold / 2
    assert abs(line(large, 124.0)) < 0.1  # grain is no line
    loose, firm = (line(large, 50.0, firmness=firmness) for firmness in (0.0, 3.0))
    assert abs(loose) < 0.1 and firm == pytest.approx(1.5 * bold, rel=0.1)
    monkeypatch.setattr(Scene, "filled", lambda self: 1.0)
    assert abs(line(large, 50.0)) < 0.5


BROWN, RED, GREY = flat(150.0, 115, 85), flat(185.0, 50, 45), flat(120.0, 120, 120)


def reds(scene: Scene, naive: torch.Tensor, patch: int, colours: torch.Tensor = BROWN) -> float:
    """a of CIELAB, the mean of an object of the one colour `naive` matched to brown, on a painting of `colours` with a
    red square of `patch` pixels."""
    painting = colours.expand_as(scene.painting).clone()
    painting[:, 16:40, 16:40] = BROWN  # where it is matched
    painting[:, 160 : 160 + patch, 160 : 160 + patch] = RED
    told = replace(scene, painting=painting, naive=naive.expand_as(painting))
    picture = BROWN.expand_as(scene.region.of(painting))
    return rgb_to_lab(toned(picture, everywhere(scene, 3, 3), told) / 255)[1][core(scene)].mean().item()


def test_a_red_object_is_red_where_the_painting_has_reds_though_it_was_matched_to_brown(large):
    brown, red = (rgb_to_lab(colour / 255)[1].item() for colour in (BROWN, RED))
    assert reds(large, RED, 40) - brown > 0.7 * (red - brown)
    assert reds(large, RED, 0) == pytest.approx(brown, abs=0.5)
    assert reds(large, RED, 4) - brown < 0.1 * (red - brown)  # a speck is not what the painting has
    assert reds(large, GREY, 40) == pytest.approx(brown, abs=0.5)


@pytest.mark.parametrize(
    "own, least, most", [(flat(165.0, 110, 70), 0.3, 0.85), (flat(230.0, 20, 160), 0.0, 0.15)]
)
def test_the_further_the_painting_is_from_having_a_colour_the_less_it_is_asked_for(large, own, least, most):
    """Matched to green in a brown painting: what was nearly brown becomes so, pink does not."""
    painting = BROWN.expand_as(large.painting).clone()
    green = painting[:, 16:40, 16:40] = flat(90.0, 130, 80)
    told = replace(large, painting=painting, naive=own.expand_as(painting))
    picture = green.expand_as(large.region.of(painting))
    found = rgb_to_lab(toned(picture, everywhere(large, 3, 3), told) / 255)[1:, core(large)].mean(dim=1)
    start, brown = (rgb_to_lab(colour / 255)[1:, 0, 0] for colour in (green, BROWN))
    assert least <= (found - start).norm() / (brown - start).norm() <= most


def test_where_pass_2_painted_in_many_colours_hues_are_its_own(large):
    """Blue and yellow strokes of two pixels; the same colours far apart are of one colour around each pixel."""

    def moved(width: int) -> float:
        """How far the mean chroma is from what it is without a red in the painting."""
        blue, yellow = flat(60.0, 110, 220), flat(230.0, 200, 30)
        strokes = torch.where(torch.arange(SIZE[1]) // width % 2 == 0, blue, yellow)
        inside, means = core(large), []
        for patch in (0, 40):
            painting = strokes.expand_as(large.painting).clone()
            painting[:, 160 : 160 + patch, 160 : 160 + patch] = RED
            scene = replace(large, painting=painting, naive=RED.expand_as(painting))
            own = large.region.of(strokes.expand_as(painting))
            means.append(rgb_to_lab(toned(own, anywhere(large), scene) / 255)[1:, inside].mean(dim=1))
        return (means[1] - means[0]).norm().item()

    assert moved(100) > 5 * moved(2)


def test_busy_places_take_other_hues_where_the_matches_are_of_few_colours(large):
    """Blue and yellow strokes of two pixels on a red object, in a painting that has red."""
    strokes = torch.where(torch.arange(SIZE[1]) // 2 % 2 == 0, flat(60.0, 110, 220), flat(230.0, 200, 30))
    scene = replace(large, painting=RED.expand_as(large.painting), naive=RED.expand_as(large.painting))
    chroma = rgb_to_lab(large.region.of(strokes.expand_as(large.painting)) / 255)[1:]
    given = closing._pasted(scene), closing._palette(scene), scene
    few, many = (
        (closing._found_hues(chroma, torch.tensor(count), *given) - chroma)[:, core(large)].norm()
        for count in (0.0, 1.0)
    )
    assert few > 5 * many


def waves(contrast: float) -> torch.Tensor:
    """Lightness of two tones, (h, w), around 50."""
    return torch.where(torch.arange(40) % 2 == 0, 50.0 - contrast, 50.0 + contrast).expand(30, 40)


@pytest.mark.parametrize("wanted, gain", [(5.0, LAID), (12.0, 1.2 * LAID), (90.0, MOST_CONTRAST)])
def test_tones_get_back_the_contrast_that_evening_out_took_and_what_pieces_will_take(large, wanted, gain):
    everywhere = torch.ones(30, 40, dtype=torch.bool)

    def found(painted: tuple[float, float]) -> torch.Tensor:
        return closing._contrasted(waves(10.0), waves(wanted).flatten(), everywhere, painted, large)

    share = 1 - large.filled()
    whole = waves(10.0 * (1 + share * (gain - 1)))
    torch.testing.assert_close(found((0.0, 1.0)), whole)
    # No more than the painting has, nor less than there was.
    torch.testing.assert_close(found((0.45, 0.55)), waves(10.0))
    torch.testing.assert_close(found((0.0, 0.605)), whole.clamp_max(60.5))


def test_toned_has_the_contrast_that_pieces_will_take(large, monkeypatch):
    """Blocks of two greys, all matched to one."""
    dark = torch.arange(SIZE[1]) // 40 % 2 == 0
    blocks, inside = dark[large.region.left : large.region.right], core(large)

    def apart(laid: float) -> float:
        monkeypatch.setattr(closing, "LAID", laid)
        found = lit(large, torch.where(dark, 80.0, 160.0).expand(SIZE), 128.0, (20.0, 240.0))
        return (found[inside & ~blocks].mean() - found[inside & blocks].mean()).item()

    assert apart(1.4) / apart(1.0) == pytest.approx(1 + 0.4 * (1 - large.filled()), abs=0.03)


def test_a_scene_keeps_its_contrast(large, monkeypatch):
    monkeypatch.setattr(Scene, "filled", lambda self: 1.0)
    everywhere, tones = torch.ones(30, 40, dtype=torch.bool), waves(30.0).flatten()
    found = closing._contrasted(waves(10.0), tones, everywhere, (0.0, 1.0), large)
    torch.testing.assert_close(found, waves(10.0))


def test_pale_objects_take_a_hue_like_their_own_and_not_its_opposite(large):
    """Matched to gold or to green in a painting that is of their own colour."""

    def moved(matched: torch.Tensor) -> float:
        """The share of the way to the own hue."""
        pale = flat(170.0, 125, 110)
        painting = pale.expand_as(large.painting).clone()
        painting[:, 16:40, 16:40] = matched
        told = replace(large, painting=painting, naive=pale.expand_as(painting))
        picture = matched.expand_as(large.region.of(painting))
        found = rgb_to_lab(toned(picture, everywhere(large, 3, 3), told) / 255)[1:, core(large)].mean(dim=1)
        start, own = (rgb_to_lab(colour / 255)[1:, 0, 0] for colour in (matched, pale))
        return ((found - start) @ (own - start) / ((own - start) @ (own - start))).item()

    gold, green = moved(flat(175.0, 118, 75)), moved(flat(105.0, 140, 80))
    assert gold < 0.3 and green > 2 * gold and green > 0.5
