"""What the service costs; each figure is compared with one measured in the same run (shown with -rP)."""

import dataclasses
import itertools
import multiprocessing
import socket
import statistics
import time
import types

import pytest
import zmq

from backend import worker
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.messages import Result
from plugin.painterly.protocol.raster import Placed, Raster
from tests.fakes.backend import BURNS, FakeStep, job, raster, settings

MIB = 1 << 20
SIDE = 4096
LAYER = SIDE * SIDE * 4
REQUEST = 2 * LAYER  # painting and layer
ROUNDS, MOST_ROUNDS = 6, 40
LOCAL_LIMIT = 3.0  # times a plain socket
REMOTE_LIMIT = 3.0  # times two bare CURVE sockets


def big_job(name):
    """Painting and layer of 4096 x 4096 RGBA; the fake worker returns the layer."""
    pixels = [Raster(SIDE, SIDE, "BGRA", "U8", bytes([shade]) * LAYER) for shade in (1, 2)]
    return messages.Harmonize(name, pixels[0], Placed(pixels[1]), None, settings())


def _other_end(port):
    with socket.create_connection(("127.0.0.1", port)) as line:
        request, reply = bytearray(REQUEST), bytes(LAYER)
        while _fill(line, request):
            line.sendall(reply)


def _fill(line, buffer):
    """False if the other end has closed the line."""
    rest = memoryview(buffer)
    while rest:
        count = line.recv_into(rest)
        if count == 0:
            return False
        rest = rest[count:]
    return True


@pytest.fixture(scope="module")
def plain_round():
    """Seconds for the same bytes there and back through a plain loopback socket to another process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = (server.getsockname()[1],)
        other = multiprocessing.get_context("spawn").Process(target=_other_end, args=arguments)
        other.start()
        line, _ = server.accept()
    request, reply = b"\1" * REQUEST, bytearray(LAYER)

    def measure():
        start = time.perf_counter()
        line.sendall(request)
        _fill(line, reply)
        return time.perf_counter() - start

    yield measure
    line.close()
    other.join()


def _other_curve_end(address, server_key, keys):
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.curve_serverkey, (peer.curve_publickey, peer.curve_secretkey) = server_key, keys
        peer.connect(address)
        while len(peer.recv_multipart(copy=False)) > 1:
            peer.send_multipart(_in_pieces(bytes(LAYER)), copy=False)


def _in_pieces(data):
    view = memoryview(data)
    return [view[start : start + codec.PIECE] for start in range(0, len(data), codec.PIECE)]


@pytest.fixture(scope="module")
def curve_round():
    """Seconds for the same bytes there and back between two bare CURVE sockets, in pieces as ours."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as line:
        line.linger = 1000
        (public, line.curve_secretkey), keys = zmq.curve_keypair(), zmq.curve_keypair()
        line.curve_server, line.curve_publickey = True, public
        arguments = (f"tcp://127.0.0.1:{line.bind_to_random_port('tcp://127.0.0.1')}", public, keys)
        other = multiprocessing.get_context("spawn").Process(target=_other_curve_end, args=arguments)
        other.start()
        request = b"\1" * REQUEST

        def measure():
            start = time.perf_counter()
            line.send_multipart(_in_pieces(request), copy=False)
            line.recv_multipart(copy=False)
            return time.perf_counter() - start

        yield measure
        line.send(b"")
        other.join()


def job_round(client):
    """Seconds from request to result of one more big job by `client`."""
    client.ready()
    numbers = itertools.count()

    def measure():
        request = big_job(f"big{next(numbers)}")
        start = time.perf_counter()
        client.submit(request)
        result = client.wait(request.job)
        seconds = time.perf_counter() - start
        assert isinstance(result, Result) and bytes(result.image.raster.data) == request.layer.raster.data
        client.acknowledge(request.job)
        return seconds

    return measure


def best_of(limit, *rounds):
    """The best seconds of each of `rounds`, taken in turn: whatever else the machine does slows them alike.

    Mostly: in one run of all tests six jobs in a row took five times what they do, and plain sockets did not; it did
    not come again and its cause is not known. So they go on, up to MOST_ROUNDS, while the first's best is not below
    `limit` times the last's: what costs too much always still fails.
    """
    best = [float("inf")] * len(rounds)
    for number in range(1, MOST_ROUNDS + 1):
        best = [min(seconds, measure()) for seconds, measure in zip(best, rounds)]
        if number >= ROUNDS and best[0] < limit * best[-1]:
            break
    return best


def test_overhead_of_a_local_job(service, plain_round):
    before = service.memory()
    seconds, plain = best_of(LOCAL_LIMIT, job_round(service.client()), plain_round)
    print(
        f"{(REQUEST + LAYER) / MIB:.0f} MiB: plain socket {plain:.3f} s, local job {seconds:.3f} s, "
        f"ratio {seconds / plain:.2f} (limit {LOCAL_LIMIT}); service peak {service.memory() / MIB:.0f} MiB"
    )
    assert seconds < LOCAL_LIMIT * plain
    assert service.memory() - before < 4 * MIB  # the pixels never pass through it


def test_overhead_of_a_job_from_elsewhere(service, plain_round, curve_round):
    """Encrypted, inside messages: what the cipher costs, and something for four plain copies.

    The copies: request into the exchange, result into the exchange, out of it, and into one piece.
    """
    job_from_elsewhere = job_round(service.client(dataclasses.replace(service.endpoint, exchange="")))
    seconds, plain, curve = best_of(REMOTE_LIMIT, job_from_elsewhere, plain_round, curve_round)
    print(
        f"{(REQUEST + LAYER) / MIB:.0f} MiB: bare CURVE sockets {curve:.3f} s, encrypted job "
        f"{seconds:.3f} s, ratio {seconds / curve:.2f} (limit {REMOTE_LIMIT}); {seconds / plain:.1f} times "
        f"a plain socket; service peak {service.memory() / REQUEST:.2f} x payload (limit 4)"
    )
    assert seconds < REMOTE_LIMIT * curve
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
        peer.send_multipart(codec.encode(messages.Hello("pings")))
        assert isinstance(codec.decode_reply(peer.recv_multipart()), messages.Welcome)
        for token in range(300):
            start = time.perf_counter()
            peer.send_multipart(codec.encode(messages.Ping(token)))
            assert codec.decode_reply(peer.recv_multipart()) == messages.Pong(token)
            seconds.append(time.perf_counter() - start)
            time.sleep(0.005)
    return statistics.quantiles(seconds, n=100)


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


@pytest.mark.parametrize("cost", [0.002, 0.02, 0.1, 1.0])
def test_previews_take_less_than_a_twentieth(monkeypatch, cost):
    """By a clock of our own; of the real engine's previews see test_real_engine.py."""
    now, spent, shares = 0.0, 0.0, []
    monkeypatch.setattr(worker, "time", types.SimpleNamespace(monotonic=lambda: now))
    watch = worker.Watch(SilentLink(), job("j", want_preview=True))

    def preview():
        nonlocal now, spent
        now, spent = now + cost, spent + cost
        shares.append(spent / now)
        return messages.Preview(raster(), 0, 0, 8, 8)

    while now < 200:
        now += 0.05
        watch.step(FakeStep("pass", 1, 2, 0.5), preview)
    assert len([m for m in watch.link.sent if m.preview]) == len(shares) > 2
    # Whenever the job may end; only what the first one costs is not known before.
    assert max(shares[1:]) < 0.05
    assert len(shares) > 0.5 * min(200 / 0.55, 200 * 0.03 / cost)  # and no fewer than there is time for
