"""How a command ends early: stopped by the user, or by an error whose details go to a log file."""

from __future__ import annotations

import sys
import traceback

from plugin.painterly.protocol.logs import new_log
from plugin.painterly.protocol.places import places

EXIT_STOPPED = 130


class Stopped(Exception):
    """The user stopped the command; the message says in one sentence what was kept."""


def save_details(error: BaseException) -> str:
    """Writes the traceback to a log file; the rest of a sentence that says where, or why it could not."""
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        with new_log(places().log, "error") as log:
            log.write(f"{' '.join(sys.argv)}\n\n{details}".encode("utf-8", "backslashreplace"))
    except OSError as problem:
        return f"{error} (the details could not be saved: {problem.strerror})."
    return f"the details are in {log.name}."
