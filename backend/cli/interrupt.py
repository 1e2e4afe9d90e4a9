"""Ctrl-C: the first asks the work to stop after its iteration, the second ends the program at once."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from backend.harmonize.errors import Cancelled

if TYPE_CHECKING:
    from backend.harmonize.step import Step


class Interrupt:
    """While entered, takes over SIGINT. As an `on_step` callback it raises Cancelled once asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interrupt:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def __call__(self, step: Step | None = None) -> None:
        if self.asked:
            raise Cancelled()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        # The system's own handler also ends a long computation that Python could not interrupt.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Not `print`: a handler may run in the midst of another write to the same stream. And as in `telling`
        # an error here must not cost the picture.
        with contextlib.suppress(OSError):
            os.write(2, b"\nStopping after this iteration; Ctrl-C again ends at once.\n")
