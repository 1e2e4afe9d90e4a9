"""Heartbeats both ways: each end notices that the other is silent, though no connection was closed."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import zmq

from plugin.painterly import connection
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.messages import Ping, Result
from tests.fakes.backend import ROOT, job
from tests.service.conftest import wait_until


def test_a_client_notices_a_frozen_service_and_finds_its_job_when_it_is_back(service, monkeypatch):
    monkeypatch.setattr(connection, "PING_EVERY", 0.2)
    monkeypatch.setattr(connection, "LOST_AFTER", 1.0)
    client = service.client()
    client.ready()
    client.submit(job("kept", steps=40, milliseconds=50))
    client.progress("kept")
    os.kill(service.process.pid, signal.SIGSTOP)
    start = time.monotonic()
    try:
        wait_until(lambda: client.poll(0.02) is not None and client.state == connection.LOST, 10)
    finally:
        os.kill(service.process.pid, signal.SIGCONT)
    assert 1.0 <= time.monotonic() - start < 4
    wait_until(lambda: client.poll(0.02) is not None and client.state == connection.CONNECTED, 10)
    assert isinstance(client.last_word("kept"), Result)


def test_a_connection_that_is_only_quiet_is_not_lost(service, monkeypatch):
    monkeypatch.setattr(connection, "PING_EVERY", 0.1)
    monkeypatch.setattr(connection, "LOST_AFTER", 0.8)
    client, states = service.client(), set()
    client.ready()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        client.poll(0.05)
        states.add(client.state)
    assert states == {connection.CONNECTED} and client._token > 5


class SlowLine:
    """A relay to `address` that lets so many bytes a second through to it, and all that comes back."""

    def __init__(self, address: str, rate: int):
        host, port = address.rpartition("/")[2].rsplit(":", 1)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:{}".format(self._listening.getsockname()[1])
        self._there = (host, int(port))
        threading.Thread(target=self._serve, args=(rate,), daemon=True).start()
        self.lines = 0

    def _serve(self, rate: int) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self.lines += 1
            far = socket.create_connection(self._there)
            for source, sink, pace in ((near, far, rate), (far, near, 0)):
                threading.Thread(target=self._carry, args=(source, sink, pace), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, rate: int) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 14):
                sink.sendall(piece)
                time.sleep(len(piece) / rate if rate else 0)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listening.close()


def test_a_job_that_is_long_on_its_way_over_a_slow_line_arrives(service, monkeypatch):
    monkeypatch.setattr(connection, "PING_EVERY", 0.1)
    monkeypatch.setattr(connection, "LOST_AFTER", 0.6)
    monkeypatch.setattr(connection, "SLOWEST_LINE", 1_000_000)
    line = SlowLine(service.endpoint.address, 3_000_000)
    client = service.client(dataclasses.replace(service.endpoint, address=line.address, exchange=""))
    try:
        client.ready()
        begun, states = time.monotonic(), set()
        client.submit(job("far", size=1024))  # twice 4 MB
        while "far" in client._unfinished and time.monotonic() - begun < 30:
            client.poll(0.02)
            states.add(client.state)
        assert time.monotonic() - begun > 2 and "far" not in client._unfinished
        assert states == {connection.CONNECTED} and line.lines == 1
    finally:
        line.close()


def test_the_service_asks_after_a_client_that_waits(service):
    endpoint = service.endpoint
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.curve_serverkey = endpoint.server_public.encode()
        peer.curve_publickey = endpoint.client_public.encode()
        peer.curve_secretkey = endpoint.client_secret.encode()
        peer.connect(endpoint.address)
        for message in (messages.Hello("quiet"), job("long", steps=1000, milliseconds=50)):
            peer.send_multipart(codec.encode(message))
        heard = None
        while not isinstance(heard, Ping):
            assert peer.poll(10_000), "it never asked"
            heard = codec.decode_reply(peer.recv_multipart())
        peer.send_multipart(codec.encode(messages.Pong(heard.token)))
        peer.send_multipart(codec.encode(messages.Cancel("long")))
        while not isinstance(heard, messages.Cancelled):
            assert peer.poll(10_000) and not isinstance(heard, messages.Failed), heard
            heard = codec.decode_reply(peer.recv_multipart())


QUIET = """
import sys
from plugin.painterly.connection import Connection
client = Connection.open(sys.argv[1])
while client.welcome is None:
    client.poll(0.1)
print("there", flush=True)
while True:
    client.poll(0.1)
"""


def test_the_service_lets_go_of_a_frozen_client(start):
    """One that says nothing more, as a computer that was put to sleep; another's job goes on."""
    service = start(heartbeat=[200, 1000])
    client = service.client()
    client.ready()
    client.submit(job("long", steps=1000, milliseconds=50))
    client.progress("long")

    def descriptors():
        client.poll()
        return len(os.listdir(f"/proc/{service.process.pid}/fd"))

    before = descriptors()
    command = [sys.executable, "-c", QUIET, service.where]
    frozen = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert frozen.stdout.readline() == "there\n" and descriptors() > before
        time.sleep(2)
        assert descriptors() > before  # as long as it lives it is kept
        os.kill(frozen.pid, signal.SIGSTOP)
        wait_until(lambda: descriptors() <= before, 10)
    finally:
        frozen.kill()
        frozen.wait()
        frozen.stdout.close()
    client.cancel("long")
    assert isinstance(client.last_word("long"), messages.Cancelled)
