"""One composite from files to file: check, read, harmonize, write. What `harmonize` and `batch` share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

from backend.cli.inputs import Scene, Sources, load, over
from backend.cli.runner import Runner
from backend.cli.stages import StageFolder, is_stage_name
from backend.harmonize.errors import Cancelled
from backend.picture_output import OutputError, carrier, check_writable, format_of, painted, write_picture
from plugin.painterly.protocol.parameters import Value

if TYPE_CHECKING:
    from backend.harmonize.composite import Composite
    from backend.harmonize.pipeline import Outcome
    from backend.harmonize.step import OnStep, Step


@dataclass(frozen=True)
class Job:
    """What one composite is made from, how, and where the result goes. `settings` are complete.

    `keep` are files, besides the sources, that the output must not replace.
    """

    sources: Sources
    output: Path
    settings: Mapping[str, Value]
    stages: Path | None = None
    keep: Sequence[Path] = ()


@dataclass
class Report:
    """What came of a job; `as_json` is what --json prints."""

    job: Job
    output: Path
    engine: Mapping[str, Any]
    seconds: float
    cancelled: bool = False
    notes: list[str] = field(default_factory=list)
    stages: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The engine's own report, every parameter, the files, and seconds from first to last."""
        files = {role: str(path) for role, path in self.job.sources.files().items()}
        return {
            **self.engine,
            "seconds_in_all": round(self.seconds, 3),
            "parameters": dict(self.job.settings),
            "offset": list(self.job.sources.offset),
            "files": {**files, "output": str(self.output), "stages": dict(self.stages)},
            "cancelled": self.cancelled,
            "notes": self.notes,
        }


def run_job(job: Job, get_runner: Callable[[], Runner], on_step: OnStep) -> Report:
    """Does the job and writes its output.

    If `on_step` raises Cancelled, the best so far goes to `partial_name(job.output)` and the report says
    `cancelled`; Cancelled is raised on when there was nothing yet. Raises the other HarmonizeErrors; after an
    OutputError, too, the result is under that name if it could be written there.
    """
    started = time.monotonic()
    check_output(job)
    scene = load(job.sources, int(job.settings["resolution"]))
    stages = None if job.stages is None else StageFolder(job.stages)
    if stages:
        for name, pixels in scene.arrays().items():
            stages.save(name, pixels)
        if stages.failure is not None:  # before any work
            raise stages.failure
    cancelled, output = False, job.output
    try:
        outcome = get_runner().harmonize(_composite(scene), job.settings, together(on_step, stages))
    except Cancelled as stopped:
        if stopped.best is None:
            raise
        cancelled, output, outcome = True, partial_name(job.output), stopped.best
    if stages:
        stages.finish()
        stages.save("alpha", outcome.alpha.numpy())
        stages.save("result", over(scene.original, outcome.image.numpy(), outcome.alpha.numpy()))
    notes = _write(scene, outcome, output, partial_name(job.output))
    if stages and stages.failure is not None:
        notes.append(f"Not all pictures of stages were written: {stages.failure}")
    seconds = time.monotonic() - started
    return Report(job, output, outcome.report, seconds, cancelled, notes, stages.files if stages else {})


def check_output(job: Job) -> None:
    """Raises OutputError before any work if the output cannot be written or anything written would replace an input."""
    format_of(job.output)
    inputs, partial = (*job.sources.files().values(), *job.keep), partial_name(job.output)
    for path in inputs:
        if _is_same(job.output, path):
            raise OutputError(
                f"The output {job.output} would replace the input {path}; give it another name."
            )
        if _is_same(partial, path):
            raise OutputError(
                f"Ctrl-C would replace the input {path} by the best so far; give the output another name."
            )
    for path in (*inputs, job.output, partial):
        if job.stages is not None and _may_be_stage(path, job.stages):
            raise OutputError(f"The pictures of stages could replace {path}; give them another folder.")
    painting = job.sources.painting
    check_writable(job.output, room=painting.stat().st_size if painting.is_file() else 1)


def _is_same(one: Path, other: Path) -> bool:
    """Whether both are names of one file or folder that exists."""
    # Not `Path.exists`, which raises an error for a name that is too long.
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _may_be_stage(path: Path, folder: Path) -> bool:
    """Whether a stage's picture in `folder` could take the place of `path`, or of what it links to."""
    names = (path, Path(os.path.realpath(path)))
    return any(is_stage_name(name.name) and _is_same(name.parent, folder) for name in names)


def partial_name(output: Path) -> Path:
    """Where a result goes that is unfinished, or cannot go where it should: next to the output, ".partial" before the suffix."""
    return output.with_name(f"{output.stem}.partial{output.suffix}")


def _composite(scene: Scene) -> Composite:
    import torch  # takes seconds to import: not before the inputs were checked

    from backend.harmonize.composite import Composite

    return Composite(**{name: torch.from_numpy(pixels) for name, pixels in scene.arrays().items()})


def _write(scene: Scene, outcome: Outcome, output: Path, rescue: Path) -> list[str]:
    """Lays the outcome over the painting and writes it; the notes on what the format changed.

    What cannot go to `output` goes to `rescue`; raises OutputError all the same.
    """
    image, notes = carrier(scene.painting.image, format_of(output))
    result = painted(image, scene.window, outcome.image.numpy(), outcome.alpha.numpy())
    try:
        write_picture(result, output)
    except OutputError as error:  # as on Windows, where another program has the older result open
        try:
            write_picture(result, rescue)
        except OutputError:
            raise error from None
        if rescue == output:  # of a stopped job: the second try did it
            return notes
        raise OutputError(f"{str(error).rstrip('.')}; the result is in {rescue}.") from error
    return notes


def together(*callbacks: OnStep | None) -> OnStep:
    """One `on_step` that calls each of the given ones in turn."""
    present: Sequence[OnStep] = [callback for callback in callbacks if callback is not None]

    def on_step(step: Step) -> None:
        for callback in present:
            callback(step)

    return on_step
