"""Who computes: the one place where the commands get the thing that harmonizes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Mapping, Protocol

from plugin.painterly.protocol.parameters import Value

if TYPE_CHECKING:
    from backend.harmonize.composite import Composite
    from backend.harmonize.pipeline import Outcome
    from backend.harmonize.step import OnStep


class Runner(Protocol):
    """Harmonizes one composite after another; may keep what is costly to load between them."""

    def harmonize(self, composite: Composite, settings: Mapping[str, Value], on_step: OnStep) -> Outcome:
        """As `backend.engine.Engine.harmonize`."""


def open_runner(args: argparse.Namespace) -> Runner:
    """The engine in this process."""
    from backend.engine import Engine  # torch takes seconds to import: not before the inputs were checked

    return Engine()
