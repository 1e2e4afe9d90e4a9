"""A process learns from its closed standard input that whoever started it has ended.

Windows' way is tried here with stand-ins for its two system calls; it was never run there.
"""

import array
import ctypes
import fcntl
import json
import os
import select
import subprocess
import sys
import termios
import threading
import time
from types import SimpleNamespace

import pytest

from backend import lifeline
from backend.service.keys import KeyPair
from tests.fakes import backend
from tests.service.conftest import wait_until

WAYS = ["posix", "windows"]


def bytes_waiting(descriptor):
    """As Windows' PeekNamedPipe."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    events = dict(poll.poll(0)).get(descriptor, 0)
    if events & select.POLLHUP and not events & select.POLLIN:
        raise BrokenPipeError
    waiting = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
    return waiting[0]


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def way(request, monkeypatch):
    if request.param == "windows":
        monkeypatch.setattr(lifeline, "sys", SimpleNamespace(platform="win32"))
        monkeypatch.setattr(lifeline, "_bytes_waiting", bytes_waiting)
        monkeypatch.setattr(lifeline, "_LOOK_SECONDS", 0.01)
    return request.param


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_the_end_is_noticed_and_what_comes_before_is_dropped(way, pipe):
    ended = threading.Event()
    lifeline.at_end_of_input(ended.set, pipe[0])
    os.write(pipe[1], b"x" * 10_000)
    assert not ended.wait(0.2)
    os.close(pipe.pop())
    assert ended.wait(5)


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_what_cannot_be_read_has_ended(way):
    ended = threading.Event()
    lifeline.at_end_of_input(ended.set, 1_000_000)
    assert ended.wait(5)


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_an_input_that_is_no_pipe(way):
    """Empty from the start, as for a program that is started without a terminal."""
    ended = threading.Event()
    with open(os.devnull, "rb") as nothing:
        lifeline.at_end_of_input(ended.set, nothing.fileno())
        assert ended.wait(5)


@pytest.mark.parametrize("way", ["windows"], indirect=True)
def test_on_windows_no_read_is_pending_while_the_pipe_is_silent(way, pipe, monkeypatch):
    begun, done = [], []

    def read(descriptor, length):
        begun.append(length)
        data = os.read(descriptor, length)
        done.append(len(data))
        return data

    monkeypatch.setattr(lifeline, "os", SimpleNamespace(read=read))
    ended = threading.Event()
    lifeline.at_end_of_input(ended.set, pipe[0])
    time.sleep(0.1)
    assert begun == []
    os.write(pipe[1], b"four")
    wait_until(lambda: done == [4])
    time.sleep(0.1)
    assert begun == [4] and not ended.is_set()
    os.close(pipe.pop())
    assert ended.wait(5)


@pytest.mark.parametrize("open_yet", [True, False])
def test_what_windows_is_asked(monkeypatch, open_yet):
    def peek(handle, buffer, size, read, waiting, left):
        assert (handle.value, buffer, size, read, left) == (0x1_0000_0007, None, 0, None, None)
        waiting._obj.value = 5
        return int(open_yet)

    handles = SimpleNamespace(get_osfhandle=lambda descriptor: 0x1_0000_0000 + descriptor)
    monkeypatch.setattr(lifeline, "msvcrt", handles, raising=False)
    kernel = SimpleNamespace(PeekNamedPipe=peek)
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 109, raising=False)
    monkeypatch.setattr(ctypes, "WinError", lambda code: OSError(code, "broken pipe"), raising=False)
    if open_yet:
        assert lifeline._bytes_waiting(7) == 5
    else:
        with pytest.raises(OSError, match="broken pipe"):
            lifeline._bytes_waiting(7)


OPENING = """
import os, threading
from backend import worker
def open_workshop():
    print([thread.name for thread in threading.enumerate()], flush=True)
    os._exit(0)
worker.main(open_workshop)
"""


def start_worker(command, folder):
    """A worker of nobody, with the line that a service begins with."""
    service, own = KeyPair.new(), KeyPair.new()
    line = {"address": "tcp://127.0.0.1:9", "server_public": service.public, "exchange": str(folder)}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=backend.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write(json.dumps({**line, "public": own.public, "secret": own.secret}) + "\n")
    process.stdin.flush()
    return process


def test_a_worker_does_not_wait_at_its_input_while_it_loads_its_libraries(tmp_path):
    process = start_worker(["-c", OPENING], tmp_path)
    assert process.communicate(timeout=30)[0] == "['MainThread']\n"


def test_a_worker_ends_when_its_input_is_closed(tmp_path):
    process = start_worker([backend.__file__, "worker"], tmp_path)
    time.sleep(1)
    assert process.poll() is None
    process.communicate(timeout=30)  # closes it
    assert process.returncode == 0
