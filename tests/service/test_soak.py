"""Mixed jobs, cancels and disconnects at small size: memory stays, no job is unaccounted for.

Two minutes in the ordinary run; an hour with `-m soak`.
"""

import contextlib
import dataclasses
import os
import random
import signal
import time
from pathlib import Path

import pytest

from plugin.painterly.protocol import messages
from plugin.painterly.protocol.messages import Cancelled, Failed, Result
from tests.fakes.backend import BABBLES, DIES, DIES_LATE, EXHAUSTS, RAISES, REFUSES, job
from tests.service.conftest import wait_until

# What may become of each behaviour if nobody cancels it and the worker is not killed from outside.
FAULTS = {
    RAISES: messages.INTERNAL,
    REFUSES: messages.INVALID_INPUT,
    EXHAUSTS: messages.OUT_OF_MEMORY,
    DIES: messages.WORKER_DIED,
    DIES_LATE: messages.WORKER_DIED,
}


class Visitor:
    """One client and the jobs that it has not heard the end of; every other one is as from elsewhere."""

    def __init__(self, service, generator, number):
        self.service, self.generator, self.number = service, generator, number
        self.endpoint = dataclasses.replace(service.endpoint, **({"exchange": ""} if number % 2 else {}))
        self.client = service.client(self.endpoint)
        self.acknowledged = set()
        self.open, self.ends, self.count = {}, {}, 0
        self.unaccepted, self.doomed = {}, set()

    def act(self):
        chance = self.generator.random()
        if chance < 0.5 and len(self.open) < 6:
            self.submit()
        elif chance < 0.6 and self.doomed & set(self.open):
            name = self.generator.choice(sorted(self.doomed & set(self.open)))
            self.doomed.remove(name)
            self.open[name] = "cancelled"
            self.client.cancel(name, keep_best=self.generator.random() < 0.5)
        elif chance < 0.61:
            self.reconnect()
        self.listen(0.01)

    def submit(self):
        self.count += 1
        name = f"v{self.number}-{self.count}"
        if self.generator.random() < 0.2:
            self.doomed.add(name)
        does = self.generator.choice([0] * 12 + [BABBLES, *FAULTS])
        size = self.generator.choice((8, 64, 600))
        steps = self.generator.randrange(1, 8)
        self.open[name] = does
        self.unaccepted[name] = job(name, does, steps, 2, size, want_preview=True)
        self.client.submit(self.unaccepted[name])

    def reconnect(self):
        """Vanishes with jobs running and results under way, and comes back as another connection."""
        self.listen(0)
        self.client.close()
        self.client = self.service.client(self.endpoint)
        self.client.resume(*(set(self.open) - set(self.unaccepted)))
        for request in self.unaccepted.values():  # whether it arrived is not known: the service does
            self.client.submit(request)
        for name in self.acknowledged:  # whether the service heard it is not known either
            self.client.acknowledge(name)
        self.acknowledged.clear()

    def listen(self, timeout):
        for message in self.client.poll(timeout):
            if isinstance(message, messages.Accepted) or isinstance(message, messages.LAST_WORDS):
                self.unaccepted.pop(message.job, None)
            if isinstance(message, messages.LAST_WORDS) and message.job:
                self.end(message)
        self.client.forget()

    def end(self, word):
        if word.job not in self.open:
            return  # said again after a reconnect
        self.client.acknowledge(word.job)
        self.acknowledged.add(word.job)
        self.doomed.discard(word.job)
        does = self.open.pop(word.job)
        self.ends[word.job] = (does, getattr(word, "kind", type(word).__name__))


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kill_worker(watcher):
    """From outside, if there is one that is ready; whether it was done."""
    while watcher.poll():
        pass
    states = [m for m in watcher.heard if isinstance(m, (messages.Welcome, messages.Status))]
    watcher.heard[:] = states[-1:]
    if not states or states[-1].worker != "ready":
        return False
    with contextlib.suppress(ProcessLookupError):  # it has just died by itself
        os.kill(states[-1].device["pid"], signal.SIGKILL)
        return True
    return False


def soak(service, seconds, report_every):
    generator = random.Random(1)
    visitors = [Visitor(service, generator, number) for number in range(4)]
    watcher = service.client()
    start, warm, next_report, kills = time.monotonic(), None, report_every, 0
    while time.monotonic() - start < seconds:
        generator.choice(visitors).act()
        elapsed = time.monotonic() - start
        if warm is None and elapsed > min(0.25 * seconds, 300):
            warm = resident(service.process.pid)
        if generator.random() < 0.001:
            kills += kill_worker(watcher)
        if elapsed > next_report:
            next_report += report_every
            jobs, memory = sum(visitor.count for visitor in visitors), resident(service.process.pid)
            print(f"{elapsed:.0f} s: {jobs} jobs, {memory >> 10} KiB", flush=True)
    for visitor in visitors:
        wait_until(lambda: visitor.listen(0.05) or not visitor.open, 120)
    return visitors, warm, resident(service.process.pid), kills


def check(service, seconds, report_every=30, noise=0):
    """`noise`: bytes of the service's memory that come and go, too many for a tenth of so small a process."""
    visitors, warm, end, kills = soak(service, seconds, report_every)
    ends = {name: end for visitor in visitors for name, end in visitor.ends.items()}
    submitted = sum(visitor.count for visitor in visitors)
    kinds = {}
    for does, kind in ends.values():
        kinds[kind] = kinds.get(kind, 0) + 1
    print(
        f"{submitted} jobs in {seconds} s, ends {kinds}, worker killed {kills} times from outside; "
        f"service memory after warm-up {warm >> 10} KiB, at the end {end >> 10} KiB ({end / warm - 1:+.1%})"
    )
    assert len(ends) == submitted > seconds  # every job has an end that its client heard of
    for does, kind in ends.values():
        if does != "cancelled" and kind != messages.WORKER_DIED:  # killed from outside
            assert kind == FAULTS.get(does, Result.__name__)
    assert kinds[Result.__name__] > submitted / 4 and kinds[Cancelled.__name__] > 0
    assert messages.UNKNOWN_JOB not in kinds and Failed.__name__ not in kinds
    assert end < 1.1 * warm + noise
    wait_until(lambda: not list(service.exchange.iterdir()))
    print("no file is left in the exchange")


def test_two_minutes_of_everything(service):
    check(service, 120, noise=4 << 20)  # six kilobytes for each of its jobs would show


@pytest.mark.soak
def test_an_hour_of_everything(service):
    check(service, 3600)
