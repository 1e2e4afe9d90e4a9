"""Composites, regions and scenes: what fits together, and what is refused in one sentence."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize.composite import (
    AGREED,
    CELL,
    LIGHTNESS,
    LIGHTNESS_OF_A_BACKDROP,
    PLACE,
    PLACE_OF_A_BACKDROP,
    Composite,
    Region,
    Scene,
    changed,
    grown,
    longest_side,
    near,
    resize,
)
from backend.harmonize.errors import InvalidInput
from backend.harmonize.ops.color import lab_to_rgb, rgb_to_lab
from backend.harmonize.ops.masks import feather_reach, feathered, gaussian_blur, loose_mask, loose_reach
from backend.harmonize.ops.matching import nearest_neighbours
from tests.harmonize.scenes import composed

HALF = torch.zeros(1, 40, 50)
HALF[:, :, :25] = 1
PICTURE = torch.full((3, 40, 50), 0.5)
HOLED = PICTURE.clone()
HOLED[1, 2, 3] = torch.nan

REFUSED = {
    "sizes that disagree": (PICTURE, torch.zeros(3, 40, 51), HALF, "one size"),
    "a mask of three channels": (PICTURE, PICTURE, HALF.expand(3, -1, -1), "mask"),
    "a gray painting": (PICTURE[:1], PICTURE, HALF, "painting"),
    "not a number": (PICTURE, HOLED, HALF, "not numbers"),
    "an infinite mask": (PICTURE, PICTURE, HALF / 0, "not numbers"),
    "an empty mask": (PICTURE, PICTURE, 0 * HALF, "empty"),
    "a mask over everything": (PICTURE, PICTURE, torch.ones_like(HALF), "everything"),
    "one pixel": (PICTURE[:, :1, :1], PICTURE[:, :1, :1], HALF[:, :1, :1], "1 x 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_in_one_sentence(case):
    *tensors, word = REFUSED[case]
    with pytest.raises(InvalidInput, match=word) as caught:
        Composite(*tensors)
    assert caught.value.kind == "invalid-input" and "\n" not in str(caught.value)


def test_growing_grows_only_the_mask():
    composite = composed(40, 50, 10, 10, 12)
    assert grown(composite, 0) is composite
    larger = grown(composite, 3)
    assert larger.painting is composite.painting and larger.naive is composite.naive
    rows = larger.mask[0].amax(dim=1).nonzero()
    assert (rows.min(), rows.max()) == (7, 24)


def test_an_object_of_which_nothing_is_left_at_the_working_size_is_told():
    composite = composed(80, 80, 20, 20, 1)
    faint = Composite(composite.painting, composite.naive, 0.3 * composite.mask)
    with pytest.raises(InvalidInput, match="40 x 40 pixels nothing is seen"):
        Scene.at(faint, (40, 40), 16, False, 0.1)
    assert Scene.at(faint, (80, 80), 16, False, 0.1).loose.sum() == 1


def test_growing_over_everything_is_told_as_that():
    with pytest.raises(InvalidInput, match="Grown by 60 pixels"):
        grown(composed(40, 50, 10, 10, 12), 60)


def checkered_and_seen_at_half() -> list[Scene]:
    """An object of single black and white pixels, and as it is seen at half size."""
    painting = torch.full((3, 64, 80), 0.25)
    checkers = (torch.arange(64)[:, None] + torch.arange(80)) % 2
    composite = Composite(painting, checkers.expand(3, -1, -1).float(), composed(64, 80, 24, 24, 24).mask)
    return [Scene.at(composite, size, 8, False, 0.1) for size in ((64, 80), (32, 40))]


@pytest.mark.parametrize("repainted, swing", [(0.0, 1), (0.5, 0.5), (1.0, 0)])
def test_a_change_is_enlarged_and_fine_detail_kept_as_far_as_asked(repainted, swing):
    scene, seen = checkered_and_seen_at_half()
    found = changed(seen.naive - 100, seen, scene, repainted)
    inside = (slice(None), slice(30, 42), slice(30, 42))
    grey = seen.naive.mean()  # of black and white
    expected = (grey + swing * (scene.naive - grey) - 100).clamp(0, 255)
    torch.testing.assert_close(found[inside], expected[inside], atol=1.0, rtol=0)
    assert torch.equal(found[:, :16], scene.painting[:, :16])


def test_no_change_is_the_naive_picture_within_the_loose_mask():
    scene, seen = checkered_and_seen_at_half()
    expected = torch.lerp(scene.painting, scene.naive, scene.loose)
    torch.testing.assert_close(changed(seen.naive, seen, scene), expected)


def test_a_region_gives_its_part_and_takes_it_back(generator):
    image = torch.rand(3, 20, 30, generator=generator)
    region = Region(2, 4, 10, 28)
    assert torch.equal(region.of(image), image[:, 2:10, 4:28])
    before = image.clone()
    pasted = region.paste(image, torch.zeros(3, 8, 24))
    assert torch.equal(image, before)
    assert region.of(pasted).abs().max() == 0 and torch.equal(pasted[:, 10:], image[:, 10:])


@given(
    height=st.integers(33, 150),
    width=st.integers(33, 150),
    top=st.integers(0, 120),
    left=st.integers(0, 120),
    side=st.integers(1, 30),
    margin=st.integers(0, 60),
)
def test_a_scenes_region_holds_the_mask_and_its_margin_on_whole_cells(height, width, top, left, side, margin):
    composite = composed(height, width, min(top, height - 1), min(left, width - 1), side)
    scene = Scene.at(composite, (height, width), margin, full_frame=False, mask_scale=0.2)
    region = scene.region
    rows, columns = scene.loose[0].amax(dim=1).nonzero(), scene.loose[0].amax(dim=0).nonzero()
    assert region.top <= max(0, rows.min() - margin) and region.left <= max(0, columns.min() - margin)
    assert region.bottom >= min(height, rows.max() + 1 + margin)
    assert region.right >= min(width, columns.max() + 1 + margin)
    assert region.top % CELL == 0 and region.left % CELL == 0
    assert region.bottom - region.top >= CELL and region.right - region.left >= CELL
    assert region.bottom % CELL == 0 or region.bottom == height
    assert region.right % CELL == 0 or region.right == width
    assert (scene.loose >= (scene.tight > 0.1)).all()


def test_a_full_frame_scene_is_the_whole_picture():
    scene = Scene.at(composed(64, 80, 20, 20, 10), (32, 40), 8, full_frame=True, mask_scale=0.1)
    assert scene.region == Region(0, 0, 32, 40)
    assert scene.painting.shape == (3, 32, 40) and 0 <= scene.painting.min() and scene.painting.max() <= 255


def test_resizing_to_the_same_size_is_nothing_and_keeps_flat_pictures():
    flat = torch.full((3, 20, 30), 0.3)
    assert resize(flat, (20, 30)) is flat
    for size in ((9, 40), (13, 7)):
        torch.testing.assert_close(resize(flat, size), torch.full((3, *size), 0.3))


def square_in(painting, naive, full_frame=False):
    """The scene of a pasted square."""
    mask = torch.zeros(1, 96, 128)
    mask[:, 40:56, 80:96] = 1
    return Scene.at(Composite(painting, naive, mask), (96, 128), 8, full_frame=full_frame, mask_scale=0.05)


def cells_of_the_square(region):
    top, left = (40 - region.top) // 8, (80 - region.left) // 8
    return slice(top, top + 2), slice(left, left + 2)


def hinted_matches(painting, naive):
    """The field from the region of a pasted square to its painting where features say nothing: cells of 8."""
    scene = square_in(painting, naive)
    query = (scene.region.bottom - scene.region.top) // 8, (scene.region.right - scene.region.left) // 8
    where = torch.ones(query, dtype=torch.bool)
    alike = torch.ones(4, *query), torch.ones(4, 12, 16)
    field = nearest_neighbours(*alike, where, patch=1, hints=scene.hints(8))
    return scene.region, field


@pytest.mark.parametrize("size", [(208, 224), (215, 231)])
def test_what_is_told_of_a_region_is_what_is_told_of_the_painting_there(generator, size):
    """Near the bottom right, where a picture shrunk as a whole would lie up to a position beside."""
    painting = gaussian_blur(torch.rand(3, *size, generator=generator), 3.0)
    mask = torch.zeros(1, *size)
    mask[:, 120:170, 130:180] = 1
    scene = Scene.at(Composite(painting, painting, mask), size, 16, full_frame=False, mask_scale=0.1)
    hints = scene.hints(8)
    top, left, (height, width) = scene.region.top // 8, scene.region.left // 8, hints.own.shape[1:]
    there = hints.other[:, top : top + height, left : left + width]
    assert there.shape == hints.own.shape and height > 8 < width
    inside = (
        slice(1, None),
        slice(2, -2),
        slice(2, -2),
    )  # a filter sees no further than the crop; L is in its light
    torch.testing.assert_close(hints.own[inside], there[inside], atol=1e-4, rtol=0)


def test_where_nothing_else_tells_the_nearest_place_is_matched():
    grey = torch.full((3, 96, 128), 0.5)
    region, field = hinted_matches(grey, grey.clone())
    rows = torch.arange(field.shape[1])[:, None] + region.top // 8
    columns = torch.arange(field.shape[2])[None] + region.left // 8
    assert torch.equal(field[0], rows.expand_as(field[0]))
    assert torch.equal(field[1], columns.expand_as(field[1]))


def test_colour_is_found_across_the_painting_and_the_nearest_of_that_colour():
    painting, naive = torch.full((3, 96, 128), 0.5), torch.full((3, 96, 128), 0.5)
    red = torch.tensor([0.8, 0.1, 0.1]).view(3, 1, 1)
    painting[:, :8, :8] = painting[:, 88:, 24:32] = red  # the second is nearer to the pasted square
    naive[:, 40:56, 80:96] = red
    region, field = hinted_matches(painting, naive)
    inside = cells_of_the_square(region)
    assert (field[0][inside] == 11).all() and (field[1][inside] == 3).all()


def of_hue(value, a, b):
    """A colour of CIELAB, (3, 1, 1)."""
    return lab_to_rgb(torch.tensor([float(value), float(a), float(b)]).view(3, 1, 1))


def grey_of(value):
    """A grey of that L of CIELAB, (3, 1, 1)."""
    return of_hue(value, 0, 0)


def lit(dark, light):
    """A painting of L 20 above, 50 and 80 below, and with a pasted square whose halves are `dark` and `light`."""
    painting = grey_of(50).expand(3, 96, 128).clone()
    painting[:, :24], painting[:, 72:] = grey_of(20), grey_of(80)
    naive = painting.clone()
    naive[:, 40:56, 80:88], naive[:, 40:56, 88:96] = grey_of(dark), grey_of(light)
    return painting, naive


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ((30, 90), (20, 80)),  # white to white, black down to black
        ((30, 75), (20, 80)),
        ((5, 75), (5, 80)),  # a black is never lifted
        ((5, 35), (5, 50)),  # and contrast no more than half as large again
        ((50, 50), (50, 50)),
    ],
)
def test_an_objects_lightness_is_told_as_in_the_paintings_light(own, told):
    painting, naive = lit(*own)
    scene = square_in(painting, naive, full_frame=True)
    lightness = 100 * scene.hints(1).own[0]
    assert lightness[48, [82, 93]].tolist() == pytest.approx(told, abs=0.5)
    torch.testing.assert_close(lightness[:40], rgb_to_lab(painting)[0, :40], atol=0.1, rtol=0)


def test_a_dim_objects_white_finds_the_paintings():
    region, field = hinted_matches(*lit(10, 55))
    dark, light = field[0][cells_of_the_square(region)].unbind(1)
    assert (dark < 3).all() and (light >= 9).all()


def test_place_weighs_more_light_less_and_own_hues_nothing_for_a_scene_that_fills_the_canvas():
    grey, red = torch.full((3, 64, 64), 0.5), of_hue(50, 60, 40).expand(3, 64, 64)
    weights = []
    for side in (8, 48):
        mask = torch.zeros(1, 64, 64)
        mask[:, :side, :side] = 1
        scene = Scene.at(
            Composite(grey, torch.where(mask > 0, red, grey), mask),
            (64, 64),
            8,
            full_frame=True,
            mask_scale=0.05,
        )
        weights.append(scene.hints(8).weight)
        assert scene.filled() == pytest.approx(min(1.0, 2 * (side / 64) ** 2))
    (light, *chroma, place, _), (light_of_scene, *chroma_of_scene, place_of_scene, _) = weights
    share = (48 / 64) ** 2
    assert all(own.any() for own in chroma) and not any(own.any() for own in chroma_of_scene)
    assert (place == PLACE).all() and (place_of_scene == PLACE_OF_A_BACKDROP * share).all()
    assert (light > 0.9 * LIGHTNESS).all() and (light_of_scene == LIGHTNESS_OF_A_BACKDROP).all()


def test_a_grey_has_no_hue_to_keep():
    """A grey square takes the hue of its place; a red one looks for red, however far."""
    blue, red = torch.tensor([0.3, 0.4, 0.8]).view(3, 1, 1), torch.tensor([0.8, 0.1, 0.1]).view(3, 1, 1)
    painting = blue.expand(3, 96, 128).clone()
    lightness = rgb_to_lab(blue)[:1]
    grey = lab_to_rgb(torch.cat((lightness, torch.zeros(2, 1, 1))))
    painting[:, :32, :32] = grey
    painting[:, 72:, :24] = red
    for pasted, home in ((grey, (40, 80)), (red, (72, 0))):
        naive = painting.clone()
        naive[:, 40:56, 80:96] = pasted
        region, field = hinted_matches(painting, naive)
        inside = cells_of_the_square(region)
        rows, columns = field[0][inside], field[1][inside]
        at_home = (rows >= home[0] // 8) & (columns >= home[1] // 8)
        assert at_home.all() and (columns < 3).all() == (pasted is red)


def test_what_one_part_of_a_grey_object_finds_the_rest_is_told():
    """The square lies on blue; three of its four positions found the orange beyond, and all go there."""
    painting = of_hue(60, 0, -40).expand(3, 96, 128).clone()
    painting[:, :, 112:] = of_hue(60, 20, 50)
    naive = painting.clone()
    naive[:, 40:56, 80:96] = grey_of(60)
    scene = square_in(painting, naive, full_frame=True)
    hints, where = scene.hints(8), torch.zeros(12, 16, dtype=torch.bool)
    where[5:7, 10:12] = True
    alike, found = torch.ones(4, 12, 16), torch.full((2, 12, 16), -1)
    found[:, where] = torch.tensor([[5, 5, 5, 5], [10, 15, 15, 15]])
    for told, columns in ((hints, {10, 11}), (scene.agreeing(hints, found), {14, 15})):
        field = nearest_neighbours(alike, alike, where, patch=1, hints=told)
        assert set(field[1][where].tolist()) <= columns


def test_black_and_white_may_agree_on_a_hue_each():
    """The left half found blue, the right orange."""
    painting = of_hue(60, 20, 50).expand(3, 96, 128).clone()
    painting[:, :48] = of_hue(60, 0, -40)
    naive = painting.clone()
    naive[:, 40:56, 80:88], naive[:, 40:56, 88:96] = grey_of(5), grey_of(95)
    scene = square_in(painting, naive, full_frame=True)
    hints, field = scene.hints(8), torch.full((2, 12, 16), -1)
    field[:, 5:7, 10:12] = 2
    field[0, 5:7, 11] = 9
    told = scene.agreeing(hints, field)
    b = 100 * told.own[2, 5:7, 10:12]
    assert (b[:, 0] < -25).all() and (b[:, 1] > 35).all()  # as far as edges are kept; both together are at 5
    elsewhere = field[0] < 0
    assert torch.equal(told.own[:, elsewhere], hints.own[:, elsewhere])
    assert torch.equal(told.weight[:, elsewhere], hints.weight[:, elsewhere])
    assert torch.equal(told.own[[0, 3, 4]], hints.own[[0, 3, 4]]) and torch.equal(told.other, hints.other)


def test_a_colourful_squares_own_hue_counts_beside_what_it_found():
    painting = grey_of(60).expand(3, 96, 128).clone()
    naive = painting.clone()
    naive[:, 40:56, 80:96] = of_hue(60, 60, 0)
    scene = square_in(painting, naive, full_frame=True)
    hints, field = scene.hints(8), torch.full((2, 12, 16), -1)
    field[:, 5:7, 10:12] = 2
    told = scene.agreeing(hints, field)
    own = hints.weight[1, 5, 10].item()
    assert told.weight[1, 5, 10].item() == pytest.approx(own + AGREED)
    kept = hints.own[1, 5, 10].item() * own / (own + AGREED)
    assert told.own[1, 5, 10].item() == pytest.approx(kept, abs=1e-3)


MASKS = {"in the middle": (50, 60, 40), "at the edge": (0, 100, 60), "in a corner": (120, 160, 40)}


@pytest.mark.parametrize("where", MASKS)
@pytest.mark.parametrize("scale", [0.05, 1.0, 1.7])
def test_near_the_object_the_loose_mask_is_the_whole_masks(where, scale):
    mask = composed(160, 200, *MASKS[where]).mask
    found = near(mask, loose_reach(scale), lambda part: loose_mask(part, scale))
    assert torch.equal(found, loose_mask(mask, scale)) and found.any()


@pytest.mark.parametrize("where", MASKS)
@pytest.mark.parametrize("width", [0.0, 0.3, 4.5, 11.0, 40.0])
def test_near_the_object_the_feather_is_the_whole_masks(where, width):
    mask = composed(160, 200, *MASKS[where]).mask
    found = near(mask, feather_reach(width), lambda part: feathered(part, width))
    # A convolution of another size sums in another order.
    torch.testing.assert_close(found, feathered(mask, width), rtol=0, atol=1e-5)
    assert found.any()


def test_near_the_object_is_all_that_is_worked_on():
    mask = composed(160, 200, 64, 80, 16).mask
    sizes = []
    near(mask, 5, lambda part: sizes.append(tuple(part.shape)) or part)
    assert sizes == [(1, 48, 48)]  # 59 to 85 and 75 to 101, on whole cells


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_change_at_another_size_is_none_however_fine_the_object(value):
    """Stripes overshoot when they are resampled, in the picture as it was and as it is."""
    naive = ((torch.arange(64) // 4 % 2).float() * (1 - 2 * value) + value).expand(3, 64, 64).contiguous()
    mask = torch.zeros(1, 64, 64)
    mask[:, 8:56, 8:56] = 1
    composite = Composite(torch.full_like(naive, 0.5), naive, mask)
    fine, coarse = (Scene.at(composite, (size, size), 8, True, 0.1) for size in (64, 40))
    unchanged = changed(coarse.naive, coarse, fine)
    torch.testing.assert_close(unchanged, torch.lerp(fine.painting, fine.naive, fine.loose))


def rectangles(*boxes: tuple[int, int, int, int]) -> torch.Tensor:
    mask = torch.zeros(1, 300, 400)
    for top, left, bottom, right in boxes:
        mask[:, top:bottom, left:right] = 1
    return mask


@pytest.mark.parametrize(
    "boxes, side",
    [
        ([(20, 30, 81, 70)], 61),
        ([(20, 30, 60, 70), (200, 300, 257, 340)], 57),
        ([(20, 30, 260, 40), (250, 40, 260, 390)], 360),  # an L is one
        ([(20, 30, 60, 70), (60, 70, 100, 111)], 81),  # so is what touches at a corner
        ([(0, 0, 300, 1), (0, 399, 5, 400)], 300),
    ],
)
def test_the_longest_of_an_objects_parts_is_measured(boxes, side):
    assert longest_side(rectangles(*boxes)) == side
