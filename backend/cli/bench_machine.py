"""Where a measurement was made: the machine, and which Painterly."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from plugin.painterly.protocol.version import PAINTERLY

ROOT = Path(__file__).resolve().parents[2]


def machine() -> dict[str, Any]:
    """Processor, cores, memory (GB, or None where the system does not tell) and operating system."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "os": platform.platform(),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The checkout's commit, marked if it has changes; the installed version where there is no checkout."""
    described = ""
    if (ROOT / ".git").exists():
        described = _output("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    return described or f"version {PAINTERLY}"


def cpu_name() -> str:
    """The processor's name as its maker sells it, as far as the system tells."""
    name = ""
    if sys.platform == "darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string")
    elif sys.platform == "linux":
        name = _linux_cpu_name(Path("/proc/cpuinfo"))
    return name or platform.processor() or platform.machine()


def _linux_cpu_name(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _output(*command: str) -> str:
    """What the command prints; nothing if it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
