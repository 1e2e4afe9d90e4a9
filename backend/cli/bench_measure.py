"""One row of `painterly bench`: one job, timed in a process of its own, and what `paper` would have taken."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping

from backend.cli import runner
from backend.cli.failure import save_details
from backend.cli.inputs import Sources
from backend.cli.job import Job, Report, run_job, together
from backend.cli.progress import Progress
from backend.harmonize.errors import HarmonizeError
from plugin.painterly.protocol.parameters import PRESETS, InvalidParameter, Value, resolve

if TYPE_CHECKING:
    from backend.harmonize.step import Step

PAPER = "paper"
# A job just large enough to load the network and to let the libraries choose their ways.
WARM_UP = {"resolution": 64, "first_iterations": 2, "second_iterations": 2}


@dataclass(frozen=True)
class Case:
    """What one row measures: `sources` are of that `size` (long side, px), `small` are for the warm-up.

    Of `paper`, only `iterations` of each pass are timed; other presets run as they are.
    """

    size: int
    preset: str
    device: str
    precision: str
    sources: Sources
    small: Sources
    folder: Path
    iterations: int

    @property
    def title(self) -> str:
        return f"{self.size} px {self.preset} {self.device} {self.precision}"

    def settings(self) -> dict[str, Value]:
        """The job's complete settings; raises InvalidParameter."""
        changes: dict[str, Value] = {"device": self.device, "precision": self.precision}
        if self.preset == PAPER:
            changes.update(
                resolution=self.size,
                # The first iteration of a pass also pays for its preparation, so it is not counted.
                first_iterations=self.iterations + 1,
                second_iterations=self.iterations + 1,
                chroma_denoise=False,
                patch_synthesis=False,
            )
        return resolve(self.preset, changes)


@dataclass(frozen=True)
class Row:
    """What was measured: seconds by stage, seconds per iteration by pass, and in all; memory in MB.

    `memory` is the process's (the graphics card's) peak, `added` what of it came after the warm-up. An
    `estimated` row has its total from the seconds per iteration; a failed one has its `error` sentence.
    """

    size: int
    preset: str
    device: str
    precision: str
    estimated: bool = False
    stages: Mapping[str, float] = field(default_factory=dict)
    per_iteration: Mapping[str, float] = field(default_factory=dict)
    total: float | None = None
    memory: int | None = None
    added: int | None = None
    error: str = ""


class Stopwatch:
    """An `on_step` callback: the mean seconds of a pass's iterations, each pass's and level's first left out."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last: tuple[str, int, float] | None = None
        self._sums: dict[str, tuple[float, int]] = {}

    def __call__(self, step: Step) -> None:
        now = self._clock()
        if self._last is not None and self._last[:2] == (step.stage, step.iteration - 1):
            seconds, count = self._sums.get(step.stage, (0.0, 0))
            self._sums[step.stage] = (seconds + now - self._last[2], count + 1)
        self._last = (step.stage, step.iteration, now)

    @property
    def per_iteration(self) -> dict[str, float]:
        """Seconds by stage."""
        return {stage: seconds / count for stage, (seconds, count) in self._sums.items()}


def paper_seconds(per_iteration: Mapping[str, float]) -> float:
    """What the published number of iterations takes at these seconds per iteration of each pass."""
    paper = PRESETS[PAPER]
    first = float(paper["first_iterations"]) * per_iteration["first pass"]
    return first + float(paper["second_iterations"]) * per_iteration["second pass"]


def measure(case: Case) -> Row:
    """Warms up, does the case's job and tells what it took; a failure becomes the row's sentence."""
    try:
        return _measured(case)
    except (HarmonizeError, InvalidParameter) as problem:
        return _failed(case, str(problem))
    except Exception as problem:
        sentence = f"Something unexpected happened ({type(problem).__name__}); {save_details(problem)}"
        return _failed(case, sentence)


def measure_apart(case: Case, work: Callable[[Case], Row] = measure) -> Row:
    """`work(case)` in a process of its own: peak memory is a process's, and one that dies is one row."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, work, case))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        return _failed(
            case,
            f"The process ended without a result (exit code {process.exitcode}); if the memory ran out, "
            "measure a smaller size.",
        )
    finally:
        process.kill()
        process.join()


def _answer(sender: Connection, work: Callable[[Case], Row], case: Case) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    sender.send(work(case))


def _measured(case: Case) -> Row:
    settings = case.settings()
    engine = runner.open_runner(argparse.Namespace(via=None))
    warm = Job(case.small, case.folder / "warm-up.png", {**settings, **WARM_UP})
    before = run_job(warm, lambda: engine, lambda step: None)
    stopwatch, progress = Stopwatch(), Progress(case.title + " ")
    try:
        job = Job(case.sources, case.folder / "result.png", settings)
        report = run_job(job, lambda: engine, together(stopwatch, progress))
    finally:
        progress.close()
    return _row(case, report, before, stopwatch.per_iteration)


def _row(case: Case, report: Report, before: Report, per_iteration: Mapping[str, float]) -> Row:
    estimated = case.preset == PAPER
    peak, warm_peak = (r.engine.get("peak_memory_mb") for r in (report, before))
    return Row(
        case.size,
        case.preset,
        str(report.engine.get("device", case.device)),
        str(report.engine.get("precision", case.precision)),
        estimated,
        {} if estimated else dict(report.engine["seconds"]),
        dict(per_iteration),
        paper_seconds(per_iteration) if estimated else report.seconds,
        peak,
        None if peak is None or warm_peak is None else peak - warm_peak,
    )


def _failed(case: Case, sentence: str) -> Row:
    return Row(case.size, case.preset, case.device, case.precision, case.preset == PAPER, error=sentence)
