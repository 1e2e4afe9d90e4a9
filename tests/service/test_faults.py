"""The worker fails in every way; that job gets a Failed with a kind and a sentence, the next one runs."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
import zmq

from backend import worker
from backend.service import supervisor
from backend.service.keys import DoorKeeper
from backend.service.room import Room
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.exchange import Exchange
from plugin.painterly.protocol.messages import Accepted, Failed, Result
from tests.fakes import backend
from tests.fakes.backend import DEAF, DIES, DIES_LATE, EXHAUSTS, HANGS, RAISES, REFUSES, STARVES, job
from tests.service.conftest import alive, wait_until


@pytest.mark.parametrize(
    "does, kind",
    [
        (RAISES, messages.INTERNAL),
        (REFUSES, messages.INVALID_INPUT),
        (EXHAUSTS, messages.OUT_OF_MEMORY),
        (STARVES, messages.OUT_OF_MEMORY),
        (DIES, messages.WORKER_DIED),
    ],
)
def test_a_job_that_fails(service, does, kind):
    client = service.client()
    client.submit(job("bad", does))
    client.submit(job("next"))
    failed = client.last_word("bad")
    assert isinstance(failed, Failed) and failed.kind == kind
    assert failed.message.endswith(".") and "\n" not in failed.message and failed.detail
    assert isinstance(client.last_word("next"), Result)


def test_a_worker_killed_in_mid_job(service):
    client = service.client()
    pid = client.ready()["pid"]
    client.submit(job("victim", steps=1000, milliseconds=50))
    client.submit(job("next"))
    client.progress("victim")
    os.kill(pid, signal.SIGKILL)
    failed = client.last_word("victim")
    assert failed.kind == messages.WORKER_DIED and "exit code -9" in failed.detail
    assert isinstance(client.last_word("next"), Result)
    assert client.ready()["pid"] != pid


def test_a_worker_killed_between_jobs(service):
    client = service.client()
    os.kill(client.ready()["pid"], signal.SIGKILL)
    assert isinstance(client.do(job("next")), Result)


def test_a_job_that_a_dead_worker_never_had_goes_to_the_next(service):
    client = service.client()
    pid = client.ready()["pid"]
    os.kill(pid, signal.SIGSTOP)  # it will never read the job
    client.submit(job("unread", size=1024))
    client.until(lambda m: m == Accepted("unread", 0))
    os.kill(pid, signal.SIGKILL)
    assert isinstance(client.last_word("unread"), Result)


@pytest.mark.parametrize("does", [HANGS, DEAF])
def test_a_worker_that_hangs(start, does):
    service = start(stall_seconds=1)
    client = service.client()
    pid = client.ready()["pid"]
    client.submit(job("stuck", does))
    client.submit(job("next"))
    failed = client.last_word("stuck")
    assert failed.kind == messages.WORKER_DIED
    assert isinstance(client.last_word("next"), Result)
    assert not alive(pid)


def test_a_frozen_worker_leaves_the_service_answering(start):
    service = start(stall_seconds=1)
    client = service.client()
    os.kill(client.ready()["pid"], signal.SIGSTOP)
    client.submit(job("stuck"))
    client.cancel("stuck")
    client.submit(job("next"))
    start_time = time.monotonic()
    client.resume("unknown")
    assert client.last_word("unknown").kind == messages.UNKNOWN_JOB
    assert time.monotonic() - start_time < 0.5
    client.last_word("stuck")
    assert isinstance(client.last_word("next"), Result)


@pytest.mark.parametrize("command", [["-c", "import no_such_module"], ["-c", "print('not a worker')"]])
def test_a_worker_that_never_starts(start, command):
    service = start(worker_command=[sys.executable, *command])
    client = service.client()
    client.submit(job("hopeless"))
    failed = client.last_word("hopeless")
    assert failed.kind == messages.WORKER_DIED and failed.message.endswith(".")
    if "no_such_module" in command[1]:
        assert "no_such_module" in failed.detail
    assert any(isinstance(m, messages.Status) and m.worker == "failed" for m in client.heard)
    client.submit(job("again"))  # a new job is a new try, not an endless wait
    assert client.last_word("again").kind == messages.WORKER_DIED


LATER = """
from plugin.painterly.protocol import codec
codec.PROTOCOL += 1
from tests.fakes import backend
backend.main(["worker"])
"""


def test_a_worker_of_a_later_version_is_not_tried_again_and_again(start):
    """As after an update, which a service that still runs does not take part in."""
    service = start(worker_command=[sys.executable, "-c", LATER])
    client = service.client()
    for name in ("first", "again"):
        failed = client.do(job(name))
        assert failed.kind == messages.WORKER_DIED and "was updated: start Krita" in failed.message
    told = [m for m in client.heard if isinstance(m, messages.Status)]
    assert [m.worker for m in told] in (["failed", "starting", "failed"], ["starting", "failed"] * 2)
    assert told[-1].message == failed.message


def test_a_worker_that_the_system_does_not_let_start_again(start, tmp_path):
    """As when there is no memory for a new process: what is kept and the service itself live on."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o700)
    service = start(worker_command=[str(program), backend.__file__, "worker"])
    client = service.client()
    kept = client.do(job("kept", size=1024), acknowledge=False)
    program.rename(tmp_path / "away")
    os.kill(client.ready()["pid"], signal.SIGKILL)
    failed = client.do(job("hopeless"))
    assert failed.kind == messages.WORKER_DIED and "could not be started (No such file" in failed.message
    (tmp_path / "away").rename(program)
    assert isinstance(client.do(job("next")), Result)
    client.resume("kept")
    assert client.last_word("kept") == kept


