"""Log files: each occasion has one of its own, and only the newest are kept."""

import contextlib
import os
import time
import uuid
from pathlib import Path
from typing import BinaryIO

KEEP = 20
# Younger ones stay whatever their number: somebody may just have been told to look into one.
_YOUNG_SECONDS = 24 * 3600.0


def new_log(folder: Path, kind: str) -> BinaryIO:
    """A new file `kind-DATE-TIME-....log`, owner-only and open for writing; of the older ones of this kind the
    newest are kept. Makes the folder. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_old(folder, kind)
    name = "{}-{}-{}.log".format(kind, time.strftime("%Y%m%d-%H%M%S"), uuid.uuid4().hex[:8])
    return open(str(folder / name), "xb", opener=lambda path, flags: os.open(path, flags, 0o600))


def _remove_old(folder: Path, kind: str) -> None:
    """What cannot be removed stays."""
    found = []
    for path in folder.glob(kind + "*.log"):
        with contextlib.suppress(OSError):  # another process is doing the same
            found.append((path.stat().st_mtime, path))
    for written, path in sorted(found)[: -KEEP + 1]:
        if time.time() - written > _YOUNG_SECONDS:
            with contextlib.suppress(OSError):
                path.unlink()
