"""Finished results: into their document, or, if that was closed, into a file; and what is kept of them."""

import time
from pathlib import Path
from typing import Any, Callable, Generator, List, Optional, Sequence

from . import tasks
from .job import ABOVE, ADDED, HELD, REPLACE, WAITING, DocumentClosed, Landing, Problem
from .notice import Notice
from .tasks import HistoryEntry, Homeless, Job, Task
from .translation import tr

# What is kept to place results again, and as much of those without a document.
HISTORY_BYTES = 512 << 20
HISTORY_ENTRIES = 50

Steps = Generator[object, None, None]
Landings = Generator[object, None, Optional[Landing]]


class Delivery:
    """`history` holds results with the oldest first, `homeless` those whose document was closed.

    `recovered` is the folder for their files; `acknowledge(job)` is called once a result is safe.
    """

    def __init__(self, canvas, recovered: Path, notice: Notice, acknowledge: Callable[[Job], None]):
        self.history: List[HistoryEntry] = []
        self.homeless: List[Homeless] = []
        self._canvas = canvas
        self._recovered = recovered
        self._notice = notice
        self._acknowledge = acknowledge
        self._waiting: List[str] = []  # sentences

    def place(self, job: Job, task: Task) -> Steps:
        """One result above its layer or in its place."""
        name = _name(job, task.mode)
        place = self._canvas.place
        yield from self._land([job], task, lambda: place(job.origin, job.result, name, task.mode))

    def place_group(self, jobs: List[Job], task: Task) -> Steps:
        """Several results of one layer, as a group."""
        first = jobs[0]
        name = tr("{layer} (variants)", layer=first.source.name)
        named = [(job.label, job.result) for job in jobs]
        yield from self._land(jobs, task, lambda: self._canvas.place_group(first.origin, named, name))

    def keep_homeless(self, job: Job, why: str = "") -> Generator[object, None, str]:
        """A result without a place is offered as a layer and goes into a file; returns the sentence to tell.

        `why` is its beginning; by default that the document was closed.
        """
        path = self._recovered / "{}-{}.png".format(time.strftime("%Y%m%d-%H%M%S"), job.id[:8])
        reason = why or tr("The document of “{layer}” was closed.", layer=job.source.name)
        self.homeless.append(Homeless(job.origin, job.result, _name(job, ABOVE), str(path)))
        try:
            yield from self._canvas.save(job.result, path)
            sentence = tr("{reason} Its result is in {path}.", reason=reason, path=path)
        except (Problem, OSError) as problem:
            sentence = tr(
                "{reason} Add its result to another document. ({problem})", reason=reason, problem=problem
            )
        _drop_oldest(self.homeless, lambda kept: Path(kept.path).exists())
        self._notice.message = sentence
        return sentence

    def forget_closed(self) -> None:
        """Drops what nobody can reach any more: a document that is opened again is another one."""
        opened = {entry.source.document for entry in self.history}
        opened = {document for document in opened if self._canvas.is_open(document)}
        self.history[:] = [entry for entry in self.history if entry.source.document in opened]

    def rescue(self, job: Job, why: str) -> Generator[object, None, str]:
        """A result that a fault of ours kept from its place is kept as if it had no document, and in the history.

        Returns the sentence to tell.
        """
        self._remember(job)
        sentence = yield from self.keep_homeless(job, why)
        job.result = None
        return sentence

    def write_last(self, job: Job) -> None:
        """Krita ends: the result becomes a file at once, unless it is one already."""
        if any(kept.result is job.result and Path(kept.path).exists() for kept in self.homeless):
            return
        steps = self.keep_homeless(job)
        for step in steps:
            if step == WAITING:
                break  # a thread writes it, and closing waits for that
        steps.close()

    def until_landed(
        self, steps: Landings, name: str, cancelled: Callable[[], bool], jobs: Sequence[Job] = ()
    ) -> Landings:
        """Runs the steps that add a result to its document; None if it is `cancelled` before it is there."""
        hold = _Hold(self._notice, self._waiting, name, jobs)
        while not cancelled():
            try:
                step = next(steps)
            except StopIteration as stop:
                hold.show(False)
                return stop.value
            except Exception:
                hold.show(False)
                raise
            hold.show(step == HELD)
            yield step
            if step == ADDED:
                return (yield from steps)
        hold.show(False)
        steps.close()
        return None

    def _land(self, jobs: List[Job], task: Task, place: Callable[[], Landings]) -> Steps:
        """Puts the jobs' results where they belong; if that is gone, into a file."""
        for job in jobs:
            job.state = tasks.PLACING
        self._notice.changed()
        landing, why, cancelled = None, "", False
        try:
            name = jobs[0].source.name
            landing = yield from self.until_landed(place(), name, lambda: task.cancelled, jobs)
            cancelled = landing is None
        except DocumentClosed:
            pass  # told when the result is kept
        except Problem as problem:
            why = str(problem)
        for index, job in enumerate(jobs):
            if cancelled:
                job.end(tasks.CANCELLED, tr("Cancelled. The result is in the history: “Add again” adds it."))
                self._notice.message = job.message
            elif landing is None:
                job.end(tasks.DONE, (yield from self.keep_homeless(job, why)))
            else:
                job.landing = landing.of(index)
                job.end(tasks.DONE, landing.note)
                # In a batch an earlier layer's sentence stays if there is nothing to be known of this one.
                self._notice.message = landing.note or self._notice.message
            self._remember(job)
            self._acknowledge(job)
            job.result = None  # safe: history and homeless keep what is needed of it
        self._notice.changed()

    def _remember(self, job: Job) -> None:
        if job.landing is None and any(entry.result is job.result for entry in self.history):
            return  # it was to be added again
        seconds = job.report.get("seconds", {})
        total = float(sum(seconds.values())) if isinstance(seconds, dict) else 0.0
        self.history.append(
            HistoryEntry(job.source, job.label, job.values, job.origin, job.result, job.landing, total)
        )
        self.forget_closed()
        _drop_oldest(self.history)


