"""How far a run is: fractions and seconds left from measured iterations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from .step import OnStep, Step

# Reading a loss waits for the device, so it is done this often.
LOSSES_EVERY = 10
FORGETTING = 0.95  # of the measured time with each further unit of cost: machines get busy and stages differ


@dataclass(frozen=True)
class Stage:
    """A part of the run: its expected cost is `iterations` times `cost`, in units that are the same for all,
    about one iteration at full resolution."""

    name: str
    iterations: int
    cost: float


class Progress:
    """Turns finished iterations into `Step`s and keeps what the report needs."""

    def __init__(self, stages: Sequence[Stage], on_step: OnStep):
        self._stages, self._on_step = list(stages), on_step
        self._total = sum(s.iterations * s.cost for s in stages) or 1.0
        self._mark, self._last = time.monotonic(), (0, 0)
        self._timed = self._worked = 0.0  # seconds, and the cost that was done in them
        self.seconds: dict[str, float] = {}
        self.iterations: dict[str, int] = {}
        self.losses: dict[str, dict[str, float]] = {}

    def tick(
        self,
        index: int,
        iteration: int,
        losses: dict[str, Tensor] | None = None,
        preview: Callable[[], Tensor] | None = None,
    ) -> None:
        """Tell that iteration `iteration` of stage number `index` is finished."""
        stage = self._stages[index]
        self.seconds[stage.name] = self.seconds.get(stage.name, 0.0) + self._measure(index, iteration)
        self.iterations[stage.name] = self.iterations.get(stage.name, 0) + 1
        done = min(
            self._total, sum(s.iterations * s.cost for s in self._stages[:index]) + iteration * stage.cost
        )
        read = losses and (iteration % LOSSES_EVERY == 0 or iteration == stage.iterations)
        values = {name: float(value) for name, value in losses.items()} if read else {}
        values = {name: value for name, value in values.items() if math.isfinite(value)}  # JSON has no others
        if values:
            self.losses[stage.name] = values
        left = (self._total - done) * self._timed / self._worked if self._worked else None
        self._on_step(
            Step(stage.name, iteration, stage.iterations, done / self._total, left, values, preview)
        )

    def _measure(self, index: int, iteration: int) -> float:
        """Seconds since the last tick; they count for the estimate if nothing but this iteration lies between:
        before a stage's first there are features, matching and a cold start."""
        now = time.monotonic()
        seconds, self._mark = now - self._mark, now
        if self._last == (index, iteration - 1) and iteration > 1:
            cost = self._stages[index].cost
            kept = FORGETTING**cost  # many small iterations say no more than one large
            self._timed = kept * self._timed + seconds
            self._worked = kept * self._worked + cost
        self._last = index, iteration
        return seconds
