"""Who computes: the one place where the commands get the thing that harmonizes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Protocol

from plugin.painterly.protocol.parameters import Value

if TYPE_CHECKING:
    from backend.harmonize.composite import Composite
    from backend.harmonize.pipeline import Outcome
    from backend.harmonize.step import OnStep


class Runner(Protocol):
    """Harmonizes one composite after another; may keep what is costly to load between them.

    One that holds a connection also has `close()`.
    """

    def harmonize(self, composite: Composite, settings: Mapping[str, Value], on_step: OnStep) -> Outcome:
        """As `backend.engine.Engine.harmonize`."""


class RunnerOnDemand:
    """Opens the runner when it is first called for, keeps it, and closes it at the end of the `with`."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._runner: Runner | None = None

    def __call__(self) -> Runner:
        if self._runner is None:
            self._runner = open_runner(self._args)
        return self._runner

    def __enter__(self) -> RunnerOnDemand:
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self._runner, "close"):
            self._runner.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the option that chooses who computes."""
    parser.add_argument(
        "--via", type=Path, metavar="FILE", help="let the service with this connection file do the work"
    )


def open_runner(args: argparse.Namespace) -> Runner:
    """The service that --via names, else the engine in this process; raises HarmonizeError."""
    # Both import torch, which takes seconds: not before the inputs were checked.
    if args.via is not None:
        from backend.cli.via import ServiceRunner

        return ServiceRunner(args.via)
    from backend.engine import Engine

    return Engine()
