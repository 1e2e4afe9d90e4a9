"""How a command ends early: stopped by the user, or by an error whose details go to a log file."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback

from plugin.painterly.protocol.places import places

EXIT_STOPPED = 130


class Stopped(Exception):
    """The user stopped the command; the message says in one sentence what was kept."""


def save_details(error: BaseException) -> str:
    """Writes the traceback to a log file; the rest of a sentence that says where, or why it could not."""
    folder, name = places().log, time.strftime("error-%Y%m%d-%H%M%S-")
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A name that no other file has: a batch may meet several errors in one second.
        handle, path = tempfile.mkstemp(".log", name, folder)
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{' '.join(sys.argv)}\n\n{details}")
    except OSError as problem:
        return f"{error} (the details could not be saved: {problem.strerror})."
    return f"the details are in {path}."
