"""Small pictures to work on, and the command line with the fake engine in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pyvips

from backend.__main__ import main
from backend.cli import runner
from tests.cli.fake_engine import FakeEngine

WIDTH, HEIGHT = 96, 80


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


def noise(depth=np.uint8, bands=3, seed=1) -> np.ndarray:
    """(HEIGHT, WIDTH, bands) samples over the whole range of `depth`."""
    return np.random.default_rng(seed).integers(
        0, np.iinfo(depth).max, (HEIGHT, WIDTH, bands), dtype=depth, endpoint=True
    )


def save(path: Path, samples: np.ndarray, interpretation: str | None = None, **options) -> Path:
    """Writes the samples as they are."""
    image = pyvips.Image.new_from_array(samples, interpretation=interpretation)
    image.write_to_file(str(path), **options)
    return path


def samples_of(path: Path) -> np.ndarray:
    """The file's samples as (h, w, bands), upright."""
    image = pyvips.Image.new_from_file(str(path)).autorot()
    return image.numpy().reshape(image.height, image.width, -1)


def object_mask() -> np.ndarray:
    """White in rows 30..49 and columns 40..69, half way at one pixel in it."""
    mask = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    mask[30:50, 40:70] = 255
    mask[35, 45] = 128
    return mask


@pytest.fixture
def engine(monkeypatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(runner, "open_runner", lambda args: fake)
    return fake


@pytest.fixture
def painterly(engine, capsys, monkeypatch, tmp_path):
    """Runs the command line in this process."""
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path / "home"))

    def run(*arguments) -> Finished:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return Finished(code, *capsys.readouterr())

    return run


@pytest.fixture
def files(tmp_path):
    """A painting, a naive picture and a mask as 8-bit PNG: options for the command line, by role."""
    return {
        "--painting": save(tmp_path / "painting.png", noise()),
        "--naive": save(tmp_path / "naive.png", noise(seed=2)),
        "--mask": save(tmp_path / "mask.png", object_mask()),
    }


def options(files) -> list:
    """The options of a dictionary, in a row."""
    return [word for pair in files.items() for word in pair]
