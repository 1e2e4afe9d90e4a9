"""What a peer may not say, and that saying it costs nothing."""

import json
import time
import tracemalloc

import pytest

from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.exchange import Exchange
from plugin.painterly.protocol.raster import Placed, Raster
from plugin.painterly.protocol.version import PROTOCOL

PIXELS = Raster(2, 2, "BGRA", "U8", bytes(16))
JOB = messages.Harmonize("j", PIXELS, Placed(PIXELS), None, {})


def header(**changes):
    frames = codec.encode(JOB)
    return {**json.loads(frames[0]), **changes}


def refused(head, *buffers, kind="malformed"):
    first = head if isinstance(head, bytes) else json.dumps(head).encode()
    with pytest.raises(ProtocolError) as caught:
        codec.decode_request([first, *buffers])
    assert caught.value.kind == kind
    assert len(str(caught.value)) < 300
    return str(caught.value)


def test_the_unchanged_message_is_fine():
    assert codec.decode_request([json.dumps(header()).encode(), bytes(16), bytes(16)]) == JOB


@pytest.mark.parametrize("buffers", [[], [16], [16, 16, 16], [16, 15], [15, 16], [16, 17]])
def test_frames_that_are_not_as_declared(buffers):
    refused(header(), *[bytes(size) for size in buffers])


@pytest.mark.parametrize(
    "table", [None, 16, {}, [16.0, 16], [-16, 16], [True, 16], ["16", 16], [[16], 16], [0, 16]]
)
def test_buffer_tables_that_are_none(table):
    refused(header(buffers=table), bytes(16), bytes(16))


def test_a_header_that_lies_about_sizes_allocates_nothing():
    tracemalloc.start()
    refused(header(buffers=[1 << 30, 16]), bytes(16), bytes(16))
    refused(header(buffers=[1 << 60, 16]), bytes(16), bytes(16), kind="too-large")
    refused(header(buffers=[16] * 7), *[bytes(16)] * 7, kind="too-large")
    head = header()
    head["body"]["painting"]["width"] = head["body"]["painting"]["height"] = 1 << 16
    refused(head, bytes(16), bytes(16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_oversized_header():
    refused(b" " * (1 << 16) + b"{}", kind="too-large")


@pytest.mark.parametrize("text", [b"[" * 60000, b'{"a":' * 10000, b"[" * 30000 + b"]" * 30000])
def test_deep_json(text):
    refused(text, kind="too-large")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b"1", b"\xff\xfe", b'"', b"]" * 100 + b"[" * 5,
        b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b'{"a": ' + b"9" * 60000 + b"}",
        b'{"a": 1, "a": 2}', b'"' + b'\\"' * 32000, b"\x00" * 100,
    ],
)  # fmt: skip
def test_what_is_not_json(text):
    start = time.perf_counter()
    refused(text)
    assert time.perf_counter() - start < 0.5


def test_brackets_in_strings_are_no_nesting():
    message = messages.Hello("[" * 1000 + '"\\[{')
    assert codec.decode_request(codec.encode(message)) == message


@pytest.mark.parametrize("version", [0, PROTOCOL + 1, "1", None, 1.5, [], True and {"x": 1}])
def test_other_versions(version):
    assert "protocol" in refused(header(protocol=version), bytes(16), bytes(16), kind="version")


@pytest.mark.parametrize("kind", ["Welcome", "harmonize", "", None, 5, [], "Placed", "x" * 10000])
def test_unknown_types(kind):
    refused(header(type=kind), bytes(16), bytes(16), kind="unknown-type")


def test_missing_and_additional_fields():
    for name in ("type", "buffers", "body"):
        head = header()
        del head[name]
        refused(head, bytes(16), bytes(16))
    refused(header(more=1), bytes(16), bytes(16))
    head = header()
    head["body"]["more"] = 1
    refused(head, bytes(16), bytes(16))
    head = header()
    del head["body"]["settings"]
    refused(head, bytes(16), bytes(16))


@pytest.mark.parametrize(
    "path, value",
    [
        (("job",), ""), (("job",), "a b"), (("job",), "../x"), (("job",), "x" * 65), (("job",), 5),
        (("painting",), None), (("painting",), []), (("painting", "width"), 0), (("painting", "width"), -1),
        (("painting", "width"), 2.0), (("painting", "width"), True), (("painting", "width"), "2"),
        (("painting", "layout"), "XYZ"), (("painting", "depth"), "U32"), (("painting", "data"), None),
        (("painting", "data"), 2), (("painting", "data"), 1), (("painting", "data"), -1),
        (("painting", "data"), "0"), (("job",), "a\n"),
        (("layer", "x"), 1 << 30), (("layer", "x"), None), (("layer", "raster"), {}),
        (("selection",), 5), (("settings",), []), (("settings",), None), (("want_preview",), 1),
        (("result_depth",), "U7"), (("body",), None),
    ],
)  # fmt: skip
def test_fields_of_the_wrong_kind(path, value):
    head = header()
    place = head if path == ("body",) else head["body"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    refused(head, bytes(16), bytes(16))


def test_buffers_nobody_speaks_of():
    refused(header(buffers=[16, 16, 1]), bytes(16), bytes(16), b"x")


def test_a_selection_is_a_mask():
    with pytest.raises(ProtocolError):
        messages.Harmonize("j", PIXELS, Placed(PIXELS), Placed(PIXELS), {})


@pytest.mark.parametrize(
    "name", ["../secret", "", "a" * 32 + "/", "A" * 32, "/etc/passwd", "a" * 31, 5, None]
)
def test_shared_names_stay_in_the_folder(tmp_path, name):
    (tmp_path / "secret").write_bytes(bytes(16))
    exchange = Exchange(tmp_path / "exchange")
    exchange.folder.mkdir()
    head = json.dumps(header(buffers=[{"file": name, "size": 16}, 16])).encode()
    with pytest.raises(ProtocolError):
        codec.decode_request([head, bytes(16)], exchange)


def test_shared_files_are_plain_files_of_the_declared_size(tmp_path):
    exchange = Exchange(tmp_path)
    name = exchange.put([bytes(16)], "j")
    assert bytes(exchange.open(name, 16)) == bytes(16)
    for size in (0, -1, 15, 17, 1 << 60):
        with pytest.raises(ProtocolError):
            exchange.open(name, size)
    link, folder = "b" * 32, "c" * 32
    (tmp_path / link).symlink_to(tmp_path / name)
    (tmp_path / folder).mkdir()
    for other in (link, folder, "d" * 32):
        with pytest.raises(ProtocolError):
            exchange.open(other, 16)
    assert exchange.remove(name) and exchange.remove(name)
