"""Taps: identity layers that inject a gradient on the way back.

In pass 2 each term's gradient is divided by its own L2 norm at its own layer before it is weighted and
flows down through the network. Such a descent direction is the gradient of no summed loss, so it
cannot be had from autograd of a scalar; an identity whose backward adds the wanted gradient gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# A term: features (C, h, w) -> (gradient like features, loss as a 0-d tensor).
Term = Callable[[Tensor], "tuple[Tensor, Tensor]"]


class _Inject(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, inject: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(features)
        ctx.inject = inject
        return features.view_as(features)

    @staticmethod
    def backward(ctx, from_above: Tensor):
        (features,) = ctx.saved_tensors
        return from_above + ctx.inject(features), None


def tap(features: Tensor, terms: Sequence[tuple[float, Term]], normalize: bool, record: list[Tensor]) -> Tensor:
    """`features` (1, C, h, w) unchanged; on the way back the terms' weighted gradients are added.

    With `normalize` each gradient is first divided by its L2 norm (pass 2), else it is taken as it is
    (pass 1, where it is the gradient of the sum). The losses are appended to `record`, unread, so that
    nothing waits for the device.
    """

    def inject(saved: Tensor) -> Tensor:
        total = torch.zeros_like(saved)
        for weight, term in terms:
            gradient, loss = term(saved[0])
            record.append(loss.detach())
            if normalize:
                gradient = unit(gradient)
            total += (weight * gradient).to(saved.dtype)
        return total

    return _Inject.apply(features, inject)


def unit(gradient: Tensor) -> Tensor:
    """`gradient` divided by its L2 norm over all elements, float32; zeros stay zeros."""
    gradient = gradient.float()
    return gradient / gradient.norm().clamp_min(1e-12)
