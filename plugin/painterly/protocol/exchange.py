"""Big buffers between processes of one user on one machine: files in a private folder, mapped to memory.

Encrypting and copying a hundred megabytes through a loopback socket takes several times as long as one
write to the page cache, so a local client writes its pixels here and the message names them. The
service makes the folder (mode 0700), names it in the connection file and removes what is in it. A file's
name begins with a digest of its job's id, so that all files of a job are found whoever wrote them.
"""

import hashlib
import mmap
import os
import re
import stat
import uuid
from pathlib import Path
from typing import Iterable, Optional

from .errors import ProtocolError
from .raster import Buffer

# Below this a frame in the message is as fast.
SHARE_FROM = 1 << 20

_NAME = re.compile(r"[0-9a-f]{32}\Z")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_WRITE_AT_MOST = 1 << 28
_TAG_DIGITS = 16


class _Mapping(mmap.mmap):
    """A mapped file that knows its `path`."""

    path: Path


class Exchange:
    """The files of one service; any process of its user may put and open them."""

    def __init__(self, folder: os.PathLike):
        self.folder = Path(folder)

    def put(self, pieces: Iterable[Buffer], job: str) -> str:
        """Writes `pieces`, one after another, to a new file of `job`; returns its name.

        Raises OSError, leaving nothing behind.
        """
        name = tag_of(job) + uuid.uuid4().hex[_TAG_DIGITS:]
        path = self.folder / name
        handle = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
        try:
            for piece in pieces:
                rest = memoryview(piece).cast("B")
                while rest:
                    rest = rest[os.write(handle, rest[:_WRITE_AT_MOST]) :]
        except BaseException:
            os.close(handle)
            path.unlink()
            raise
        os.close(handle)
        return name

    def open(self, name: str, size: int) -> memoryview:
        """The file's content, mapped read-only, not read; raises ProtocolError if it is not `size` bytes."""
        problem = ProtocolError("A shared buffer is not there or not as long as the header says.")
        if not _NAME.match(name) or size <= 0:
            raise problem
        try:
            handle = os.open(str(self.folder / name), os.O_RDONLY | _NO_FOLLOW | _BINARY)
        except OSError:
            raise problem from None
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size != size:
                raise problem
            mapping = _Mapping(handle, size, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # ValueError: it became shorter just now
            raise problem from None
        finally:
            os.close(handle)
        mapping.path = self.folder / name
        return memoryview(mapping)

    def name_of(self, data: Buffer) -> Optional[str]:
        """The file's name if `data` is what `open` returned; None for all other memory."""
        mapping = data.obj if isinstance(data, memoryview) else None
        if (
            isinstance(mapping, _Mapping)
            and mapping.path.parent == self.folder
            and len(mapping) == data.nbytes
        ):
            return mapping.path.name
        return None

    def remove(self, name: str) -> bool:
        """Deletes the file; false if the system holds on to it while it is mapped (Windows)."""
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def remove_all_of(self, job: str) -> None:
        """Deletes every file that anybody has put here for `job`."""
        for path in self.folder.glob(tag_of(job) + "*"):
            self.remove(path.name)


def tag_of(job: str) -> str:
    """What the names of a job's files begin with."""
    return hashlib.blake2b(job.encode("utf-8"), digest_size=_TAG_DIGITS // 2).hexdigest()
