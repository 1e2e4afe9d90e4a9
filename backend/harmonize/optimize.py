"""The one optimization loop: from a start picture along a given descent direction, guarded.

The direction of pass 2 is no sum's gradient (see ops/taps.py), so no line search applies. What keeps
it from running away: pixels stay in 0..255, a step is bounded, and a step that is not finite is undone,
the optimizer's memory cleared and its step halved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# image (3, h, w) 0..255 -> (direction of ascent like image, losses as 0-d tensors by name)
Direction = Callable[[Tensor], "tuple[Tensor, dict[str, Tensor]]"]
OnIteration = Callable[[int, Tensor, "dict[str, Tensor]"], None]


@dataclass(frozen=True)
class Plan:
    """How one level is optimized: `method` "adam" or "lbfgs", `step` in 0..255 units for adam.

    `bands` is the number of octaves of the picture that move on their own under adam: 1 is plain
    pixels; with more, large areas change colour as fast as single pixels do.
    """

    iterations: int
    method: str = "adam"
    step: float = 2.0
    bands: int = 4


# L-BFGS as in the authors' implementation of pass 2; a step never moves a pixel further than this.
LBFGS_STEP = 0.1
LBFGS_HISTORY = 20
LARGEST_STEP = 16.0


def optimize(
    start: Tensor, mask: Tensor, direction: Direction, plan: Plan, on_iteration: OnIteration
) -> Tensor:
    """The picture after `plan.iterations` guarded steps: (3, h, w) float32, 0..255.

    Pixels change in proportion to `mask` (1, h, w); where it is 0 they equal `start` exactly.
    `on_iteration(number, picture, losses)` is called after each and may raise to stop.
    """
    bands = _Bands(start, mask, plan.bands if plan.method == "adam" else 1)
    optimizer = _optimizer(bands.deltas, plan)
    image = bands.picture()
    for iteration in range(1, plan.iterations + 1):
        _set_rate(optimizer, plan, iteration)
        before = [delta.detach().clone() for delta in bands.deltas]
        found: dict[str, Tensor] = {}

        def closure() -> Tensor:
            picture = bands.picture()
            ascent, losses = direction(picture.detach())
            optimizer.zero_grad()
            picture.backward(ascent)
            found.update(losses)
            return ascent.abs().sum()

        optimizer.step(closure)
        if not bands.bound(before):
            optimizer = _optimizer(bands.deltas, plan)
        image = bands.picture().detach()
        on_iteration(iteration, image, found)
    return image.detach()


class _Bands:
    """start + mask * (sum of upsampled deltas), kept in 0..255; the deltas are what is optimized."""

    def __init__(self, start: Tensor, mask: Tensor, count: int):
        self._start, self._mask = start, mask
        height, width = start.shape[1:]
        count = max(1, min(count, int(min(height, width)).bit_length() - 3))
        self.deltas = [
            torch.zeros(1, 3, -(-height // 2**k), -(-width // 2**k), device=start.device, requires_grad=True)
            for k in range(count)
        ]

    def picture(self) -> Tensor:
        size = self._start.shape[1:]
        total = self.deltas[0][0]
        for delta in self.deltas[1:]:
            total = total + F.interpolate(delta, size=size, mode="bilinear", align_corners=False)[0]
        return _Clamp.apply(self._start + self._mask * total)

    @torch.no_grad()
    def bound(self, before: Sequence[Tensor]) -> bool:
        """Cut each delta's step to LARGEST_STEP; undo all steps and say False if any is not finite."""
        steps = [delta - old for delta, old in zip(self.deltas, before)]
        largest = torch.stack([step.abs().amax() for step in steps]).amax()
        finite = bool(torch.isfinite(largest))
        factor = (LARGEST_STEP / largest.clamp_min(LARGEST_STEP)) if finite else 0.0
        for delta, old, step in zip(self.deltas, before, steps):
            delta.copy_(old + step * factor if finite else old)
        return finite


class _Clamp(torch.autograd.Function):
    """Clamp to 0..255 whose gradient passes, so that a pixel at the limit can come back."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clamp(0, 255)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


def _optimizer(deltas: Sequence[Tensor], plan: Plan) -> torch.optim.Optimizer:
    if plan.method == "lbfgs":
        return torch.optim.LBFGS(deltas, lr=LBFGS_STEP, max_iter=1, history_size=LBFGS_HISTORY)
    return torch.optim.Adam(deltas, lr=plan.step, betas=(0.9, 0.99))


def _set_rate(optimizer: torch.optim.Optimizer, plan: Plan, iteration: int) -> None:
    """Under adam the step falls to a tenth along a half cosine, so that the last ones only settle."""
    if plan.method == "adam":
        done = torch.tensor((iteration - 1) / max(1, plan.iterations))
        factor = 0.1 + 0.45 * (1 + torch.cos(torch.pi * done)).item()
        for group in optimizer.param_groups:
            group["lr"] = plan.step * factor
