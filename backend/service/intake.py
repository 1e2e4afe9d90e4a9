"""Reading what a client sent: long buffers that came inside the message move to the exchange.

There they cost disk instead of memory, and the worker maps them as it does a local client's.
"""

from __future__ import annotations

from typing import Sequence

from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.exchange import Exchange
from plugin.painterly.protocol.messages import Message
from plugin.painterly.protocol.raster import Buffer


def read_request(frames: Sequence[Buffer], exchange: Exchange, may_name_files: bool) -> Message:
    """The message in `frames`; raises ProtocolError and then leaves nothing in the exchange.

    Only where the client `may_name_files`, it may speak of files that it has put into the exchange itself.
    """
    stored: list[str] = []

    def store(pieces: Sequence[Buffer], size: int) -> Buffer:
        if len(pieces) == 1:
            return pieces[0]
        try:
            stored.append(exchange.put(pieces, job_of(frames)))
        except OSError:  # no room on the disk
            return codec.join_in_memory(pieces, size)
        return exchange.open(stored[-1], size)

    try:
        return codec.decode_request(frames, exchange if may_name_files else None, store)
    except ProtocolError:
        for name in stored:
            exchange.remove(name)
        raise


def job_of(frames: Sequence[Buffer]) -> str:
    """The job that a perhaps broken message is about, if that much can be read of it; else ""."""
    try:
        job = codec.read_header(frames[0], codec.REQUEST_LIMITS)["body"]["job"]
        messages.check_job(job)
    except (IndexError, KeyError, TypeError, ProtocolError):
        return ""
    return job
