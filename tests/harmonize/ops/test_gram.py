"""Gram matrices and their gradient, against loops and against autograd."""

import numpy as np
import pytest
import torch

from backend.harmonize.networks import MOST_IN_HALF
from backend.harmonize.ops.gram import gram, gram_gradient
from tests.oracles import gram as oracle


@pytest.fixture
def case(generator):
    """Features (C, N), weights (N,) with a zero, and a target matrix."""
    features = torch.randn(4, 15, generator=generator)
    weight = torch.rand(15, generator=generator)
    weight[2] = 0
    other = torch.randn(4, 9, generator=generator)
    return features, weight, gram(other, torch.ones(9))


def test_equals_the_loop(case):
    features, weight, _ = case
    expected = oracle.gram(features.double().numpy(), weight.double().numpy())
    torch.testing.assert_close(gram(features, weight), torch.from_numpy(expected).float())


def test_does_not_depend_on_where_things_are(case, generator):
    features, weight, _ = case
    order = torch.randperm(15, generator=generator)
    torch.testing.assert_close(gram(features[:, order], weight[order]), gram(features, weight))


def test_does_not_depend_on_how_large_the_region_is(case):
    features, weight, _ = case
    torch.testing.assert_close(gram(features.repeat(1, 3), weight.repeat(3)), gram(features, weight))


def test_gradient_equals_the_hand_written_one(case):
    features, weight, target = case
    gradient, _ = gram_gradient(features, weight, target)
    expected = oracle.gram_gradient(*(tensor.double().numpy() for tensor in case))
    torch.testing.assert_close(gradient, torch.from_numpy(expected).float(), atol=1e-7, rtol=1e-4)


def test_gradient_equals_autograd_of_the_loss(case):
    features, weight, target = case
    leaf = features.clone().requires_grad_()
    loss = ((gram(leaf, weight) - target) ** 2).mean()
    loss.backward()
    gradient, value = gram_gradient(features, weight, target)
    torch.testing.assert_close(gradient, leaf.grad)
    torch.testing.assert_close(value, loss.detach())


def test_gradient_equals_finite_differences_in_float64(case):
    features, weight, target = (tensor.double().numpy() for tensor in case)
    gradient, _ = gram_gradient(*case)

    def loss(x: np.ndarray) -> float:
        return ((oracle.gram(x, weight) - target) ** 2).mean()

    for c, n in ((0, 0), (1, 2), (3, 14), (2, 7)):
        nudge = np.zeros_like(features)
        nudge[c, n] = 1e-5
        slope = (loss(features + nudge) - loss(features - nudge)) / 2e-5
        assert gradient[c, n].item() == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_no_pull_at_the_target_and_none_without_weight(case):
    features, weight, target = case
    assert gram_gradient(features, weight, target)[0][:, 2].abs().max() == 0
    gradient, loss = gram_gradient(features, weight, gram(features, weight))
    assert gradient.abs().max() < 1e-6 and loss < 1e-12


def test_an_empty_mask_is_not_a_division_by_zero(case):
    features, _, target = case
    gradient, loss = gram_gradient(features, torch.zeros(15), target)
    assert gradient.abs().max() == 0 and torch.isfinite(loss)


def test_of_the_strongest_features_float16_holds_the_gradient_is_the_same(generator):
    """One channel is to change with all others, whose strongest responses add up."""
    features = MOST_IN_HALF * (0.8 + 0.2 * torch.rand(64, 100, generator=generator))
    weight, difference = torch.ones(100), torch.zeros(64, 64)
    difference[0] = difference[:, 0] = 1e7
    target = gram(features, weight) - difference
    expected, found = (
        gram_gradient(features.to(kind), weight, target)[0] for kind in (torch.float32, torch.float16)
    )
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)
