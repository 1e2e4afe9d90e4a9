"""The service: a socket loop that passes messages between clients and the worker, and computes nothing.

No torch in this process: ping and cancel are answered at once, whatever the worker does, and the worker
may crash or run out of memory without taking the clients' connections or finished results along.

The parts are in backend/service: `peers` (connections), `intake` (reading what clients send), `desk` (what
happens to jobs), `jobs` (queue and kept results), `supervisor` (the worker process), `keys` (who is let in),
`room` (the private folder), `parent` (when to end).
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

import zmq

from backend.service.desk import Desk, Patience
from backend.service.intake import job_of, read_request
from backend.service.jobs import JobBook
from backend.service.keys import DoorKeeper, KeyPair, KeysFile
from backend.service.parent import ParentWatch
from backend.service.peers import Peer, Peers
from backend.service.room import Room, remove_connection_file
from backend.service.supervisor import DEFAULT_COMMAND, Supervisor
from plugin.painterly.protocol import codec, messages, process
from plugin.painterly.protocol.endpoint import Endpoint
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.raster import Buffer
from plugin.painterly.protocol.version import PAINTERLY

_TICK_MS = 200
_LOOK_SECONDS = 1.0
_PING_SECONDS = 5.0
_SWEEP_SECONDS = 60.0
_ASLEEP_SECONDS = 2.0  # between two turns: more means that the machine slept, or this process was stopped
_BATCH = 64  # messages taken from clients before the worker has its turn


@dataclass(frozen=True)
class Config:
    """How to serve. `folder`: for private files. `keys`: a keys file makes it a service for other machines,
    without a connection file. The rest as in `painterly serve --help`.
    """

    folder: Path
    connection_file: Path | None = None
    bind: str = "tcp://127.0.0.1:*"
    keys: Path | None = None
    parent_pid: int = 0
    end_with_stdin: bool = False
    idle_seconds: float = 1800.0
    queue_limit: int = 64
    stall_seconds: float = 1800.0
    cancel_seconds: float = 60.0
    worker_command: Sequence[str] = DEFAULT_COMMAND


class Server:
    """One service from start to end: `Server(config).run(on_ready)`."""

    def __init__(self, config: Config):
        self._config = config
        self._instance = uuid.uuid4().hex
        self._parent = ParentWatch(config.parent_pid, config.end_with_stdin)
        self._keys = KeysFile(config.keys) if config.keys else None
        self._context = zmq.Context()
        self._door = DoorKeeper(self._context)
        self._client = KeyPair.new()
        self._own = self._keys.own if self._keys else KeyPair.new()
        allows = self._keys.allows if self._keys else lambda key: key == self._client.public
        self._peers = Peers(self._context, self._door, self._own, allows, config.bind)
        self._room = Room(config.folder, self._instance)
        self._worker = Supervisor(self._context, self._door, self._room, config.worker_command)
        self._desk = Desk(
            self._peers,
            self._room,
            self._worker,
            JobBook(config.queue_limit),
            Patience(config.stall_seconds, config.cancel_seconds),
        )
        self._ending = ""
        self._active_at = self._looked_at = self._pinged_at = self._swept_at = time.monotonic()
        self._turned_at = time.monotonic()

    # ---- the loop ------------------------------------------------------------------------------

    def run(self, on_ready: Callable[[str, Path | None], None]) -> str:
        """Serves until there is a reason to end, and returns it, one sentence. `on_ready(address, connection file)`
        is called once it listens."""
        for number in _endings():
            signal.signal(number, lambda *_: self._end("The service was told to end."))
        try:
            self._worker.start()
            self._write_connection_file()
            on_ready(self._peers.address, self._config.connection_file)
            self._turned_at = time.monotonic()
            while not self._ending:
                self._turn()
            return self._ending
        finally:
            self._close()

    def _turn(self) -> None:
        """Waits for a moment, then deals with whatever came."""
        poller = zmq.Poller()
        for socket in (self._door.socket, self._peers.socket, self._worker.socket):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(_TICK_MS))
        self._overlook_sleep()
        if self._door.socket in ready:
            self._door.answer()
        if self._worker.socket in ready:
            self._desk.hear_worker()
        if self._peers.socket in ready:
            self._hear_clients()
        self._desk.turn(self._turned_at)
        self._look_around()

    def _hear_clients(self) -> None:
        for _ in range(_BATCH):
            received = self._peers.receive()
            if received is None:
                return
            self._active_at = time.monotonic()
            self._hear_client(*received)

    def _hear_client(self, peer_id: bytes, owner: str, frames: list[Buffer]) -> None:
        peer = self._peers.get(peer_id)
        try:
            message = read_request(frames, self._room.exchange, may_name_files=self._keys is None)
        except ProtocolError as error:
            kind = messages.VERSION if error.kind == "version" else messages.PROTOCOL
            self._peers.say(peer_id, messages.Failed(job_of(frames), kind, str(error)))
            return
        if isinstance(message, messages.Hello):
            self._welcome(peer_id, owner, message)
        elif isinstance(message, messages.Ack):  # may well be a client's last message before it leaves
            self._desk.acknowledge(owner, message)
        elif peer is None:  # also one whose broken line ZeroMQ mended: its Ping is how that is noticed
            self._peers.say(peer_id, messages.Failed("", messages.NOT_GREETED, "Say Hello first."))
        elif isinstance(message, messages.Ping):
            self._peers.say(peer_id, messages.Pong(message.token))
        elif isinstance(message, messages.Shutdown):
            self._shut_down(peer)
        else:
            self._desk.obey(peer, message)

    def _shut_down(self, peer: Peer) -> None:
        if self._keys is None:
            self._end("The service was told to end.")
        else:
            sentence = "This service is for several clients; end it on its own machine."
            self._peers.say(peer.id, messages.Failed("", messages.PROTOCOL, sentence))

    def _welcome(self, peer_id: bytes, owner: str, hello: messages.Hello) -> None:
        self._peers.greet(peer_id, owner, hello, may_share=self._keys is None)
        welcome = messages.Welcome(
            service=PAINTERLY,
            instance=self._instance,
            queue_limit=self._config.queue_limit,
            buffer_limit=codec.REQUEST_LIMITS.buffer,
            worker=self._worker.state,
            device=dict(self._worker.device),
        )
        self._peers.say(peer_id, welcome)

    # ---- now and then --------------------------------------------------------------------------

    def _overlook_sleep(self) -> None:
        """The time that a machine slept is nobody's silence; some systems' clocks count it, Windows' does."""
        now = time.monotonic()
        asleep, self._turned_at = now - self._turned_at, now
        if asleep > _ASLEEP_SECONDS:
            self._active_at += asleep
            self._desk.overlook(asleep)

    def _look_around(self) -> None:
        now = self._turned_at  # a sleep since then is overlooked in the next turn
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        if not self._room.exists:
            self._end("The service's private folder was removed.")
            return
        if now - self._pinged_at > _PING_SECONDS:
            self._pinged_at = now
            self._desk.call_on_waiting()
        if now - self._swept_at > _SWEEP_SECONDS:
            self._swept_at = now
            self._peers.forget_silent()
            self._desk.sweep()
        if self._parent.gone():
            self._end("The program that started the service has ended.")
        active_at = max(self._active_at, self._desk.active_at)
        if self._desk.empty and now - active_at > self._config.idle_seconds:
            self._end("The service was idle.")

    # ---- start and end -------------------------------------------------------------------------

    def _write_connection_file(self) -> None:
        if self._config.connection_file is None:
            return
        pid = os.getpid()
        Endpoint(
            self._peers.address,
            self._own.public,
            self._client.public,
            self._client.secret,
            pid=pid,
            started=process.started(pid),
            instance=self._instance,
            exchange=str(self._room.exchange.folder),
        ).write(self._config.connection_file)

    def _end(self, why: str) -> None:
        self._ending = why

    def _close(self) -> None:
        """Tells everybody, ends the worker and leaves nothing behind."""
        if self._config.connection_file is not None:
            remove_connection_file(self._config.connection_file, self._instance)
        sentence = self._ending or "The service ended unexpectedly."
        self._desk.dismiss_all(sentence)
        self._worker.close()
        self._peers.close()
        self._door.close()
        self._context.term()
        self._room.close()


def _endings() -> list[int]:
    """Signals that end the service in good order; a closed terminal too, unless it was started with nohup."""
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    heeded = hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([hang_up] if heeded else [])]
