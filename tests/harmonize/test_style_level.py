"""Style level and the loss weights that follow from it."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize import pipeline
from backend.harmonize.composite import Composite, resize
from backend.harmonize.config import Level
from backend.harmonize.memo import Memo
from backend.harmonize.optimize import Plan
from backend.harmonize.pipeline import harmonize
from backend.harmonize.second_pass import STYLE_LAYERS
from backend.harmonize.step import ignore
from backend.harmonize.style_level import (
    HIGHEST,
    LOWEST,
    ROUGHNESS,
    boldness,
    coarseness,
    content_weight,
    estimate,
    noise,
    weights,
    with_histograms,
)
from tests.harmonize.scenes import composed, painted, short


@given(st.integers(0, 999), st.integers(32, 90), st.integers(32, 90), st.floats(0, 1))
def test_an_estimate_is_a_level_and_the_same_again(seed, height, width, contrast):
    painting = 0.5 + (painted(height, width, seed) - 0.5) * contrast
    level = estimate(painting)
    assert LOWEST <= level <= HIGHEST
    assert estimate(painting.clone()) == level


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_flat_picture_has_a_level(value):
    assert LOWEST <= estimate(torch.full((3, 40, 50), value)) <= HIGHEST


def test_a_rough_surface_speaks_for_a_visible_hand(generator):
    smooth = torch.nn.functional.interpolate(
        0.3 + 0.4 * torch.rand(1, 3, 5, 5, generator=generator), (200, 200), mode="bicubic"
    )[0]
    rough = (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
    assert estimate(rough) > estimate(smooth)


def test_noise_is_the_median_of_squared_neighbour_differences():
    ramp = torch.arange(10.0).expand(3, 8, 10) / 100
    assert noise(ramp) == pytest.approx(0.01**2 / 2, rel=1e-4)
    assert noise(ramp.transpose(1, 2)) == pytest.approx(0.01**2 / 2, rel=1e-4)
    red = torch.cat((ramp[:1], torch.zeros(2, 8, 10)))
    assert noise(red) == 0  # each channel counts by itself
    speck = torch.zeros(3, 9, 9)
    speck[:, 4, 4] = 1
    assert noise(speck) == 0


@given(st.integers(0, 99), st.floats(0.5, 10), st.floats(0, 10), st.floats(0, 10))
def test_weights_follow_the_published_formula(seed, level, content, smoothness):
    painting = painted(40, 40, seed)
    v = 10 / (1 + math.exp(1e4 * noise(painting) - 25)) if 1e4 * noise(painting) < 700 else 0.0
    found = weights(painting, level, content, smoothness)
    assert found.style == level
    assert found.content == content
    assert found.variation == pytest.approx(v * level * smoothness)
    assert found.histogram == pytest.approx((10 - v) * level)


def test_smooth_paintings_are_smoothed_and_noisy_ones_are_not(generator):
    smooth, noisy = torch.full((3, 30, 30), 0.5), torch.rand(3, 30, 30, generator=generator)
    assert weights(smooth, 5).variation == pytest.approx(50, rel=1e-3)
    assert weights(noisy, 5).variation == pytest.approx(0, abs=1e-3)
    assert weights(noisy, 5).histogram == pytest.approx(50, rel=1e-3)


def test_steps_grow_with_the_level_up_to_full_size():
    assert [boldness(level) for level in (0.9, 1.8, 4.5, 5, 10)] == pytest.approx([0.2, 0.4, 1, 1, 1])


def test_broad_brushes_paint_over_fine_detail_and_fine_ones_keep_it():
    found = [coarseness(level, 1.0) for level in (1, 2.5, 2.75, 3, 3.5, 10)]
    assert found == pytest.approx([0, 0, 0.25, 0.5, 1, 1])


def test_the_less_firmly_the_object_holds_the_more_of_its_fine_detail_is_painted_over():
    found = [[coarseness(level, 1.0, firmness) for firmness in (0, 0.5, 1, 2)] for level in (2.5, 3, 3.5)]
    assert found == [[0, 0, 0, 0], pytest.approx([1, 0.5**0.5, 0.5, 0.25]), [1, 1, 1, 1]]


def test_at_half_the_size_no_detail_is_finer_than_a_stroke():
    found = [coarseness(10, scale) for scale in (0.1, 0.5, 0.625, 0.75, 1, 8)]
    assert found == pytest.approx([0, 0, 0.5, 1, 1, 1])


def test_histograms_at_four_layers_weigh_what_the_papers_two_do():
    paper = weights(torch.rand(3, 16, 16), 4.0)
    ours = with_histograms(paper, ("relu1_1", "relu2_1", "relu3_1", "relu4_1"))
    assert ours.histogram * len(ours.histogram_layers) == paper.histogram * len(paper.histogram_layers)
    assert (ours.style, ours.content, ours.variation) == (paper.style, paper.content, paper.variation)


def test_a_large_canvas_is_as_rough_as_what_is_painted_of_it(thin):
    """Enlarged softly it has no grain; shrunk to its working size it has, and is not smoothed."""
    small = composed(128, 128, 40, 40, 40)
    large = Composite(*(resize(x, (512, 512)).clamp(0, 1) for x in (small.painting, small.naive, small.mask)))

    def variation(composite: Composite, scale: float) -> float:
        run = pipeline._Run(composite, thin, short(working_scale=scale), ignore, Memo())
        return run._weights().variation

    assert variation(small, 1.0) == pytest.approx(0, abs=1e-3)
    assert variation(large, 0.25) == pytest.approx(0, abs=1e-3)
    assert variation(large, 1.0) > 1


@pytest.mark.parametrize("published", [True, False])
def test_as_published_weights_and_steps_are_the_papers_and_else_ours(thin, monkeypatch, published):
    """A painting of level 2, so rough that it is half smoothed as published and not at all as ours."""
    given, level = [], 2.0
    monkeypatch.setattr(
        pipeline, "second_pass", lambda start, *rest: given.append((rest[3], rest[4])) or start
    )
    plans = (Plan(3, step=8.0), Plan(2, method="lbfgs", rate=0.5))
    settings = short(
        style_level=level, content=3.0, smoothness=0.5, published=published, patch_synthesis=False
    )
    settings = replace(settings, second=tuple(Level(1.0, plan) for plan in plans))
    composite = half_rough(composed(112, 144, 32, 40, 48))
    harmonize(composite, thin, settings)
    rough, pace, content = (
        (1.0, 1.0, 1.0) if published else (ROUGHNESS, boldness(level), content_weight(level))
    )
    expected = weights(composite.painting, level, 3.0 * content, 0.5, rough)
    if not published:
        expected = with_histograms(expected, STYLE_LAYERS)
    assert [plan for _, plan in given] == [replace(plan, step=pace * plan.step) for plan in plans]
    assert all(found == expected for found, _ in given) and len(given) == 2
    assert pace == 1 or pace < 0.8 and abs(content - 1) > 0.5


def half_rough(composite: Composite) -> Composite:
    """With its painting's contrast such that the published formula is in its middle."""
    contrast = (25e-4 / noise(composite.painting)) ** 0.5
    painting = 0.5 + contrast * (composite.painting - 0.5)
    return Composite(painting, composite.naive, composite.mask)
