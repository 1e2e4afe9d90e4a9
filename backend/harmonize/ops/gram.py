"""Gram matrices: which features occur together, wherever that is (Gatys et al. 2015)."""

from __future__ import annotations

from torch import Tensor

SHORTER = 16.0  # than a position's features, whose strongest alone may be half of what float16 holds


def gram(features: Tensor, weight: Tensor) -> Tensor:
    """Weighted Gram matrix of (C, N) features, position weights (N,) >= 0: (C, C) float32.

    Divided by C sum(weight), so that layers and regions of different size are comparable.
    """
    x = features.float() * weight.sqrt()
    return (x @ x.T) / (len(x) * weight.sum().clamp_min(1e-6))


def gram_gradient(features: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of mean((gram(features) - target)^2) with respect to `features` (C, N), and that loss.

    d/dF = 4 (G - T) F diag(w) / (C^3 sum(w)), since G is symmetric.
    """
    channels, root = len(features), weight.sqrt()
    count = weight.sum().clamp_min(1e-6)
    x = features.T * root[:, None].to(
        features.dtype
    )  # carries the weight once into the Gram matrix and once into the gradient
    exact = x.float()
    difference = (exact.T @ exact) / (channels * count) - target
    # The difference of two like matrices wants float32; the product with it does not, and takes longest. Scaled,
    # because its entries are too small for float16, and by its norm, so that no product is longer than its features,
    # of which even a part is to be within float16.
    norm = SHORTER * difference.norm().clamp_min(1e-30)
    pull = x @ (difference / norm).to(x.dtype)
    factor = root * (4 / (channels**3 * count) * norm)
    return (pull.float() * factor[:, None]).T, (difference**2).mean()
