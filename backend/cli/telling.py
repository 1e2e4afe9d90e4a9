"""What a command tells on stderr, in silence once nobody reads it any more.

Ctrl-C under `painterly ... 2>&1 | tee log` ends `tee` as well; the picture must not be lost over that.
"""

from __future__ import annotations

import contextlib
import sys


def tell(sentence: object) -> None:
    """Writes one line."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
