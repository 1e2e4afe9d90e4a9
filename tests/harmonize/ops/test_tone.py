"""Tone curves: exact rank matching where it is gentle, bounded where it is not; deeper darks; ranges brought into
others."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize.ops.tone import along, range_fit, tone_curve

ANY = 1e9  # a curve that may be as steep as it likes


def test_equals_the_value_of_equal_rank(generator):
    """The slow and obvious: sort both, and read off the other's value at the same rank."""
    own, wanted = torch.rand(4001, generator=generator) * 50, torch.rand(3001, generator=generator) ** 3 * 90
    found = along(own, tone_curve(own, wanted, 0, ANY)).numpy()
    ranks = own.argsort().argsort().numpy() / (len(own) - 1)
    expected = np.quantile(wanted.numpy(), ranks)
    np.testing.assert_allclose(found, expected, atol=0.6)  # 257 knots over 90


def test_like_distributions_change_nothing(generator):
    own = torch.randn(5000, generator=generator)
    torch.testing.assert_close(along(own, tone_curve(own, own.flip(0), 0, 1.5)), own, atol=1e-3, rtol=0)


def test_a_curve_is_nowhere_steeper_than_it_may_be_and_keeps_the_mean(generator):
    own, wanted = torch.randn(5000, generator=generator), 10 * torch.randn(5000, generator=generator) + 30
    before, after = tone_curve(own, wanted, 0, 1.5)
    assert (after.diff() <= 1.5 * before.diff() + 1e-4).all()
    assert along(own, (before, after)).mean().item() == pytest.approx(wanted.mean().item(), abs=0.5)
    assert along(own, (before, after)).std() == pytest.approx(1.5, rel=0.05)


def test_a_curve_is_nowhere_flatter_than_it_may_be(generator):
    own, wanted = torch.randn(5000, generator=generator), torch.full((70,), 8.0)
    moved = along(own, tone_curve(own, wanted, 0.3, 1.5))
    assert moved.std().item() == pytest.approx(0.3 * own.std().item(), rel=0.01)
    assert moved.mean().item() == pytest.approx(8.0, abs=0.05)


def test_ranks_never_turn_around(generator):
    own, wanted = torch.rand(2000, generator=generator), torch.rand(2000, generator=generator) ** 4
    moved = along(own.sort().values, tone_curve(own, wanted, 0, 1.5))
    assert (moved.diff() >= -1e-6).all()


def test_beyond_its_ends_distances_stay():
    curve = tone_curve(torch.tensor([0.0, 1.0]), torch.tensor([4.0, 4.5]), 0, ANY)
    torch.testing.assert_close(
        along(torch.tensor([[-3.0, 0.0], [1.0, 2.5]]), curve), torch.tensor([[1.0, 4.0], [4.5, 6.0]])
    )


@pytest.mark.parametrize("own", [torch.full((9,), 3.0), torch.tensor([3.0])])
def test_a_flat_object_takes_the_mean(own):
    found = along(own, tone_curve(own, torch.tensor([1.0, 2.0, 9.0]), 0.3, 1.5))
    torch.testing.assert_close(found, torch.full_like(own, 3.5), atol=0.2, rtol=0)


def on(line, values):
    gain, offset = line
    return [gain * value + offset for value in values]


@pytest.mark.parametrize(
    ("own", "wanted", "found"),
    [
        ((0.0, 0.5), (0.1, 0.8), (0.1, 0.8)),  # black to black, white to white
        ((0.0, 1.0), (0.2, 0.9), (0.2, 0.9)),
        ((0.1, 0.2), (0.0, 1.0), (0.075, 0.225)),  # what is flat stays flat, and where it was
        ((0.0, 0.1), (0.2, 1.0), (0.2, 0.35)),  # or no further in than it must
        ((0.9, 1.0), (0.2, 0.7), (0.55, 0.7)),
        ((0.0, 1.0), (0.4, 0.6), (0.5 - 1 / 3, 0.5 + 1 / 3)),  # too wide: around its middle
        ((0.5, 0.5), (0.0, 1.0), (0.5, 0.5)),
        ((0.5, 0.5), (0.6, 0.6), (0.6, 0.6)),
    ],
)
def test_a_range_is_brought_into_another(own, wanted, found):
    assert on(range_fit(own, wanted, 1 / 1.5, 1.5), own) == pytest.approx(found)


ranges = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: tuple(sorted(ends)))


@given(ranges, ranges, st.floats(0.1, 1), st.floats(1, 3))
def test_gains_are_bounded_and_what_fits_lies_within(own, wanted, least, most):
    gain, _ = line = range_fit(own, wanted, least, most)
    assert least <= gain <= most
    low, high = on(line, own)
    if high - low > wanted[1] - wanted[0] + 1e-5:
        assert low < wanted[0] - 1e-6 and high > wanted[1] + 1e-6
    else:
        assert low >= wanted[0] - 1e-5 and high <= wanted[1] + 1e-5
