"""Jobs at the backend: handed over, followed, acknowledged; or failed with a sentence if it dies."""

import contextlib
import traceback
from dataclasses import replace
from typing import Dict, Generator, Tuple

from . import tasks
from .job import WAITING, Export, Problem
from .notice import Notice
from .protocol import codec, messages
from .protocol.raster import Placed
from .tasks import Job, Task
from .translation import tr

# Bytes of a raster; what is larger would be refused on the way.
LARGEST = codec.REQUEST_LIMITS.buffer
# Bytes of a result that are copied in one step: a few milliseconds.
PIECE = 1 << 21

Steps = Generator[object, None, None]


class Computing:
    """`link` is a BackendLink. With `want_preview` new jobs are asked for pictures on the way."""

    def __init__(self, link, notice: Notice):
        self.link = link
        self.want_preview = False
        self._notice = notice
        self._sent: Dict[str, Job] = {}

    def run(self, job: Job, task: Task, export: Export) -> Steps:
        """Until the backend's last word; then the job has a result or has ended."""
        if task.cancelled:
            job.end(tasks.CANCELLED, tr("Cancelled."))
            return
        try:
            _check_size(export)
            yield from self._start_backend(job, task)
            if not job.ended:
                self._sent[job.id] = job
                self.link.submit(self._request(job, export))
            told = False
            while job.result is None and not job.ended:
                if task.cancelled and not told:
                    self.link.cancel(job.id)
                    told = True
                if told and self.link.state == "lost":
                    # Nobody answers; the connection tells it again once somebody does.
                    job.end(tasks.CANCELLED, tr("Cancelled."))
                yield WAITING
            if job.result is not None:
                job.result = yield from _own(job.result)
        except Problem as problem:
            job.end(tasks.FAILED, str(problem))
        if job.state == tasks.FAILED:
            self._notice.message = tr("{layer}: {problem}", layer=job.source.name, problem=job.message)
        self._notice.changed()

    def hear(self) -> None:
        """Takes in what the backend has to say, and what has become of it: silence is no message."""
        before = self._look()
        try:
            news = self.link.poll()
        except Problem as problem:
            self._lose_backend(str(problem))
            return
        except Exception:  # a fault of ours on this line must not stop what needs none
            trace = traceback.format_exc()
            with contextlib.suppress(Exception):
                self.link.stop()
            self._lose_backend(tasks.fault(), trace)
            return
        for message in news:
            try:
                self._take(message)
            except Exception:
                self._break_off(message, traceback.format_exc())
        if news or self._look() != before:
            self._notice.changed()

    def _look(self) -> Tuple[object, ...]:
        return self.link.state, self.link.worker, self.link.device, self.link.why

    def acknowledge(self, job: Job) -> None:
        """Tells the backend that it may forget the job."""
        if self._sent.pop(job.id, None) is not None:
            self.link.acknowledge(job.id)

    def _start_backend(self, job: Job, task: Task) -> Steps:
        job.state = tasks.STARTING
        self.link.start(busy=any(not each.ended and each.result is None for each in self._sent.values()))
        self._notice.changed()
        while not self.link.ready:
            if task.cancelled:
                job.end(tasks.CANCELLED, tr("Cancelled."))
                return
            if self.link.state == "stopped":
                raise Problem(self.link.why)
            yield WAITING

    def _request(self, job: Job, export: Export) -> messages.Harmonize:
        return messages.Harmonize(
            job.id, export.painting, export.layer, export.selection, job.values,
            want_preview=self.want_preview, result_depth=export.origin.depth,
        )  # fmt: skip

    def _take(self, message: messages.Message) -> None:
        job = self._sent.get(message.job)
        if job is None or job.result is not None:
            return
        if job.ended:  # cancelled while nobody answered
            if isinstance(message, messages.LAST_WORDS):
                self.acknowledge(job)
            return
        if isinstance(message, messages.Accepted):
            job.state, job.position = tasks.RUNNING, message.position
        elif isinstance(message, messages.Progress):
            job.state, job.stage, job.fraction = tasks.RUNNING, message.stage, message.fraction
            job.position, job.seconds_left = 0, message.seconds_left
            job.preview = message.preview or job.preview
        elif isinstance(message, messages.Result):
            job.result, job.report = message.image, message.report
        elif isinstance(message, messages.Cancelled):
            job.end(tasks.CANCELLED, tr("Cancelled."))
        elif isinstance(message, messages.Failed):
            job.end(tasks.FAILED, message.message, message.detail)
        if isinstance(message, (messages.Cancelled, messages.Failed)):
            self.acknowledge(job)

    def _break_off(self, message: messages.Message, trace: str) -> None:
        """What was said of a job could not be taken in: the job failed, nothing more of it is wanted."""
        job = self._sent[message.job]
        job.end(tasks.FAILED, tasks.fault(), trace)
        if isinstance(message, messages.LAST_WORDS):
            self.acknowledge(job)
        else:
            self.link.cancel(job.id)

    def _lose_backend(self, why: str, detail: str = "") -> None:
        """The backend died: its jobs failed, the next one starts it anew."""
        for job in self._sent.values():
            if job.result is None and not job.ended:
                job.end(tasks.FAILED, tr("{problem} Harmonize again to start it anew.", problem=why), detail)
        self._sent.clear()
        self._notice.say(why)


def _own(image: Placed) -> Generator[None, None, Placed]:
    """Steps that return a copy: the backend may take its memory back once it is told that we have it."""
    given, data = memoryview(image.raster.data).cast("B"), bytearray()
    for start in range(0, len(given), PIECE):
        data += given[start : start + PIECE]
        yield
    return replace(image, raster=replace(image.raster, data=data))


def _check_size(export: Export) -> None:
    """Raises Problem if a raster is too large to be sent."""
    if max(export.painting.expected_bytes, export.layer.raster.expected_bytes) <= LARGEST:
        return
    if export.painting.depth == "F32":
        raise Problem(
            tr(
                "It is too large to be painted at once with its surroundings: select a smaller part of it, "
                "or convert the image to 16-bit integers."
            )
        )
    raise Problem(
        tr("It is too large to be painted at once with its surroundings: select a smaller part of it.")
    )
