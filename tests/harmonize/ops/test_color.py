"""CIELAB against published values, and there and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize.ops.color import lab_to_rgb, linear_to_srgb, luminance, rgb_to_lab, srgb_to_linear
from tests.oracles.color import PUBLISHED


def pixel(values, dtype=torch.float64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype).view(3, 1, 1)


@pytest.mark.parametrize("rgb, lab", PUBLISHED.items())
def test_published_values(rgb, lab):
    found = rgb_to_lab(pixel(rgb) / 255).flatten().tolist()
    assert found == pytest.approx(lab, abs=0.02)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_there_and_back_to_the_byte_in_float32(rgb):
    image = pixel(rgb, torch.float32) / 255
    back = lab_to_rgb(rgb_to_lab(image)) * 255
    assert back.round().flatten().tolist() == list(rgb)
    torch.testing.assert_close(back, image * 255, atol=0.02, rtol=0)


def test_there_and_back_in_float64(generator):
    image = torch.rand(2, 3, 5, 6, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(image)), image, atol=1e-9, rtol=0)


@given(st.floats(-1, 2))
def test_the_transfer_curve_and_back(value):
    x = torch.tensor(value, dtype=torch.float64)
    # The standard's two pieces meet within 1e-7 of each other, not exactly.
    torch.testing.assert_close(linear_to_srgb(srgb_to_linear(x)), x, atol=1e-6, rtol=0)


def test_the_transfer_curve_at_published_points():
    encoded = torch.tensor([0.0, 0.04045, 0.5, 1.0], dtype=torch.float64)
    assert srgb_to_linear(encoded).tolist() == pytest.approx([0, 0.0031308, 0.2140411, 1], abs=1e-6)


def test_grays_have_no_chroma():
    grays = torch.linspace(0, 1, 50, dtype=torch.float64).expand(3, 1, 50)
    lab = rgb_to_lab(grays)
    assert lab[1:].abs().max() < 0.01
    assert (lab[0].diff() > 0).all()


def test_colours_beyond_the_gamut_come_out_unclipped():
    beyond = lab_to_rgb(pixel([50.0, 120.0, 0.0])).flatten()
    assert beyond.min() < 0 and torch.isfinite(beyond).all()


def test_gradients_are_finite_everywhere():
    image = torch.linspace(0, 1, 12).view(3, 2, 2).requires_grad_()
    lab_to_rgb(rgb_to_lab(image)).sum().backward()
    assert torch.isfinite(image.grad).all()


def test_luminance():
    assert luminance(pixel([1.0, 0.0, 0.0])).item() == pytest.approx(0.299)
    assert luminance(torch.ones(2, 3, 4, 5)).shape == (2, 1, 4, 5)
