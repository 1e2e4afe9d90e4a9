"""What the service costs; each figure is compared with one measured in the same run (shown with -rP)."""

import dataclasses
import multiprocessing
import socket
import statistics
import time

import pytest
import zmq

from backend import worker
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.messages import Progress, Result
from plugin.painterly.protocol.raster import Placed, Raster
from tests.fakes.backend import BURNS, FakeStep, job, raster, settings

MIB = 1 << 20
SIDE = 4096
LAYER = SIDE * SIDE * 4
REQUEST = 2 * LAYER  # painting and layer
ROUNDS = 4
REMOTE_LIMIT = 3.0  # times two bare CURVE sockets


def big_job(name):
    """Painting and layer of 4096 x 4096 RGBA; the fake worker returns the layer."""
    pixels = [Raster(SIDE, SIDE, "BGRA", "U8", bytes([shade]) * LAYER) for shade in (1, 2)]
    return messages.Harmonize(name, pixels[0], Placed(pixels[1]), None, settings())


def _other_end(port):
    with socket.create_connection(("127.0.0.1", port)) as line:
        request, reply = bytearray(REQUEST), bytes(LAYER)
        for _ in range(ROUNDS):
            _fill(line, request)
            line.sendall(reply)


def _fill(line, buffer):
    rest = memoryview(buffer)
    while rest:
        rest = rest[line.recv_into(rest) :]


@pytest.fixture(scope="module")
def plain_seconds():
    """The same bytes there and back through a plain loopback socket to another process: the best of some."""
    seconds = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = (server.getsockname()[1],)
        other = multiprocessing.get_context("spawn").Process(target=_other_end, args=arguments)
        other.start()
        line, _ = server.accept()
        with line:
            request, reply = b"\1" * REQUEST, bytearray(LAYER)
            for _ in range(ROUNDS):
                start = time.perf_counter()
                line.sendall(request)
                _fill(line, reply)
                seconds.append(time.perf_counter() - start)
        other.join()
    return min(seconds)


def _other_curve_end(address, server_key, keys):
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.curve_serverkey, (peer.curve_publickey, peer.curve_secretkey) = server_key, keys
        peer.connect(address)
        for _ in range(ROUNDS):
            peer.recv_multipart(copy=False)
            peer.send_multipart(_in_pieces(bytes(LAYER)), copy=False)
        peer.recv()


def _in_pieces(data):
    view = memoryview(data)
    return [view[start : start + codec.PIECE] for start in range(0, len(data), codec.PIECE)]


@pytest.fixture(scope="module")
def curve_seconds():
    """The same bytes there and back between two bare CURVE sockets, in pieces as ours: the best of some."""
    seconds = []
    with zmq.Context() as context, context.socket(zmq.DEALER) as line:
        line.linger = 0
        (public, line.curve_secretkey), keys = zmq.curve_keypair(), zmq.curve_keypair()
        line.curve_server, line.curve_publickey = True, public
        arguments = (f"tcp://127.0.0.1:{line.bind_to_random_port('tcp://127.0.0.1')}", public, keys)
        other = multiprocessing.get_context("spawn").Process(target=_other_curve_end, args=arguments)
        other.start()
        request = b"\1" * REQUEST
        for _ in range(ROUNDS):
            start = time.perf_counter()
            line.send_multipart(_in_pieces(request), copy=False)
            line.recv_multipart(copy=False)
            seconds.append(time.perf_counter() - start)
        line.send(b"")
        other.join()
    return min(seconds)


def job_seconds(client):
    client.ready()
    seconds = []
    for number in range(ROUNDS):
        request = big_job(f"big{number}")
        start = time.perf_counter()
        client.submit(request)
        result = client.wait(request.job)
        seconds.append(time.perf_counter() - start)
        assert isinstance(result, Result) and bytes(result.image.raster.data) == request.layer.raster.data
        client.acknowledge(request.job)
    return min(seconds)


