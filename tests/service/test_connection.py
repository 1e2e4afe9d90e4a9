"""The reference client by itself: it never freezes the program that it is in, and tells damage in a sentence."""

import dataclasses
import subprocess
import sys

import pytest

from backend.service.keys import KeyPair
from plugin.painterly.connection import Connection, ConnectionProblem
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.endpoint import Endpoint
from tests.fakes.backend import ROOT

# Says Hello to nobody, forgets the connection, and goes on.
DROP = """
import gc, sys
from plugin.painterly.connection import Connection
client = Connection.open(sys.argv[1])
if sys.argv[2] == "in a circle":
    client.itself = client
del client
gc.collect()
print("went on")
"""


def endpoint():
    service, client = KeyPair.new(), KeyPair.new()
    return Endpoint("tcp://127.0.0.1:9", service.public, client.public, client.secret)


@pytest.mark.parametrize("how", ["at once", "in a circle"])
def test_a_dropped_connection_does_not_freeze_its_program(tmp_path, how):
    endpoint().write(tmp_path / "nobody.json")
    command = [sys.executable, "-c", DROP, str(tmp_path / "nobody.json"), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.stdout == "went on\n" and done.returncode == 0, done.stderr


def test_a_service_that_takes_nothing_may_not_know_the_key():
    client = Connection(endpoint())
    with pytest.raises(ConnectionProblem, match="does not take this key"):
        for _ in range(5000):
            client.cancel("job")
    client.close()


def test_a_problem_ends_the_wait_for_a_greeting():
    client = Connection(endpoint())
    client.problem = messages.Failed("", messages.VERSION, "The service is of another version.")
    with pytest.raises(ConnectionProblem, match="of another version"):
        client.greeting()
    client.close()


def test_the_greeting_takes_no_news_away(start):
    client = Connection.open(start().where)
    welcome = client.greeting()
    assert welcome.buffer_limit == codec.REQUEST_LIMITS.buffer
    assert client.poll()[0] == welcome == client.greeting()
    client.close()


def test_the_system_is_not_asked_all_the_time_whether_the_service_lives(monkeypatch):
    asked = []
    monkeypatch.setattr(Endpoint, "alive", property(lambda self: asked.append(self) or True))
    client = Connection(endpoint())
    with pytest.raises(ConnectionProblem, match="did not end"):
        client.wait("job", timeout=1.5)
    assert 0 < len(asked) < 4
    client.close()


@pytest.mark.parametrize(
    "damage",
    [
        {"address": "nonsense"},
        {"address": ""},
        {"server_public": "short"},
        {"client_secret": "x" * 41},
        {"client_public": "\xe4" * 40},
    ],
)
def test_a_damaged_connection_file_is_one_sentence(tmp_path, damage):
    path = tmp_path / "damaged.json"
    dataclasses.replace(endpoint(), **damage).write(path)
    with pytest.raises(ConnectionProblem, match="damaged"):
        Connection.open(path)