class _Hold:
    """Tells once that a finished result waits for the artist, and takes that back when it does not any more.

    `waiting` are the sentences of all that wait now.
    """

    def __init__(self, notice: Notice, waiting: List[str], name: str, jobs: Sequence[Job]):
        self._notice, self._waiting, self._jobs = notice, waiting, jobs
        self._held, self._before = False, ""
        self._sentence = tr(
            "The result of “{layer}” is ready: it is added once Krita has rendered, or you end the stroke, or apply "
            "or leave the tool.",
            layer=name,
        )

    def show(self, held: bool) -> None:
        if held == self._held:
            return
        self._held = held
        for job in self._jobs:
            job.held = held
        message = self._notice.message
        if held:
            self._before = "" if message in self._waiting else message
            self._waiting.append(self._sentence)
            self._notice.message = self._sentence  # not said: of two selections of a layer it may be the same
        else:
            self._waiting.remove(self._sentence)
            if message == self._sentence:
                self._notice.restore(self._waiting[-1] if self._waiting else self._before)
        self._notice.changed()


def _drop_oldest(kept: list, may_go: Callable[[Any], bool] = lambda entry: True) -> None:
    """Drops the oldest of the entries that may go until the others are few and small enough; never the newest."""
    while len(kept) > HISTORY_ENTRIES or sum(entry.bytes for entry in kept) > HISTORY_BYTES:
        oldest = next((index for index, entry in enumerate(kept[:-1]) if may_go(entry)), None)
        if oldest is None:
            break
        del kept[oldest]


def _name(job: Job, mode: str) -> str:
    layer = job.source.name
    return layer if mode == REPLACE else tr("{layer} (harmonized)", layer=layer)
