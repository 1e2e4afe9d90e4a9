"""One row of `painterly bench`: one job, timed in a process of its own, and what `paper` would have taken."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping

from backend.cli import runner
from backend.cli.failure import save_details
from backend.cli.inputs import Sources
from backend.cli.job import Job, Report, run_job, together
from backend.cli.progress import Progress
from backend.cli.runner import Runner
from backend.harmonize.errors import HarmonizeError
from plugin.painterly.protocol.parameters import PRESETS, InvalidParameter, Value, resolve

if TYPE_CHECKING:
    from backend.harmonize.composite import Composite
    from backend.harmonize.pipeline import Outcome
    from backend.harmonize.step import OnStep, Step

PAPER = "paper"
# Stage -> the setting that says how many iterations it has.
PASSES = {"first pass": "first_iterations", "second pass": "second_iterations"}
# "processor" is for a machine that does other work: with one thread it does not count the others' time.
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
# A job just large enough to load the network and to let the libraries choose their ways.
WARM_UP = {"resolution": 64, "first_iterations": 2, "second_iterations": 2}


@dataclass(frozen=True)
class Case:
    """What one row measures: `sources` are of that `size` (long side, px), `small` are for the warm-up.

    Of `paper`, only `iterations` of each pass are timed; other presets run as they are. Where it is measured
    what happens as the "object" or the "canvas" `grows`, `size` is the canvas's and `object` the object's long side.
    `clock` is one of CLOCKS.
    """

    size: int
    preset: str
    device: str
    precision: str
    sources: Sources
    small: Sources
    folder: Path
    iterations: int
    grows: str = ""
    object: int = 0
    clock: str = "wall"

    @property
    def title(self) -> str:
        size = f"{self.size} px" + (f", object {self.object} px," if self.grows else "")
        return f"{size} {self.preset} {self.device} {self.precision}"

    def settings(self) -> dict[str, Value]:
        """The job's complete settings; raises InvalidParameter."""
        changes: dict[str, Value] = {"device": self.device, "precision": self.precision}
        if self.preset == PAPER:
            changes.update(resolution=self.size, chroma_denoise=False, patch_synthesis=False)
            # The first iteration of a pass also pays for its preparation, so it is not counted.
            changes.update(dict.fromkeys(PASSES.values(), self.iterations + 1))
        return resolve(self.preset, changes)


@dataclass(frozen=True)
class Row:
    """What was measured: seconds by stage, seconds per iteration by pass, and in all; memory in MB.

    `memory` is the process's (the graphics card's) peak, `added` what of it came after the warm-up. An
    `estimated` row has its total from the seconds per iteration; a failed one has its `error` sentence.
    `total` is by the case's clock, and so are the seconds in the `engine` without reading and writing and those of a
    profile's `parts`; the stages' are always the wall's.
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
    threads: int | None = None
    engine: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)


class Stopwatch:
    """An `on_step` callback that times each pass's iterations, the first of each of its levels left out."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last: tuple[str, int, float] | None = None
        self._timed: dict[str, list[float]] = {}

    def __call__(self, step: Step) -> None:
        now = self._clock()
        if self._last is not None and self._last[:2] == (step.stage, step.iteration - 1):
            self._timed.setdefault(step.stage, []).append(now - self._last[2])
        self._last = (step.stage, step.iteration, now)

    @property
    def per_iteration(self) -> dict[str, float]:
        """Mean seconds by stage."""
        return {stage: sum(seconds) / len(seconds) for stage, seconds in self._timed.items()}


def paper_seconds(per_iteration: Mapping[str, float]) -> float:
    """What the published number of iterations takes at these seconds per iteration of each pass."""
    return sum(float(PRESETS[PAPER][setting]) * per_iteration[stage] for stage, setting in PASSES.items())


def measure(case: Case, wrap: Callable[[Runner], Runner] = lambda runner: runner) -> Row:
    """Warms up, does the case's job and tells what it took; a failure becomes the row's sentence.

    `wrap` may put another runner around the warm one.
    """
    try:
        return _measured(case, wrap)
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
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sender.send(work(case))


def _end_with_parent() -> None:
    """A parent that was killed cannot end this process itself."""
    multiprocessing.parent_process().join()
    os._exit(1)


class _Timed:
    """A runner, and the seconds it has worked."""

    def __init__(self, runner: Runner, clock: Callable[[], float]) -> None:
        self._runner, self._clock = runner, clock
        self.seconds = 0.0

    def harmonize(self, composite: Composite, settings: Mapping[str, Value], on_step: OnStep) -> Outcome:
        begun = self._clock()
        try:
            return self._runner.harmonize(composite, settings, on_step)
        finally:
            self.seconds += self._clock() - begun


def _measured(case: Case, wrap: Callable[[Runner], Runner]) -> Row:
    settings, clock = case.settings(), CLOCKS[case.clock]
    engine = runner.open_runner(argparse.Namespace(via=None))
    warm = Job(case.small, case.folder / "warm-up.png", {**settings, **WARM_UP})
    before = run_job(warm, lambda: engine, lambda step: None)
    timed, stopwatch, progress = _Timed(wrap(engine), clock), Stopwatch(clock), Progress(case.title + " ")
    begun = clock()
    try:
        job = Job(case.sources, case.folder / f"result{case.sources.painting.suffix}", settings)
        report = run_job(job, lambda: timed, together(stopwatch, progress))
    finally:
        progress.close()
    row = _row(case, report, before, stopwatch)
    return replace(row, engine=timed.seconds, total=row.total if row.estimated else clock() - begun)


def _row(case: Case, report: Report, before: Report, stopwatch: Stopwatch) -> Row:
    estimated = case.preset == PAPER
    peak, warm_peak = (r.engine.get("peak_memory_mb") for r in (report, before))
    return Row(
        case.size,
        case.preset,
        str(report.engine.get("device", case.device)),
        str(report.engine.get("precision", case.precision)),
        estimated,
        {} if estimated else dict(report.engine["seconds"]),
        stopwatch.per_iteration,
        paper_seconds(stopwatch.per_iteration) if estimated else None,
        peak,
        None if peak is None or warm_peak is None else peak - warm_peak,
        threads=report.engine.get("threads"),
    )


def _failed(case: Case, sentence: str) -> Row:
    return Row(case.size, case.preset, case.device, case.precision, case.preset == PAPER, error=sentence)
