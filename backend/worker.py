"""The computing process: owns the device, keeps the engine warm, does one job after another.

Started by the service (backend/service/supervisor.py), to which it speaks the contract's own messages:
in come Harmonize and Cancel, out go Status, Progress and one last word a job. One thread computes and
talks, between iterations; a second one only waits for the service's end.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
import time
import traceback
from typing import Any, Callable, Mapping, Protocol

import zmq

from backend import lifeline
from backend.harmonize.errors import Cancelled, HarmonizeError
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.exchange import Exchange
from plugin.painterly.protocol.messages import Message
from plugin.painterly.protocol.parameters import InvalidParameter
from plugin.painterly.protocol.raster import Placed

# The artist paints on while this computes.
_NICENESS = 5
_PROGRESS_SECONDS = 0.05
# Previews take at most this part of the time, and are never more frequent than the eye needs.
_PREVIEW_SHARE = 0.03
_PREVIEW_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


class Link:
    """The socket to the service."""

    def __init__(self, keys: Mapping[str, str]):
        self.exchange = Exchange(keys["exchange"])
        self._socket = zmq.Context.instance().socket(zmq.PAIR)
        self._socket.linger = 5000
        self._socket.curve_serverkey = keys["server_public"].encode("ascii")
        self._socket.curve_publickey = keys["public"].encode("ascii")
        self._socket.curve_secretkey = keys["secret"].encode("ascii")
        self._socket.connect(keys["address"])

    def send(self, message: Message) -> None:
        self._socket.send_multipart(codec.encode(message, self.exchange), copy=False)

    def receive(self) -> Message:
        """Waits for the next message."""
        frames = self._socket.recv_multipart(copy=False)
        return codec.decode_request([frame.buffer for frame in frames], self.exchange)

    def cancel_of(self, job: str) -> messages.Cancel | None:
        """The Cancel of `job`, if it has come; does not wait. Only a Cancel can come while a job runs."""
        while self._socket.poll(0):
            message = self.receive()
            if isinstance(message, messages.Cancel) and message.job == job:
                return message
        return None


class Workshop(Protocol):
    """What does the jobs. Tests put others in the place of `EngineWorkshop`."""

    def describe(self) -> dict[str, Any]:
        """The device and versions, for Status."""

    def harmonize(self, job: messages.Harmonize, watch: Watch) -> tuple[Placed, dict[str, Any]]:
        """The result and its report; calls `watch.step` after each iteration, which may raise Cancelled."""

    def best(self, cancelled: Cancelled, job: messages.Harmonize) -> Placed | None:
        """The picture so far that a Cancelled carries."""


class EngineWorkshop:
    """The real one: rasters to tensors, the engine, tensors to rasters."""

    def __init__(self, engine: Any = None):
        from backend import convert  # torch: only in this process, and only when it is really needed
        from backend.engine import Engine
        from backend.windowed import object_box

        self._convert, self._object_box, self._engine = convert, object_box, engine or Engine()

    def describe(self) -> dict[str, Any]:
        return self._engine.describe()

    def harmonize(self, job: messages.Harmonize, watch: Watch) -> tuple[Placed, dict[str, Any]]:
        composite = self._convert.to_composite(job)
        box = self._object_box(composite)

        def on_step(step: Any) -> None:
            watch.step(step, lambda: self._convert.to_preview(step.preview(), box))

        outcome = self._engine.harmonize(composite, job.settings, on_step)
        return self._convert.to_placed(outcome, job.result_depth), outcome.report

    def best(self, cancelled: Cancelled, job: messages.Harmonize) -> Placed | None:
        return (
            self._convert.to_placed(cancelled.best, job.result_depth) if cancelled.best is not None else None
        )


class Watch:
    """Between iterations of one job: tells the service over `link`, throttled, and looks for a Cancel."""

    def __init__(self, link: Link, job: messages.Harmonize):
        self.link, self._job = link, job
        self._told_at = -math.inf
        self._begun_at = self._shown_at = time.monotonic()
        self._preview_cost = self._spent_on_previews = 0.0
        self._stage = ""
        self.cancel: messages.Cancel | None = None

    def step(self, step: Any, preview: Callable[[], messages.Preview] | None = None) -> None:
        """Passes on a `backend.harmonize.step.Step`; raises Cancelled once the client asked for it."""
        self.cancel = self.link.cancel_of(self._job.job)
        if self.cancel is not None:
            raise Cancelled()
        now = time.monotonic()
        shown = self._preview(now, preview) if step.preview is not None and preview is not None else None
        if shown is None and step.stage == self._stage and now - self._told_at < _PROGRESS_SECONDS:
            return
        self._told_at, self._stage = now, step.stage
        self.link.send(
            messages.Progress(
                self._job.job, step.stage, step.iteration, step.iterations,
                min(1.0, max(0.0, step.fraction)), _as_json(step.seconds_left), shown,
            )
        )  # fmt: skip

    def _preview(self, now: float, preview: Callable[[], messages.Preview]) -> messages.Preview | None:
        """A preview, if one is wanted and its cost, taken to be the last one's, has been earned before."""
        due = self._spent_on_previews + self._preview_cost <= _PREVIEW_SHARE * (now - self._begun_at)
        if not self._job.want_preview or not due or now - self._shown_at < _PREVIEW_SECONDS:
            return None
        shown = preview()
        self._shown_at = time.monotonic()
        self._preview_cost = self._shown_at - now
        self._spent_on_previews += self._preview_cost
        return shown


