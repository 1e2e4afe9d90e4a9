"""What the machine computes best (`backend/machine.py`): measured once, remembered, asked for."""

import json

import pytest
import torch

from backend import machine
from backend.harmonize.errors import DeviceUnavailable
from plugin.painterly.protocol.places import places

CPU = torch.device("cpu")


@pytest.fixture
def measured(tmp_path, monkeypatch) -> list:
    """A cache of its own; the devices that were really measured. The measurement says bfloat16."""
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path))
    seen = []

    def measure(device):
        seen.append(device)
        return {"precision": "bfloat16", "seconds": {"float32": 2.0, "bfloat16": 1.0}}

    monkeypatch.setattr(machine, "measure", measure)
    return seen


def kept():
    return places().cache / "precision.json"


def test_measures_once_and_remembers(measured):
    assert machine.choose_precision("auto", CPU) == torch.bfloat16
    assert machine.choose_precision("auto", CPU) == torch.bfloat16
    assert measured == [CPU]
    assert [value["precision"] for value in machine.remembered().values()] == ["bfloat16"]


def test_forgetting_measures_anew(measured):
    machine.forget()
    machine.choose_precision("auto", CPU)
    machine.forget()
    assert machine.remembered() == {}
    machine.choose_precision("auto", CPU)
    assert len(measured) == 2


def test_what_is_asked_for_is_not_measured(measured):
    assert machine.choose_precision("float32", CPU) == torch.float32
    assert machine.choose_precision("float16", CPU) == torch.float16
    assert measured == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"null",
        b'{"x": 1}',
        b'{"x": {}}',
        b'{"x": {"precision": "int3"}}',
        b'{"x": {"precision": []}}',
    ],
)
def test_a_damaged_file_is_measured_over(measured, content):
    kept().parent.mkdir(parents=True)
    kept().write_bytes(content)
    assert machine.choose_precision("auto", CPU) == torch.bfloat16
    assert len(measured) == 1
    machine.choose_precision("auto", CPU)
    assert len(measured) == 1


def test_other_machines_measurements_are_kept(measured):
    kept().parent.mkdir(parents=True)
    kept().write_text(json.dumps({"another": {"precision": "float32", "seconds": {}}}))
    machine.choose_precision("auto", CPU)
    assert len(machine.remembered()) == 2


def test_a_folder_that_cannot_be_made_only_costs_the_measurement(measured, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert machine.choose_precision("auto", CPU) == torch.bfloat16


def test_no_leftovers_beside_the_file(measured):
    machine.choose_precision("auto", CPU)
    assert [path.name for path in kept().parent.iterdir()] == ["precision.json"]


@pytest.mark.parametrize(
    "seconds, chosen",
    [
        ({"float32": 1.0, "bfloat16": 0.5}, "bfloat16"),
        ({"float32": 1.0, "bfloat16": 0.95}, "float32"),
        ({"float32": 1.0, "bfloat16": 7.0}, "float32"),
    ],
)
def test_half_precision_must_be_worth_it(monkeypatch, seconds, chosen):
    monkeypatch.setattr(machine, "_seconds", lambda device, dtype: seconds[str(dtype).removeprefix("torch.")])
    assert machine.measure(CPU)["precision"] == chosen


def test_a_real_measurement():
    found = machine.measure(CPU)
    assert found["precision"] in found["seconds"] and set(found["seconds"]) == {"float32", "bfloat16"}
    assert all(value > 0 for value in found["seconds"].values())


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert machine.choose_device("auto") == machine.choose_device("cpu") == CPU
    for missing in ("cuda", "mps"):
        with pytest.raises(DeviceUnavailable, match=missing):
            machine.choose_device(missing)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.choose_device("auto") == torch.device("cuda")
