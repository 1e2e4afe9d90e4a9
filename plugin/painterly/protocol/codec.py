"""Message <-> frames: one JSON header, then the raw buffers it speaks of.

    header = {"protocol": 1, "type": "Result", "buffers": [67108864], "body": {...}}

In `body` a dataclass is an object with exactly its fields, a buffer an index into "buffers" (null if
empty). An entry of "buffers" is the size of the next frame, or {"file": name, "size": n} for one in the
exchange folder. The dataclasses' own type hints are the schema. Nothing is copied and nothing is
allocated on a header's word: every declared size is compared with what is already there.
"""

import json
import math
import re
from dataclasses import fields, is_dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Type, Union, get_type_hints

from .errors import ProtocolError
from .exchange import SHARE_FROM, Exchange
from .messages import TO_CLIENT, TO_SERVICE, Message
from .raster import Buffer, byte_size
from .version import PROTOCOL


class Limits(NamedTuple):
    """What a peer may send; counted in bytes except `depth` (of nested JSON) and `buffers`."""

    header: int
    depth: int
    buffers: int
    buffer: int


# The largest raster: 8192 x 8192 RGBA in 32-bit float. Three rasters, each perhaps with its profile.
REQUEST_LIMITS = Limits(header=1 << 16, depth=12, buffers=6, buffer=1 << 30)
# Reports hold every iteration's losses.
REPLY_LIMITS = Limits(header=1 << 22, depth=12, buffers=2, buffer=1 << 30)

_MAX_DIGITS = 20
# Matches from every quote on, closed or not, so that hostile text cannot make it look twice.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(rb"[][{}]")


def encode(message: Message, exchange: Optional[Exchange] = None) -> List[Buffer]:
    """The frames of `message`; buffers are the message's own objects, not copies.

    With an `exchange` big buffers go there instead, as long as its disk has room.
    """
    buffers: List[Buffer] = []
    body = _pack(message, buffers)
    table: List[Any] = []
    frames: List[Buffer] = []
    for buffer in buffers:
        entry = _share(buffer, exchange)
        table.append(entry)
        if isinstance(entry, int):
            frames.append(buffer)
    header = {"protocol": PROTOCOL, "type": type(message).__name__, "buffers": table, "body": body}
    try:
        text = json.dumps(header, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"The message cannot be written as JSON: {error}.") from None
    return [text.encode("ascii"), *frames]


def decode(
    frames: Sequence[Buffer], accept: Tuple[Type, ...], limits: Limits, exchange: Optional[Exchange] = None
) -> Message:
    """The message in `frames`, one of the types in `accept`; raises ProtocolError.

    Without an `exchange` a message that names files is refused.
    """
    if not frames:
        raise ProtocolError("The message is empty.")
    header = read_header(frames[0], limits)
    types = {kind.__name__: kind for kind in accept}
    if not isinstance(header["type"], str) or header["type"] not in types:
        raise ProtocolError("There is no message {!r} here.".format(str(header["type"])[:40]), "unknown-type")
    buffers = _gather(header["buffers"], frames[1:], limits, exchange)
    unused = set(range(len(buffers)))
    message = _unpack(types[header["type"]], header["body"], buffers, unused)
    if unused:
        raise ProtocolError("The message carries buffers that it does not speak of.")
    return message


def decode_request(frames: Sequence[Buffer], exchange: Optional[Exchange] = None) -> Message:
    """What a client said to the service."""
    return decode(frames, TO_SERVICE, REQUEST_LIMITS, exchange)


def decode_reply(frames: Sequence[Buffer], exchange: Optional[Exchange] = None) -> Message:
    """What the service said to a client."""
    return decode(frames, TO_CLIENT, REPLY_LIMITS, exchange)


def shared_files(frame: Buffer) -> List[str]:
    """Names of the exchange's files that a (valid) header speaks of."""
    return [entry["file"] for entry in json.loads(bytes(frame))["buffers"] if isinstance(entry, dict)]


def read_header(frame: Buffer, limits: Limits) -> Dict[str, Any]:
    """The header as a dictionary, its version and outer shape checked."""
    if byte_size(frame) > limits.header:
        raise ProtocolError(f"The header is longer than {limits.header} bytes.", "too-large")
    header = _parse_json(bytes(frame), limits.depth)
    if not isinstance(header, dict):
        raise ProtocolError("The header is not a JSON object.")
    if header.get("protocol") != PROTOCOL:
        raise ProtocolError(
            "This end speaks protocol {}, the other {}; install the same Painterly on both.".format(
                PROTOCOL, str(header.get("protocol"))[:20]
            ),
            "version",
        )
    if set(header) != {"protocol", "type", "buffers", "body"}:
        raise ProtocolError("The header has not the fields protocol, type, buffers and body.")
    return header


