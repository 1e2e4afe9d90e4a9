"""What the docker shows and the menu action starts: tasks from export to placed result.

No widgets and no Krita here: `canvas` and `link` are handed in. Each task is a coroutine that `tick`
advances a step at a time from the event loop, so that nothing holds up the artist's brush; its jobs go
Idle -> Exporting -> Starting -> Running -> Placing -> Done, or Failed, or Cancelled.
"""

import time
import traceback
from pathlib import Path
from typing import Callable, Dict, Generator, List, Optional, Sequence, Tuple

from . import tasks
from .computing import Computing
from .delivery import Delivery
from .job import HELD, WAITING, Export, ExportWish, Landing, Problem, Source
from .notice import Notice, Observer
from .protocol.parameters import InvalidParameter, Value
from .settings import Settings
from .tasks import HistoryEntry, Homeless, Job, Task
from .translation import tr

# Work done in one tick beyond its first step; each step itself stays below some 50 ms.
TICK_SECONDS = 0.008

Steps = Generator[object, None, None]


class Session:
    """All that goes on. Observers registered by `subscribe` are called after every change."""

    def __init__(self, canvas, link, settings: Settings, recovered: Path):
        self.settings = settings
        self.link = link
        self.tasks: List[Task] = []
        # Called before a job takes its settings: the docker has what is typed there count.
        self.before_start: Observer = lambda: None
        self._canvas = canvas
        self._notice = Notice()
        self._computing = Computing(link, self._notice)
        self._delivery = Delivery(canvas, recovered, self._notice, self._computing.acknowledge)
        self._running: Dict[int, Steps] = {}
        self._ticking = False
        self._cancels = 0

    @property
    def message(self) -> str:
        """The last sentence for the artist, empty if there is none."""
        return self._notice.message

    @property
    def message_count(self) -> int:
        """Grows with each sentence that is news; not when an earlier one is shown again."""
        return self._notice.count

    @property
    def fault(self) -> str:
        """The trace of what failed last when it was to show something; empty if all went well."""
        return self._notice.fault

    @property
    def history(self) -> List[HistoryEntry]:
        """Results of all documents, the oldest first."""
        return self._delivery.history

    @property
    def homeless(self) -> List[Homeless]:
        """Results whose document was closed."""
        return self._delivery.homeless

    def say(self, sentence: str) -> None:
        """Shows a sentence to the artist."""
        self._notice.say(sentence)

    def want_preview(self, wanted: bool) -> None:
        """Whether jobs that start from now on show pictures on the way."""
        self._computing.want_preview = wanted

    def subscribe(self, observer: Observer) -> None:
        self._notice.subscribe(observer)

    def unsubscribe(self, observer: Observer) -> None:
        self._notice.unsubscribe(observer)

    # ---- what the artist asks for --------------------------------------------------------------

    def harmonize_active(self) -> Optional[Task]:
        """The active layer, with the settings as they are now. None if a sentence says why not."""
        return self._ask(lambda: [self._canvas.active_source()])

    def harmonize_selected(self, painting: str = "") -> Optional[Task]:
        """All selected layers, bottom to top, each against what is beneath it, or the chosen painting."""
        return self._ask(self._canvas.selected_sources, painting)

    def variants(self, styles: Sequence[Value], painting: str = "") -> Optional[Task]:
        """The active layer at several style strengths, as one group of layers."""
        jobs = [
            Job(asked.source, dict(asked.values, style=style), tasks.style_name(style), asked.selected)
            for asked in self._jobs(lambda: [self._canvas.active_source()])
            for style in styles
        ]
        if not jobs:
            return None
        task = Task(jobs, self.settings.result, variants=True)
        return self._begin(task, self._run_variants(task, painting))

    def cancel(self) -> None:
        """Stops all that is on its way; what is done stays, what waits to be added is kept in the history."""
        self._cancels += 1
        for task in self.tasks:
            task.cancelled = True
        self._notice.changed()

    def place_again(self, entry: HistoryEntry) -> None:
        """Adds an earlier result once more, above its layer."""
        job = Job(entry.source, entry.values, entry.label, origin=entry.origin, result=entry.result)
        task = Task([job], self.settings.result)
        self._begin(task, self._delivery.place(job, task))

    def use_settings(self, entry: HistoryEntry) -> None:
        self.settings.use(entry.values)
        self._notice.changed()

    def show_only(self, entry: HistoryEntry) -> None:
        """Shows this result and hides those in whose place it is, to compare them."""
        if entry.landing is None:
            self._notice.say(tr("This result was not added to its document: use “Add again”."))
            return
        rivals = [
            _beside(other.landing, entry.landing)
            for other in self.history
            if other.landing is not None
            and other.source == entry.source
            and entry.origin.replaces(other.origin.part, other.origin.fingerprint)
        ]
        landing = entry.landing
        try:
            self._canvas.show_only(landing.document, landing.node, rivals, landing.group)
        except Problem as problem:
            self._notice.say(str(problem))

    def adopt(self, homeless: Homeless) -> None:
        """Adds a result whose document was closed to the document in front, as its topmost layer."""
        try:
            steps = self._canvas.place_on_top(homeless.origin, homeless.result, homeless.name)
        except Problem as problem:
            self._notice.say(str(problem))
            return
        self._running[id(homeless)] = self._adopt(homeless, steps)
        self._notice.changed()

    def dismiss(self, homeless: Homeless) -> None:
        """Offers a result whose document was closed no more, if it is in its file."""
        if not Path(homeless.path).is_file():
            self._notice.say(tr("“{name}” is in no file: add it to a document first.", name=homeless.name))
            return
        self.homeless.remove(homeless)
        self._notice.say(tr("“{name}” is in {path}.", name=homeless.name, path=homeless.path))

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
            self._computing.hear()
            self._advance_all()
        finally:
            self._ticking = False
        if not self.busy:
            self._delivery.forget_closed()
        self.tasks = [task for task in self.tasks if not task.ended] or self.tasks[-1:]

    def _advance_all(self) -> None:
        end = time.monotonic() + TICK_SECONDS
        for key in list(self._running):
            while key in self._running:
                waiting = self._advance(key)
                if waiting or time.monotonic() > end:
                    break

    def close(self) -> None:
        """Krita ends: what is not computed is given up, the backend too; what waits to be placed becomes a file."""
        self._running.clear()
        try:
            for job in [job for task in self.tasks for job in task.jobs if job.result is not None]:
                self._delivery.write_last(job)
        finally:
            self.link.stop()

    def _advance(self, key: int) -> bool:
        """One step of one task; true if it only waits for the backend or has ended."""
        try:
            return next(self._running[key]) in (WAITING, HELD)
        except StopIteration:
            pass
        except Problem as problem:  # of an adopted result; jobs' own problems end their jobs
            self._notice.message = str(problem)
        except Exception:
            # A fault of ours must not stop the event loop for the other tasks, nor lose a result.
            self._break_off(key, traceback.format_exc())
        self._running.pop(key, None)
        self._notice.changed()
        return True

    def _break_off(self, key: int, trace: str) -> None:
        sentence = tasks.fault()
        for job in [job for task in self.tasks if id(task) == key for job in task.jobs if not job.ended]:
            if job.result is not None:
                self._running[id(job)] = self._delivery.rescue(job, sentence)
            job.end(tasks.FAILED, sentence, trace)
            self._computing.acknowledge(job)
        self._notice.message = sentence

    # ---- a task's course -----------------------------------------------------------------------

    def _ask(self, sources: Callable[[], List[Source]], painting: str = "") -> Optional[Task]:
        jobs = self._jobs(sources)
        if not jobs:
            return None
        task = Task(jobs, self.settings.result)
        return self._begin(task, self._run(task, painting))

    def _jobs(self, sources: Callable[[], List[Source]]) -> List[Job]:
        """One for each layer, with settings and selection as they are now; none if a sentence says why not."""
        self.before_start()
        try:
            values, layers = self.settings.resolved(), sources()
            selections = self._canvas.selections(layers)
            jobs = [Job(source, values, selected=area) for source, area in zip(layers, selections)]
            self._refuse_twice(jobs)
        except (Problem, InvalidParameter) as problem:
            self._notice.say(str(problem))
            return []
        return jobs

    def _refuse_twice(self, jobs: Sequence[Job]) -> None:
        """Raises Problem if one is on its way already: its two results would lie on each other.

        Two selections of one layer are two.
        """
        going = [job for task in self.tasks if not task.cancelled for job in task.jobs if not job.ended]
        for job in jobs:
            if any(_is_same(job, other) for other in going):
                name = job.source.name
                raise Problem(tr("“{layer}” is being harmonized already: wait or cancel first.", layer=name))

    def _begin(self, task: Task, steps: Steps) -> Task:
        self.tasks.append(task)
        self._notice.message = ""
        self._running[id(task)] = steps
        self._notice.changed()
        return task

    def _run(self, task: Task, painting: str) -> Steps:
        """Layer by layer, so that each is painted against the finished ones beneath it."""
        without = [job.source.node for job in task.jobs] if self.settings.without_others else []
        for job in task.jobs:
            yield from self._alone(job, self._run_one(job, task, painting, without))
            if without and job.landing is not None:
                without.append(job.landing.node)
        self._tell_failures(task)

    def _run_one(self, job: Job, task: Task, painting: str, without: Sequence[str]) -> Steps:
        export = yield from self._export(job, task, painting, without)
        if export is not None:
            yield from self._computing.run(job, task, export)
        export = None  # gigabytes, perhaps, while the result waits for a tool
        if job.result is not None:
            yield from self._delivery.place(job, task)

    def _alone(self, job: Job, steps: Steps) -> Steps:
        """Runs steps of one of several jobs: a fault of ours ends it, keeps its result, and harms no other."""
        try:
            yield from steps
        except Exception:
            sentence, trace = tasks.fault(), traceback.format_exc()
            if job.result is not None:
                sentence = yield from self._delivery.rescue(job, sentence)
            job.end(tasks.FAILED, sentence, trace)
            self._computing.acknowledge(job)
            self._notice.message = sentence
            self._notice.changed()

    def _run_variants(self, task: Task, painting: str) -> Steps:
        first = task.jobs[0]
        export = yield from self._export(first, task, painting)
        for job in task.jobs:
            if export is None:
                job.end(first.state, first.message)
                continue
            job.origin = export.origin
            yield from self._alone(job, self._computing.run(job, task, export))
        export = None
        done = [job for job in task.jobs if job.result is not None]
        if done:
            yield from self._delivery.place_group(done, task)
        self._tell_failures(task)

    def _adopt(self, homeless: Homeless, steps: Steps) -> Steps:
        self.homeless.remove(homeless)
        landing, before = None, self._cancels
        try:
            name = homeless.origin.source.name
            landing = yield from self._delivery.until_landed(steps, name, lambda: self._cancels > before)
        finally:
            if landing is None:
                self.homeless.append(homeless)  # offered again

    def _tell_failures(self, task: Task) -> None:
        """If some of several jobs failed: each one's own sentence, after what is to be known of those done."""
        done = [job for job in task.jobs if job.state == tasks.DONE]
        failed = [job for job in task.jobs if job.state == tasks.FAILED]
        if not failed or len(task.jobs) == 1:
            return
        # Variants share a layer and a landing, and so, often, a sentence.
        sentences = " ".join(dict.fromkeys(job.message for job in [*done, *failed] if job.message))
        numbers = {"done": len(done), "count": len(task.jobs), "problems": sentences}
        if task.variants:
            self._notice.say(tr("{done} of {count} variants are done. {problems}", **numbers))
        else:
            self._notice.say(tr("{done} of {count} layers are done. {problems}", **numbers))

    def _export(
        self, job: Job, task: Task, painting: str, without: Sequence[str] = ()
    ) -> Generator[None, None, Optional[Export]]:
        if task.cancelled:
            job.end(tasks.CANCELLED, tr("Cancelled."))
            return None
        job.state = tasks.EXPORTING
        self._notice.changed()
        wish = ExportWish(int(job.values["resolution"]), painting, tuple(without), job.selected)
        try:
            export = yield from _unless_cancelled(self._canvas.export(job.source, wish), task)
        except Problem as problem:
            job.end(tasks.FAILED, str(problem))
            self._notice.message = str(problem)
            return None
        if export is None:
            job.end(tasks.CANCELLED, tr("Cancelled."))
            return None
        job.origin = export.origin
        return export


def _unless_cancelled(
    steps: Generator[object, None, Export], task: Task
) -> Generator[object, None, Optional[Export]]:
    """Runs the steps; None if the task is cancelled before they end."""
    while not task.cancelled:
        try:
            step = next(steps)
        except StopIteration as stop:
            return stop.value
        yield step
    steps.close()
    return None


def _beside(other: Landing, shown: Landing) -> str:
    """What is to be hidden of the other: itself in the same group of variants, else its group."""
    return other.node if other.group in ("", shown.group) else other.group


def _is_same(job: Job, other: Job) -> bool:
    """Whether both paint the same selection of a layer, or one all of it."""
    layers = {(each.source.document, each.source.node) for each in (job, other)}
    return len(layers) == 1 and (None in (job.selected, other.selected) or job.selected == other.selected)
