"""The jobs of a service: who waits, who runs, and the last words kept until they are acknowledged.

Plain bookkeeping, no sockets. A job ends with exactly one last word (Result, Cancelled or Failed).
Pixels of a result are a file in the exchange folder, so what is kept costs disk and not memory, unless the
disk is full. Kept until the client's Ack, at most KEEP_SECONDS, and at most KEEP_BYTES on disk and KEEP_MEMORY
in memory in all (the oldest go first).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Iterator, Sequence

from plugin.painterly.protocol.raster import Buffer

KEEP_SECONDS = 24 * 3600.0
KEEP_BYTES = 8 << 30
KEEP_MEMORY = 4 << 30
# Pixels of waiting jobs in the exchange, and those in memory (short ones, and all once the disk is full).
WAITING_BYTES = 16 << 30
WAITING_MEMORY = 4 << 30


class QueueFull(Exception):
    """The service takes no more jobs for now; the message is one sentence for the artist."""


@dataclass
class Job:
    """`owner` is the client's key, `peer` its present connection (None while it has none).

    `frames` are the request until the worker has it; `files` of `kept_bytes` are what the job has in the
    exchange, first its request's, then its last word's.
    """

    id: str
    owner: str
    peer: bytes | None
    frames: Sequence[Buffer]
    files: list[str]
    kept_bytes: int = 0
    told_position: int = -1
    tries: int = 0
    cancelled_at: float | None = None
    heard_at: float = field(default_factory=time.monotonic)
    last_word: Sequence[Buffer] | None = None
    ended_at: float = 0.0
    delivered: bool = False

    @property
    def inline_bytes(self) -> int:
        """What the request, then the last word, takes of memory."""
        return sum(memoryview(frame).nbytes for frame in (*self.frames, *(self.last_word or ())))


class JobBook:
    """All jobs that the service knows, by id; `running` is the one that the worker has."""

    def __init__(self, queue_limit: int):
        self.queue_limit = queue_limit
        self.running: Job | None = None
        self._waiting: deque[Job] = deque()
        self._jobs: dict[str, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    @property
    def unfinished(self) -> bool:
        return self.running is not None or bool(self._waiting)

    def add(self, job: Job) -> None:
        """Puts the job at the queue's end; raises QueueFull."""
        if len(self._waiting) >= self.queue_limit:
            raise QueueFull(f"{self.queue_limit} jobs are waiting already; try again when some are done.")
        all_jobs = [*self._waiting, job]
        in_memory, on_disk = sum(j.inline_bytes for j in all_jobs), sum(j.kept_bytes for j in all_jobs)
        if in_memory > WAITING_MEMORY or on_disk > WAITING_BYTES:
            raise QueueFull("The waiting jobs take all the room for them; try again when some are done.")
        self._jobs[job.id] = job
        self._waiting.append(job)

    def next_job(self) -> Job | None:
        """The first in the queue, now running; None if nobody waits. Only when nothing runs."""
        if self._waiting:
            self.running = self._waiting.popleft()
            self.running.heard_at = time.monotonic()
            self.running.tries += 1
        return self.running

    def put_back(self, job: Job) -> None:
        """The running job is the first in the queue again: its worker died before it had it."""
        self.running = None
        self._waiting.appendleft(job)

    def positions(self) -> Iterator[tuple[Job, int]]:
        """Every unfinished job and how many are before it."""
        ahead = 0
        if self.running is not None:
            yield self.running, 0
            ahead = 1
        for place, job in enumerate(list(self._waiting)):
            yield job, place + ahead

    def finish(self, job: Job, last_word: Sequence[Buffer], kept_bytes: int = 0) -> None:
        """Records the job's last word; it no longer waits or runs."""
        if job is self.running:
            self.running = None
        elif job in self._waiting:
            self._waiting.remove(job)
        job.frames, job.last_word, job.kept_bytes = (), last_word, kept_bytes
        job.ended_at = time.monotonic()

    def forget(self, job: Job) -> None:
        """Drops a job that ended."""
        del self._jobs[job.id]

    def overdue(self) -> list[Job]:
        """Ended jobs that nobody acknowledged in time or that there is no more room for."""
        ended = sorted((job for job in self if job.last_word is not None), key=lambda job: -job.ended_at)
        horizon, on_disk, in_memory, result = time.monotonic() - KEEP_SECONDS, 0, 0, []
        for job in ended:
            on_disk, in_memory = on_disk + job.kept_bytes, in_memory + job.inline_bytes
            if job.ended_at < horizon or on_disk > KEEP_BYTES or in_memory > KEEP_MEMORY:
                result.append(job)
        return result
