"""What the numerics tell while they work: the one value passed to `on_step`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Mapping

import torch


@dataclass(frozen=True)
class Step:
    """One finished iteration.

    `stage` is a stable word ("first pass", "second pass", "patch synthesis", "postprocess"; "download" of a network before,
    in megabytes; "queue" while a service has other work first),
    `iteration` counts from 1 to `iterations` within the stage, `fraction` (0..1) is of the whole job and
    `seconds_left` its estimate from measured iterations (None until one was measured). `losses`
    are plain numbers, empty where reading them would stall a graphics card. `preview()` renders
    the object as it is now: (3, h, w) float32 on the CPU, sRGB 0..1, the size of the source window.
    """

    stage: str
    iteration: int
    iterations: int
    fraction: float
    seconds_left: float | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    preview: Callable[[], torch.Tensor] | None = None


OnStep = Callable[[Step], None]


def ignore(step: Step) -> None:
    """The `on_step` of a caller that does not want to know."""