def test_a_worker_that_ends_before_it_has_its_keys(tmp_path, monkeypatch):
    def run(*command, **options):
        process = subprocess.Popen(*command, **options)
        process.wait()
        return process

    monkeypatch.setattr(supervisor, "subprocess", SimpleNamespace(Popen=run, PIPE=subprocess.PIPE))
    context = zmq.Context()
    door = DoorKeeper(context)
    worker = supervisor.Supervisor(context, door, Room(tmp_path, "room"), ["true"])
    for number in range(1, 4):
        with pytest.raises(supervisor.WorkerNotStarted, match="could not be started"):
            worker.start()
        worker.bury()
        assert worker.state == (supervisor.FAILED if number == 3 else supervisor.STARTING)
    worker.close()
    door.close()
    context.term()


def test_a_shared_file_taken_away_before_the_job_ran(service):
    client = service.client()
    client.submit(job("first", steps=20, milliseconds=50))
    client.progress("first")
    client.submit(job("robbed", size=1024))
    client.submit(job("next"))
    client.until(lambda m: m == Accepted("next", 2))
    for path in service.exchange.iterdir():
        path.unlink()
    assert isinstance(client.last_word("first"), Result)
    assert isinstance(client.last_word("robbed"), Failed)
    assert isinstance(client.last_word("next"), Result)


def test_torchs_words_for_exhausted_memory_are_understood():
    class Hungry:
        def harmonize(self, request, watch):
            torch.empty(1 << 55)

    failed = worker.do_job(Hungry(), None, job("hungry"))
    assert failed.kind == messages.OUT_OF_MEMORY, failed.detail


def test_torch_out_of_memory_in_a_real_worker(start):
    """A limit of the kernel on the worker's memory, hit by torch; the same process does the next job."""
    service = start(worker_command=[sys.executable, backend.__file__, "engine"])
    client = service.client()
    device = client.ready()
    client.submit(job("hungry", STARVES, size=64))
    client.submit(job("next", size=64))
    failed = client.last_word("hungry")
    assert failed.kind == messages.OUT_OF_MEMORY and "lower the working resolution" in failed.message
    assert "DefaultCPUAllocator" in failed.detail
    assert isinstance(client.last_word("next"), Result)
    assert client.ready() == device and device["pid"] == service.worker_pid()


@pytest.mark.parametrize("blamed, kind", [(True, messages.OUT_OF_MEMORY), (False, messages.WORKER_DIED)])
def test_a_worker_that_the_kernel_killed_for_its_memory(start, tmp_path, blamed, kind):
    """The kernel's killer is a SIGKILL and a higher count in /proc/vmstat, which stands in a file here."""
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("pgfault 7\noom_kill 3\n")
    service = start(vmstat=str(vmstat))
    client = service.client()
    pid = client.ready()["pid"]
    client.submit(job("victim", steps=1000, milliseconds=50))
    client.submit(job("next"))
    client.progress("victim")
    vmstat.write_text(f"pgfault 9\noom_kill {3 + blamed}\n")
    os.kill(pid, signal.SIGKILL)
    failed = client.last_word("victim")
    assert failed.kind == kind and failed.message.endswith(".")
    assert ("memory" in failed.message) == blamed
    assert isinstance(client.last_word("next"), Result)


@pytest.mark.parametrize("does", [DIES, DIES_LATE])
def test_what_the_dead_leave_in_the_exchange_goes(service, does):
    client = service.client()
    assert isinstance(client.do(job("big", does, size=1024), acknowledge=False), Failed)
    # One file of each worker that died with this job: a second one gets it if the first said nothing of it.
    assert bool(list(service.exchange.iterdir())) == (does == DIES_LATE)
    client.acknowledge("big")
    wait_until(lambda: not list(service.exchange.iterdir()))


def test_a_request_lost_under_way_leaves_nothing_once_its_job_is_done(service):
    client = service.client()
    client.ready()
    request = job("twice", size=1024)
    codec.encode(request, Exchange(service.exchange))  # put there, but the message never arrived
    assert isinstance(client.do(request), Result)
    wait_until(lambda: not list(service.exchange.iterdir()))
