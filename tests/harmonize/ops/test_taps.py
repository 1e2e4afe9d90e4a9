"""Taps: nothing on the way up; unit gradients at the layer on the way back; what comes from above passes."""

import pytest
import torch
import torch.nn.functional as F

from backend.harmonize.ops.taps import tap, unit

SHAPE = (1, 3, 4, 5)
ALL = torch.arange(20)


def backward(features, from_above, positions, terms, normalize, record=None) -> torch.Tensor:
    """What arrives below a tap when `from_above` arrives above it."""
    leaf = features.clone().requires_grad_()
    tap(leaf, positions, terms, normalize, [] if record is None else record).backward(from_above)
    return leaf.grad


def constant(gradient: torch.Tensor, loss: float = 1.0):
    """A term with that gradient, whatever the features."""
    return lambda x: (gradient.clone(), torch.tensor(loss))


def squares(x: torch.Tensor):
    """Half the sum of squares: its gradient is the features themselves."""
    return x.clone(), (x**2).sum() / 2


@pytest.fixture
def features(generator):
    return torch.randn(SHAPE, generator=generator)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_features_pass_unchanged_in_any_layout(features, layout, dtype):
    x = features.to(dtype).contiguous(memory_format=layout)
    y = tap(x.requires_grad_(), ALL, [(2.0, squares)], True, [])
    assert torch.equal(y, x) and y.dtype == dtype
    y.backward(torch.zeros_like(y))
    expected = (2 * unit(x.detach())).to(dtype)
    torch.testing.assert_close(x.grad, expected, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)


def test_without_normalization_it_is_autograd_of_the_sum(features):
    leaf = features.double().requires_grad_()
    (0.5 * (3 * leaf**2).sum() + (leaf * 2).sum()).backward()
    found = backward(features.double(), torch.full(SHAPE, 2.0).double(), ALL, [(3.0, squares)], False)
    torch.testing.assert_close(found, leaf.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_each_normalized_term_has_unit_norm_at_its_layer(features, scale):
    gradient = scale * torch.randn(3, 20)
    found = backward(features, torch.zeros(SHAPE), ALL, [(1.0, constant(gradient))], True)
    assert found.norm().item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(found.view(3, 20), gradient / gradient.norm())


def test_terms_are_normalized_one_by_one_and_then_weighted(features):
    first, second = torch.zeros(3, 20), torch.zeros(3, 20)
    first[0, 0], second[1, 1] = 1000, 0.001
    terms = [(2.0, constant(first)), (5.0, constant(second))]
    found = backward(features, torch.zeros(SHAPE), ALL, terms, True).view(3, 20)
    assert found[0, 0] == pytest.approx(2) and found[1, 1] == pytest.approx(5)
    assert found.count_nonzero() == 2


def test_what_comes_from_above_passes_unchanged(features):
    """The tap's own normalization must not touch it, and a term of no gradient adds nothing."""
    from_above = 1e3 * torch.randn(SHAPE)
    nothing = constant(torch.zeros(3, 20))
    assert torch.equal(backward(features, from_above, ALL, [(4.0, nothing)], True), from_above)
    both = backward(features, from_above, ALL, [(1.0, squares)], True)
    torch.testing.assert_close(both - from_above, unit(features), atol=5e-4, rtol=0)


def test_only_the_positions_pull_and_are_pulled(features):
    positions = torch.tensor([0, 7, 13])
    seen = []

    def watching(x):
        seen.append(x.clone())
        return squares(x)

    found = backward(features, torch.zeros(SHAPE), positions, [(1.0, watching)], False).flatten(2)[0]
    flat = features.flatten(2)[0]
    assert torch.equal(seen[0], flat[:, positions])
    assert torch.equal(found[:, positions], flat[:, positions])
    assert found.count_nonzero() == 9


def test_the_features_are_not_written_to(features):
    """Terms may hand back their input; scaling it in place must not reach the network's activations."""
    x = features.contiguous(memory_format=torch.channels_last)
    before = x.clone()
    backward(x, torch.zeros(SHAPE), ALL, [(3.0, squares)], True)
    assert torch.equal(x, before)


def test_losses_are_recorded_in_order(features):
    record = []
    terms = [(1.0, constant(torch.ones(3, 20), 4.0)), (0.0, constant(torch.ones(3, 20), 9.0))]
    backward(features, torch.zeros(SHAPE), ALL, terms, True, record)
    assert [loss.item() for loss in record] == [4.0, 9.0]


def test_two_taps_equal_a_hand_written_descent_direction(generator):
    """Two layers: each term normalized at its own layer, then carried down by the network alone."""
    image = torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64).requires_grad_()
    kernels = torch.randn(2, 2, 2, 3, 3, generator=generator, dtype=torch.float64)
    low = F.conv2d(image, kernels[0], padding=1)
    high = F.conv2d(F.relu(low), kernels[1], padding=1)
    by_hand = torch.autograd.grad(low, image, 3 * low.detach() / low.norm(), retain_graph=True)[0]
    by_hand = by_hand + torch.autograd.grad(high, image, 7 * high.detach() / high.norm())[0]
    positions = torch.arange(36)
    x = tap(F.conv2d(image, kernels[0], padding=1), positions, [(3.0, squares)], True, [])
    x = tap(F.conv2d(F.relu(x), kernels[1], padding=1), positions, [(7.0, squares)], True, [])
    x.backward(torch.zeros_like(x))
    torch.testing.assert_close(image.grad, by_hand, rtol=1e-5, atol=1e-6)


def test_unit_of_nothing_is_nothing():
    assert unit(torch.zeros(3, 4)).abs().max() == 0
    assert unit(torch.full((2, 2), 5.0)).tolist() == [[0.5, 0.5], [0.5, 0.5]]
