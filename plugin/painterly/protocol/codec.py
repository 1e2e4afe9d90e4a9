"""Message <-> frames: one JSON header, then the raw buffers it speaks of.

    header = {"protocol": 2, "type": "Result", "buffers": [67108864], "body": {...}}

In `body` a dataclass is an object with exactly its fields, a buffer an index into "buffers" (null if
empty). An entry of "buffers" is the size of a buffer in the frames that follow, or {"file": name,
"size": n} for one in the exchange folder. A buffer longer than PIECE comes as several frames, all but the
last of them PIECE bytes long: ZeroMQ encrypts frame by frame, so that one end decrypts while the other
still encrypts, in memory that fits a processor's cache. The dataclasses' own type hints are the schema.
Nothing is allocated on a header's word: every declared size is compared with what is already there.
"""

import json
import math
import re
from dataclasses import fields, is_dataclass
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
    get_type_hints,
)

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

    @property
    def frame(self) -> int:
        """Bytes of the longest frame, encrypted."""
        return max(self.header, PIECE) + _CURVE

    @property
    def frames(self) -> int:
        """Frames of the longest message."""
        return 1 + self.buffers * -(-self.buffer // PIECE)


# Bytes of a frame at most. Below a quarter of it the cost of each frame shows, above four times of it the
# two ends begin to wait for each other.
PIECE = 1 << 20
# The largest raster: 8192 x 8192 RGBA in 32-bit float. Three rasters, each perhaps with its profile.
REQUEST_LIMITS = Limits(header=1 << 16, depth=12, buffers=6, buffer=1 << 30)
# Reports hold every iteration's losses.
REPLY_LIMITS = Limits(header=1 << 22, depth=12, buffers=2, buffer=1 << 30)

_CURVE = 64  # what CURVE adds to a frame (33 bytes), and some to spare

# Puts the pieces of a buffer of so many bytes together.
Join = Callable[[Sequence[Buffer], int], Buffer]

_MAX_DIGITS = 20
# Matches from every quote on, closed or not, so that hostile text cannot make it look twice.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(rb"[][{}]")


def encode(message: Message, exchange: Optional[Exchange] = None, reuse: bool = False) -> List[Buffer]:
    """The frames of `message`; they are views of the message's own buffers, not copies.

    With an `exchange` big buffers go there instead, as long as its disk has room. With `reuse` those that
    were opened there are not put there again; the message then speaks of the same file.
    """
    buffers: List[Buffer] = []
    body = _pack(message, buffers)
    job = getattr(message, "job", "")
    names = [exchange.name_of(buffer) if exchange and reuse else None for buffer in buffers]
    table = [_share(buffer, name, exchange, job) for buffer, name in zip(buffers, names)]
    frames: List[Buffer] = []
    for buffer, entry in zip(buffers, table):
        if isinstance(entry, int):
            frames.extend(_pieces(buffer))
    header = {"protocol": PROTOCOL, "type": type(message).__name__, "buffers": table, "body": body}
    try:
        text = json.dumps(header, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"The message cannot be written as JSON: {error}.") from None
    return [text.encode("ascii"), *frames]


def join_in_memory(pieces: Sequence[Buffer], size: int) -> Buffer:
    """One buffer of `pieces`; a single one is taken as it is."""
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def decode(
    frames: Sequence[Buffer],
    accept: Tuple[Type, ...],
    limits: Limits,
    exchange: Optional[Exchange] = None,
    join: Join = join_in_memory,
) -> Message:
    """The message in `frames`, one of the types in `accept`; raises ProtocolError.

    Without an `exchange` a message that names files is refused. `join` may put long buffers elsewhere.
    """
    if not frames:
        raise ProtocolError("The message is empty.")
    header = read_header(frames[0], limits)
    types = {kind.__name__: kind for kind in accept}
    if not isinstance(header["type"], str) or header["type"] not in types:
        raise ProtocolError("There is no message {!r} here.".format(str(header["type"])[:40]), "unknown-type")
    buffers = _gather(header["buffers"], frames[1:], limits, exchange, join)
    unused = set(range(len(buffers)))
    message = _unpack(types[header["type"]], header["body"], buffers, unused)
    if unused:
        raise ProtocolError("The message carries buffers that it does not speak of.")
    return message


def decode_request(
    frames: Sequence[Buffer], exchange: Optional[Exchange] = None, join: Join = join_in_memory
) -> Message:
    """What a client said to the service."""
    return decode(frames, TO_SERVICE, REQUEST_LIMITS, exchange, join)


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


def _share(buffer: Buffer, name: Optional[str], exchange: Optional[Exchange], job: str) -> Any:
    """The buffer's entry in the table: its size, or the file in the exchange, `name` if it has one already."""
    size = byte_size(buffer)
    if exchange is None or size < SHARE_FROM:
        return size
    try:
        return {"file": name or exchange.put([buffer], job), "size": size}
    except OSError:  # no room on the disk: the slow way works all the same
        return size


def _pieces(buffer: Buffer) -> Iterator[Buffer]:
    """The buffer itself if it is short, else views of PIECE bytes and a rest."""
    if byte_size(buffer) <= PIECE:
        yield buffer
        return
    view = memoryview(buffer).cast("B")
    for start in range(0, view.nbytes, PIECE):
        yield view[start : start + PIECE]


def _gather(
    table: Any, frames: Sequence[Buffer], limits: Limits, exchange: Optional[Exchange], join: Join
) -> List[Buffer]:
    """The buffers that the table declares, each checked against its size; every frame is part of one."""
    if not isinstance(table, list):
        raise ProtocolError("The buffer table is not a list.")
    if len(table) > limits.buffers:
        raise ProtocolError(f"A message has at most {limits.buffers} buffers.", "too-large")
    entries = [_entry(entry, limits) for entry in table]
    waiting = iter(frames)
    parts: List[List[Buffer]] = []
    for name, size in entries:
        if name and exchange is None:
            raise ProtocolError("Buffers come inside the message on this connection.")
        parts.append([] if name else _take_pieces(waiting, size))
    if next(waiting, None) is not None:
        raise ProtocolError("The message has more frames than the header declares.")
    return [
        exchange.open(name, size) if name else join(part, size) for (name, size), part in zip(entries, parts)
    ]


def _take_pieces(waiting: Iterator[Buffer], size: int) -> List[Buffer]:
    """The frames of one buffer of `size` bytes."""
    pieces: List[Buffer] = []
    for start in range(0, size, PIECE):
        piece = next(waiting, b"")
        if byte_size(piece) != min(PIECE, size - start):
            raise ProtocolError("The buffers have not the sizes that the header declares.")
        pieces.append(piece)
    return pieces


def _entry(entry: Any, limits: Limits) -> Tuple[str, int]:
    """File name ("" for a buffer in frames) and size of an entry in the buffer table."""
    name, size = "", entry
    named = isinstance(entry, dict) and set(entry) == {"file", "size"}
    if named:
        name, size = entry["file"], entry["size"]
    if type(name) is not str or bool(name) != named or type(size) is not int or size <= 0:
        raise ProtocolError("An entry of the buffer table is neither a size nor a file.")
    if size > limits.buffer:
        raise ProtocolError(f"A buffer has at most {limits.buffer} bytes.", "too-large")
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
