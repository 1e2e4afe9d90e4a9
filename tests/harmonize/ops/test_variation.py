"""Total variation and its gradient."""

import torch

from backend.harmonize.ops.variation import total_variation_gradient
from tests.oracles.variation import total_variation


def summed(image: torch.Tensor) -> torch.Tensor:
    return (image.diff(dim=1) ** 2).sum() / 2 + (image.diff(dim=2) ** 2).sum() / 2


def test_equals_the_loop_and_autograd_in_float64(generator):
    image = torch.randn(3, 6, 7, generator=generator, dtype=torch.float64)
    gradient, loss = total_variation_gradient(image)
    expected_loss, expected = total_variation(image.numpy())
    torch.testing.assert_close(gradient, torch.from_numpy(expected))
    torch.testing.assert_close(loss.item(), expected_loss)
    leaf = image.clone().requires_grad_()
    assert torch.autograd.gradcheck(summed, leaf)
    summed(leaf).backward()
    torch.testing.assert_close(gradient, leaf.grad)


def test_a_flat_picture_has_none():
    gradient, loss = total_variation_gradient(torch.full((3, 5, 4), 7.0))
    assert loss == 0 and gradient.abs().max() == 0


def test_a_single_speck_is_pulled_back_by_its_four_neighbours():
    image = torch.zeros(1, 5, 5)
    image[0, 2, 2] = 3
    gradient, loss = total_variation_gradient(image)
    assert gradient[0, 2, 2] == 12 and gradient[0, 1, 2] == -3 and gradient[0, 1, 1] == 0
    assert loss == 4 * 9 / 2
