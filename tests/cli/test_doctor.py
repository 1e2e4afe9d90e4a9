"""`painterly doctor`: everything in order on this machine, and one thing at a time that is not."""

import json
import shutil
import sys

import pytest
import torch

from backend import machine
from backend.cli import doctor
from backend.harmonize import networks
from backend.service import keys
from plugin.painterly.protocol.places import places

MEASURED = machine.Measurement({machine.Way("float32"): 0.25, machine.Way("bfloat16"): 0.5})


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No real measurement, a hub of its own, and the folder of `painterly`'s fixture here already."""
    seen = []
    monkeypatch.setattr(machine, "measure", lambda device: seen.append(device) or MEASURED)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path / "home"))
    return seen


@pytest.fixture
def no_weights_read(monkeypatch, tmp_path):
    """Tests about other lines need not read the network."""
    monkeypatch.setattr(networks, "load", lambda name: None)
    monkeypatch.setattr(networks, "packaged_path", lambda: tmp_path / "weights.h5")


def checks(finished) -> dict:
    return {check["name"]: check for check in json.loads(finished.out)["checks"]}


def in_need(findings) -> list:
    return [finding.name for finding in findings if not finding.ok]


def test_all_in_order(painterly):
    finished = painterly("doctor")
    assert finished.code == 0, finished.out
    lines = finished.out.splitlines()
    assert all(line.startswith("OK ") for line in lines) and len(lines) <= 24
    assert any(torch.__version__.split("+")[0] in line for line in lines)
    (measured,) = [line for line in lines if line.startswith("OK   measured")]
    assert measured.index("float32 channels_last") < measured.index("0.250 s") < measured.index("bfloat16")
    assert torch.__version__ in measured
    assert any("CURVE" in line for line in lines) and any("checksum right" in line for line in lines)


def test_json(painterly, no_weights_read):
    finished = painterly("doctor", "--json")
    assert finished.code == 0 and json.loads(finished.out)["ok"] is True
    found = checks(finished)
    assert {*doctor.PACKAGES, "device", "network", "vgg19", "vgg16", "messages", "disk"} <= set(found)
    assert found["cache"]["text"].startswith(str(places().cache))
    assert found["device"]["text"] == f"{machine.choose_device('auto')}, {machine.Way('float32')}"


@pytest.mark.parametrize("damage", ["truncated", "changed", "gone"])
def test_damaged_weights(painterly, tmp_path, monkeypatch, damage):
    good, bad = networks.packaged_path(), tmp_path / "bad.h5"
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 1
    if damage != "gone":
        bad.write_bytes(content[:1000] if damage == "truncated" else content)
    monkeypatch.setattr(networks, "packaged_path", lambda: bad)
    finished = painterly("doctor")
    assert finished.code == 1
    need = [line for line in finished.out.splitlines() if not line.startswith("OK ")]
    assert len(need) == 2 and need[0].startswith("FIX  network") and "install.py" in need[1]


def test_network_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda name: None)
    (finding,) = doctor._checked("network", lambda: [doctor._packaged_network()])
    assert not finding.ok and "install.py" in finding.advice


@pytest.mark.parametrize("content, ok", [(b"right", True), (b"wrong", False)])
def test_downloaded_network(tmp_path, monkeypatch, content, ok):
    """The checksum's start in the name is that of b"right"."""
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    name = "vgg19-27042f4e.pth"
    weights = type("Weights", (), {"url": f"https://example.org/models/{name}"})
    monkeypatch.setitem(networks.TORCHVISION, "vgg19", (weights, (), ()))
    assert doctor._download("vgg19").ok and "not downloaded" in doctor._download("vgg19").text
    path = tmp_path / "hub" / "checkpoints" / name
    path.write_bytes(content)
    assert doctor._download("vgg19").ok is ok and str(path) in doctor._download("vgg19").text


def test_reset_choice_measures_anew(painterly, quick, no_weights_read):
    painterly("doctor")
    painterly("doctor")
    assert len(quick) == 1
    painterly("doctor", "--reset-choice")
    assert len(quick) == 2


def test_a_measurement_on_a_busy_machine_is_told(painterly, no_weights_read, monkeypatch):
    monkeypatch.setattr(machine, "measure", lambda device: machine.Measurement(MEASURED.single, busy=True))
    assert "was busy" in checks(painterly("doctor", "--json"))["measured"]["text"]


def test_a_card_that_is_not_used_is_told_with_its_answer(painterly, no_weights_read, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(machine, "_refusal", {"cuda": "no kernel image is available"}.get)
    found = checks(painterly("doctor", "--json"))
    assert found["not used"]["text"] == "cuda: no kernel image is available"
    assert found["device"]["text"].startswith("cpu")


def test_a_package_that_does_not_load(painterly, no_weights_read, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    finished = painterly("doctor", "--json")
    assert finished.code == 1
    found = checks(finished)
    assert not found["torchvision"]["ok"] and "install.py" in found["torchvision"]["advice"]
    assert found["torch"]["ok"] and found["messages"]["ok"]


def test_messages_without_encryption(monkeypatch):
    def refuse():
        raise OSError("Operation not supported")

    monkeypatch.setattr(keys.zmq, "curve_keypair", refuse)
    (finding,) = doctor._checked("messages", lambda: [doctor._messages()])
    assert not finding.ok and "not supported" in finding.text


def test_folders(tmp_path, monkeypatch):
    assert in_need(doctor._folders()) == []
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert in_need(doctor._folders()) == ["home", "data", "cache", "log"]
    assert "PAINTERLY_HOME" in doctor._folders()[0].advice


def test_a_file_in_a_folders_place():
    home = places().home
    home.mkdir()
    places().log.touch()
    assert in_need(doctor._folders()) == ["log"]


def test_little_room(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3e8}))
    finding = doctor._disk()
    assert not finding.ok and finding.text.startswith("0.3 GB free") and "1 GB" in finding.advice


def test_a_check_with_a_bug_leaves_the_others_standing(painterly, no_weights_read, monkeypatch):
    def bug():
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(doctor, "_disk", bug)
    finished = painterly("doctor", "--json")
    found = checks(finished)
    assert finished.code == 1 and "a bug" in found["disk"]["text"] and found["home"]["ok"]
    assert len(list(places().log.iterdir())) == 1
