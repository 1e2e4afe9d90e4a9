"""Results as files: read back by another program's eyes (tests/krita reads the deep ones)."""

import random

import pytest
from PIL import Image

from plugin.painterly import picture_file
from plugin.painterly.picture_file import Writing
from plugin.painterly.protocol.raster import Raster


def written(path, raster):
    writing = Writing(path, raster)
    writing.start()
    writing.join(30)
    return writing


@pytest.mark.parametrize("strip", [1, 100, 1 << 18])
def test_the_pixels_come_back_and_nothing_else_is_left(tmp_path, monkeypatch, strip):
    monkeypatch.setattr(picture_file, "STRIP_PIXELS", strip)
    data = random.Random(1).randbytes(4 * 37 * 23)
    path = tmp_path / "new folder" / "result.png"
    assert written(path, Raster(37, 23, "BGRA", "U8", memoryview(data))).problem is None
    with Image.open(path) as picture:
        picture.load()
        assert (picture.mode, picture.size) == ("RGBA", (37, 23)) and "srgb" in picture.info
        assert picture.tobytes("raw", "BGRA") == data
    assert list(path.parent.iterdir()) == [path]


def test_sixteen_bits_are_written_most_significant_byte_first(tmp_path):
    blue, green, red, alpha = 0x0102, 0x0304, 0x0506, 0xFFFE
    data = b"".join(value.to_bytes(2, "little") for value in (blue, green, red, alpha))
    raster = Raster(1, 1, "BGRA", "U16", data)
    (strip,) = picture_file._strips(raster)
    assert strip == b"\0" + bytes([5, 6, 3, 4, 1, 2, 0xFF, 0xFE])


def test_a_folder_that_cannot_be_made_is_a_problem(tmp_path):
    (tmp_path / "file").write_text("")
    writing = written(tmp_path / "file" / "result.png", Raster(1, 1, "BGRA", "U8", b"\0" * 4))
    assert isinstance(writing.problem, OSError)


def test_memory_that_is_too_short_is_a_problem_and_no_file(tmp_path, monkeypatch):
    def short_of_memory(file, raster):
        raise MemoryError

    monkeypatch.setattr(picture_file, "_write", short_of_memory)
    writing = written(tmp_path / "result.png", Raster(1, 1, "BGRA", "U8", b"\0" * 4))
    assert isinstance(writing.problem, MemoryError) and not (tmp_path / "result.png").exists()
