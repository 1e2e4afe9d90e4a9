"""The connection file and the question whether a process still lives."""

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from plugin.painterly.protocol import process
from plugin.painterly.protocol.endpoint import Endpoint
from plugin.painterly.protocol.errors import ProtocolError


def endpoint(**more):
    return Endpoint("tcp://127.0.0.1:5", "p" * 40, "c" * 40, "s" * 40, **more)


def test_written_and_read_again(tmp_path):
    here = endpoint(pid=os.getpid(), started=process.started(os.getpid()), instance="i", exchange="/x")
    path = tmp_path / "deep" / "connection.json"
    here.write(path)
    assert Endpoint.read(path) == here and here.alive
    assert os.listdir(path.parent) == ["connection.json"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_only_the_owner_may_read_it(tmp_path):
    path = tmp_path / "connection.json"
    path.write_text("{}")
    path.chmod(0o644)
    endpoint().write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    endpoint().write(tmp_path / "new" / "connection.json")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700  # on Windows this is what protects it


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"address": 5}', json.dumps({"address": "x"}), "\xff"]
)
def test_what_is_no_connection_file(tmp_path, text):
    path = tmp_path / "connection.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ProtocolError):
        Endpoint.read(path)


def test_fields_of_later_versions_are_ignored(tmp_path):
    path = tmp_path / "connection.json"
    endpoint().write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    assert Endpoint.read(path) == endpoint()


def test_a_damaged_field(tmp_path):
    path = tmp_path / "connection.json"
    endpoint().write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": "5"}))
    with pytest.raises(ProtocolError):
        Endpoint.read(path)


def refuse(number):
    def fails(*_):
        raise OSError(number, os.strerror(number))

    return fails


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_disk_that_cannot_be_asked_whether_all_is_written(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", refuse(number))
    endpoint().write(tmp_path / "connection.json")
    assert Endpoint.read(tmp_path / "connection.json") == endpoint()


@pytest.mark.parametrize("gone_too", [False, True])
def test_a_disk_that_turns_out_to_be_full_is_told_and_leaves_the_old_file(tmp_path, monkeypatch, gone_too):
    path = tmp_path / "connection.json"
    endpoint().write(path)
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    if gone_too:  # nor can what was begun be removed
        monkeypatch.setattr(os, "unlink", refuse(errno.EACCES))
    with pytest.raises(OSError) as caught:
        endpoint(instance="new").write(path)
    assert caught.value.errno == errno.ENOSPC
    assert Endpoint.read(path) == endpoint() and (len(os.listdir(tmp_path)) == 1) != gone_too


def test_a_process_is_known_by_its_start():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process.started(child.pid)
    assert started and started == process.started(child.pid)
    assert endpoint(pid=child.pid, started=started).alive
    assert not endpoint(pid=child.pid, started=started + "1").alive  # another process with this number
    child.kill()
    while process.started(child.pid):  # also as a zombie it is dead
        pass
    assert not endpoint(pid=child.pid, started=started).alive
    child.wait()
    assert process.started(child.pid) == ""
    assert not endpoint(pid=child.pid, started="").alive
    child.stdin.close()


@pytest.mark.skipif(os.name == "nt", reason="ps")
def test_ps_knows_a_process_again_after_a_journey(monkeypatch):
    """As on macOS, where the time zone goes with the traveller."""
    told = set()
    for zone in ("UTC0", "America/New_York", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        told.add(process._started_posix(os.getpid()))
    assert len(told) == 1 and "" not in told


@pytest.mark.skipif(os.name == "nt", reason="ps")
def test_ctrl_c_does_not_reach_ps(monkeypatch, tmp_path):
    """A terminal sends it to the whole process group; a stand-in for ps tells its own."""
    stand_in = tmp_path / "ps"
    stand_in.write_text(f"#!{sys.executable}\nimport os\nprint('S', os.getpgrp())\n")
    stand_in.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    told = process._started_posix(os.getpid())
    assert told.isdecimal() and told != str(os.getpgrp())


def test_another_machine_is_presumed_alive():
    assert endpoint().alive
    assert process.started(0) == process.started(-1) == ""
