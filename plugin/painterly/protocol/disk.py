"""Seeing to it that a file has reached its disk."""

import errno
import os
from typing import IO

# What a file system says that knows no fsync, as some network disks.
NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def flush(file: IO) -> None:
    """Raises OSError if not all is written: a disk may report that it is full only now."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
