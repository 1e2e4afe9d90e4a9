"""Taps: identity layers that inject a gradient on the way back.

In pass 2 each term's gradient is divided by its own L2 norm at its own layer before it is weighted and
flows down through the network. Such a descent direction is the gradient of no summed loss, so it
cannot be had from autograd of a scalar; an identity whose backward adds the wanted gradient gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# A term: features (C, N) at the tapped positions, in the network's dtype and with each position's channels together
# in memory -> (gradient like them, float32, loss as a 0-d tensor).
Term = Callable[[Tensor], "tuple[Tensor, Tensor]"]


class _Inject(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, inject: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(features)
        ctx.inject = inject
        return features.view_as(features)

    @staticmethod
    def backward(ctx, from_above: Tensor):
        (features,) = ctx.saved_tensors
        return ctx.inject(features, from_above), None


def tap(
    features: Tensor,
    positions: Tensor,
    terms: Sequence[tuple[float, Term]],
    normalize: bool,
    record: list[Tensor],
) -> Tensor:
    """`features` (1, C, h, w) unchanged; on the way back the terms' weighted gradients are added.

    Terms see, and pull at, only the flat `positions` (N,) where the mask is: with channels last these are
    whole rows of memory, and most of a picture is not mask. With `normalize` each gradient is first
    divided by its L2 norm (pass 2), else it is taken as it is (pass 1, where it is the gradient of the
    sum). The losses are appended to `record`, unread, so that nothing waits for the device.
    """

    def inject(saved: Tensor, from_above: Tensor) -> Tensor:
        x = _rows(saved).index_select(0, positions).T
        total = None
        for weight, term in terms:
            gradient, loss = term(x)
            record.append(loss.detach())
            scale = weight / gradient.norm().clamp_min(1e-12) if normalize else weight
            total = gradient.mul_(scale) if total is None else total.add_(gradient.mul_(scale))
        added = from_above.contiguous(memory_format=torch.channels_last).clone()
        _rows(added).index_add_(0, positions, total.T.to(added.dtype))
        return added

    return _Inject.apply(features, inject)


def _rows(features: Tensor) -> Tensor:
    """(1, C, h, w) as one row of channels a position, (h w, C): a view if channels come last in memory."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def unit(gradient: Tensor) -> Tensor:
    """`gradient` divided by its L2 norm over all elements, float32; zeros stay zeros."""
    gradient = gradient.float()
    return gradient / gradient.norm().clamp_min(1e-12)
