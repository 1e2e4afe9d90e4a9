"""The service: a socket loop that passes messages between clients and the worker, and computes nothing.

No torch in this process: ping and cancel are answered at once, whatever the worker does, and the worker
may crash or run out of memory without taking the clients' connections or finished results along.

The parts are in backend/service: `peers` (connections), `jobs` (queue and kept results), `supervisor`
(the worker process), `keys` (who is let in), `room` (the private folder), `parent` (when to end).
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

from backend.service.jobs import Job, JobBook, QueueFull
from backend.service.keys import DoorKeeper, KeyPair, KeysFile
from backend.service.parent import ParentWatch
from backend.service.peers import Peer, Peers
from backend.service.room import Room, remove_connection_file
from backend.service.supervisor import DEFAULT_COMMAND, READY, Supervisor
from plugin.painterly.protocol import codec, messages, parameters, process
from plugin.painterly.protocol.endpoint import Endpoint
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.messages import Message
from plugin.painterly.protocol.raster import Buffer
from plugin.painterly.protocol.version import PAINTERLY

_TICK_MS = 200
_LOOK_SECONDS = 1.0
_PING_SECONDS = 5.0
_SWEEP_SECONDS = 60.0
_TRIES = 2  # workers that a job is given to, if they die before they have it
_BATCH = 64  # messages taken from one side before the other has its turn


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
        self._book = JobBook(config.queue_limit)
        self._worker = Supervisor(self._context, self._door, self._room, config.worker_command)
        self._ending = ""
        self._active_at = self._looked_at = self._pinged_at = self._swept_at = time.monotonic()

    # ---- the loop ------------------------------------------------------------------------------

    def run(self, on_ready: Callable[[str, Path | None], None]) -> None:
        """Serves until told to end. `on_ready(address, connection file)` is called once it listens."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._end("The service was told to end."))
        try:
            self._worker.start()
            self._write_connection_file()
            on_ready(self._peers.address, self._config.connection_file)
            while not self._ending:
                self._turn()
        finally:
            self._close()

    def _turn(self) -> None:
        """Waits for a moment, then deals with whatever came."""
        poller = zmq.Poller()
        for socket in (self._door.socket, self._peers.socket, self._worker.socket):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(_TICK_MS))
        if self._door.socket in ready:
            self._door.answer()
        if self._worker.socket in ready:
            self._hear_worker()
        if self._peers.socket in ready:
            self._hear_clients()
        self._look_after_worker()
        self._look_around()
        self._advance()

    def _hear_clients(self) -> None:
        for _ in range(_BATCH):
            received = self._peers.receive()
            if received is None:
                return
            self._active_at = time.monotonic()
            self._hear_client(*received)

    def _hear_client(self, peer_id: bytes, owner: str, frames: list[Buffer]) -> None:
        peer = self._peers.get(peer_id)
        exchange = self._room.exchange if self._keys is None else None
        try:
            message = codec.decode_request(frames, exchange)
        except ProtocolError as error:
            kind = messages.VERSION if error.kind == "version" else messages.PROTOCOL
            self._say(peer_id, messages.Failed(_job_of(frames), kind, str(error)))
            return
        if isinstance(message, messages.Hello):
            self._welcome(peer_id, owner, message)
        elif isinstance(message, messages.Ping):
            self._say(peer_id, messages.Pong(message.token))
        elif peer is None:
            self._say(peer_id, messages.Failed("", messages.NOT_GREETED, "Say Hello first."))
        else:
            self._obey(peer, message, frames)

    def _obey(self, peer: Peer, message: Message, frames: list[Buffer]) -> None:
        """What a greeted client asks for."""
        if isinstance(message, messages.Harmonize):
            self._take_job(peer, message, frames)
        elif isinstance(message, messages.Cancel):
            self._cancel(peer, message)
        elif isinstance(message, messages.Ack):
            job = self._job(peer, message.job)
            if job is not None and job.last_word is not None:
                self._forget(job)
        elif isinstance(message, messages.Resume):
            for job_id in message.jobs:
                self._resume(peer, job_id)
        elif isinstance(message, messages.Shutdown):
            if self._keys is None:
                self._end("The service was told to end.")
            else:
                sentence = "This service is for several clients; end it on its own machine."
                self._say(peer.id, messages.Failed("", messages.PROTOCOL, sentence))

    def _welcome(self, peer_id: bytes, owner: str, hello: messages.Hello) -> None:
        self._peers.greet(peer_id, owner, hello, may_share=self._keys is None)
        welcome = messages.Welcome(
            service=PAINTERLY,
            instance=self._instance,
            queue_limit=self._book.queue_limit,
            buffer_limit=codec.REQUEST_LIMITS.buffer,
            worker=self._worker.state,
            device=dict(self._worker.device),
        )
        self._say(peer_id, welcome)

    # ---- jobs ----------------------------------------------------------------------------------

    def _take_job(self, peer: Peer, message: messages.Harmonize, frames: list[Buffer]) -> None:
        known = self._book.get(message.job)
        if known is not None:  # said again after a reconnect
            current = self._peers.get(known.peer)
            if current is None or current.number <= peer.number:  # else this one was only late
                self._resume(peer, message.job)
            return
        job = Job(message.job, peer.owner, peer.id, frames, codec.shared_files(frames[0]))
        try:
            parameters.resolve(changes=message.settings)
            self._book.add(job)
        except parameters.InvalidParameter as error:
            self._refuse(job, messages.INVALID_PARAMETER, str(error))
        except QueueFull as error:
            self._refuse(job, messages.BUSY, str(error))

    def _refuse(self, job: Job, kind: str, sentence: str) -> None:
        self._remove(job.files)
        self._say(job.peer, messages.Failed(job.id, kind, sentence))

    def _cancel(self, peer: Peer, message: messages.Cancel) -> None:
        job = self._job(peer, message.job)
        if job is None:
            self._say_unknown(peer, message.job)
        elif job is self._book.running:
            if not message.keep_best and job.cancelled_at is None:
                job.cancelled_at = time.monotonic()
            self._worker.tell(message)
        elif job.last_word is None:
            self._finish(job, codec.encode(messages.Cancelled(job.id)))

    def _resume(self, peer: Peer, job_id: str) -> None:
        job = self._job(peer, job_id)
        if job is None:
            self._say_unknown(peer, job_id)
            return
        job.peer, job.told_position, job.delivered = peer.id, -1, False
        if job.last_word is not None:
            self._deliver(job)

    def _job(self, peer: Peer, job_id: str) -> Job | None:
        """The job, if there is one and it is this client's."""
        job = self._book.get(job_id)
        return job if job is not None and job.owner == peer.owner else None

    def _say_unknown(self, peer: Peer, job_id: str) -> None:
        sentence = "The service knows no such job: it was done with, or the service was started anew."
        self._say(peer.id, messages.Failed(job_id, messages.UNKNOWN_JOB, sentence))

    def _finish(self, job: Job, last_word: Sequence[Buffer]) -> None:
        """Records and delivers a job's end; its pixels are no longer needed."""
        self._remove(job.files)
        job.files = codec.shared_files(last_word[0])
        kept = sum((self._room.exchange.folder / name).stat().st_size for name in job.files)
        self._book.finish(job, last_word, kept)
        self._active_at = time.monotonic()
        self._deliver(job)

    def _deliver(self, job: Job) -> None:
        peer = self._peers.get(job.peer)
        if peer is None:
            job.peer = None
            return
        frames = job.last_word
        if job.files and not peer.shares:
            frames = codec.encode(codec.decode_reply(frames, self._room.exchange))
        job.delivered = self._peers.send(job.peer, frames)

    def _forget(self, job: Job) -> None:
        self._remove(job.files)
        self._book.forget(job)

    def _remove(self, files: list[str]) -> None:
        for name in files:
            self._room.exchange.remove(name)

    def _advance(self) -> None:
        """Gives the worker the next job and tells clients whose place in the queue changed."""
        if self._book.running is None and self._worker.state == READY:
            job = self._book.next_job()
            if job is not None:
                self._worker.send(job.frames)
        for job, position in self._book.positions():
            if position != job.told_position:
                job.told_position = position
                self._say(job.peer, messages.Accepted(job.id, position))

    # ---- the worker ----------------------------------------------------------------------------

    def _hear_worker(self) -> None:
        for _ in range(_BATCH):
            try:
                received = self._worker.receive()
            except ProtocolError as error:
                self._lose_worker(messages.Failed("", messages.WORKER_DIED, str(error)))
                return
            if received is None:
                return
            message, frames = received
            job = self._book.running
            if isinstance(message, messages.Status):
                self._announce()
            elif job is not None and message.job == job.id:
                job.heard_at = time.monotonic()
                if isinstance(message, messages.LAST_WORDS):
                    self._finish(job, frames)
                    return
                if isinstance(message, messages.Accepted):
                    job.frames = ()
                else:
                    self._peers.send(job.peer, frames)

    def _look_after_worker(self) -> None:
        job, now = self._book.running, time.monotonic()
        death = self._worker.died()
        if death is None and job is not None:
            if now - job.heard_at > self._config.stall_seconds:
                sentence = "The computing process gave no sign for too long and was ended; try again."
                death = messages.Failed("", messages.WORKER_DIED, sentence, self._room.log_tail())
            elif job.cancelled_at is not None and now - job.cancelled_at > self._config.cancel_seconds:
                self._finish(job, codec.encode(messages.Cancelled(job.id)))
                death = messages.Failed("", messages.WORKER_DIED, "It did not heed a Cancel.")
        if death is not None:
            self._lose_worker(death)
        if self._worker.start_if_due(wanted=self._book.unfinished):
            self._announce()

    def _lose_worker(self, death: messages.Failed) -> None:
        """The running job fails; the others wait for the next worker, if there will be one."""
        self._worker.bury()
        self._announce()
        job = self._book.running
        if job is not None and job.frames and job.tries < _TRIES and job.cancelled_at is None:
            self._book.put_back(job)
        lost = [self._book.running] if self._book.running is not None else []
        if self._worker.state == "failed":
            lost = [job for job, _ in self._book.positions()]
        for job in lost:
            last_word = messages.Failed(job.id, death.kind, death.message, death.detail)
            if job.cancelled_at is not None:
                last_word = messages.Cancelled(job.id)
            self._finish(job, codec.encode(last_word))

    def _announce(self) -> None:
        for peer in self._peers:
            self._say(peer.id, self._worker.status)

    # ---- now and then --------------------------------------------------------------------------

    def _look_around(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        if now - self._pinged_at > _PING_SECONDS:
            self._pinged_at = now
            self._ping_waiting()
        if now - self._swept_at > _SWEEP_SECONDS:
            self._swept_at = now
            self._sweep()
        if self._parent.gone():
            self._end("The program that started the service has ended.")
        elif len(self._book) == 0 and now - self._active_at > self._config.idle_seconds:
            self._end("The service was idle.")

    def _ping_waiting(self) -> None:
        """Asks after clients that wait for something, and hands over what they could not take before."""
        for peer_id in {job.peer for job in self._book if job.peer is not None}:
            self._say(peer_id, messages.Ping(0))
        for job in self._book:
            if job.last_word is not None and not job.delivered:
                self._deliver(job)

    def _sweep(self) -> None:
        for job in self._book.overdue():
            self._forget(job)
        self._peers.forget_silent()
        self._room.sweep({name for job in self._book for name in job.files})

    # ---- start and end -------------------------------------------------------------------------

    def _say(self, peer_id: bytes | None, message: Message) -> None:
        self._peers.send(peer_id, codec.encode(message))

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
        for job, _ in self._book.positions():
            self._say(job.peer, messages.Failed(job.id, messages.SHUTTING_DOWN, sentence))
        self._worker.close()
        self._peers.close()
        self._door.close()
        self._context.term()
        self._room.close()


def _job_of(frames: Sequence[Buffer]) -> str:
    """The job that a broken message was about, if that much can be read of it; else ""."""
    try:
        body = codec.read_header(frames[0], codec.REQUEST_LIMITS)["body"]
        job = body["job"]
        messages.check_job(job)
    except (IndexError, KeyError, TypeError, ProtocolError):
        return ""
    return job
