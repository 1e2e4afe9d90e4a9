"""A real service in a process of its own, with the fake worker; ended and looked after when the test ends."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plugin.painterly.connection import Connection
from plugin.painterly.protocol import messages, process
from plugin.painterly.protocol.endpoint import Endpoint
from tests.fakes import backend

PATIENCE = 30.0


class Service:
    """`process` is the service; clients are closed at the end."""

    def __init__(self, folder: Path, **fields):
        self.folder = folder
        arguments = [f"{name}={json.dumps(value)}" for name, value in fields.items()]
        self.process = subprocess.Popen(
            [sys.executable, backend.__file__, "serve", str(folder), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        words = self.process.stdout.readline().split(" ", 2)
        assert words[:2] == ["painterly", "ready"], words
        self.where = words[2].strip()
        self._clients = []

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.read(self.where)

    @property
    def exchange(self) -> Path:
        return Path(self.endpoint.exchange)

    def client(self, endpoint: Endpoint = None) -> "Client":
        client = Client(endpoint or self.endpoint)
        self._clients.append(client)
        return client

    def worker_pid(self) -> int:
        return self.client().ready()["pid"]

    def memory(self) -> int:
        """Peak resident bytes of the service process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) << 10
        raise AssertionError("no VmHWM")

    def leave(self) -> None:
        for client in self._clients:
            client.close()

    def stop(self) -> None:
        self.leave()
        self.process.terminate()
        try:
            assert self.process.wait(PATIENCE) == 0
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()


class Client(Connection):
    """The reference client with what tests need: it waits, and remembers what it heard."""

    def __init__(self, endpoint: Endpoint):
        super().__init__(endpoint, "test")
        self.heard = []
        self._last_words = []

    def poll(self, timeout=0.0):
        news = super().poll(timeout)
        self.heard.extend(news)
        self._last_words.extend(m for m in news if isinstance(m, messages.LAST_WORDS))
        return news

    def ready(self) -> dict:
        """Waits for a worker that is ready; its device."""
        for message in self.heard[::-1]:
            if isinstance(message, (messages.Welcome, messages.Status)):
                if message.worker == "ready":
                    return message.device
                break
        found = self.until(
            lambda m: isinstance(m, (messages.Welcome, messages.Status)) and m.worker == "ready"
        )
        return found.device

    def until(self, test, timeout=PATIENCE):
        """The first message from now on for which `test` is true."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            news = self.poll(0.05)
            for message in news:
                if test(message):
                    return message
        raise AssertionError(f"never came; heard {self.heard[-5:]}")

    def progress(self, name):
        return self.until(lambda m: isinstance(m, messages.Progress) and m.job == name)

    def do(self, job, acknowledge=True, timeout=PATIENCE):
        """The job's last word."""
        self.submit(job)
        return self.last_word(job.job, acknowledge, timeout)

    def last_word(self, name, acknowledge=True, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for word in self._last_words:
                if word.job == name:
                    self._last_words.remove(word)
                    if acknowledge:
                        self.acknowledge(name)
                    return word
            self.poll(0.05)
        raise AssertionError(f"{name} never ended; heard {self.heard[-5:]}")

    def forget(self):
        """For long runs: lets go of what was heard."""
        self.heard.clear()
        self._last_words.clear()

    def raw(self, *frames):
        """Sends frames as they are, past the codec."""
        self._socket.send_multipart(frames)


class Line:
    """A way to the service at `address` that can be cut; what comes after is let through again."""

    def __init__(self, address: str):
        host, _, port = address.rpartition("//")[2].rpartition(":")
        self._there = (host, int(port))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:{}".format(self._door.getsockname()[1])
        self._open = []
        threading.Thread(target=self._let_in, daemon=True).start()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # closing alone would not end the wait in it
        self._door.close()
        self.cut()

    def cut(self) -> None:
        ended, self._open = self._open, []
        for end in ended:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here = self._door.accept()[0]
                there = socket.create_connection(self._there)
                self._open += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            data = source.recv(1 << 16)
            if not data:
                return
            target.sendall(data)


@pytest.fixture
def start(tmp_path):
    """Starts services: start(**fields of Config)."""
    services = []

    def begin(folder=tmp_path, **fields):
        services.append(Service(folder, **fields))
        return services[-1]

    yield begin
    for service in services:
        service.leave()
        if service.process.poll() is None:
            service.stop()


@pytest.fixture
def service(start):
    return start()


def wait_until(test, timeout=PATIENCE):
    end = time.monotonic() + timeout
    while not test():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    return bool(process.started(pid))
