"""The service's private folder: the exchange, the worker's log, and what dead services left behind."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import time
from pathlib import Path
from typing import BinaryIO, Iterable

from plugin.painterly.protocol import process
from plugin.painterly.protocol.endpoint import Endpoint, read_json, write_private_json
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.exchange import Exchange

# A file that no job speaks of is from a client that vanished before its message arrived.
_STRAY_SECONDS = 600.0
# A room of another machine, in a home that several share: whether its service lives is seen only by the signs
# that it gives with every sweep.
_ELSEWHERE_SECONDS = 7 * 24 * 3600.0
_OWNER, _EXCHANGE = "owner.json", "exchange"
_LOG_TAIL = 4000
_LOG_AT_MOST = 1 << 20  # bytes; what dead workers wrote beyond it is dropped when the next one starts


class Room:
    """A folder `instance` inside `folder`, owner-only, gone when the service ends.

    Folders of services that were killed are removed by the next start.
    """

    def __init__(self, folder: Path, instance: str):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_dead(folder)
        self.path = folder / instance
        self.path.mkdir(mode=0o700)
        owner = {"pid": os.getpid(), "started": process.started(os.getpid()), "machine": machine()}
        self._owner = self.path / _OWNER
        write_private_json(self._owner, owner)
        (self.path / _EXCHANGE).mkdir(mode=0o700)
        self.exchange = Exchange(self.path / _EXCHANGE)
        self.log = self.path / "worker.log"

    @property
    def exists(self) -> bool:
        """False if somebody has removed the folder: without it nothing can be handed to the worker."""
        return self.exchange.folder.is_dir()

    def open_log(self) -> BinaryIO:
        """The worker's log, to be written to; begun anew when it has become long."""
        log = open(self.log, "ab")
        if log.tell() > _LOG_AT_MOST:
            log.truncate(0)
        return log

    def log_tail(self) -> str:
        """The last lines that the worker wrote, for bug reports."""
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
                return log.read(_LOG_TAIL).decode("utf-8", "replace")
        except OSError:
            return ""

    def size_of(self, names: Iterable[str]) -> int:
        """Bytes of these files of the exchange; those that a client has taken away count nothing."""
        total = 0
        for name in names:
            with contextlib.suppress(OSError):
                total += (self.exchange.folder / name).stat().st_size
        return total

    def sweep(self, in_use: set[str]) -> None:
        """Removes old files of the exchange that are not `in_use`, and gives a sign of life."""
        with contextlib.suppress(OSError):
            os.utime(self._owner)
        for path in self.exchange.folder.iterdir():
            if path.name not in in_use and _age(path) > _STRAY_SECONDS:
                self.exchange.remove(path.name)

    def close(self) -> None:
        _remove(self.path)


def _remove(path: Path) -> None:
    """Takes a room away, last of all whose it was: what the system holds on to (Windows, as long as a client has a
    result mapped) is then found by a later start."""
    shutil.rmtree(path / _EXCHANGE, ignore_errors=True)
    with contextlib.suppress(OSError):
        for inside in sorted(path.iterdir(), key=lambda inside: inside.name == _OWNER):
            inside.rmdir() if inside.is_dir() else inside.unlink()
        path.rmdir()


def _remove_dead(folder: Path) -> None:
    for path in folder.iterdir():
        try:
            owner = read_json(path / _OWNER)
            pid, started = int(owner["pid"]), owner["started"]
        except (OSError, ProtocolError, KeyError, TypeError, ValueError):
            continue  # not a room, or one that is just being made
        if owner.get("machine", machine()) == machine():
            dead = process.started(pid) != started
        else:
            dead = _age(path / _OWNER) > _ELSEWHERE_SECONDS
        if dead:
            _remove(path)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def machine() -> str:
    """Where a process number means what it means here: this machine and, on Linux, this container."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbers = ""
    return f"{platform.node()} {numbers}".strip()


def remove_connection_file(path: Path, instance: str) -> None:
    """Removes the connection file unless another service has written its own there meanwhile."""
    try:
        if Endpoint.read(path).instance == instance:
            path.unlink()
    except (OSError, ProtocolError):
        return  # already gone or no longer ours