def test_overhead_of_a_local_job(service, plain_seconds):
    before = service.memory()
    seconds = job_seconds(service.client())
    print(
        f"{(REQUEST + LAYER) / MIB:.0f} MiB: plain socket {plain_seconds:.3f} s, local job {seconds:.3f} s, "
        f"ratio {seconds / plain_seconds:.2f} (limit 3); service peak {service.memory() / MIB:.0f} MiB"
    )
    assert seconds < 3 * plain_seconds
    assert service.memory() - before < 4 * MIB  # the pixels never pass through it


def test_overhead_of_a_job_from_elsewhere(service, plain_seconds, curve_seconds):
    """Encrypted, inside messages: what the cipher costs, and something for four plain copies.

    The copies: request into the exchange, result into the exchange, out of it, and into one piece.
    """
    seconds = job_seconds(service.client(dataclasses.replace(service.endpoint, exchange="")))
    print(
        f"{(REQUEST + LAYER) / MIB:.0f} MiB: bare CURVE sockets {curve_seconds:.3f} s, encrypted job "
        f"{seconds:.3f} s, ratio {seconds / curve_seconds:.2f} (limit {REMOTE_LIMIT}); {seconds / plain_seconds:.1f} times "
        f"a plain socket; service peak {service.memory() / REQUEST:.2f} x payload (limit 4)"
    )
    assert seconds < REMOTE_LIMIT * curve_seconds
    assert service.memory() < 4 * REQUEST


def ping_percentiles(endpoint):
    """Percentiles of seconds to an answer, over 300 pings."""
    seconds = []
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.curve_serverkey = endpoint.server_public.encode()
        peer.curve_publickey = endpoint.client_public.encode()
        peer.curve_secretkey = endpoint.client_secret.encode()
        peer.connect(endpoint.address)
        for token in range(301):
            start = time.perf_counter()
            peer.send_multipart(codec.encode(messages.Ping(token)))
            assert codec.decode_reply(peer.recv_multipart()) == messages.Pong(token)
            seconds.append(time.perf_counter() - start)
            time.sleep(0.005)
    return statistics.quantiles(seconds[1:], n=100)  # the first one shook hands


def test_ping_and_cancel_while_every_core_computes(service):
    client = service.client()
    client.submit(job("burn", BURNS, steps=1000, milliseconds=100))
    client.progress("burn")
    # The better of two runs: whatever else this machine does delays the answers, too.
    percentiles = min((ping_percentiles(service.endpoint) for _ in range(2)), key=lambda found: found[98])
    start = time.perf_counter()
    client.cancel("burn")
    client.last_word("burn")
    cancelled = time.perf_counter() - start
    print(
        f"ping under full load: median {percentiles[49] * 1e3:.1f} ms, 99th percentile "
        f"{percentiles[98] * 1e3:.1f} ms (limit 50); cancel {cancelled * 1e3:.0f} ms (iteration 100 ms)"
    )
    assert percentiles[98] < 0.05
    assert cancelled < 0.1 + 0.3  # an iteration, and its end among twice as many burners as cores


class SilentLink:
    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)

    def cancel_of(self, name):
        return None


@pytest.mark.parametrize("cost", [0.002, 0.02, 0.1])
def test_previews_take_less_than_a_twentieth(cost):
    link, spent = SilentLink(), 0.0
    watch = worker.Watch(link, job("j", want_preview=True))

    def preview():
        nonlocal spent
        start = time.perf_counter()
        time.sleep(cost)
        spent += time.perf_counter() - start
        return messages.Preview(raster(), 0, 0, 8, 8)

    start = time.perf_counter()
    while time.perf_counter() - start < max(2.0, 50 * cost):
        time.sleep(0.005)
        watch.step(FakeStep("pass", 1, 2, 0.5), preview)
    share = spent / (time.perf_counter() - start)
    print(f"previews of {cost * 1e3:.0f} ms took {share:.1%} of the time (limit 5 %)")
    assert 0 < share < 0.05
    assert any(isinstance(m, Progress) and m.preview for m in link.sent)
