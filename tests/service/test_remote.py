"""The same contract to another machine, tried on loopback with a keys file."""

import json
import os
import stat
import subprocess
import sys

import pytest
import zmq

from backend.__main__ import main
from backend.service.keys import KeysFile
from plugin.painterly.connection import Connection, ConnectionProblem
from plugin.painterly.protocol import messages
from plugin.painterly.protocol.endpoint import Endpoint
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.version import PROTOCOL
from tests.fakes.backend import ROOT, job


def painterly(*arguments, **more):
    command = [sys.executable, "-m", "backend", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **more)


def serve_main(keys, address, invitation):
    """The exit code of an invitation."""
    return main(["serve", "--keys", str(keys), "--bind", address, "--invite", str(invitation)])


def test_invited_clients_are_served(start, tmp_path):
    keys, laptop = tmp_path / "keys.json", tmp_path / "laptop.json"
    service = start(keys=str(keys))
    assert service.where.startswith("tcp://127.0.0.1:")
    done = painterly("serve", "--keys", keys, "--bind", service.where, "--invite", laptop)
    assert done.returncode == 0, done.stderr
    for path in (keys, laptop):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    endpoint = Endpoint.read(laptop)
    assert (endpoint.pid, endpoint.exchange) == (0, "")
    assert endpoint.client_secret not in keys.read_text()
    client = service.client(endpoint)
    request = job("far", size=1024)
    assert client.do(request).image == request.layer
    client.submit(job("long", steps=1000, milliseconds=50, size=512))
    client.progress("long")
    client.cancel("long", keep_best=True)
    assert client.last_word("long").best is not None


def test_over_ipv6_or_told_that_there_is_none(start, tmp_path):
    keys, laptop = tmp_path / "keys.json", tmp_path / "laptop.json"
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.ipv6 = True
        try:
            socket.bind("tcp://[::1]:*")
        except zmq.ZMQError:
            done = painterly("serve", "--folder", tmp_path, "--bind", "tcp://[::1]:*")
            assert done.returncode == 2 and "cannot start" in done.stderr and done.stderr.count("\n") == 1
            return
    far, near = start(keys=str(keys), bind="tcp://[::1]:*"), start(bind="tcp://[::1]:*")
    assert far.where.startswith("tcp://[::1]:")
    KeysFile(keys).invite(far.where, laptop)
    for client in (far.client(Endpoint.read(laptop)), near.client()):
        assert isinstance(client.do(job("j", size=1024)), messages.Result)


def test_a_service_for_others_takes_no_files_and_no_shutdown(start, tmp_path):
    service = start(keys=str(tmp_path / "keys.json"))
    KeysFile(tmp_path / "keys.json").invite(service.where, tmp_path / "one.json")
    client = service.client(Endpoint.read(tmp_path / "one.json"))
    frames = json.dumps(
        {
            "protocol": PROTOCOL,
            "type": "Ack",
            "buffers": [{"file": "0" * 32, "size": 5}],
            "body": {"job": "x"},
        }
    )
    client.raw(frames.encode())
    assert "inside the message" in client.until(lambda m: isinstance(m, messages.Failed)).message
    client.shut_down_service()
    client.until(lambda m: isinstance(m, messages.Failed) and "own machine" in m.message)
    assert isinstance(client.do(job("j")), messages.Result)


def test_a_client_struck_out_is_no_longer_let_in(start, tmp_path):
    keys = tmp_path / "keys.json"
    service = start(keys=str(keys))
    KeysFile(keys).invite(service.where, tmp_path / "one.json")
    endpoint = Endpoint.read(tmp_path / "one.json")
    assert isinstance(service.client(endpoint).do(job("j")), messages.Result)
    data = json.loads(keys.read_text())
    data["clients"] = {}
    keys.write_text(json.dumps(data))
    again = service.client(endpoint)
    again.poll(0.7)
    assert again.state == "connecting" and not again.heard


def test_a_damaged_keys_file_keeps_out_and_serves_on(start, tmp_path):
    keys = tmp_path / "keys.json"
    service = start(keys=str(keys))
    KeysFile(keys).invite(service.where, tmp_path / "one.json")
    endpoint = Endpoint.read(tmp_path / "one.json")
    client = service.client(endpoint)
    client.ready()
    good = keys.read_text()
    for damage in ("{", "[]", '{"clients": 5}'):
        keys.write_text(damage)
        outsider = service.client(endpoint)
        outsider.poll(0.4)
        assert outsider.state == "connecting"
        assert isinstance(client.do(job("j")), messages.Result)
    keys.unlink()
    assert isinstance(client.do(job("j")), messages.Result)
    keys.write_text(good)
    assert service.client(endpoint).ready()


def test_the_services_own_keys_last(tmp_path):
    keys = tmp_path / "keys.json"
    first = KeysFile(keys)
    first.invite("tcp://a:1", tmp_path / "a.json")
    second = KeysFile(keys)
    second.invite("tcp://b:1", tmp_path / "b.json")
    assert first.own == second.own
    one, two = Endpoint.read(tmp_path / "a.json"), Endpoint.read(tmp_path / "b.json")
    assert first.allows(one.client_public) and first.allows(two.client_public)
    assert not first.allows(first.own.public) and not first.allows("")
    assert one.client_public != two.client_public and "secret=" not in repr(first.own)


