"""`painterly doctor`: one screen about this installation; each line is in order or says what to do."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Callable

from backend.cli.failure import save_details
from backend.harmonize.errors import HarmonizeError
from plugin.painterly.protocol.parameters import AUTO, BY_NAME
from plugin.painterly.protocol.places import places
from plugin.painterly.protocol.version import PAINTERLY, PROTOCOL

# Distribution -> the module it is imported as.
PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "pillow": "PIL",
    "h5py": "h5py",
    "pyvips": "pyvips",
    "pyzmq": "zmq",
}
PACKAGED = "packaged"
REPAIR = "Run install.py again; it repairs."
# Room for logs, caches, results in the making and a running update's small packages.
LEAST_FREE_MB = 1000


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what is there, and, unless it is in order, what to do."""

    name: str
    text: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return not self.advice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reset-choice",
        action="store_true",
        help="forget the measurements that chose precision, memory format and threads, and measure anew",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    findings = examine(args.reset_choice)
    if args.json:
        checks = [{**asdict(finding), "ok": finding.ok} for finding in findings]
        print(json.dumps({"ok": all(f.ok for f in findings), "checks": checks}, indent=2))
    else:
        print("\n".join(map(_line, findings)))
    return 0 if all(finding.ok for finding in findings) else 1


def examine(reset_choice: bool = False) -> list[Finding]:
    """All checks, from the ground up; none of them raises."""
    checks: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("versions", _versions),
        *((name, lambda name=name: [_package(name)]) for name in PACKAGES),
        ("device", lambda: _device(reset_choice)),
        ("network", lambda: [_packaged_network()]),
        *((name, lambda name=name: [_download(name)]) for name in _downloads()),
        ("messages", lambda: [_messages()]),
        ("folders", _folders),
        ("disk", lambda: [_disk()]),
    ]
    return [finding for name, check in checks for finding in _checked(name, check)]


def _checked(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """What `check` finds; a check that breaks is a finding too, since the others are still of use."""
    try:
        return check()
    except HarmonizeError as problem:
        return [Finding(name, "not usable", str(problem))]
    except ImportError as problem:
        return [Finding(name, f"cannot be loaded: {_first_line(problem)}", REPAIR)]
    except Exception as problem:
        return [Finding(name, f"failed: {_first_line(problem)}", f"{REPAIR} If not, {save_details(problem)}")]


def _line(finding: Finding) -> str:
    return f"{'OK ' if finding.ok else 'FIX'}  {finding.name:12} {finding.text}" + (
        f"\n{'':18}-> {finding.advice}" if finding.advice else ""
    )


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def _versions() -> list[Finding]:
    system = f"Python {platform.python_version()}, {platform.platform()}"
    return [Finding("painterly", f"{PAINTERLY}, protocol {PROTOCOL}, {system}")]


def _package(name: str) -> Finding:
    importlib.import_module(PACKAGES[name])
    return Finding(name, metadata.version(name))


def _device(reset: bool) -> list[Finding]:
    """What auto chooses on this machine, and the measurements kept for that."""
    # The modules examined are loaded by name, each in its own check, so that one that is broken
    # becomes a line instead of the end.
    machine = importlib.import_module("backend.machine")
    if reset:
        machine.forget()
    device = machine.choose_device(AUTO)
    chosen = machine.choose(AUTO, device)
    return [
        Finding("device", f"{device}, {chosen}"),
        *(Finding("not used", f"{name}: {why}") for name, why in machine.refusals().items()),
        *(_measured(*kept) for kept in machine.remembered().items()),
    ]


def _measured(key: str, kept: Any) -> Finding:
    """One line of a remembered `Measurement`, the fastest way first."""
    seconds = {**kept.single, **kept.shared}
    told = ", ".join(f"{way} {seconds[way]:.3f} s" for way in sorted(seconds, key=seconds.get))
    stopgap = "; the machine was busy, so it is measured again once it is quiet" if kept.busy else ""
    return Finding("measured", f"{told} ({key}){stopgap}; --reset-choice measures anew")


def _packaged_network() -> Finding:
    networks = importlib.import_module("backend.harmonize.networks")
    networks.load(PACKAGED)  # reads the whole file and compares its checksum
    return Finding("network", f"{PACKAGED}: present, checksum right ({networks.packaged_path()})")


def _downloads() -> list[str]:
    return [name for name in BY_NAME["network"].choices if name != PACKAGED]


def _download(name: str) -> Finding:
    """A network that is only downloaded once it is chosen."""
    networks, download = map(importlib.import_module, ("backend.harmonize.networks", "backend.download"))
    _, path, digest = networks.download_of(name)
    if not path.exists():
        return Finding(name, "not downloaded; that happens once it is chosen")
    if not download.sha256(path).startswith(digest):
        return Finding(name, f"{path} is damaged", "Delete this file; it is downloaded again when needed.")
    return Finding(name, f"present, checksum right ({path})")


def _messages() -> Finding:
    """ZeroMQ, and whether it can encrypt: making a key pair fails if not."""
    importlib.import_module("backend.service.keys").KeyPair.new()
    zmq = importlib.import_module("zmq")
    return Finding("messages", f"ZeroMQ {zmq.zmq_version()} with CURVE encryption")


def _folders() -> list[Finding]:
    there = places()
    names = ("home", "data", "cache", "log")
    return [_folder(name, getattr(there, name)) for name in names]


def _folder(name: str, path: Path) -> Finding:
    ground = _existing(path)
    shown = f"{path}" + ("" if ground == path else " (made when needed)")
    if not ground.is_dir():
        return Finding(name, shown, f"{ground} is a file where a folder is needed; move it away.")
    if not os.access(ground, os.W_OK | os.X_OK):
        return Finding(
            name, shown, f"Make {ground} writable for you, or set PAINTERLY_HOME to another folder."
        )
    return Finding(name, shown)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    return next((place for place in (path, *path.parents) if place.exists()), path)


def _disk() -> Finding:
    home = _existing(places().home)
    free = shutil.disk_usage(home).free / 1e6
    text = f"{free / 1000:.1f} GB free at {home}"
    if free < LEAST_FREE_MB:
        return Finding(
            "disk", text, f"Free some space; {LEAST_FREE_MB / 1000:g} GB is the least to work with."
        )
    return Finding("disk", text)
