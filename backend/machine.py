"""What this machine computes best: device and precision, measured once and remembered."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

import torch

from backend.harmonize.errors import DeviceUnavailable
from plugin.painterly.protocol.parameters import AUTO
from plugin.painterly.protocol.places import places

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# A half precision must be this much faster to be worth its rounding.
WORTH = 1.2


def choose_device(wanted: str) -> torch.device:
    """The device asked for, or the best there is; raises DeviceUnavailable."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == AUTO:
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if there[name]))
    if not there[wanted]:
        raise DeviceUnavailable(f"This machine has no usable {wanted} device; choose auto or cpu.")
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The precision asked for, or the fastest that `device` computes natively by a remembered measurement."""
    if wanted != AUTO:
        return DTYPES[wanted]
    key = _key(device)
    choices = remembered()
    if key not in choices:
        choices[key] = measure(device)
        _remember(choices)
    return DTYPES[choices[key]["precision"]]


def measure(device: torch.device) -> dict:
    """Seconds of a forward and backward through two VGG-like convolutions, by precision, and the winner.

    float16 is only a candidate on graphics cards, bfloat16 everywhere but on mps.
    """
    names = {"cpu": ("float32", "bfloat16"), "mps": ("float32", "float16")}.get(
        device.type, ("float32", "bfloat16", "float16")
    )
    seconds = {name: _seconds(device, DTYPES[name]) for name in names}
    fastest = min(seconds, key=seconds.__getitem__)
    chosen = fastest if seconds["float32"] > WORTH * seconds[fastest] else "float32"
    return {"precision": chosen, "seconds": {name: round(value, 5) for name, value in seconds.items()}}


def _seconds(device: torch.device, dtype: torch.dtype, size: int = 192, rounds: int = 4) -> float:
    """Best of `rounds`, after one to warm up."""
    convs = torch.nn.Sequential(*(torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(2)))
    convs = convs.to(device, dtype).to(memory_format=torch.channels_last).requires_grad_(False)
    x = torch.zeros(1, 64, size, size, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(rounds + 1):
        leaf = x.clone().requires_grad_()
        _wait(device)
        started = time.perf_counter()
        convs(leaf).backward(x)
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _key(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return f"{device.type} {name} torch {torch.__version__} threads {torch.get_num_threads()}"


def _processor() -> str:
    return f"{platform.processor() or platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _file() -> Path:
    return places().cache / "precision.json"


def remembered() -> dict[str, dict]:
    """The measurements kept so far, by machine; empty if there are none or the file is damaged."""
    try:
        kept = json.loads(_file().read_text("utf-8"))
        return {key: value for key, value in kept.items() if value["precision"] in DTYPES}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def forget() -> None:
    """Measure anew next time."""
    _file().unlink(missing_ok=True)


def _remember(choices: dict[str, dict]) -> None:
    """Keep them; a folder that cannot be written only costs the measurement again."""
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(choices, indent=1), "utf-8")
        part.replace(path)
    except OSError:
        return
