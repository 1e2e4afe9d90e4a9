"""An engine that paints the masked area red at once, and a command line that runs with it.

`python tests/cli/fake_engine.py harmonize ...` is `painterly harmonize ...` with this engine in it. The
seed chooses a misfortune: see `Misfortune`.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from enum import IntEnum

import torch

from backend.__main__ import main
from backend.cli import runner
from backend.harmonize.errors import Cancelled, WeightsUnavailable
from backend.harmonize.step import Step

RED = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
STAGES = (("first pass", 3), ("second pass", 40))


class Misfortune(IntEnum):
    NO_WEIGHTS = 13
    BUG = 14


@dataclass(frozen=True)
class FakeOutcome:
    image: torch.Tensor
    alpha: torch.Tensor
    report: dict


class FakeEngine:
    """`jobs` keeps what was asked for; `seconds` is slept in each iteration."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.jobs = []

    def harmonize(self, composite, settings, on_step):
        self.jobs.append((composite, dict(settings)))
        if settings["seed"] == Misfortune.NO_WEIGHTS:
            raise WeightsUnavailable("The network's weights are missing; run install.py again.")
        if settings["seed"] == Misfortune.BUG:
            raise ZeroDivisionError("a bug")
        covered = composite.mask > 0
        image = torch.where(covered, RED, composite.painting)
        outcome = FakeOutcome(image, composite.mask * covered, {"seconds": {"first pass": 1.5}})
        total, done = sum(count for _, count in STAGES), 0
        try:
            for stage, count in STAGES:
                for iteration in range(1, count + 1):
                    time.sleep(self.seconds)
                    done += 1
                    on_step(Step(stage, iteration, count, done / total, 1.0, {}, lambda: image))
        except Cancelled as stopped:
            stopped.best = outcome
            raise
        return outcome


if __name__ == "__main__":
    engine = FakeEngine(float(os.environ.get("FAKE_ENGINE_SECONDS", "0")))
    runner.open_runner = lambda args: engine
    sys.exit(main())
