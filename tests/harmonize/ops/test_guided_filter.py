"""The guided filter against its equations, window by window."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.harmonize.ops.guided_filter import CELLS, box_mean, guided_filter, wide_guided_filter
from tests.oracles import guided_filter as oracle


@settings(max_examples=15)
@given(
    height=st.integers(3, 12),
    width=st.integers(3, 12),
    channels=st.integers(1, 3),
    radius=st.integers(1, 3),
    eps=st.sampled_from([1e-4, 1e-2, 1.0]),
    seed=st.integers(0, 99),
)
def test_equals_the_loop(height, width, channels, radius, eps, seed):
    generator = torch.Generator().manual_seed(seed)
    guide = torch.rand(3, height, width, generator=generator, dtype=torch.float64)
    image = torch.rand(channels, height, width, generator=generator, dtype=torch.float64)
    expected = oracle.guided_filter(guide.numpy(), image.numpy(), radius, eps)
    torch.testing.assert_close(guided_filter(guide, image, radius, eps), torch.from_numpy(expected))


def test_float32_is_good_enough(generator):
    guide, image = torch.rand(3, 16, 16, generator=generator), torch.rand(2, 16, 16, generator=generator)
    exact = guided_filter(guide.double(), image.double(), 2, 1e-2)
    torch.testing.assert_close(guided_filter(guide, image, 2, 1e-2), exact.float(), atol=1e-4, rtol=0)


def test_means_at_the_edge_are_of_what_is_there():
    image = torch.arange(12.0).view(1, 3, 4)
    mean = box_mean(image, 1)
    assert mean[0, 0, 0] == image[0, :2, :2].mean() and mean[0, 1, 1] == image[0, :3, :3].mean()


def test_keeps_the_guides_edge_and_removes_the_rest(generator):
    step = torch.zeros(1, 24, 24)
    step[:, :, 12:] = 1
    noisy = step + 0.1 * torch.randn(1, 24, 24, generator=generator)
    clean = guided_filter(step.expand(3, -1, -1), noisy, radius=4, eps=1e-3)
    left, right = clean[0, :, 11].mean().item(), clean[0, :, 12].mean().item()
    assert right - left > 0.95
    assert (clean - step).std() < 0.4 * (noisy - step).std()


def test_blurs_an_edge_the_guide_does_not_have():
    step = torch.zeros(1, 24, 24)
    step[:, :, 12:] = 1
    blurred = guided_filter(torch.full((3, 24, 24), 0.5), step, radius=4, eps=1e-3)
    assert blurred[0, 12, 12] - blurred[0, 12, 11] < 0.2


@pytest.mark.parametrize("eps", [1e-4, 1e-1])
def test_a_flat_picture_stays(eps):
    flat = torch.full((2, 9, 9), 0.3)
    torch.testing.assert_close(guided_filter(torch.rand(3, 9, 9), flat, 2, eps), flat)


# -- wide windows ----------------------------------------------------------------------------------


def wide(guide, image, sigma, eps=1e-6, weight=None):
    return wide_guided_filter(
        guide, image, torch.ones_like(image[:1]) if weight is None else weight, sigma, eps
    )


@pytest.mark.parametrize("sigma", [2.0, 3.0 * CELLS])
def test_wide_what_depends_on_the_guide_alone_comes_back(generator, sigma):
    """Also found on a coarser grid; the sizes are no multiple of its cells."""
    guide = torch.rand(3, 61, 44, generator=generator, dtype=torch.float64)
    matrix = torch.rand(2, 3, generator=generator, dtype=torch.float64)
    image = torch.einsum("cd,dhw->chw", matrix, guide) + 0.3
    torch.testing.assert_close(wide(guide, image, sigma), image, atol=1e-3, rtol=0)


def test_wide_equals_the_equations_with_a_gaussian_window(generator):
    """At one pixel, by weighted least squares in the window around each pixel that it averages the coefficients of."""
    size, middle, sigma, eps = 15, 7, 1.0, 1e-2
    guide, image = (torch.rand(c, size, size, generator=generator, dtype=torch.float64) for c in (3, 1))
    weight = (torch.rand(1, size, size, generator=generator) > 0.3).double()
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")

    def window(y: int, x: int) -> torch.Tensor:
        kernel = torch.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * sigma**2))
        near = kernel * weight[0] * ((row - y).abs() <= 3) * ((column - x).abs() <= 3)
        return (near / near.sum()).flatten()

    def fitted(y: int, x: int) -> torch.Tensor:
        w, colours, values = window(y, x), guide.flatten(1), image.flatten()
        centred = colours - (colours @ w)[:, None]
        slope = torch.linalg.solve((centred * w) @ centred.T + eps * torch.eye(3), (centred * w) @ values)
        return torch.cat((slope, (values @ w - slope @ (colours @ w))[None]))

    around = torch.stack([fitted(y, x) for y in range(size) for x in range(size)])  # (225, 4)
    coefficients = window(middle, middle) @ around
    expected = coefficients[:3] @ guide[:, middle, middle] + coefficients[3]
    found = wide(guide, image, sigma, eps, weight)[0, middle, middle]
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_wide_a_coarser_grid_hardly_differs(generator, monkeypatch):
    guide = torch.rand(3, 12, 12, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    image = guide[:1] ** 2 + 0.1 * torch.randn(1, 96, 96, generator=generator)
    coarse = wide(guide, image, 16.0, 1e-3)
    monkeypatch.setattr("backend.harmonize.ops.guided_filter.CELLS", 100)
    exact = wide(guide, image, 16.0, 1e-3)
    assert not torch.equal(coarse, exact)
    assert (coarse - exact).abs().mean() < 0.02 < (coarse - image).abs().mean()


@pytest.mark.parametrize("sigma", [2.0, 3.0 * CELLS])
def test_wide_what_has_no_weight_does_not_matter(generator, sigma):
    guide, image = (torch.rand(c, 40, 40, generator=generator) for c in (3, 2))
    weight = torch.zeros(1, 40, 40)
    weight[:, 8:32, 8:32] = 1
    other = torch.where(weight > 0, image, 1e3), torch.where(weight > 0, guide, -1e3)
    plain, with_other = wide(guide, image, sigma, 1e-2, weight), wide(other[1], other[0], sigma, 1e-2, weight)
    inside = (weight > 0).expand_as(image)
    torch.testing.assert_close(plain[inside], with_other[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize("side, opacity", [(1, 0.002), (3, 0.02), (20, 0.02), (3, 1.0)])
def test_wide_of_little_and_faint_weight_a_flat_picture_stays(generator, side, opacity):
    guide, weight = torch.rand(3, 200, 200, generator=generator), torch.zeros(1, 200, 200)
    weight[:, 90 : 90 + side, 80 : 80 + side] = opacity
    found = wide(guide, torch.full((2, 200, 200), 20.0), 42.0, 1e-2, weight)
    inside = (weight > 0).expand_as(found)
    torch.testing.assert_close(found[inside], torch.full_like(found[inside], 20.0), atol=0.01, rtol=0)
    assert torch.isfinite(found).all()


def test_wide_blotches_vanish_where_the_guide_is_of_one_colour():
    guide = torch.full((3, 64, 64), 0.2)
    guide[:, :, 32:] = 0.8
    step, blotch = (guide[:1] > 0.5).float(), (torch.arange(64) // 4 % 2).float()[:, None]
    even = wide(guide, step + blotch, 12.0, 1e-3)[0]
    assert even[16:48].std(dim=0).max() < 0.1 < (step + blotch)[0, 16:48].std(dim=0).min()
    assert (even[:, 32] - even[:, 31]).min() > 0.95
