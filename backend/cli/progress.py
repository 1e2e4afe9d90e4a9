"""Progress on stderr: a bar that redraws itself on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import TYPE_CHECKING, Callable, TextIO

if TYPE_CHECKING:
    from backend.harmonize.step import Step

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REDRAWS = 0.1
BAR_WIDTH = 24


class Progress:
    """An `on_step` callback; `close()` ends the bar's line. `title` comes before every line."""

    def __init__(
        self, title: str = "", stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title = title
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._live = self._stream.isatty()
        self._due = float("-inf")
        self._drawn = False

    def __call__(self, step: Step) -> None:
        now = self._clock()
        if now < self._due and step.fraction < 1:
            return
        self._due = now + (SECONDS_BETWEEN_REDRAWS if self._live else SECONDS_BETWEEN_LINES)
        line = self._title + describe(step)
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._write("\r" + line[:width].ljust(width))
        else:
            self._write(line + "\n")
        self._drawn = True

    def close(self) -> None:
        """Leaves the bar's line, so that what follows starts on its own."""
        if self._live and self._drawn:
            self._write("\n")
        self._drawn = False

    def _write(self, text: str) -> None:
        """In silence once nobody reads it any more, as in `telling`."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def describe(step: Step) -> str:
    """One line: bar, per cent, stage, iteration and the time left."""
    filled = round(BAR_WIDTH * step.fraction)
    bar = "#" * filled + "-" * (BAR_WIDTH - filled)
    line = f"[{bar}] {step.fraction:4.0%}  {step.stage} {step.iteration}/{step.iterations}"
    return line if step.seconds_left is None else f"{line}, {duration(step.seconds_left)} left"


def duration(seconds: float) -> str:
    """Seconds in the words of a clock: "8 s", "2:05 min", "1:02:05 h"."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}:{minutes_left:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"
