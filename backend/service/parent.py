"""Noticing that whoever started the service is gone, however that ended."""

from __future__ import annotations

import threading

from backend import lifeline
from plugin.painterly.protocol import process


class ParentWatch:
    """`gone()` is true once the process `pid` ended or, with `stdin`, standard input was closed.

    `pid` 0 watches no process. A pid that the system gave to another process counts as gone.
    """

    def __init__(self, pid: int, stdin: bool):
        self._pid = pid
        self._started = process.started(pid) if pid else ""
        self._closed = threading.Event()
        if stdin:
            lifeline.at_end_of_input(self._closed.set)

    def gone(self) -> bool:
        if self._closed.is_set():
            return True
        try:
            return bool(self._pid) and (not self._started or process.started(self._pid) != self._started)
        except OSError:  # a system that starts no more programs, such as the one that tells: asked again soon
            return False
