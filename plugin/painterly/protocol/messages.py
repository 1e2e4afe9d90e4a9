"""Everything the plugin and the backend say to each other, one frozen dataclass a message.

A job's life: `Harmonize` -> `Accepted` (again whenever its place in the queue changes) ->
`Progress` ... -> exactly one of `Result`, `Cancelled`, `Failed` -> the client's `Ack`. The backend
keeps the last word until it is acknowledged; a client that lost the connection asks for its jobs by
id with `Resume` and hears where each of them stands.

Field types are what the codec checks at the door; `Dict` fields are plain JSON objects.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple, Union

from .errors import ProtocolError
from .raster import Placed, Raster

# Kinds of `Failed`: stable words for programs. The first group is about a job's content, the second
# about the service, the third about what the client said.
INVALID_INPUT = "invalid-input"  # the picture, the mask or their sizes cannot be worked with
INVALID_PARAMETER = "invalid-parameter"  # a setting out of range or unknown
WEIGHTS = "weights"  # the network's weight file is missing or wrong
DEVICE = "device"  # the asked-for device or precision does not exist
OUT_OF_MEMORY = "out-of-memory"  # also when the worker process was killed for its memory
INTERNAL = "internal"  # a fault of ours; `detail` has the trace

WORKER_DIED = "worker-died"  # the computing process ended or hung; the next job gets a new one
BUSY = "busy"  # the queue is full; try again later
SHUTTING_DOWN = "shutting-down"  # the service is ending
UNKNOWN_JOB = "unknown-job"  # no such job, or it was acknowledged or is too old

PROTOCOL = "protocol"  # the message broke the contract
VERSION = "version"  # the peers speak different protocol numbers
NOT_GREETED = "not-greeted"  # the service does not know this connection: say Hello (again)

_JOB_ID = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")


def check_job(job: str) -> None:
    """Raises ProtocolError unless `job` may serve as a job's id (a uuid4 does)."""
    if not _JOB_ID.match(job):
        raise ProtocolError(f"A job's id is 1 to 64 letters, digits, - or _, not {job[:80]!r}.")


def _check_counts(*values: int) -> None:
    if min(values) < 0:
        raise ProtocolError("Counts are not negative.")


# ---- client to service -------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """First words on a connection; `client` names the program, e.g. "Krita 5.2.9". Answered by Welcome.

    `shares`: the client reads files in the service's exchange folder, so big buffers may go there.
    """

    client: str
    shares: bool = False


@dataclass(frozen=True)
class Harmonize:
    """One job: all that determines its result. Answered by Accepted or Failed.

    `job`: chosen by the client (uuid4). `painting`: what lies beneath, only the source window
    (`geometry.source_window`). `layer`: the pasted object, RGBA, relative to `painting`.
    `selection`: a MASK raster that limits the object further, or None for the whole layer.
    `settings`: complete, from `parameters.resolve`; what is missing is as in the default preset.
    `want_preview`: Progress may carry previews.
    `result_depth`: depth of the result ("U8", "U16", "F16", "F32"); integers come as BGRA, floats as RGBA.
    """

    job: str
    painting: Raster
    layer: Placed
    selection: Optional[Placed]
    settings: Dict[str, Any]
    want_preview: bool = False
    result_depth: str = "U8"

    def __post_init__(self) -> None:
        check_job(self.job)
        if self.result_depth not in ("U8", "U16", "F16", "F32"):
            raise ProtocolError("A result's depth is U8, U16, F16 or F32.")
        if self.selection is not None and self.selection.raster.layout != "MASK":
            raise ProtocolError("A selection is a MASK raster.")


@dataclass(frozen=True)
class Cancel:
    """Stop a job: at once if queued, within one iteration if running; answered by Cancelled.

    `keep_best` asks for the best picture so far.
    """

    job: str
    keep_best: bool = False

    def __post_init__(self) -> None:
        check_job(self.job)


@dataclass(frozen=True)
class Ack:
    """The client has the job's last word (Result, Cancelled or Failed): the service may forget it."""

    job: str

    def __post_init__(self) -> None:
        check_job(self.job)


