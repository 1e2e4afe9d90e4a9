"""Where clients' jobs and the worker meet: takes jobs, hands them on, sees that each gets its last word."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Sequence

from backend.service.jobs import Job, JobBook, QueueFull
from backend.service.peers import Peer, Peers
from backend.service.room import Room
from backend.service.supervisor import FAILED, READY, Supervisor, WorkerNotStarted
from plugin.painterly.protocol import codec, messages, parameters
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.messages import Message
from plugin.painterly.protocol.raster import Buffer

_BATCH = 64  # messages taken from the worker before the clients have their turn
_TRIES = 2  # workers that a job is given to, if they die before they have it


@dataclass(frozen=True)
class Patience:
    """Seconds without a sign of a running job, and after a Cancel, before its worker is ended."""

    stall: float
    cancel: float


class Desk:
    """All that happens to jobs. `active_at` is when something last did (monotonic seconds)."""

    def __init__(self, peers: Peers, room: Room, worker: Supervisor, book: JobBook, patience: Patience):
        self._peers, self._room, self._worker = peers, room, worker
        self._book, self._patience = book, patience
        self.active_at = time.monotonic()

    @property
    def empty(self) -> bool:
        """No job waits, runs or is kept."""
        return len(self._book) == 0

    # ---- what clients ask for ------------------------------------------------------------------

    def obey(self, peer: Peer, message: Message) -> None:
        if isinstance(message, messages.Harmonize):
            self._take_job(peer, message)
        elif isinstance(message, messages.Cancel):
            self._cancel(peer, message)
        elif isinstance(message, messages.Resume):
            for job_id in message.jobs:
                self._resume(peer, job_id)

    def acknowledge(self, owner: str, message: messages.Ack) -> None:
        job = self._job(owner, message.job)
        if job is not None and job.last_word is not None:
            self._forget(job)

    def _take_job(self, peer: Peer, message: messages.Harmonize) -> None:
        message, problem = _completed(message)
        frames = codec.encode(message, self._room.exchange, reuse=True)
        files = codec.shared_files(frames[0])
        known = self._book.get(message.job)
        if known is not None:  # said again after a reconnect
            self._remove([name for name in files if name not in known.files])
            current = self._peers.get(known.peer)
            late = current is not None and known.owner == peer.owner and current.number > peer.number
            if not late:  # from an earlier connection than the one that has the job now
                self._resume(peer, message.job)
            return
        job = Job(message.job, peer.owner, peer.id, frames, files, self._room.size_of(files))
        if problem:
            self._refuse(job, messages.INVALID_PARAMETER, problem)
            return
        try:
            self._book.add(job)
        except QueueFull as error:
            self._refuse(job, messages.BUSY, str(error))

    def _refuse(self, job: Job, kind: str, sentence: str) -> None:
        self._room.exchange.remove_all_of(job.id)
        self._peers.say(job.peer, messages.Failed(job.id, kind, sentence))

    def _cancel(self, peer: Peer, message: messages.Cancel) -> None:
        job = self._job(peer.owner, message.job)
        if job is None:
            self._say_unknown(peer, message.job)
        elif job is self._book.running:
            if not message.keep_best and job.cancelled_at is None:
                job.cancelled_at = time.monotonic()
            self._worker.tell(message)
        elif job.last_word is None:
            self._finish(job, codec.encode(messages.Cancelled(job.id)))

    def _resume(self, peer: Peer, job_id: str) -> None:
        job = self._job(peer.owner, job_id)
        if job is None:
            self._say_unknown(peer, job_id)
            return
        job.peer, job.told_position, job.delivered = peer.id, -1, False
        if job.last_word is not None:
            self._deliver(job)

    def _job(self, owner: str, job_id: str) -> Job | None:
        """The job, if there is one and it is this client's."""
        job = self._book.get(job_id)
        return job if job is not None and job.owner == owner else None

    def _say_unknown(self, peer: Peer, job_id: str) -> None:
        sentence = "The service knows no such job: it was done with, or the service was started anew."
        self._peers.say(peer.id, messages.Failed(job_id, messages.UNKNOWN_JOB, sentence))

    # ---- what the worker says ------------------------------------------------------------------

    def hear_worker(self) -> None:
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

    def turn(self, now: float) -> None:
        """After each round of messages, at `now` (monotonic seconds): replaces a worker that died, then gives out the
        next job."""
        self._look_after_worker(now)
        self._advance()

    def _look_after_worker(self, now: float) -> None:
        job = self._book.running
        death = self._worker.died()
        if death is None and job is not None:
            if now - job.heard_at > self._patience.stall:
                sentence = "The computing process gave no sign for too long and was ended; try again."
                death = messages.Failed("", messages.WORKER_DIED, sentence, self._room.log_tail())
            elif job.cancelled_at is not None and now - job.cancelled_at > self._patience.cancel:
                self._finish(job, codec.encode(messages.Cancelled(job.id)))
                death = messages.Failed("", messages.WORKER_DIED, "It did not heed a Cancel.")
        if death is not None:
            self._lose_worker(death)
        try:
            if self._worker.start_if_due(wanted=self._book.unfinished):
                self._announce()
        except WorkerNotStarted as error:
            self._lose_worker(messages.Failed("", messages.WORKER_DIED, str(error)))

    def _lose_worker(self, death: messages.Failed) -> None:
        """The running job fails; the others wait for the next worker, if there will be one."""
        self._worker.bury()
        self._announce()
        job = self._book.running
        if job is not None and job.frames and job.tries < _TRIES and job.cancelled_at is None:
            self._book.put_back(job)
        lost = [self._book.running] if self._book.running is not None else []
        if self._worker.state == FAILED:
            lost = [job for job, _ in self._book.positions()]
        for job in lost:
            last_word = messages.Failed(job.id, death.kind, death.message, death.detail)
            if job.cancelled_at is not None:
                last_word = messages.Cancelled(job.id)
            self._finish(job, codec.encode(last_word))

    def _announce(self) -> None:
        for peer in self._peers:
            self._peers.say(peer.id, self._worker.status)

    # ---- a job's way -----------------------------------------------------------------------------

    def _advance(self) -> None:
        """Gives the worker the next job and tells clients whose place in the queue changed."""
        if self._book.running is None and self._worker.state == READY:
            job = self._book.next_job()
            if job is not None:
                self._worker.send(job.frames)
        for job, position in self._book.positions():
            if position != job.told_position:
                job.told_position = position
                self._peers.say(job.peer, messages.Accepted(job.id, position))

    def _finish(self, job: Job, last_word: Sequence[Buffer]) -> None:
        """Records and delivers a job's end; its pixels are no longer needed."""
        self._remove(job.files)
        job.files = codec.shared_files(last_word[0])
        self._book.finish(job, last_word, self._room.size_of(job.files))
        self.active_at = time.monotonic()
        self._deliver(job)

    def _deliver(self, job: Job) -> None:
        """Sends the last word, its pixels as this client can take them."""
        peer = self._peers.get(job.peer)
        if peer is None:
            job.peer = None
            return
        frames = job.last_word
        if job.files and not peer.shares:
            try:
                frames = codec.encode(codec.decode_reply(frames, self._room.exchange))
            except ProtocolError as error:  # somebody took the file away
                frames = codec.encode(
                    messages.Failed(job.id, messages.INTERNAL, f"The result is lost: {error}")
                )
        job.delivered = self._peers.send(job.peer, frames)

    def _forget(self, job: Job) -> None:
        """Also takes away what a worker that died, or a message that was lost, left for this job."""
        self._room.exchange.remove_all_of(job.id)
        self._book.forget(job)

    def _remove(self, files: list[str]) -> None:
        for name in files:
            self._room.exchange.remove(name)

    # ---- now and then --------------------------------------------------------------------------

    def overlook(self, seconds: float) -> None:
        """For so long nothing could be heard: that counts as no silence of the worker and as no idleness."""
        self.active_at += seconds
        self._worker.overlook(seconds)
        job = self._book.running
        if job is not None:
            job.heard_at += seconds
            if job.cancelled_at is not None:
                job.cancelled_at += seconds

    def call_on_waiting(self) -> None:
        """Asks after clients that wait for something, and hands over what they could not take before."""
        for peer_id in {job.peer for job in self._book if job.peer is not None}:
            self._peers.say(peer_id, messages.Ping(0))
        for job in self._book:
            if job.last_word is not None and not job.delivered:
                self._deliver(job)

    def sweep(self) -> None:
        """Lets go of what was kept for too long and of files that no job speaks of."""
        for job in self._book.overdue():
            self._forget(job)
        self._room.sweep({name for job in self._book for name in job.files})

    def dismiss_all(self, sentence: str) -> None:
        """The service ends: tells whoever has an unfinished job."""
        for job, _ in self._book.positions():
            self._peers.say(job.peer, messages.Failed(job.id, messages.SHUTTING_DOWN, sentence))


def _completed(message: messages.Harmonize) -> tuple[messages.Harmonize, str]:
    """The job with complete settings, those of the default preset where it names none (as a client of an earlier
    release does of newer ones), and what is wrong with its own, if anything."""
    try:
        settings = parameters.resolve(changes=message.settings)
    except parameters.InvalidParameter as error:
        return message, str(error)
    return replace(message, settings=settings), ""
