"""Histogram remapping against ranks taken by sorting."""

import numpy as np
import pytest
import torch

from backend.harmonize.ops import histogram
from backend.harmonize.ops.histogram import BINS, COUNTED, RANKED, histogram_gradient, quantiles, remap
from tests.oracles.histogram import exact_rank_match, rank_bounds


def ones(features: torch.Tensor) -> torch.Tensor:
    return torch.ones(features.shape[1])


def test_quantiles_of_as_many_values_are_the_sorted_values(generator):
    features = torch.randn(3, BINS + 1, generator=generator)
    assert torch.equal(quantiles(features), features.sort(dim=1).values)


def test_quantiles_equal_numpys(generator):
    features = torch.randn(4, 1000, generator=generator)
    expected = np.quantile(features.numpy(), np.linspace(0, 1, BINS + 1), axis=1).T
    torch.testing.assert_close(quantiles(features), torch.from_numpy(expected).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kept", ["all", "none below 0", "one value"])
def test_quantiles_found_by_counting_are_those_of_sorting(generator, dtype, kept):
    features = torch.randn(3, COUNTED, generator=generator).exp() * torch.randn(
        3, COUNTED, generator=generator
    )
    features = {"all": features, "none below 0": features.relu(), "one value": features * 0 - 2}[kept].to(
        dtype
    )
    assert torch.equal(quantiles(features), quantiles(features.float()))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bins", [16, BINS])
def test_within_one_bin_of_exact_ranks(generator, weighted, bins):
    """The value given lies between the target's values at the ranks where the bin begins and ends."""
    features = torch.randn(3, 500, generator=generator) ** 3
    target = torch.randn(3, BINS + 1, generator=generator).exp()
    # A third of the positions without any weight: they get a value, but move nobody's rank.
    weight = (1.5 * torch.rand(500, generator=generator) - 0.5).clamp_min(0) if weighted else ones(features)
    remapped = remap(features, weight, quantiles(target), bins).numpy()
    for channel in range(3):
        ranks = rank_bounds(features[channel].double().numpy(), weight.double().numpy(), bins)
        lowest, highest = (np.quantile(target[channel].numpy(), rank.clip(0, 1)) for rank in ranks)
        assert (remapped[channel] >= lowest - 1e-4).all() and (remapped[channel] <= highest + 1e-4).all()


def test_with_ever_finer_bins_it_is_exact_rank_matching(generator):
    """With one value a bin, only the middle of its rank's interval is between this and sorting."""
    count = BINS + 1
    features = torch.rand(1, count, generator=generator)
    target = 10 * torch.rand(1, count, generator=generator)
    exact = exact_rank_match(features[0].tolist(), target[0].tolist())
    gap = target.sort(dim=1).values.diff(dim=1).max().item()
    errors = [
        np.abs(remap(features, ones(features), quantiles(target), bins)[0].numpy() - exact).max()
        for bins in (16, 128, 1 << 20)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] <= gap / 2 + 1e-4  # half a rank


def test_two_groups_of_equal_values_get_the_medians_of_the_targets_halves():
    features = torch.tensor([[4.0, 4.0, 9.0, 9.0]])
    target = quantiles(torch.linspace(0, 100, 1001)[None])
    assert remap(features, ones(features), target).tolist()[0] == pytest.approx([25, 25, 75, 75], abs=0.01)


@pytest.mark.parametrize("at_once", [1, 700, 5000])
def test_counted_run_by_run_it_is_the_same(generator, at_once, monkeypatch):
    """Each position alone, runs of a hundred with a shorter last one, and all at once."""
    features, weight = torch.randn(7, 550, generator=generator), torch.rand(550, generator=generator)
    target = quantiles(torch.randn(7, 300, generator=generator))
    expected = remap(features, weight, target)
    monkeypatch.setattr(histogram, "AT_ONCE", at_once)
    assert torch.equal(remap(features, weight, target), expected)


def test_the_targets_own_values_stay(generator):
    features = torch.rand(2, 2 * RANKED - 1, generator=generator) ** 2
    remapped = remap(features, ones(features), quantiles(features))
    assert (remapped - features).abs().max() <= 1.5 / BINS


def test_of_many_positions_some_tell_the_ranks(generator, monkeypatch):
    features, target = (
        torch.rand(3, 60000, generator=generator) ** 2,
        quantiles(torch.rand(3, 900, generator=generator)),
    )
    weight = torch.rand(60000, generator=generator)
    some = remap(features, weight, target)
    monkeypatch.setattr(histogram, "RANKED", 60000)
    every = remap(features, weight, target)
    assert 0 < (some - every).square().mean().sqrt() < 2 / BINS


def test_order_is_kept(generator):
    features = torch.randn(1, 2000, generator=generator)
    weight = torch.rand(2000, generator=generator)
    remapped = remap(features, weight, quantiles(torch.randn(1, 700, generator=generator)))
    assert (remapped[0, features[0].argsort()].diff() >= -1e-5).all()


def test_a_position_of_weight_two_counts_as_two(generator):
    features = torch.randn(2, 300, generator=generator)
    weight = torch.randint(1, 4, (300,), generator=generator)
    target = quantiles(torch.randn(2, 400, generator=generator))
    repeated = remap(features.repeat_interleave(weight, dim=1), torch.ones(int(weight.sum())), target)
    first = weight.cumsum(dim=0) - weight
    torch.testing.assert_close(remap(features, weight.float(), target), repeated[:, first])


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_flat_channel_and_an_empty_mask_stay_finite(weight):
    target = quantiles(torch.rand(2, 50))
    assert torch.isfinite(remap(torch.zeros(2, 40), torch.full((40,), weight), target)).all()


def test_the_gradient_is_autograds_with_the_target_frozen(generator):
    features = torch.randn(3, 60, generator=generator)
    weight = torch.rand(60, generator=generator)
    target = quantiles(torch.randn(3, 90, generator=generator))
    leaf = features.clone().requires_grad_()
    frozen = remap(features, weight, target)
    loss = ((leaf - frozen) ** 2 * weight).sum() / (3 * weight.sum())
    loss.backward()
    gradient, value = histogram_gradient(features, weight, target)
    torch.testing.assert_close(gradient, leaf.grad)
    torch.testing.assert_close(value, loss.detach())


def test_a_step_along_the_gradient_brings_the_histograms_together(generator):
    features = torch.randn(1, 400, generator=generator)
    goal = 3 + 2 * torch.rand(1, 400, generator=generator)
    gradient, _ = histogram_gradient(features, ones(features), quantiles(goal))
    moved = features - gradient * 400 / 2  # the weight of one position in the mean, times 2
    assert (quantiles(moved) - quantiles(goal)).abs().max() < 0.1


def test_what_is_not_a_number_comes_out_as_such():
    """The optimizer undoes a step that is not finite; it can only do so if nothing breaks before."""
    features = torch.rand(2, 40)
    features[0, 3] = torch.nan
    gradient, _ = histogram_gradient(features, torch.ones(40), quantiles(torch.rand(2, 50)))
    assert torch.isnan(gradient[0, 3]) and torch.isfinite(gradient[1]).all()


def test_quantiles_of_more_values_than_float32_can_count():
    values = torch.arange(2**25, dtype=torch.float32)[None]
    found = quantiles(values, 4)[0].tolist()
    assert found == pytest.approx([0, 2**23, 2**24, 3 * 2**23, 2**25], rel=1e-6)
