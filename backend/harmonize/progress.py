"""How far a run is: fractions and seconds left from measured iterations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from .step import OnStep, Step

# Reading a loss waits for the device, so it is done this often.
LOSSES_EVERY = 10


@dataclass(frozen=True)
class Stage:
    """A part of the run: its expected cost is `iterations` times `cost`, in units that are the same for all."""

    name: str
    iterations: int
    cost: float


class Progress:
    """Turns finished iterations into `Step`s and keeps what the report needs."""

    def __init__(self, stages: Sequence[Stage], on_step: OnStep):
        self._stages, self._on_step = list(stages), on_step
        self._total = sum(s.iterations * s.cost for s in stages) or 1.0
        self._done = 0.0
        self._started = self._mark = time.monotonic()
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
        now = time.monotonic()
        self.seconds[stage.name] = self.seconds.get(stage.name, 0.0) + now - self._mark
        self._mark = now
        self.iterations[stage.name] = self.iterations.get(stage.name, 0) + 1
        self._done = min(self._total, self._cost_before(index) + iteration * stage.cost)
        read = losses and (iteration % LOSSES_EVERY == 0 or iteration == stage.iterations)
        values = {name: float(value) for name, value in losses.items()} if read else {}
        if values:
            self.losses[stage.name] = values
        fraction = self._done / self._total
        left = (now - self._started) * (1 - fraction) / fraction if fraction > 0 else None
        self._on_step(Step(stage.name, iteration, stage.iterations, fraction, left, values, preview))

    def _cost_before(self, index: int) -> float:
        return sum(s.iterations * s.cost for s in self._stages[:index])
