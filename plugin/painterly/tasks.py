"""What the artist asked for, as plain observable values: tasks made of one job a layer."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .job import Landing, Origin, Selected, Source
from .protocol.messages import Preview
from .protocol.parameters import AUTO, Value
from .protocol.raster import Placed, byte_size
from .translation import tr

# A job's states; the first five are on their way, the last three are ends.
IDLE, EXPORTING, STARTING, RUNNING, PLACING = "idle", "exporting", "starting", "running", "placing"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
ENDS = (DONE, FAILED, CANCELLED)


@dataclass
class Job:
    """One layer with one set of parameters. `message` says how it ended, or what is to be known.

    `selected` is what was selected when it was asked for, until it ends; None if nothing was. `position` is how
    many other jobs the backend works on first. `result` is there from when it is computed until it is where it
    belongs or in a file; while it is `held` it waits for the artist.
    """

    source: Source
    values: Dict[str, Value]
    label: str = ""
    selected: Optional[Selected] = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: str = IDLE
    message: str = ""
    detail: str = ""
    stage: str = ""
    position: int = 0
    fraction: float = 0.0
    held: bool = False
    seconds_left: Optional[float] = None
    preview: Optional[Preview] = None
    origin: Optional[Origin] = None
    result: Optional[Placed] = None
    report: Dict[str, Any] = field(default_factory=dict)
    landing: Optional[Landing] = None

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    @property
    def computed(self) -> bool:
        """The backend has nothing more to do for it."""
        return self.ended or self.result is not None

    def end(self, state: str, message: str = "", detail: str = "") -> None:
        self.state, self.message, self.detail = state, message, detail
        self.preview, self.seconds_left, self.selected = None, None, None
        self.fraction = 1.0 if state == DONE else self.fraction


@dataclass
class Task:
    """Jobs that were asked for together. `mode` is where results go; a `variants` task has one layer."""

    jobs: List[Job]
    mode: str
    variants: bool = False
    cancelled: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> bool:
        return all(job.ended for job in self.jobs)

    @property
    def current(self) -> Optional[Job]:
        """The job that is on its way, else the next one. Variants are placed together, after the last one."""
        left = [job for job in self.jobs if not job.ended]
        if self.variants:
            left = [job for job in left if not job.computed] or left[-1:]
        return left[0] if left else None

    @property
    def number(self) -> int:
        """Which of its jobs the current one is, from 1 on."""
        return 1 + sum(1 for job in self.jobs if job.computed and job is not self.current)

    @property
    def fraction(self) -> float:
        return sum(1.0 if job.computed else job.fraction for job in self.jobs) / len(self.jobs)

    @property
    def seconds_left(self) -> Optional[float]:
        """Measured: what the running job says, and as much again as the finished ones took for the others."""
        job = self.current
        if job is None or job.computed or job.seconds_left is None:
            return None
        waiting = sum(1 for other in self.jobs if not other.computed) - 1
        whole = job.seconds_left / max(1e-3, 1.0 - job.fraction)
        return job.seconds_left + waiting * whole


@dataclass(frozen=True)
class HistoryEntry:
    """A finished result: what made it, where it is, and its pixels to place it again."""

    source: Source
    label: str
    values: Dict[str, Value]
    origin: Origin
    result: Placed
    landing: Optional[Landing]
    seconds: float

    @property
    def bytes(self) -> int:
        return _bytes_of(self.result)

    @property
    def title(self) -> str:
        """Its name comes last: it may be long, and what tells results of one layer apart must be seen."""
        style, seconds = style_name(self.values["style"]), round(self.seconds)
        return tr("{style}, {seconds} s: {name}", style=style, seconds=seconds, name=self.source.name)


@dataclass(frozen=True)
class Homeless:
    """A result whose document was closed; its pixels are also in the file `path`."""

    origin: Origin
    result: Placed
    name: str
    path: str

    @property
    def bytes(self) -> int:
        return _bytes_of(self.result)


def _bytes_of(result: Placed) -> int:
    """What its pixels take in memory."""
    return byte_size(result.raster.data)


def fault() -> str:
    """What the artist is told of a fault of ours; the trace belongs into the job's `detail`."""
    return tr("Something unexpected happened: use “Copy diagnostics” and report it.")


def style_name(style: Value) -> str:
    return tr("style {style}", style=style if style == AUTO else "{:g}".format(style))
