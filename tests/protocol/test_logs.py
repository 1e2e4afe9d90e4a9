"""Log files of one's own, and how many stay."""

import os
import stat
import time
from pathlib import Path

import pytest

from plugin.painterly.protocol.logs import KEEP, new_log


def old_logs(folder, number, days, kind="error"):
    """Their paths, the newest first."""
    made = [folder / f"{kind}-{age}.log" for age in range(number)]
    for age, path in enumerate(made):
        path.touch()
        then = time.time() - (days + age) * 24 * 3600
        os.utime(path, (then, then))
    return made


def test_each_occasion_has_its_own(tmp_path):
    for number in range(3):
        with new_log(tmp_path / "log", "error") as log:
            log.write(b"%d" % number)
    found = list((tmp_path / "log").iterdir())
    assert sorted(path.read_bytes() for path in found) == [b"0", b"1", b"2"]
    assert all(path.name.startswith("error-20") for path in found)
    if os.name != "nt":
        assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


def test_the_newest_are_kept_and_other_kinds_left_alone(tmp_path):
    old, others = old_logs(tmp_path, KEEP + 5, 2), old_logs(tmp_path, 3, 50, "service")
    (tmp_path / "install.log").touch()
    with new_log(tmp_path, "error") as log:
        left = set(tmp_path.iterdir())
        assert left == {Path(log.name), *old[: KEEP - 1], *others, tmp_path / "install.log"}


def test_of_today_all_are_kept(tmp_path):
    old_logs(tmp_path, KEEP + 5, -KEEP - 5)
    with new_log(tmp_path, "error"):
        assert len(list(tmp_path.iterdir())) == KEEP + 6


def test_one_that_cannot_be_removed_is_no_error(tmp_path, monkeypatch):
    def held(*_, **__):
        raise PermissionError("in use")

    old = old_logs(tmp_path, KEEP + 5, 2)
    monkeypatch.setattr(Path, "unlink", held)
    with new_log(tmp_path, "error"):
        assert len(list(tmp_path.iterdir())) == len(old) + 1


def test_no_folder_is_an_error(tmp_path):
    (tmp_path / "log").touch()
    with pytest.raises(OSError):
        new_log(tmp_path / "log", "error")
