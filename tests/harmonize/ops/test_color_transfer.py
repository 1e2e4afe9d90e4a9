"""The linear colour transfer: mean and covariance as asked, and no further."""

import pytest
import torch

from backend.harmonize.ops.color_transfer import FLOOR, LARGEST_GAIN, color_transfer

TURN = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]


def colours(generator: torch.Generator, spreads: tuple, mean: tuple, count: int = 4000) -> torch.Tensor:
    """(3, count) with exactly these standard deviations along the axes of TURN and this mean."""
    noise = torch.randn(3, count, generator=generator, dtype=torch.float64)
    noise -= noise.mean(dim=1, keepdim=True)
    white = torch.linalg.inv(torch.linalg.cholesky(torch.cov(noise, correction=0))) @ noise
    return TURN.double() @ (torch.tensor(spreads).double()[:, None] * white) + torch.tensor(mean)[:, None]


def test_mean_and_covariance_become_the_targets(generator):
    """The floor stands on both sides: with it added the covariances agree."""
    source = colours(generator, (20.0, 12.0, 9.0), (50.0, 5.0, -8.0))
    target = colours(generator, (26.0, 10.0, 12.0), (40.0, -20.0, 30.0))
    matrix, offset = color_transfer(source, target, torch.ones(4000).double())
    floor = FLOOR * torch.eye(3).double()
    covariance = matrix @ (torch.cov(source, correction=0) + floor) @ matrix.T
    torch.testing.assert_close(covariance, torch.cov(target, correction=0) + floor, atol=1e-4, rtol=0)
    torch.testing.assert_close((matrix @ source + offset).mean(dim=1), target.mean(dim=1), atol=1e-4, rtol=0)


def test_no_direction_is_stretched_beyond_the_largest_gain(generator):
    source = colours(generator, (20.0, 2.0, 9.0), (50.0, 5.0, -8.0))
    target = colours(generator, (22.0, 40.0, 8.0), (40.0, -20.0, 30.0))
    matrix, offset = color_transfer(source, target, torch.ones(4000).double())
    gains = torch.linalg.eigvalsh(matrix)
    assert gains[-1].item() == pytest.approx(LARGEST_GAIN, rel=1e-4) and gains[-2] < 1.2
    torch.testing.assert_close(
        matrix @ TURN[:, 1].double(), LARGEST_GAIN * TURN[:, 1].double(), atol=1e-3, rtol=0
    )
    torch.testing.assert_close((matrix @ source + offset).mean(dim=1), target.mean(dim=1), atol=1e-4, rtol=0)


def test_weightless_pixels_do_not_count(generator):
    source, target = (
        colours(generator, (9.0, 9.0, 9.0), mean) for mean in ((50.0, 0.0, 0.0), (30.0, 9.0, 1.0))
    )
    weight = torch.ones(4000).double()
    expected = color_transfer(source, target, weight)
    more = torch.cat((source, torch.full((3, 500), 99.0).double()), dim=1)
    found = color_transfer(more, target, torch.cat((weight, torch.zeros(500).double())))
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)
