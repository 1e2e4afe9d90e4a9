"""Composites, regions and scenes: what fits together, and what is refused in one sentence."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize.composite import CELL, Composite, Region, Scene, grown, resize
from backend.harmonize.errors import InvalidInput
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
