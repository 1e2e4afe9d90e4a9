"""The one optimization loop: from a start picture along a given descent direction, guarded.

The direction of pass 2 is no sum's gradient (see ops/taps.py), so no line search applies. What keeps
it from running away: pixels stay in 0..255 and a step is bounded. Where a direction is far larger than those
before, the optimizer's memory is cleared and it counts as a first one; where it is not finite, the picture goes
back to before the step that led there, and steps are halved until they lead elsewhere.
"""

from __future__ import annotations

import math
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
    """How one level is optimized: `method` "adam" or "lbfgs", `step` in 0..255 units for adam, `rate` that of L-BFGS.

    `bands` is the number of octaves of the picture that move on their own under adam: 1 is plain
    pixels; with more, large areas change colour as fast as single pixels do. `chroma` is how far
    chroma follows luminance at each octave from the finest on (the last value serves the rest). Pass 2 asks
    the network's deep layers at every `deep_every`th iteration.
    """

    iterations: int
    method: str = "adam"
    step: float = 1.5
    bands: int = 2
    chroma: tuple[float, ...] = (0.25, 0.5, 1.0)
    deep_every: int = 1
    rate: float = 0.1


LBFGS_HISTORY = 100  # as in the authors' implementation, by their optimizer's default
LARGEST_STEP = 16.0  # no step moves a pixel further than about this (`_Pixels.bound`)
RUNAWAY = 100.0  # a direction this many times its running size has nothing to do with those before
QUICKER = 1.1  # after steps were halved, each sound one is followed by one this much longer


def optimize(
    start: Tensor, mask: Tensor, direction: Direction, plan: Plan, on_iteration: OnIteration
) -> Tensor:
    """The picture after `plan.iterations` guarded steps: (3, h, w) float32, 0..255.

    Pixels change in proportion to `mask` (1, h, w); where it is 0 they equal `start` exactly.
    `on_iteration(number, picture, losses)` is called after each and may raise to stop.
    """
    bands = _Bands(start, mask, plan) if plan.method == "adam" else _Pixels(start, mask)
    optimizer = _optimizer(bands.deltas, mask, plan)
    image, usual = bands.picture(), start.new_tensor(torch.inf)
    for iteration in range(1, plan.iterations + 1):
        _set_rate(optimizer, plan, iteration)
        bands.remember()
        found: dict[str, Tensor] = {}
        size = usual

        def closure() -> Tensor:
            nonlocal size
            ascent, losses = direction(image.detach())
            optimizer.zero_grad()
            image.backward(ascent)
            found.update(losses)
            size = ascent.abs().amax()
            return ascent.abs().sum()

        optimizer.step(closure)
        # All that is decided here stays on the device: reading it would stall a graphics card at every step.
        like_before = size < RUNAWAY * usual
        kept, factor = bands.bound(torch.isfinite(size), like_before)
        usual = torch.where(usual < torch.inf, torch.lerp(usual, size, 0.1), size)
        usual = torch.where(kept, usual, torch.inf)
        optimizer.cut(factor)
        optimizer.forget_unless(kept)
        image = bands.picture()
        on_iteration(iteration, image.detach(), found)
    return image.detach()


