"""How the machine computes best (`backend/machine.py`): measured once, remembered, asked for."""

import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from backend import machine
from backend.harmonize.errors import DeviceUnavailable
from backend.machine import Measurement, Way
from plugin.painterly.protocol.places import places

CPU = torch.device("cpu")
USUAL, HALF = Way("float32"), Way("bfloat16")


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(machine, "busy", lambda: False)


@pytest.fixture
def measured(tmp_path, monkeypatch, quiet) -> list:
    """A cache of its own; the devices that were really measured. The measurement says bfloat16."""
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path))
    seen = []

    def measure(device):
        seen.append(device)
        return Measurement({USUAL: 2.0, HALF: 1.0}, busy=machine.busy())

    monkeypatch.setattr(machine, "measure", measure)
    return seen


def kept():
    return places().cache / "machine.json"


def test_measures_once_and_remembers(measured):
    assert machine.choose("auto", CPU) == machine.choose("auto", CPU) == HALF
    assert measured == [CPU]
    assert list(machine.remembered().values()) == [Measurement({USUAL: 2.0, HALF: 1.0})]


def test_forgetting_measures_anew(measured):
    machine.forget()
    machine.choose("auto", CPU)
    machine.forget()
    assert machine.remembered() == {}
    machine.choose("auto", CPU)
    assert len(measured) == 2


def test_another_torch_measures_anew_and_the_old_one_is_still_known(measured, monkeypatch):
    machine.choose("auto", CPU)
    with monkeypatch.context() as updated:
        updated.setattr(torch, "__version__", "99.0")
        machine.choose("auto", CPU)
        assert len(measured) == 2
    machine.choose("auto", CPU)
    assert len(measured) == 2


def test_a_measurement_beside_other_work_serves_until_the_machine_is_quiet(measured, monkeypatch):
    monkeypatch.setattr(machine, "busy", lambda: True)
    assert machine.choose("auto", CPU) == machine.choose("auto", CPU) == HALF
    assert len(measured) == 1
    monkeypatch.setattr(machine, "busy", lambda: False)
    machine.choose("auto", CPU)
    machine.choose("auto", CPU)
    assert len(measured) == 2


def test_what_is_asked_for_is_not_measured(measured):
    assert machine.choose("float32", CPU).dtype == torch.float32
    assert machine.choose("float16", CPU).dtype == torch.float16
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
        b'{"x": {"busy": false, "single": [], "shared": []}}',
        b'{"x": {"busy": false, "shared": [], "single": [{"precision": "int3", "memory_format": "contiguous", '
        b'"threads": 1, "seconds": 1}]}}',
        b'{"x": {"precision": "bfloat16", "seconds": {}}}',
    ],
)
def test_a_damaged_file_is_measured_over(measured, content):
    kept().parent.mkdir(parents=True)
    kept().write_bytes(content)
    assert machine.choose("auto", CPU) == HALF
    assert len(measured) == 1
    machine.choose("auto", CPU)
    assert len(measured) == 1


def test_other_machines_measurements_are_kept(measured):
    kept().parent.mkdir(parents=True)
    kept().write_text(json.dumps({"another": Measurement({USUAL: 1.0}).as_json()}))
    machine.choose("auto", CPU)
    assert len(machine.remembered()) == 2


def test_a_folder_that_cannot_be_made_only_costs_the_measurement(measured, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert machine.choose("auto", CPU) == HALF


def test_no_leftovers_beside_the_file(measured):
    machine.choose("auto", CPU)
    assert [path.name for path in kept().parent.iterdir()] == ["machine.json"]


def seconds(**costs):
    """A timer: the product of what a way's names and threads cost; `costs` by name, threads as t1, t8."""

    def cost(way) -> float:
        return math.prod(
            costs.get(name, 1.0) for name in (way.precision, way.memory_format, f"t{way.threads}")
        )

    return lambda device, ways: {way: cost(way) for way in ways}


@pytest.mark.parametrize(
    "costs, chosen",
    [
        ({}, Way("float32", "channels_last", 4)),
        ({"bfloat16": 0.5}, Way("bfloat16", "channels_last", 4)),
        ({"bfloat16": 0.95}, Way("float32", "channels_last", 4)),
        ({"bfloat16": 7.0}, Way("float32", "channels_last", 4)),
        ({"contiguous": 0.9}, Way("float32", "contiguous", 4)),
        ({"contiguous": 0.99}, Way("float32", "channels_last", 4)),
        ({"t8": 0.7}, Way("float32", "channels_last", 8)),
        ({"t1": 0.9, "t8": 2.0}, Way("float32", "channels_last", 4)),
        ({"bfloat16": 0.5, "contiguous": 0.5, "t1": 0.5}, Way("bfloat16", "contiguous", 1)),
    ],
)
def test_the_fastest_is_chosen_if_it_is_worth_it(monkeypatch, quiet, costs, chosen):
    monkeypatch.setattr(machine, "TORCHS_THREADS", 4)
    monkeypatch.setattr(machine, "_thread_counts", lambda: [1, 4, 8])
    monkeypatch.setattr(machine, "native_bfloat16", lambda: True)
    assert machine.measure(CPU, seconds(**costs)).best() == chosen


def test_beside_other_work_threads_are_left_alone(monkeypatch):
    monkeypatch.setattr(machine, "busy", lambda: True)
    found = machine.measure(CPU, seconds(t1=0.01))
    assert found.busy and found.best().threads == machine.TORCHS_THREADS


def test_without_native_bfloat16_it_is_not_even_tried(monkeypatch, quiet):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "amx_bf16": False}, False
    )
    found = machine.measure(CPU, seconds(bfloat16=0.1))
    assert {way.precision for way in found.single} == {"float32"}


