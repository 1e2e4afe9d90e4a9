"""The content term's gradient."""

import torch

from backend.harmonize.ops.content import content_gradient


def loss_of(features: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (weight * (features - target) ** 2).sum() / (len(features) * weight.sum())


def test_equals_autograd_of_the_loss_in_float64(generator):
    features, target = torch.randn(2, 4, 11, generator=generator, dtype=torch.float64)
    weight = torch.rand(11, generator=generator, dtype=torch.float64)
    leaf = features.clone().requires_grad_()
    loss = loss_of(leaf, target, weight)
    loss.backward()
    assert torch.autograd.gradcheck(lambda x: loss_of(x, target, weight), leaf)
    gradient, value = content_gradient(features, target, weight)
    torch.testing.assert_close(gradient, leaf.grad)
    torch.testing.assert_close(value, loss.detach())


def test_by_hand():
    features, target = torch.tensor([[1.0, 5.0]]), torch.tensor([[0.0, 3.0]])
    gradient, loss = content_gradient(features, target, torch.tensor([1.0, 3.0]))
    assert gradient.tolist() == [[2 * 1 * 1 / 4, 2 * 2 * 3 / 4]]
    assert loss == (1 * 1 + 3 * 4) / 4


def test_an_empty_mask_is_not_a_division_by_zero():
    gradient, loss = content_gradient(torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(3))
    assert gradient.abs().max() == 0 and loss == 0
