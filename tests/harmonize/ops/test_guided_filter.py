"""The guided filter against its equations, window by window."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.harmonize.ops.guided_filter import box_mean, guided_filter
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
