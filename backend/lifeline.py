"""How a process learns that whoever started it has ended: its standard input, a pipe, is closed then."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
from typing import Callable

if sys.platform == "win32":
    import msvcrt

_LOOK_SECONDS = 0.5
_AT_ONCE = 4096


def at_end_of_input(call: Callable[[], None], descriptor: int = 0) -> None:
    """Calls `call`, in a thread of its own, once nobody can write to `descriptor` any more.

    What is written to it until then is dropped.
    """

    def wait() -> None:
        # What cannot be read at all has nobody left at its other end either.
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                _look_until_closed(descriptor, _bytes_waiting)
            while os.read(descriptor, _AT_ONCE):
                pass
        call()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _look_until_closed(descriptor: int, bytes_waiting: Callable[[int], int]) -> None:
    """Returns once `bytes_waiting` raises OSError; at no time is a read pending until then.

    For Windows: libraries that NumPy loads ask about standard input as they start, and that waits behind a
    pending read for as long as the pipe stays silent (https://github.com/numpy/numpy/issues/24290).
    This was written from the documentation and tried with stand-ins, not on Windows itself.
    """
    with contextlib.suppress(OSError):
        while True:
            waiting = bytes_waiting(descriptor)
            if waiting:
                os.read(descriptor, min(waiting, _AT_ONCE))
            else:
                time.sleep(_LOOK_SECONDS)


def _bytes_waiting(descriptor: int) -> int:
    """How much can be read now without waiting (Windows); OSError if it is no pipe or its other end is closed."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    handle, waiting = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor)), ctypes.c_ulong()
    if not kernel.PeekNamedPipe(handle, None, 0, None, ctypes.byref(waiting), None):
        raise ctypes.WinError(ctypes.get_last_error())
    return waiting.value
