"""The worker process: started, listened to, declared dead, started again.

Server and worker speak the contract's own messages over a loopback socket of their own, with keys
made for each worker and handed over through its standard input. That pipe is also the worker's
lifeline: when it closes, because the service ended in whatever way, the worker ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

import zmq

from backend.service.keys import DoorKeeper, KeyPair
from backend.service.room import Room
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.messages import Message
from plugin.painterly.protocol.raster import Buffer

STARTING, READY, FAILED = "starting", "ready", "failed"

DEFAULT_COMMAND = (sys.executable, "-m", "backend.worker")
_DOMAIN = "worker"
_TRIES = 3  # starts in a row without a "ready" before giving up until the next job
_PAUSE = 1.0  # seconds before the next start for each that failed
_START_SECONDS = 180.0  # importing torch from a cold network disk takes a while
_UPDATED = "Painterly was updated: start Krita, or the service that you started yourself, anew."
_ROOT = Path(__file__).resolve().parents[2]
VMSTAT = Path("/proc/vmstat")  # where Linux counts what it killed for want of memory


class WorkerNotStarted(OSError):
    """The system did not let a worker start; the message is one sentence."""


class Supervisor:
    """Owns the worker process and the socket to it. `state` is "starting", "ready" or "failed"."""

    def __init__(self, context: zmq.Context, door: DoorKeeper, room: Room, command: Sequence[str]):
        self._context, self._door, self._room, self._command = context, door, room, tuple(command)
        self._process: subprocess.Popen | None = None
        self._dying: subprocess.Popen | None = None
        self._tries = 0
        self._started = self._next_try = 0.0
        self._kills = 0
        self.state = STARTING
        self.device: Mapping[str, Any] = {}
        self.message = ""
        self.socket: zmq.Socket | None = None

    @property
    def status(self) -> messages.Status:
        return messages.Status(self.state, dict(self.device), self.message)

    def start(self) -> None:
        """A new worker with a new socket and new keys; nothing that an old one said can arrive any more.

        Raises WorkerNotStarted, which counts as a try; `bury` clears away what there is of it then.
        """
        self._tries += 1
        try:
            self._start()
        except (OSError, zmq.ZMQBaseError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.message = (
                f"The computing process could not be started ({reason}); close other programs and try again."
            )
            raise WorkerNotStarted(self.message) from error
        self.state, self.device, self.message = STARTING, {}, ""
        self._started = time.monotonic()

    def _start(self) -> None:
        own, its = KeyPair.new(), KeyPair.new()
        self.socket = self._context.socket(zmq.PAIR)
        self.socket.linger = 0
        self._door.guard(self.socket, _DOMAIN, own, lambda key: key == its.public)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        lifeline = {
            "address": f"tcp://127.0.0.1:{port}",
            "server_public": own.public,
            "public": its.public,
            "secret": its.secret,
            "exchange": str(self._room.exchange.folder),
        }
        self._kills = _kernel_kills()
        with self._room.open_log() as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(), **_quiet()
            )
        self._process.stdin.write(json.dumps(lifeline).encode("ascii") + b"\n")
        self._process.stdin.flush()

    def send(self, frames: Sequence[Buffer]) -> None:
        """Sends without waiting; what a dead worker does not get is dealt with when its death is noticed."""
        try:
            self.socket.send_multipart(frames, flags=zmq.DONTWAIT, copy=False)
        except zmq.Again:
            self.message = "The computing process no longer listened."

    def tell(self, message: Message) -> None:
        self.send(codec.encode(message))

    def receive(self) -> tuple[Message, list[Buffer]] | None:
        """The worker's next message and its frames, None if there is none. Raises ProtocolError."""
        try:
            frames = [frame.buffer for frame in self.socket.recv_multipart(zmq.DONTWAIT, copy=False)]
        except zmq.Again:
            return None
        try:
            message = codec.decode_reply(frames, self._room.exchange)
        except ProtocolError as error:
            if error.kind != "version":
                raise
            self.message, self._tries = _UPDATED, _TRIES  # the next one would be no other
            raise ProtocolError(_UPDATED, error.kind) from error
        if isinstance(message, messages.Status):
            self.state, self.device, self.message = message.worker, message.device, message.message
            self._tries = 0 if self.state == READY else self._tries
        return message, frames

    def died(self) -> messages.Failed | None:
        """How the worker ended, as a `Failed` to fill in, or None while it lives (or is not started)."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is None and (self.state == READY or time.monotonic() - self._started < _START_SECONDS):
            return None
        how = "did not start in time" if code is None else f"exit code {code}"
        detail = f"{how}\n{self._room.log_tail()}"
        if code == -9 and _kernel_kills() > self._kills:
            sentence = "The memory of this machine did not suffice; lower the working resolution."
            return messages.Failed("", messages.OUT_OF_MEMORY, sentence, detail)
        sentence = self.message or "The computing process ended unexpectedly; try again, perhaps smaller."
        return messages.Failed("", messages.WORKER_DIED, sentence, detail)

    def overlook(self, seconds: float) -> None:
        """For so long the machine slept: a worker that starts has as much more time for it."""
        self._started += seconds

    def bury(self) -> None:
        """Ends the worker without waiting for it; `start_if_due` brings the next one once it is gone."""
        self._kill()
        self._dying, self._process = self._process, None
        if self.socket is not None:
            self.socket.close(linger=0)
            self.socket = None
        self._next_try = time.monotonic() + _PAUSE * self._tries
        if self._tries >= _TRIES:
            self.state = FAILED
            self.message = self.message or "The computing process does not start; run install.py again."
        else:
            self.state = STARTING

    def start_if_due(self, wanted: bool) -> bool:
        """Starts a worker if there is none and it is time; after giving up, only if one is `wanted`.

        Raises WorkerNotStarted.
        """
        if self._process is not None or time.monotonic() < self._next_try:
            return False
        if self._dying is not None and self._dying.poll() is None:  # on a starved machine that takes a while
            return False
        if self.state == FAILED and not wanted:
            return False
        self.start()
        return True

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(OSError):  # it may have ended before it had read its keys
                self._process.stdin.close()

    def close(self) -> None:
        """Ends the worker and sees it gone."""
        self._kill()
        for process in (self._process, self._dying):
            if process is not None:
                process.wait()
        if self.socket is not None:
            self.socket.close(linger=0)


def _environment() -> dict[str, str]:
    """The worker finds this very package, wherever the service was started from."""
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _quiet() -> dict[str, int]:
    """No console window, and the artist's other programs first (elsewhere the worker sets its niceness)."""
    if sys.platform != "win32":
        return {}
    return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS}


def _kernel_kills() -> int:
    """How many processes this machine's kernel has killed for want of memory; 0 where it does not tell."""
    try:
        lines = VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
