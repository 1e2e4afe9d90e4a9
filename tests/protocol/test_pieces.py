"""Long buffers travel in pieces, or as files that are found by their job."""

import json
import tracemalloc

import pytest

from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.codec import PIECE
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.exchange import Exchange, tag_of
from plugin.painterly.protocol.raster import Placed, Raster

HEIGHT = 2 * PIECE // 256 + 1  # of a mask that is 256 wide: two whole pieces and a short one


def result(job="j"):
    pixels = bytes(range(256)) * HEIGHT
    return messages.Result(job, Placed(Raster(256, HEIGHT, "MASK", "U8", pixels)), {})


def test_pieces_are_views_and_come_back_as_one():
    message = result()
    frames = codec.encode(message)
    assert [len(frame) for frame in frames[1:]] == [PIECE, PIECE, 256]
    assert all(frame.obj is message.image.raster.data for frame in frames[1:])
    assert codec.decode_reply([bytes(frame) for frame in frames]) == message


@pytest.mark.parametrize("size", [PIECE - 1, PIECE])
def test_a_buffer_of_one_piece_is_sent_and_taken_as_it_is(size):
    raster = Raster(1, size // 16, "MASK", "F32", bytes(size // 16 * 4))
    message = messages.Result("j", Placed(raster), {})
    frames = codec.encode(message)
    assert len(frames) == 2 and frames[1] is raster.data
    assert codec.decode_reply(frames).image.raster.data is raster.data


def test_pieces_that_are_not_as_declared():
    head, *pieces = [bytes(frame) for frame in codec.encode(result())]
    whole = b"".join(pieces)
    broken = {
        "one missing": pieces[:2],
        "one too many": [*pieces, b"x"],
        "swapped": pieces[::-1],
        "in one": [whole],
        "cut elsewhere": [whole[:100], whole[100 : PIECE + 100], whole[PIECE + 100 :]],
        "too short": [*pieces[:2], pieces[2][:-1]],
        "empty": [pieces[0], b"", pieces[2]],
    }
    for name, frames in broken.items():
        with pytest.raises(ProtocolError):
            codec.decode_reply([head, *frames])
            pytest.fail(name)


def test_pieces_are_not_joined_before_all_are_there():
    head, *pieces = codec.encode(result())
    frames = [json.dumps({**json.loads(head), "buffers": [1 << 30]}).encode(), *pieces]
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        codec.decode_reply(frames)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < PIECE


def test_limits_of_frames_hold_the_longest_messages():
    assert (
        PIECE < codec.REQUEST_LIMITS.frame < PIECE + 100
        and codec.REPLY_LIMITS.frame >= codec.REPLY_LIMITS.header
    )
    assert codec.REQUEST_LIMITS.frames == 1 + 6 * 1024


def test_what_lies_in_the_exchange_can_be_named_again(tmp_path):
    exchange = Exchange(tmp_path)
    frames = codec.encode(result(), exchange)
    message = codec.decode_reply(frames, exchange)
    assert codec.shared_files(codec.encode(message, exchange, reuse=True)[0]) == codec.shared_files(frames[0])
    assert len(list(tmp_path.iterdir())) == 1
    codec.encode(message, exchange)
    assert len(list(tmp_path.iterdir())) == 2  # a file of its own
    elsewhere = Exchange(tmp_path / "other")
    elsewhere.folder.mkdir()
    codec.encode(message, elsewhere, reuse=True)
    assert len(list(elsewhere.folder.iterdir())) == 1  # another service's file is not ours
    part = message.image.raster.data[256:]
    assert exchange.name_of(part) is None and exchange.name_of(bytes(5)) is None


def test_the_files_of_a_job_are_found_by_its_id(tmp_path):
    exchange = Exchange(tmp_path)
    names = [exchange.put([b"x"], job) for job in ("a", "a", "b")]
    assert names[0] != names[1] and all(name.startswith(tag_of("a")) for name in names[:2])
    exchange.remove_all_of("a")
    assert [path.name for path in tmp_path.iterdir()] == names[2:]
    exchange.remove_all_of("none")