def do_job(workshop: Workshop, link: Link, job: messages.Harmonize) -> Message:
    """The job's last word; whatever happens, there is one."""
    watch = Watch(link, job)
    try:
        placed, report = workshop.harmonize(job, watch)
        return messages.Result(job.job, placed, _as_json(report))
    except Cancelled as cancelled:
        keep = watch.cancel is not None and watch.cancel.keep_best
        return messages.Cancelled(job.job, workshop.best(cancelled, job) if keep else None)
    except HarmonizeError as error:
        return messages.Failed(job.job, error.kind, str(error), traceback.format_exc())
    except InvalidParameter as error:
        return messages.Failed(job.job, messages.INVALID_PARAMETER, str(error), traceback.format_exc())
    except Exception as error:
        kind = messages.INTERNAL
        sentence = f"Something unexpected happened while painting ({type(error).__name__})."
        if _lacks_memory(error):
            kind = messages.OUT_OF_MEMORY
            sentence = "The memory did not suffice; close other programs or lower the working resolution."
        return messages.Failed(job.job, kind, sentence, traceback.format_exc())


def _lacks_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    from backend.harmonize.ops.chunks import is_out_of_memory  # torch: as above

    return is_out_of_memory(error)


def _as_json(value: Any) -> Any:
    """The report without what JSON cannot say: a loss that is not finite must not cost the picture."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def main(open_workshop: Callable[[], Workshop] = EngineWorkshop) -> int:
    """Serves the service that started this process, until it ends."""
    keys = json.loads(sys.stdin.buffer.readline())
    _die_with_service()
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    # Ctrl-C in the service's terminal is the service's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = Link(keys)
    try:
        workshop = open_workshop()
        # Not before NumPy and torch are loaded: on Windows a pending read could keep them from it (see there).
        lifeline.at_end_of_input(lambda: os._exit(0))
        link.send(messages.Status("ready", _as_json(workshop.describe())))
    except Exception as error:
        traceback.print_exc()
        link.send(messages.Status("starting", {}, f"The computing process cannot start: {error}"))
        return 1
    while True:
        message = link.receive()
        if isinstance(message, messages.Harmonize):
            link.send(messages.Accepted(message.job, 0))
            link.send(do_job(workshop, link, message))
        # A Cancel here is for a job that has just ended.


def _die_with_service() -> None:
    """On Linux the kernel ends this process with the service, even where no thread of ours gets to run."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
