"""Memory that really runs out, in this process only (Linux)."""

import resource
from pathlib import Path

MIB = 1 << 20


def starve(allocate):
    """Allocates 16 MiB after 16 MiB until that fails; the process may have 256 MiB more than it has now.

    Whatever `allocate(bytes)` raises then is raised here, after the limit was lifted again.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 256 * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    hoard = []
    try:
        while True:
            hoard.append(allocate(16 * MIB))
    finally:
        hoard.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)
