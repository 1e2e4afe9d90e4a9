"""What an artist's content strength and smoothness do to the finished picture, whatever pass 2 makes of its weights."""

import pytest
import torch

from backend.harmonize.composite import Composite
from backend.harmonize.firmness import USUAL, firmness, kept
from backend.harmonize.ops.color import luminance
from backend.harmonize.ops.masks import gaussian_blur
from backend.harmonize.pipeline import harmonize
from tests.harmonize.scenes import painted, short


def test_half_is_kept_at_the_usual_strength_and_nothing_at_none():
    assert firmness(1.0) == USUAL and kept(USUAL) == 0.5 and kept(firmness(0.0)) == 0
    shares = [kept(firmness(content)) for content in (0.0, 0.1, 0.4, 1.0, 3.0, 10.0)]
    assert shares == sorted(shares) and shares[-1] < 0.8


def test_a_bolder_style_than_the_paintings_own_counts_as_less_content_and_a_finer_one_as_more():
    assert firmness(2.0, 4.0) == pytest.approx(firmness(1.0)) == pytest.approx(firmness(0.5, 0.25))


@pytest.fixture(scope="module")
def striped() -> Composite:
    """Dark stripes on a light square, on a painting that has nothing like them."""
    painting, mask = 0.3 + 0.4 * painted(128, 144, 3), torch.zeros(1, 128, 144)
    mask[:, 24:104, 30:110] = 1
    stripes = torch.where(torch.arange(144) % 20 < 5, 0.1, 0.8).expand(3, 128, 144)
    return Composite(painting, torch.where(mask > 0, stripes, painting), mask)


def alike(picture: torch.Tensor, naive: torch.Tensor) -> float:
    """How far luminance in the object's middle goes along with what was pasted: a correlation, 1 untouched."""
    pair = torch.stack([luminance(x)[0, 34:94, 40:100].flatten() for x in (picture, naive)])
    return torch.corrcoef(pair)[0, 1].item()


@pytest.mark.parametrize("changes", [{}, {"working_scale": 0.75}])
def test_the_stronger_the_content_the_more_of_its_shapes_the_finished_object_has(striped, thin, changes):
    found = [
        alike(harmonize(striped, thin, short(content=content, **changes)).image, striped.naive)
        for content in (0.0, 0.3, 1.0, 4.0)
    ]
    assert all(after - before > 0.02 for before, after in zip(found, found[1:])) and found[0] < 0.6 * found[2]


def test_the_stronger_the_style_the_fewer_of_its_shapes_the_finished_object_has(striped, thin):
    found = [
        alike(harmonize(striped, thin, short(style_level=level)).image, striped.naive)
        for level in (0.5, 2.0, 10.0)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] - found[-1] > 0.06  # 0.042 by its weights alone


def test_the_greater_the_smoothness_the_fewer_ripples_the_finished_object_has(striped, thin):
    def ripples(smoothness: float) -> float:
        part = luminance(harmonize(striped, thin, short(smoothness=smoothness)).image)[:, 34:94, 40:100]
        return (part - gaussian_blur(part, 1.5)).abs().median().item()

    found = [ripples(smoothness) for smoothness in (0.0, 1.0, 3.0, 10.0)]
    assert all(after < 0.9 * before for before, after in zip(found, found[1:]))