class _Pixels:
    """start + mask * delta, kept in 0..255; the deltas are what is optimized."""

    def __init__(self, start: Tensor, mask: Tensor):
        self._start, self._mask = start, mask
        self.deltas = [torch.zeros_like(start[None], requires_grad=True)]
        self._pace = start.new_ones(())
        self._earlier: list[Tensor] = []  # the deltas before the last step that was kept

    def picture(self) -> Tensor:
        return _Clamp.apply(self._start + self._mask * self._change())

    def _change(self) -> Tensor:
        return self.deltas[0][0]

    def remember(self) -> None:
        """A step is going to be taken from here."""
        self._before = [delta.detach().clone() for delta in self.deltas]

    @torch.no_grad()
    def bound(self, finite: Tensor, like_before: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the step so that no pixel moves further than about LARGEST_STEP: so far go the largest steps of all deltas
        together, wherever they are; of a pixel's own, in opponent colours, up to 1.7 times as much may come. It is undone
        if its direction was not `like_before`, and the one before it too if this or its direction is not `finite`.
        All bools are 0-d. Returns whether it was kept, and to what share it was cut (0..1, 0-d)."""
        steps = [delta - before for delta, before in zip(self.deltas, self._before)]
        largest = torch.stack([step.abs().amax() for step in steps]).sum()
        finite = torch.isfinite(largest) & finite
        kept = finite & like_before
        factor = self._pace * (LARGEST_STEP / largest.clamp_min(LARGEST_STEP))
        earlier = self._earlier or self._before
        for delta, before, early, step in zip(self.deltas, self._before, earlier, steps):
            delta.copy_(torch.where(kept, before + step * factor, torch.where(finite, before, early)))
        self._earlier = [torch.where(kept, before, early) for before, early in zip(self._before, earlier)]
        self._pace = torch.where(finite, (QUICKER * self._pace).clamp_max(1), self._pace / 2)
        return kept, factor


class _Bands(_Pixels):
    """A delta for each octave of the picture, in opponent colours, so that each moves at its own pace."""

    def __init__(self, start: Tensor, mask: Tensor, plan: Plan):
        super().__init__(start, mask)
        height, width = start.shape[1:]
        count = max(1, min(plan.bands, int(min(height, width)).bit_length() - 3))
        self.deltas = [
            torch.zeros(1, 3, -(-height // 2**k), -(-width // 2**k), device=start.device, requires_grad=True)
            for k in range(count)
        ]
        # High-frequency distortion sits in chroma (paper, section 3.4): there it is held back.
        paces = [plan.chroma[min(k, len(plan.chroma) - 1)] for k in range(count)]
        self._to_rgb = [start.new_tensor(OPPONENT).T * start.new_tensor((1, pace, pace)) for pace in paces]

    def _change(self) -> Tensor:
        size = self._start.shape[1:]
        total = 0
        for delta, to_rgb in zip(self.deltas, self._to_rgb):
            rgb = torch.einsum("ij,jhw->ihw", to_rgb, delta[0])
            total = total + F.interpolate(rgb[None], size=size, mode="bilinear", align_corners=False)[0]
        return total


# Rows: luminance, green-red, blue-yellow; orthonormal.
OPPONENT = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, -(2**-0.5), 0.0),
    (6**-0.5, 6**-0.5, -2 * 6**-0.5),
)


class _OctaveAdam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015) whose second moment is one number for each octave, not one for each pixel.

    Adam's own moves every pixel by the same amount however weak its gradient, which turns rounding and
    indifference into colour noise. Its usual momentum of 0.9 overshoots in few large steps: with 0.8 content
    rose from 0.725 to 0.754 on six examples, texture fell from 15.29 to 15.15. `step` is the root mean square of
    a step over the moving pixels, of which there are `share` (0-d) of all.
    """

    def __init__(self, deltas: Sequence[Tensor], step: float, share: Tensor):
        super().__init__(deltas, {"lr": step, "betas": (0.8, 0.99), "share": share})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            first, second = group["betas"]
            for delta in group["params"]:
                state = self.state[delta]
                if not state:
                    state.update(
                        n=delta.new_zeros(()), mean=torch.zeros_like(delta), power=delta.new_zeros(())
                    )
                state["n"] += 1
                state["mean"].lerp_(delta.grad, 1 - first)
                power = (delta.grad**2).mean() / group["share"]
                state["power"].lerp_(power, 1 - second)
                root = (state["power"] / (1 - second ** state["n"])).sqrt().clamp_min(1e-20)
                delta.sub_(state["mean"] / root * (group["lr"] / (1 - first ** state["n"])))
        return loss

    def cut(self, factor: Tensor) -> None:
        """The last step was cut to a share of it: no matter here, where no step leads to the next."""

    @torch.no_grad()
    def forget_unless(self, sound: Tensor) -> None:
        """Begin anew if `sound` (0-d bool) is False."""
        for state in self.state.values():
            for name, value in state.items():
                state[name] = torch.where(sound, value, 0.0)


class _Lbfgs(torch.optim.LBFGS):
    """L-BFGS that can forget its history, and knows how far it really went; it reads its numbers on the host by its
    nature."""

    def cut(self, factor: Tensor) -> None:
        """The last step was cut to this share (0-d) of it. The next one's curvature is that along what was gone."""
        state = self.state[self.param_groups[0]["params"][0]]  # where torch keeps all of it
        if "t" in state:
            state["t"] = state["t"] * float(factor)

    def forget_unless(self, sound: Tensor) -> None:
        """Begin anew if `sound` (0-d bool) is False."""
        if not sound:
            self.state.clear()


class _Clamp(torch.autograd.Function):
    """Clamp to 0..255 whose gradient passes, so that a pixel at the limit can come back."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clamp(0, 255)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient


def _optimizer(deltas: Sequence[Tensor], mask: Tensor, plan: Plan) -> _OctaveAdam | _Lbfgs:
    if plan.method == "lbfgs":
        return _Lbfgs(deltas, lr=plan.rate, max_iter=1, history_size=LBFGS_HISTORY)
    return _OctaveAdam(deltas, plan.step, (mask > 0).float().mean().clamp_min(1e-6))


def _set_rate(optimizer: torch.optim.Optimizer, plan: Plan, iteration: int) -> None:
    """Under adam the step falls to a tenth along a half cosine, so that the last ones only settle."""
    if plan.method == "adam":
        done = (iteration - 1) / max(1, plan.iterations)
        factor = 0.1 + 0.45 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = plan.step * factor
