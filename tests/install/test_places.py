"""`--where` and the folders of each platform."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.painterly.protocol.places import places, record_home, recorded_home

ROOT = Path(__file__).parents[2]


def test_where_prints_the_places_and_creates_nothing(tmp_path):
    home = tmp_path / "not yet there"
    done = subprocess.run(
        [sys.executable, str(ROOT / "install.py"), "--where"],
        env={**os.environ, "PAINTERLY_HOME": str(home)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    where = json.loads(done.stdout)
    assert where["data"] == str(home / "data")
    assert where["cache"] == str(home / "cache")
    assert where["log"] == str(home / "log")
    assert Path(where["python"]).is_relative_to(home / "env")
    assert not home.exists()


@pytest.mark.skipif(os.name == "nt", reason="folders of Linux and macOS")
@pytest.mark.parametrize(
    ("platform", "xdg", "expected"),
    [
        ("linux", None, "/u/.local/share/painterly"),
        ("linux", "/x", "/x/painterly"),
        ("darwin", "/x", "/u/Library/Application Support/Painterly"),
    ],
)
def test_home_follows_the_platform(monkeypatch, platform, xdg, expected):
    monkeypatch.delenv("PAINTERLY_HOME", raising=False)
    monkeypatch.setenv("HOME", "/u")
    monkeypatch.setattr(sys, "platform", platform)
    if xdg:
        monkeypatch.setenv("XDG_DATA_HOME", xdg)
    else:
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert places().home == Path(expected)


def test_painterly_home_may_be_relative_and_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAINTERLY_HOME", "here")
    assert places().home == tmp_path / "here"


def test_a_record_with_nothing_in_it_counts_as_none(tmp_path):
    """As a run leaves it that is killed while it writes."""
    record = tmp_path / "home.txt"
    assert recorded_home(record) is None
    record.touch()
    assert recorded_home(record) is None
    record_home(tmp_path, record)
    assert recorded_home(record) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["home.txt"]
