"""Weight files from the net, told of as they come, stopped between pieces, gone on with where they ended.

torchvision's own loader finds the file in its cache then. It downloads too, but in silence: on a slow line half a gigabyte
is an hour in which nobody knows what goes on, nothing answers, and all is lost when the line breaks.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from backend.harmonize.errors import WeightsUnavailable
from backend.harmonize.networks import Download
from backend.harmonize.step import OnStep, Step

PIECE = 1 << 20  # bytes; what is told counts them
PATIENCE = 30.0  # seconds without a byte
_PARTIAL, _NOTHING_LEFT = 206, 416  # HTTP: from the asked-for byte on; there is none from there on


def fetch(wanted: Download, name: str, on_step: OnStep) -> None:
    """The file of the network `name` in its place, unless it is there.

    `on_step` is called after each piece (stage "download", in megabytes) and may raise; what came so far stays in a file
    beside, from which the next attempt goes on. Raises WeightsUnavailable.
    """
    if wanted.path.exists():
        return
    part = wanted.path.with_name(wanted.path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _go_on(wanted.url, part, on_step)
    except (OSError, http.client.HTTPException) as error:  # no connection, no room, a line that broke
        raise WeightsUnavailable(
            f"The weights of {name} could not be downloaded ({_reason(error)}); {_advice(error)}, or choose the packaged "
            "network."
        ) from error
    if not sha256(part).startswith(wanted.digest):
        part.unlink()
        raise WeightsUnavailable(
            f"The weights of {name} did not come as they should; try again, or choose the packaged network."
        )
    os.replace(part, wanted.path)


def _reason(error: Exception) -> str:
    """What happened, without the wrapping of `urlopen`."""
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _advice(error: Exception) -> str:
    """What to do about it."""
    if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
        return (  # Python from python.org comes without certificates to a Mac
            "this Python does not trust the server's certificate; on a Mac open “Install Certificates.command” in the "
            "folder of Python in Applications and try again"
        )
    return "try again once connection and disk allow it, which goes on from what has come"


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(PIECE):
            digest.update(block)
    return digest.hexdigest()


def _go_on(url: str, part: Path, on_step: OnStep) -> None:
    """All that `part` lacks of the file; a server that cannot begin in the midst begins anew."""
    had = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "Painterly", **({"Range": f"bytes={had}-"} if had else {})}
    try:
        answer = urlopen(Request(url, headers=headers), timeout=PATIENCE)
    except HTTPError as error:
        if had and error.code == _NOTHING_LEFT:
            return
        raise
    with answer:
        if answer.status != _PARTIAL:
            had = 0
        length = answer.headers.get("Content-Length")
        total = had + int(length) if length else None
        with part.open("ab" if had else "wb") as file:
            _copy(answer, file, had, total, on_step)
    if total is not None and part.stat().st_size < total:
        raise ConnectionError("the line broke")


def _copy(answer: http.client.HTTPResponse, file, had: int, total: int | None, on_step: OnStep) -> None:
    """`answer` to `file`, of which there are `had` bytes already, told in pieces."""
    begun, done = time.monotonic(), had
    while piece := answer.read(PIECE):
        file.write(piece)
        done += len(piece)
        pace = (time.monotonic() - begun) / (done - had)  # seconds a byte
        left = None if total is None else pace * (total - done)
        count, of = (-(-size // PIECE) for size in (done, max(done, total or 0)))
        on_step(Step("download", count, of, 0.0, left))
