"""The nearest colours of a palette, against the slow and obvious."""

import numpy as np
import pytest
import torch

from backend.harmonize.ops import palette as module
from backend.harmonize.ops.palette import LIGHTNESS, in_palette

RED, BROWN = (45.0, 60.0, 40.0), (45.0, 12.0, 24.0)


def lab(*colours: tuple, count: int = 1) -> torch.Tensor:
    """(3, N), each colour `count` times."""
    return torch.tensor(colours).repeat_interleave(count, dim=0).T


@pytest.mark.parametrize("at_once", [1, 700, module.AT_ONCE])
def test_equals_sorting_all_distances(generator, monkeypatch, at_once):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    own, known = (torch.randn(3, n, generator=generator) * 30 for n in (50, 300))
    weight = np.array([LIGHTNESS, 1, 1])
    expected = [
        known.numpy()[:, np.argsort((((known.T.numpy() - colour) * weight) ** 2).sum(axis=1))[:7]].mean(
            axis=1
        )
        for colour in own.T.numpy()
    ]
    np.testing.assert_allclose(in_palette(own, known, 7).T, expected, atol=1e-3)


def test_a_colour_that_is_there_often_is_found_and_a_speck_is_not():
    often, speck = (torch.cat((lab(RED, count=n), lab(BROWN, count=100)), dim=1) for n in (10, 1))
    asked = lab((45.0, 66.0, 44.0))
    torch.testing.assert_close(in_palette(asked, often, 10), lab(RED))
    mostly = 0.1 * lab(RED) + 0.9 * lab(BROWN)
    torch.testing.assert_close(in_palette(asked, speck, 10), mostly, atol=1e-4, rtol=0)


def test_the_same_hue_in_the_shade_is_nearer_than_another_as_light():
    shade, grey = (25.0, 60.0, 40.0), (45.0, 45.0, 40.0)
    torch.testing.assert_close(in_palette(lab(RED), lab(shade, grey), 1), lab(shade))


def test_a_palette_of_fewer_colours_than_are_asked_for_gives_their_mean():
    mean = (lab(RED) + lab(BROWN)) / 2
    torch.testing.assert_close(in_palette(lab(RED, BROWN), lab(RED, BROWN), 9), mean.expand(3, 2))


def test_no_colours_are_none():
    assert in_palette(torch.zeros(3, 0), lab(RED), 2).shape == (3, 0)
