"""What the docker shows and the menu action starts: tasks from export to placed result.

No widgets and no Krita here: `canvas` and `link` are handed in. Each task is a coroutine that `tick`
advances a step at a time from the event loop, so that nothing holds up the artist's brush; its jobs go
Idle -> Exporting -> Starting -> Running -> Placing -> Done, or Failed, or Cancelled.
"""

import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, Generator, List, Optional, Sequence, Tuple

from . import tasks
from .job import ABOVE, REPLACE, DocumentClosed, Export, ExportWish, Landing, Problem, Source
from .protocol import messages
from .protocol.parameters import InvalidParameter
from .settings import Settings
from .tasks import HistoryEntry, Homeless, Job, Task

# Work done in one tick beyond its first step; each step itself stays below some 50 ms.
TICK_SECONDS = 0.008
# What is kept to place results again.
HISTORY_BYTES = 512 << 20
HISTORY_ENTRIES = 50

Steps = Generator[None, None, None]


class Session:
    """All that goes on. Observers registered by `subscribe` are called after every change."""

    def __init__(self, canvas, link, settings: Settings, recovered: Path):
        self.settings = settings
        self.link = link
        self.tasks: List[Task] = []
        self.history: List[HistoryEntry] = []
        self.homeless: List[Homeless] = []
        self.message = ""
        self.want_preview = False
        self._canvas = canvas
        self._recovered = recovered
        self._running: Dict[int, Steps] = {}
        self._sent: Dict[str, Job] = {}
        self._ticking = False
        self._observers: List[Callable[[], None]] = []

    # ---- what the artist asks for --------------------------------------------------------------

    def harmonize_active(self) -> Optional[Task]:
        """The active layer, with the settings as they are now. None if a sentence says why not."""
        return self._ask(lambda: [self._canvas.active_source()])

    def harmonize_selected(self, painting: str = "") -> Optional[Task]:
        """All selected layers, bottom to top, each against what is beneath it, or the chosen painting."""
        return self._ask(self._canvas.selected_sources, painting)

    def variants(self, styles: Sequence[float], painting: str = "") -> Optional[Task]:
        """The active layer at several style strengths, as one group of layers."""
        try:
            source, values = self._canvas.active_source(), self.settings.resolved()
        except (Problem, InvalidParameter) as problem:
            return self._refuse(str(problem))
        jobs = [Job(source, dict(values, style=style), "style {:g}".format(style)) for style in styles]
        task = Task(jobs, self.settings.result, variants=True)
        return self._begin(task, self._run_variants(task, painting))

    def cancel(self) -> None:
        """Stops all that is on its way; what is done stays."""
        for task in self.tasks:
            task.cancelled = True
        self._changed()

    def place_again(self, entry: HistoryEntry) -> None:
        """Adds an earlier result once more, above its layer."""
        job = Job(entry.source, entry.values, entry.label, origin=entry.origin, result=entry.result)
        task = Task([job], self.settings.result)
        self._begin(task, self._place(job, task))

    def use_settings(self, entry: HistoryEntry) -> None:
        self.settings.use(entry.values)
        self._changed()

    def show_only(self, entry: HistoryEntry) -> None:
        """Of one layer's results shows this one and hides the others, to compare them."""
        if entry.landing is None:
            return
        rivals = [
            other.landing.node for other in self.history if other.source == entry.source and other.landing
        ]
        try:
            self._canvas.show_only(entry.landing.document, entry.landing.node, rivals)
        except Problem as problem:
            self._refuse(str(problem))

    def adopt(self, homeless: Homeless) -> None:
        """Adds a result whose document was closed to the document in front, as its topmost layer."""
        try:
            steps = self._canvas.place_on_top(homeless.origin, homeless.result, homeless.name)
        except Problem as problem:
            self._refuse(str(problem))
            return
        self.homeless.remove(homeless)
        self._running[id(homeless)] = steps
        self._changed()

    def history_here(self) -> List[HistoryEntry]:
        """The results of the document in front."""
        try:
            document = self._canvas.active_document()
        except Problem:
            return []
        return [entry for entry in self.history if entry.source.document == document]

    def layers(self) -> List[Tuple[str, str]]:
        """(unique id, name) of the layers of the document in front, topmost first."""
        try:
            return self._canvas.layers(self._canvas.active_document())
        except Problem:
            return []

    # ---- the event loop ------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return bool(self._running)

    @property
    def current(self) -> Optional[Task]:
        return next((task for task in self.tasks if not task.ended), None)

    def tick(self) -> None:
        """Hears the backend and advances every task; called every 10 to 20 ms while busy, else seldom."""
        if self._ticking:
            return  # some of Krita's calls run its event loop, and so this timer, while they wait
        self._ticking = True
        try:
            self._hear()
            self._advance_all()
        finally:
            self._ticking = False
        self.tasks = [task for task in self.tasks if not task.ended] or self.tasks[-1:]

    def _advance_all(self) -> None:
        end = time.monotonic() + TICK_SECONDS
        for key in list(self._running):
            while key in self._running:
                waiting = self._advance(key)
                if waiting or time.monotonic() > end:
                    break

    def subscribe(self, observer: Callable[[], None]) -> None:
        self._observers.append(observer)

    def unsubscribe(self, observer: Callable[[], None]) -> None:
        if observer in self._observers:
            self._observers.remove(observer)

    def close(self) -> None:
        """Krita ends: results on their way are given up and the backend with them."""
        self._running.clear()
        self.link.stop()

    def _advance(self, key: int) -> bool:
        """One step of one task; true if it only waits for the backend or has ended."""
        try:
            return next(self._running[key]) == _WAITING
        except StopIteration:
            pass
        except Problem as problem:  # of an adopted result; jobs' own problems end their jobs
            self.message = str(problem)
        except Exception:
            # A fault of ours must not stop the event loop for the other tasks, nor lose a result.
            self._break_off(key, traceback.format_exc())
        self._running.pop(key, None)
        self._changed()
        return True

    def _break_off(self, key: int, trace: str) -> None:
        self.message = "Something unexpected happened: use “Copy diagnostics” and report it."
        for job in [job for task in self.tasks if id(task) == key for job in task.jobs if not job.ended]:
            if job.result is not None:
                self._keep_homeless(job)
            job.end(tasks.FAILED, self.message, trace)
            self._acknowledge(job)

    def _hear(self) -> None:
        try:
            news = self.link.poll()
        except Problem as problem:
            self._lose_backend(str(problem))
            return
        for message in news:
            self._take(message)
        if news:
            self._changed()

    def _take(self, message: messages.Message) -> None:
        job = self._sent.get(message.job)
        if job is None:
            return
        if isinstance(message, messages.Accepted):
            job.state = tasks.RUNNING
            job.stage = "waiting behind {}".format(message.position) if message.position else job.stage
        elif isinstance(message, messages.Progress):
            job.state, job.stage, job.fraction = tasks.RUNNING, message.stage, message.fraction
            job.seconds_left, job.preview = message.seconds_left, message.preview or job.preview
        elif isinstance(message, messages.Result):
            # A copy of our own: the backend may take its memory back once it is told that we have it.
            raster = replace(message.image.raster, data=bytes(message.image.raster.data))
            job.result, job.report = replace(message.image, raster=raster), message.report
        elif isinstance(message, messages.Cancelled):
            job.end(tasks.CANCELLED, "Cancelled.")
        elif isinstance(message, messages.Failed):
            job.end(tasks.FAILED, message.message, message.detail)
        if isinstance(message, (messages.Cancelled, messages.Failed)):
            self._acknowledge(job)

    def _lose_backend(self, why: str) -> None:
        """The backend died: its jobs failed, the next one starts it anew."""
        for job in self._sent.values():
            if job.result is None:
                job.end(tasks.FAILED, why + " Harmonize again to start it anew.")
        self._sent.clear()
        self.message = why
        self._changed()

    # ---- a task's course -----------------------------------------------------------------------

    def _ask(self, sources: Callable[[], List[Source]], painting: str = "") -> Optional[Task]:
        try:
            values = self.settings.resolved()
            jobs = [Job(source, values) for source in sources()]
        except (Problem, InvalidParameter) as problem:
            return self._refuse(str(problem))
        task = Task(jobs, self.settings.result)
        return self._begin(task, self._run(task, painting))

    def _begin(self, task: Task, steps: Steps) -> Task:
        self.tasks.append(task)
        self.message = ""
        self._running[id(task)] = steps
        self._changed()
        return task

    def _refuse(self, sentence: str) -> None:
        self.message = sentence
        self._changed()

    def _run(self, task: Task, painting: str) -> Steps:
        """Layer by layer, so that each is painted against the finished ones beneath it."""
        without = [job.source.node for job in task.jobs] if self.settings.without_others else []
        for job in task.jobs:
            wish = ExportWish(int(job.values["resolution"]), painting, tuple(without))
            export = yield from self._export(job, task, wish)
            if export is not None:
                yield from self._compute(job, task, export)
            if job.result is not None:
                yield from self._place(job, task)
                if without and job.landing is not None:
                    without.append(job.landing.node)

    def _run_variants(self, task: Task, painting: str) -> Steps:
        first = task.jobs[0]
        export = yield from self._export(first, task, ExportWish(int(first.values["resolution"]), painting))
        for job in task.jobs:
            if export is None:
                job.end(first.state, first.message)
                continue
            job.origin = export.origin
            yield from self._compute(job, task, export)
        done = [job for job in task.jobs if job.result is not None]
        if done:
            name = "{} (variants)".format(first.source.name)
            named = [(job.label, job.result) for job in done]
            yield from self._land(done, lambda: self._canvas.place_group(export.origin, named, name))

    def _export(self, job: Job, task: Task, wish: ExportWish) -> Generator[None, None, Optional[Export]]:
        if task.cancelled:
            job.end(tasks.CANCELLED, "Cancelled.")
            return None
        job.state = tasks.EXPORTING
        self._changed()
        try:
            export = yield from self._canvas.export(job.source, wish)
        except Problem as problem:
            job.end(tasks.FAILED, str(problem))
            self.message = str(problem)
            return None
        job.origin = export.origin
        return export

    def _compute(self, job: Job, task: Task, export: Export) -> Steps:
        """Until the backend's last word; then the job has a result or has ended."""
        try:
            yield from self._start_backend(job, task)
            if not job.ended:
                self._sent[job.id] = job
                self.link.submit(self._request(job, export))
            told = False
            while job.result is None and not job.ended:
                if task.cancelled and not told:
                    self.link.cancel(job.id)
                    told = True
                yield _WAITING
        except Problem as problem:
            job.end(tasks.FAILED, str(problem))
        if job.state == tasks.FAILED:
            self.message = "{}: {}".format(job.source.name, job.message)
        self._changed()

    def _start_backend(self, job: Job, task: Task) -> Steps:
        job.state = tasks.STARTING
        self._changed()
        self.link.start()
        while not self.link.ready:
            if task.cancelled:
                job.end(tasks.CANCELLED, "Cancelled.")
                return
            if self.link.state == "stopped":
                raise Problem(self.link.why)
            yield _WAITING

    def _request(self, job: Job, export: Export) -> messages.Harmonize:
        return messages.Harmonize(
            job.id, export.painting, export.layer, export.selection, job.values,
            want_preview=self.want_preview, result_depth=export.origin.depth,
        )  # fmt: skip

    def _place(self, job: Job, task: Task) -> Steps:
        name = _name(job, task.mode)
        yield from self._land([job], lambda: self._canvas.place(job.origin, job.result, name, task.mode))

    def _land(self, jobs: List[Job], place: Callable[[], Generator[None, None, Landing]]) -> Steps:
        """Puts the jobs' results where they belong; if that is gone, into a file."""
        for job in jobs:
            job.state = tasks.PLACING
        self._changed()
        landing = None
        try:
            landing = yield from place()
        except DocumentClosed:
            pass
        except Problem as problem:
            self.message = str(problem)
        for job in jobs:
            if landing is None:
                self._keep_homeless(job)
            else:
                job.landing = landing
                job.end(tasks.DONE, landing.note)
                self.message = landing.note
            self._remember(job)
            self._acknowledge(job)
        self._changed()

    def _keep_homeless(self, job: Job) -> None:
        """The document is gone: the result goes into a file at once, and is offered as a layer."""
        name = _name(job, ABOVE)
        path = self._recovered / "{}-{}.png".format(time.strftime("%Y%m%d-%H%M%S"), job.id[:8])
        try:
            self._canvas.save(job.result, path)
            sentence = "The document of “{}” was closed; its result is in {}.".format(job.source.name, path)
        except (Problem, OSError) as problem:
            sentence = "The document of “{}” was closed; add its result to another one. ({})".format(
                job.source.name, problem
            )
        self.homeless.append(Homeless(job.origin, job.result, name, str(path)))
        job.end(tasks.DONE, sentence)
        self.message = sentence

    def _remember(self, job: Job) -> None:
        seconds = job.report.get("seconds", {})
        total = float(sum(seconds.values())) if isinstance(seconds, dict) else 0.0
        self.history.append(
            HistoryEntry(job.source, job.label, job.values, job.origin, job.result, job.landing, total)
        )
        while len(self.history) > 1 and (
            len(self.history) > HISTORY_ENTRIES or sum(entry.bytes for entry in self.history) > HISTORY_BYTES
        ):
            self.history.pop(0)

    def _acknowledge(self, job: Job) -> None:
        if self._sent.pop(job.id, None) is not None:
            try:
                self.link.acknowledge(job.id)
            except Problem as problem:
                self.message = str(problem)

    def _changed(self) -> None:
        for observer in list(self._observers):
            observer()


_WAITING = "waiting"


def _name(job: Job, mode: str) -> str:
    return job.source.name if mode == REPLACE else "{} (harmonized)".format(job.source.name)