def _parse_json(text: bytes, depth: int) -> Any:
    """Strict JSON: no NaN, no repeated keys, no endless numbers, nested at most `depth` deep."""
    level = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", text)):
        level += 1 if bracket in b"[{" else -1
        if level > depth:
            raise ProtocolError(f"The header is nested deeper than {depth}.", "too-large")
    try:
        return json.loads(
            text.decode("utf-8"),
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_number,
            object_pairs_hook=_object,
        )
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise ProtocolError("The header is not JSON in UTF-8.") from None


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ProtocolError("A number in the header is too long.")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProtocolError("A number in the header is not finite.")
    return value


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ProtocolError("The header names a field twice.")
    return result


def _share(buffer: Buffer, exchange: Optional[Exchange]) -> Any:
    """The buffer's entry in the table: its size, or the file in the exchange that it was put into."""
    size = byte_size(buffer)
    if exchange is None or size < SHARE_FROM:
        return size
    try:
        return {"file": exchange.put(buffer), "size": size}
    except OSError:  # no room on the disk: the slow way works all the same
        return size


def _gather(
    table: Any, frames: Sequence[Buffer], limits: Limits, exchange: Optional[Exchange]
) -> List[Buffer]:
    """The buffers that the table declares, each checked against its size; every frame is one of them."""
    if not isinstance(table, list):
        raise ProtocolError("The buffer table is not a list.")
    if max(len(table), len(frames)) > limits.buffers:
        raise ProtocolError(f"A message has at most {limits.buffers} buffers.", "too-large")
    waiting = iter(frames)
    buffers: List[Buffer] = []
    for entry in table:
        shared = isinstance(entry, dict)
        name, size = _entry(entry)
        if size > limits.buffer:
            raise ProtocolError(f"A buffer has at most {limits.buffer} bytes.", "too-large")
        if shared and exchange is None:
            raise ProtocolError("Buffers come inside the message on this connection.")
        buffer = exchange.open(name, size) if shared else next(waiting, b"")
        if byte_size(buffer) != size:
            raise ProtocolError("The buffers have not the sizes that the header declares.")
        buffers.append(buffer)
    if next(waiting, None) is not None:
        raise ProtocolError("The message has more frames than the header declares.")
    return buffers


def _entry(entry: Any) -> Tuple[str, int]:
    """File name ("" for a frame) and size of an entry in the buffer table."""
    name, size = "", entry
    if isinstance(entry, dict) and set(entry) == {"file", "size"}:
        name, size = entry["file"], entry["size"]
    if type(name) is not str or type(size) is not int or size <= 0:
        raise ProtocolError("An entry of the buffer table is neither a size nor a file.")
    return name, size


def _pack(value: Any, buffers: List[Buffer]) -> Any:
    """JSON for `value`; its buffers are appended to `buffers`."""
    if value is None or isinstance(value, (bool, int, float, str, dict)):
        return value
    if is_dataclass(value):
        return {item.name: _pack(getattr(value, item.name), buffers) for item in fields(value)}
    if isinstance(value, tuple):
        return [_pack(item, buffers) for item in value]
    if byte_size(value) == 0:
        return None
    buffers.append(value)
    return len(buffers) - 1


def _unpack(hint: Any, value: Any, buffers: Sequence[Buffer], unused: set) -> Any:
    """The value of type `hint` that JSON `value` stands for; marks off the buffers it takes."""
    if hint is Any:
        return value
    if hint == Buffer:
        return _take(value, buffers, unused)
    if is_dataclass(hint):
        return _unpack_dataclass(hint, value, buffers, unused)
    origin, arguments = getattr(hint, "__origin__", hint), getattr(hint, "__args__", ())
    if origin is Union:  # Optional[X]: the only union besides Buffer
        return None if value is None else _unpack(arguments[0], value, buffers, unused)
    if origin is tuple and isinstance(value, list):
        return tuple(_unpack(arguments[0], item, buffers, unused) for item in value)
    if origin is dict and isinstance(value, dict):
        return value
    if origin is float and type(value) in (int, float):
        return float(value)
    if type(value) is origin and origin in (str, int, bool):
        return value
    raise ProtocolError(
        "A field is {!r} where {} belongs.".format(str(value)[:40], getattr(hint, "__name__", hint))
    )


def _unpack_dataclass(kind: Type, value: Any, buffers: Sequence[Buffer], unused: set) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict) or set(value) != set(hints):
        raise ProtocolError("{} has the fields {}.".format(kind.__name__, ", ".join(hints) or "none"))
    return kind(**{name: _unpack(hint, value[name], buffers, unused) for name, hint in hints.items()})


def _take(index: Any, buffers: Sequence[Buffer], unused: set) -> Buffer:
    if index is None:
        return b""
    if type(index) is not int or index not in unused:
        raise ProtocolError("A buffer is missing or used twice.")
    unused.remove(index)
    return buffers[index]


_HINTS: Dict[Type, Dict[str, Any]] = {}


def _hints(kind: Type) -> Dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]