def test_a_known_name_is_not_invited_again(tmp_path):
    keys, laptop = KeysFile(tmp_path / "keys.json"), tmp_path / "laptop.json"
    keys.invite("tcp://a:1", laptop)
    before = laptop.read_text()
    done = painterly("serve", "--keys", keys.path, "--bind", "tcp://b:1", "--invite", laptop)
    assert done.returncode == 2 and "a client laptop already" in done.stderr and done.stderr.count("\n") == 1
    assert laptop.read_text() == before and keys.allows(Endpoint.read(laptop).client_public)


def test_a_name_whose_file_could_not_be_written_is_free(tmp_path):
    keys = KeysFile(tmp_path / "keys.json")
    (tmp_path / "blocked").touch()
    with pytest.raises(OSError):
        keys.invite("tcp://a:1", tmp_path / "blocked" / "laptop.json")
    keys.invite("tcp://a:1", tmp_path / "laptop.json")
    assert keys.allows(Endpoint.read(tmp_path / "laptop.json").client_public)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--invite", "x.json"], "--keys"),
        (["--bind", "tcp://0.0.0.0:5000"], "--keys"),
        (["--keys", "k.json", "--connection-file", "c.json"], "--invite"),
        (["--idle", "0"], "--idle"),
        (["--idle", "nan"], "--idle"),
        (["--bind", "tcp://127.0.0.1:notaport"], "from 1 to 65535"),
        (["--bind", "tcp://127.0.0.1:999999"], "from 1 to 65535"),
        (["--bind", "tcp://127.0.0.1"], "from 1 to 65535"),
        (["--bind", "tcp://[::1]"], "from 1 to 65535"),
        (["--bind", "tcp://127.0.0.1:x:5000"], "tcp://HOST:PORT"),
        (["--bind", "127.0.0.1:5000"], "tcp://HOST:PORT"),
        (["--bind", "tcp://:5000"], "tcp://HOST:PORT"),
        (["--bind", "tcp://nowhere.invalid:5000", "--keys", "k.json"], "start"),
        (["--keys", "/proc/nowhere/k.json"], "start"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, arguments, words):
    arguments = [tmp_path / word if word.endswith(".json") else word for word in arguments]
    done = painterly("serve", "--folder", tmp_path, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "address",
    ["tcp://gpu.example:*", "gpu.example:5555", "tcp://0.0.0.0:5555", "tcp://[::]:5555", "tcp://*:5555",
     "tcp://[0::0]:5555"],
)  # fmt: skip
def test_nobody_is_invited_to_where_nobody_can_go(tmp_path, address):
    keys, laptop = tmp_path / "keys.json", tmp_path / "laptop.json"
    done = painterly("serve", "--keys", keys, "--bind", address, "--invite", laptop)
    assert done.returncode == 2 and "--bind is" in done.stderr and done.stderr.count("\n") == 1
    assert not keys.exists() and not laptop.exists()


@pytest.mark.parametrize(
    "address", ["tcp://gpu.example:5555", "tcp://192.0.2.7:1", "tcp://[2001:db8::7]:65535"]
)
def test_where_a_client_may_be_invited_to(tmp_path, address):
    laptop = tmp_path / "laptop.json"
    assert serve_main(tmp_path / "keys.json", address, laptop) == 0
    assert Endpoint.read(laptop).address == address


def test_the_services_own_keys_are_no_invitation(tmp_path):
    """The sentence would tell to carry away the service's secret key."""
    keys, link = tmp_path / "keys.json", tmp_path / "link.json"
    assert serve_main(keys, "tcp://gpu.example:5555", keys) == 2 and not keys.exists()
    before = KeysFile(keys).path.read_text()
    link.symlink_to(keys)
    os.link(keys, tmp_path / "same.json")
    for same in (keys, link, tmp_path / "same.json"):
        assert serve_main(keys, "tcp://gpu.example:5555", same) == 2
    assert keys.read_text() == before


def test_help_says_how():
    done = painterly("serve", "--help", env={**os.environ, "COLUMNS": "110"})
    assert done.returncode == 0 and "--invite laptop.json" in done.stdout and "painterly ready" in done.stdout
    assert "a result is kept for one (24 hours at most)" in " ".join(done.stdout.split())


def test_a_percent_sign_in_the_folders_name_is_no_format(tmp_path):
    done = painterly(
        "serve", "--help", env={**os.environ, "PAINTERLY_HOME": str(tmp_path / "100%"), "COLUMNS": "500"}
    )
    assert done.returncode == 0 and str(tmp_path / "100%" / "cache") in done.stdout, done.stderr


def test_no_connection_file_no_connection(tmp_path):
    with pytest.raises(ConnectionProblem):
        Connection.open(tmp_path / "missing.json")
    with pytest.raises(ProtocolError):
        (tmp_path / "wrong.json").write_text("[]")
        Endpoint.read(tmp_path / "wrong.json")
