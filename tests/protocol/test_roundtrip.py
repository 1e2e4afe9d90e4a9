"""Every message survives the way over the wire, random ones too."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.exchange import SHARE_FROM, Exchange
from plugin.painterly.protocol.raster import DEPTHS, LAYOUTS, Placed, Raster

ALL = set(messages.TO_SERVICE) | set(messages.TO_CLIENT)

names = st.text(alphabet="abcXYZ019-_", min_size=1, max_size=64)
texts = st.text(max_size=50)
counts = st.integers(0, 2**40)
offsets = st.integers(-(2**24), 2**24)
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=4)


@st.composite
def rasters(draw, layout=None):
    layout = layout or draw(st.sampled_from(sorted(LAYOUTS)))
    depth = draw(st.sampled_from(sorted(DEPTHS)))
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    size = width * height * LAYOUTS[layout] * DEPTHS[depth]
    kind = draw(st.sampled_from([bytes, bytearray, memoryview]))
    data = kind(draw(st.binary(min_size=size, max_size=size)))
    return Raster(width, height, layout, depth, data, draw(texts), draw(st.binary(max_size=9)))


def placed(layout=None):
    return st.builds(Placed, rasters(layout), offsets, offsets)


previews = st.builds(messages.Preview, rasters(), offsets, offsets, counts, counts)
STRATEGIES = {
    messages.Hello: st.builds(messages.Hello, texts, st.booleans()),
    messages.Harmonize: st.builds(
        messages.Harmonize,
        names,
        rasters(),
        placed(),
        st.none() | placed("MASK"),
        objects,
        st.booleans(),
        st.sampled_from(sorted(DEPTHS)),
    ),
    messages.Cancel: st.builds(messages.Cancel, names, st.booleans()),
    messages.Ack: st.builds(messages.Ack, names),
    messages.Resume: st.builds(messages.Resume, st.lists(names, max_size=5).map(tuple)),
    messages.Shutdown: st.builds(messages.Shutdown),
    messages.Ping: st.builds(messages.Ping, counts),
    messages.Pong: st.builds(messages.Pong, counts),
    messages.Welcome: st.builds(messages.Welcome, texts, texts, counts, counts, texts, objects),
    messages.Status: st.builds(messages.Status, texts, objects, texts),
    messages.Accepted: st.builds(messages.Accepted, names, counts),
    messages.Progress: st.builds(
        messages.Progress,
        names,
        texts,
        counts,
        counts,
        st.floats(0, 1),
        st.none() | numbers,
        st.none() | previews,
    ),
    messages.Result: st.builds(messages.Result, names, placed(), objects),
    messages.Cancelled: st.builds(messages.Cancelled, names, st.none() | placed()),
    messages.Failed: st.builds(messages.Failed, st.just("") | names, texts, texts, texts),
}


def test_every_message_has_a_strategy():
    assert set(STRATEGIES) == ALL


def over_the_wire(message):
    frames = [bytes(frame) for frame in codec.encode(message)]
    decode = codec.decode_request if isinstance(message, messages.TO_SERVICE) else codec.decode_reply
    return decode(frames)


@pytest.mark.parametrize("kind", sorted(ALL, key=lambda kind: kind.__name__))
def test_round_trip(kind):
    @settings(max_examples=60, deadline=None)
    @given(STRATEGIES[kind])
    def check(message):
        again = over_the_wire(message)
        assert again == message
        for item in dataclasses.fields(kind):
            value, other = getattr(message, item.name), getattr(again, item.name)
            assert type(other) is type(value), item.name

    check()


@settings(max_examples=30, deadline=None)
@given(st.one_of(*STRATEGIES.values()), st.data())
def test_a_mangled_message_is_refused_or_read_but_never_trips_the_reader(message, data):
    frames = [bytearray(frame) for frame in codec.encode(message)]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = data.draw(st.sampled_from(frames))
        if frame:
            position = data.draw(st.integers(0, len(frame) - 1))
            frame[position] = data.draw(st.integers(0, 255))
    try:
        codec.decode_request(frames)
        codec.decode_reply(frames)
    except ProtocolError:
        pass


def test_buffers_are_sent_as_they_are():
    data = bytearray(4 * 4 * 4)
    painting = Raster(4, 4, "BGRA", "U8", data)
    frames = codec.encode(messages.Harmonize("j", painting, Placed(painting), None, {}))
    assert frames[1] is data and frames[2] is data
    again = codec.decode_request(frames)
    assert again.painting.data is data


def test_big_buffers_go_through_the_exchange(tmp_path):
    exchange = Exchange(tmp_path)
    side = 1 << 9
    big = Raster(side, side, "BGRA", "U8", bytes(range(256)) * (side * side // 64))
    small = Raster(1, 1, "MASK", "U8", b"x")
    assert len(big.data) == SHARE_FROM
    message = messages.Harmonize("j", big, Placed(big, 1, 2), Placed(small), {})
    frames = codec.encode(message, exchange)
    assert [bytes(frame) for frame in frames[1:]] == [b"x"]
    assert sorted(codec.shared_files(frames[0])) == sorted(path.name for path in tmp_path.iterdir())
    assert codec.decode_request(frames, exchange) == message
    with pytest.raises(ProtocolError):
        codec.decode_request(frames)


def test_a_full_disk_means_frames(tmp_path):
    side = 1 << 9
    big = Raster(side, side, "BGRA", "U8", bytes(side * side * 4))
    message = messages.Result("j", Placed(big), {})
    frames = codec.encode(message, Exchange(tmp_path / "missing"))
    assert len(frames) == 2 and codec.decode_reply(frames) == message
