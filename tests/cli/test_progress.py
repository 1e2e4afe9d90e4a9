"""Progress lines, with a clock and a stream of our own."""

import io
import os

import pytest

from backend.cli.progress import Progress, describe, duration
from backend.harmonize.step import Step


class Terminal(io.StringIO):
    def isatty(self):
        return True


def steps(count):
    return [Step("second pass", i, count, i / count, float(count - i)) for i in range(1, count + 1)]


@pytest.mark.parametrize(
    "seconds, words",
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (125, "2:05 min"), (3725, "1:02:05 h")],
)
def test_duration(seconds, words):
    assert duration(seconds) == words


def test_describe():
    line = describe(Step("first pass", 3, 60, 0.5, 65.0))
    assert line == "[############------------]  50%  first pass 3/60, 1:05 min left"
    assert "left" not in describe(Step("queue", 1, 1, 0.0))


def test_a_file_gets_a_line_every_few_seconds_and_the_last():
    stream, now = io.StringIO(), iter(range(100))
    progress = Progress("a ", stream, lambda: float(next(now)))
    for step in steps(13):
        progress(step)
    progress.close()
    told = [line.split("pass ")[1].split(",")[0] for line in stream.getvalue().splitlines()]
    assert told == ["1/13", "6/13", "11/13", "13/13"]
    assert all(line.startswith("a [") for line in stream.getvalue().splitlines())


def test_a_terminal_gets_one_line_that_redraws_itself():
    stream, now = Terminal(), iter(range(100))
    progress = Progress("", stream, lambda: float(next(now)))
    for step in steps(5):
        progress(step)
    progress.close()
    assert stream.getvalue().count("\r") == 5 and stream.getvalue().count("\n") == 1
    assert len({len(part) for part in stream.getvalue().rstrip("\n").split("\r")[1:]}) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stream_that_nobody_reads_any_more_stops_nothing(terminal):
    read, write = os.pipe()
    os.close(read)
    stream = open(write, "w")
    stream.isatty = lambda: terminal
    progress = Progress("", stream)
    for step in steps(3):
        progress(step)
    progress.close()
    with pytest.raises(BrokenPipeError):  # so it was broken
        stream.close()