@pytest.mark.parametrize(
    "features, native", [({"amx_bf16": True, "avx512_bf16": False}, True), ({"avx2": True}, True)]
)
def test_where_torch_does_not_tell_the_measurement_decides(monkeypatch, features, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, False)
    assert machine.native_bfloat16() is native


def test_threads_that_the_user_set_are_kept_to(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine._thread_counts() == [machine.TORCHS_THREADS]


@pytest.mark.parametrize("layout", machine.LAYOUTS)
def test_a_trial_gives_a_gradient_that_the_memory_format_does_not_change(layout):
    gradient = machine.trial(CPU, Way("float32", layout), 32)()
    other = machine.trial(CPU, USUAL, 32)()
    assert gradient.shape == (1, 3, 32, 32) and gradient.abs().sum() > 0
    assert torch.allclose(gradient, other, rtol=1e-3, atol=1e-6)


def test_a_real_measurement(monkeypatch, quiet):
    monkeypatch.setitem(machine._SIZES, "cpu", 32)
    before = torch.get_num_threads()
    found = machine.measure(CPU)
    assert torch.get_num_threads() == before
    assert all(0 < value < 60 for value in [*found.single.values(), *found.shared.values()])
    assert {way.memory_format for way in found.single} == set(machine.LAYOUTS)
    assert found.best().threads in machine._thread_counts()


def test_what_a_device_refuses_is_no_way(monkeypatch):
    def refusing(device, way, size):
        raise RuntimeError("not implemented for 'BFloat16'")

    real = machine.trial
    monkeypatch.setattr(
        machine, "trial", lambda device, way, size: (refusing if way == HALF else real)(device, way, size)
    )
    assert list(machine._seconds(CPU, [HALF, USUAL])) == [USUAL]
    with pytest.raises(DeviceUnavailable, match="refuses all ways.*not implemented for"):
        machine._seconds(CPU, [HALF])


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert machine.choose_device("auto") == machine.choose_device("cpu") == CPU
    for missing in ("cuda", "mps"):
        with pytest.raises(DeviceUnavailable, match=missing):
            machine.choose_device(missing)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(machine, "_refusal", lambda name: None)
    assert machine.choose_device("auto") == machine.choose_device("cuda") == torch.device("cuda")


@pytest.mark.parametrize("told", ["CUDA error: no kernel image is available\nCompile with ...", ""])
def test_a_card_that_torch_lists_but_has_no_kernels_for_is_left_alone(monkeypatch, told):
    def refusing(*tensors):
        raise RuntimeError(told)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(machine.torch, "ones", lambda *size, device: None)
    monkeypatch.setattr(machine.F, "conv2d", refusing)
    assert machine.choose_device("auto") == CPU
    with pytest.raises(
        DeviceUnavailable, match="no kernel image is available\\)" if told else "RuntimeError"
    ):
        machine.choose_device("cuda")


# Stands in for torch when the engine imports it: says what torch would read, and ends.
TORCH = "import os\nprint(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'])\nraise SystemExit\n"


@pytest.mark.parametrize("user, read", [(None, "1"), ("0", "0")])
def test_what_a_macs_graphics_card_cannot_do_the_processor_does(tmp_path, user, read):
    """Torch reads that when it is imported, and what the user set stays."""
    (tmp_path / "torch.py").write_text(TORCH)
    environment = {k: v for k, v in os.environ.items() if k != "PYTORCH_ENABLE_MPS_FALLBACK"}
    environment |= {
        "PYTHONPATH": str(tmp_path),
        **({} if user is None else {"PYTORCH_ENABLE_MPS_FALLBACK": user}),
    }
    command = [sys.executable, "-c", "import backend.engine"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=os.getcwd())
    assert found.stdout.split() == [read], found.stderr


def test_memory_that_the_system_does_not_tell_is_none(monkeypatch):
    monkeypatch.setattr(machine, "resource", None)
    assert machine.peak_memory(torch.device("cpu")) is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to")
def test_gaps_in_the_heap_are_given_back():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    blocks, between = [], []
    for _ in range(2000):  # each below what the C library maps on its own
        blocks.append(torch.ones(1 << 14))
        between.append(torch.ones(16))
    blocks.clear()
    before = resident()
    machine.release(CPU)
    assert before - resident() > 50e6
