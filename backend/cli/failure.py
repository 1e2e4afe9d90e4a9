"""How a command ends early: stopped by the user, or by an error whose details go to a log file."""

from __future__ import annotations

import os
import sys
import time
import traceback

from plugin.painterly.protocol.places import places

EXIT_STOPPED = 130


class Stopped(Exception):
    """The user stopped the command; the message says in one sentence what was kept."""


def save_details(error: BaseException) -> str:
    """Writes the traceback to a log file; the rest of a sentence that says where, or why it could not."""
    path = places().log / time.strftime(f"error-%Y%m%d-%H%M%S-{os.getpid()}.log")
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{' '.join(sys.argv)}\n\n{details}", encoding="utf-8")
    except OSError as problem:
        return f"{error} (the details could not be saved: {problem.strerror})."
    return f"the details are in {path}."
