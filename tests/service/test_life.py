"""The service ends with its parent, however that ended, and leaves nothing behind."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from backend.service.parent import ParentWatch
from plugin.painterly.connection import Connection, ConnectionProblem
from plugin.painterly.protocol import messages, process
from plugin.painterly.protocol.endpoint import Endpoint
from tests.fakes import backend
from tests.fakes.backend import job
from tests.service.conftest import alive, wait_until

# Starts a service as a launcher does, tells its pid and ready line, and waits to be killed.
PARENT = """
import json, os, subprocess, sys
program, folder, how = sys.argv[1:]
more = {"pid": [f"parent_pid={os.getpid()}"], "stdin": ["end_with_stdin=true"]}[how]
service = subprocess.Popen([sys.executable, program, "serve", folder, *more],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(json.dumps([service.pid, service.stdout.readline()]), flush=True)
service.wait()
"""


@pytest.mark.parametrize("how", ["pid", "stdin"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_service_ends_with_its_parent(tmp_path, how, number):
    command = [sys.executable, "-c", PARENT, backend.__file__, str(tmp_path), how]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pid, line = json.loads(parent.stdout.readline())
    path = line.split(" ", 2)[2].strip()
    client = Connection.open(path)
    client.submit(job("long", steps=5000, milliseconds=100))
    worker = None
    while worker is None:
        for message in client.poll(0.1):
            if isinstance(message, messages.Status) and message.worker == "ready":
                worker = message.device["pid"]
    parent.send_signal(number)
    parent.wait()
    wait_until(lambda: not alive(pid) and not alive(worker), 20)
    assert not os.path.exists(path)
    assert list((tmp_path / "room").iterdir()) == []
    client.close()
    parent.stdout.close()


def test_a_parent_that_is_already_gone(start):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    service = start(parent_pid=child.pid)
    assert service.process.wait(20) == 0


@pytest.mark.parametrize("busy", [False, True])
def test_a_killed_service_takes_its_worker_along(service, busy):
    client = service.client()
    worker = client.ready()["pid"]
    if busy:
        client.submit(job("long", steps=5000, milliseconds=100))
        client.progress("long")
    service.process.kill()
    service.process.wait()
    wait_until(lambda: not alive(worker), 20)


def test_a_folder_whose_name_the_logs_encoding_does_not_know(tmp_path):
    """As on Windows, where what a launcher reads is written in the system's encoding."""
    folder = tmp_path / "Łukasz"
    service = subprocess.Popen(
        [sys.executable, "-m", "backend", "serve", "--folder", str(folder)],
        cwd=backend.ROOT,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        stdout=subprocess.PIPE,
    )
    try:
        assert service.stdout.readline().startswith(b"painterly ready ")
        assert Endpoint.read(folder / "connection.json").pid == service.pid
    finally:
        service.terminate()
        service.communicate(timeout=20)
    assert service.returncode == 0


@pytest.mark.parametrize(
    "option, why",
    [
        (["--idle", "0.01"], "The service was idle."),
        (["--end-with-stdin"], "The program that started the service has ended."),
    ],
)
def test_one_that_ends_by_itself_says_why(tmp_path, option, why):
    done = subprocess.run(
        [sys.executable, "-m", "backend", "serve", "--folder", str(tmp_path), *option],
        cwd=backend.ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and done.stderr == f"painterly: {why}\n"


def test_a_stale_connection_file_fools_nobody(start, tmp_path):
    first = start()
    stale, old_room = first.endpoint, first.exchange.parent
    first.client().do(job("kept", size=1024), acknowledge=False)
    first.process.kill()
    first.process.wait()
    assert (tmp_path / "connection.json").exists() and old_room.exists()
    assert not stale.alive
    with pytest.raises(ConnectionProblem, match="ended"):
        Connection.open(tmp_path / "connection.json")
    second = start()
    assert second.endpoint.alive and second.endpoint.instance != stale.instance
    assert not old_room.exists()  # what the killed one left is cleared away
    client = second.client()
    client.resume("kept")
    assert client.last_word("kept").kind == messages.UNKNOWN_JOB


def test_ending_leaves_another_services_connection_file_alone(start, tmp_path):
    first = start()
    second = start()
    assert second.endpoint.pid == second.process.pid
    first.stop()
    assert Endpoint.read(tmp_path / "connection.json").pid == second.process.pid
    second.stop()
    assert not (tmp_path / "connection.json").exists()


def test_two_services_share_a_folder(start, tmp_path):
    first, second = start(), start(connection_file=str(tmp_path / "other.json"))
    for service in (first, second):
        client = service.client()
        assert isinstance(client.do(job("j", size=1024)), messages.Result)


def test_a_service_whose_folder_is_removed_ends_cleanly(service):
    client = service.client()
    worker = client.ready()["pid"]
    client.submit(job("long", steps=5000, milliseconds=50))
    client.progress("long")
    shutil.rmtree(service.exchange.parent)
    failed = client.last_word("long", acknowledge=False)
    assert failed.kind == messages.SHUTTING_DOWN and "folder" in failed.message
    assert service.process.wait(20) == 0 and not os.path.exists(service.where)
    wait_until(lambda: not alive(worker), 20)


def test_shutdown_fails_the_unfinished_jobs_and_ends(service):
    client = service.client()
    client.submit(job("running", steps=5000, milliseconds=50))
    client.submit(job("waiting"))
    client.progress("running")
    client.shut_down_service()
    for name in ("running", "waiting"):
        assert client.last_word(name).kind == messages.SHUTTING_DOWN
    assert service.process.wait(20) == 0
    with pytest.raises(ConnectionProblem):
        client.wait("more", timeout=5)


def test_idle_services_end_and_busy_ones_do_not(start):
    service = start(idle_seconds=4.0)
    client = service.client()
    client.ready()
    client.submit(job("long", steps=40, milliseconds=50))
    client.wait("long")
    time.sleep(5)  # not acknowledged: the service may not end yet
    assert service.process.poll() is None
    client.acknowledge("long")
    assert service.process.wait(20) == 0


def sleep_soundly(*pids):
    """These processes stand still for 4 s, as when a machine sleeps whose clock goes on, or after Ctrl-Z."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(4)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_time_asleep_is_no_silence_of_the_worker(start):
    service = start(stall_seconds=3.0)
    client = service.client()
    worker = client.ready()["pid"]
    client.submit(job("long", steps=20, milliseconds=100))
    client.progress("long")
    sleep_soundly(service.process.pid, worker)
    assert isinstance(client.last_word("long"), messages.Result)
    assert service.worker_pid() == worker


def test_time_asleep_is_no_time_to_heed_a_cancel(start):
    service = start(cancel_seconds=3.0)
    client = service.client()
    worker = client.ready()["pid"]
    client.submit(job("deaf", backend.DEAF))
    client.until(lambda m: m == messages.Accepted("deaf", 0))
    client.cancel("deaf")
    client.poll(0.3)
    sleep_soundly(service.process.pid, worker)
    time.sleep(1.5)
    assert alive(worker)
    assert isinstance(client.last_word("deaf"), messages.Cancelled)


def test_time_asleep_is_no_idleness(start):
    service = start(idle_seconds=5.0)
    sleep_soundly(service.process.pid, service.worker_pid())
    time.sleep(1.5)
    assert service.process.poll() is None


def test_only_the_owner_can_read_what_the_service_keeps(service):
    assert stat.S_IMODE(os.stat(service.where).st_mode) == 0o600
    for folder in (service.exchange, service.exchange.parent, service.exchange.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_service_process_has_no_torch(service):
    client = service.client()
    client.do(job("j"))
    with open(f"/proc/{service.process.pid}/maps") as maps:
        assert "torch" not in maps.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_ends_it_cleanly(service, number):
    worker, room = service.worker_pid(), service.exchange.parent
    service.process.send_signal(number)
    assert service.process.wait(20) == 0
    wait_until(lambda: process.started(worker) == "", 20)
    assert not os.path.exists(service.where) and not room.exists()


def test_nohup_lets_it_live_on_without_its_terminal(start):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a child inherits it, as from nohup
    try:
        service = start()
    finally:
        signal.signal(signal.SIGHUP, before)
    service.process.send_signal(signal.SIGHUP)
    assert isinstance(service.client().do(job("j")), messages.Result)


def test_a_system_that_starts_no_program_for_a_moment_does_not_end_the_service(monkeypatch):
    """On macOS a program tells whether the parent is alive."""

    def refuse(pid):
        raise BlockingIOError("Resource temporarily unavailable")

    watch = ParentWatch(os.getpid(), stdin=False)
    with monkeypatch.context() as starved:
        starved.setattr(process, "started", refuse)
        assert not watch.gone()
    assert not watch.gone()
    monkeypatch.setattr(process, "started", lambda pid: "")
    assert watch.gone()