@dataclass(frozen=True)
class Resume:
    """After a reconnect: tell me of these jobs from now on, and where each stands."""

    jobs: Tuple[str, ...]

    def __post_init__(self) -> None:
        for job in self.jobs:
            check_job(job)


@dataclass(frozen=True)
class Shutdown:
    """End the service: running and queued jobs fail with SHUTTING_DOWN."""


# ---- both ways ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ping:
    """Are you there? Either side may ask; the other answers at once (the service: once it was greeted)."""

    token: int


@dataclass(frozen=True)
class Pong:
    """Yes; `token` is the Ping's."""

    token: int


# ---- service to client -------------------------------------------------------------------------


@dataclass(frozen=True)
class Welcome:
    """Answer to Hello. `instance` changes with every start of the service: jobs of another are gone.

    `queue_limit` jobs may wait; `buffer_limit` bytes is the largest raster taken. `worker` and
    `device` as in Status.
    """

    service: str
    instance: str
    queue_limit: int
    buffer_limit: int
    worker: str
    device: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """The computing process changed: `worker` is "starting", "ready" or "failed".

    `device` describes where it computes once it is ready (`Engine.describe`: "device", "precision", ...).
    `message` says in one sentence why it failed.
    """

    worker: str
    device: Dict[str, Any] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Accepted:
    """The job is in the queue behind `position` others; 0: it is next or being worked on."""

    job: str
    position: int

    def __post_init__(self) -> None:
        check_job(self.job)
        _check_counts(self.position)


@dataclass(frozen=True)
class Preview:
    """A small picture (U8 BGRA) of the object as it is now, for `width` x `height` pixels at (x, y)."""

    image: Raster
    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        _check_counts(self.width, self.height)


@dataclass(frozen=True)
class Progress:
    """`iteration` of `iterations` in `stage`; `fraction` (0..1) of the whole job; seconds left if known."""

    job: str
    stage: str
    iteration: int
    iterations: int
    fraction: float
    seconds_left: Optional[float] = None
    preview: Optional[Preview] = None

    def __post_init__(self) -> None:
        check_job(self.job)
        _check_counts(self.iteration, self.iterations)
        if not 0 <= self.fraction <= 1:
            raise ProtocolError(f"A job's fraction is 0 to 1, not {self.fraction!r}.")


@dataclass(frozen=True)
class Result:
    """The harmonized object: colour and feathered alpha (not premultiplied), the smallest box with alpha > 0.

    Its place is relative to the painting raster. `report`: seconds per stage, device, versions, ...
    """

    job: str
    image: Placed
    report: Dict[str, Any]

    def __post_init__(self) -> None:
        check_job(self.job)


@dataclass(frozen=True)
class Cancelled:
    """The job was stopped; `best` is the picture so far, if it was asked for and there is one."""

    job: str
    best: Optional[Placed] = None

    def __post_init__(self) -> None:
        check_job(self.job)


@dataclass(frozen=True)
class Failed:
    """`job` ended without a result (or, with an empty `job`, the connection has a problem).

    `kind` is one of the words above, `message` one sentence for the artist, `detail` for a bug report.
    """

    job: str
    kind: str
    message: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.job:
            check_job(self.job)


Message = Union[
    Hello, Harmonize, Cancel, Ack, Resume, Shutdown, Ping, Pong,
    Welcome, Status, Accepted, Progress, Result, Cancelled, Failed,
]  # fmt: skip

TO_SERVICE = (Hello, Harmonize, Cancel, Ack, Resume, Shutdown, Ping, Pong)
TO_CLIENT = (Welcome, Status, Accepted, Progress, Result, Cancelled, Failed, Ping, Pong)
# A job's last word, kept by the service until the client's Ack.
LAST_WORDS = (Result, Cancelled, Failed)
