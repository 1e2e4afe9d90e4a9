import errno
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plugin.painterly import launcher as module
from plugin.painterly.job import Problem
from plugin.painterly.protocol import places
from plugin.painterly.protocol.endpoint import Endpoint

ROOT = Path(__file__).resolve().parents[2]


def wait_ready(launcher, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        path = launcher.endpoint_file()
        if path is not None:
            return path
        time.sleep(0.02)
    raise AssertionError(launcher.log_tail())


def test_home_follows_the_installers_rule(monkeypatch, tmp_path):
    for name in ("PAINTERLY_HOME", "XDG_DATA_HOME"):
        for value in (str(tmp_path / "elsewhere"), ""):
            monkeypatch.setenv(name, value)
            said = subprocess.run(
                [sys.executable, str(ROOT / "install.py"), "--where"], check=True, capture_output=True
            )
            where = json.loads(said.stdout)
            assert where["home"] == str(module.home())
            assert where["python"] == str(module.home() / "env" / "bin" / "python")


@pytest.fixture
def recorded(tmp_path, monkeypatch, home):
    """The home that an installer recorded in the plugin; a Krita that knows of no PAINTERLY_HOME."""
    monkeypatch.delenv("PAINTERLY_HOME")
    monkeypatch.setattr(places, "RECORD", tmp_path / "home.txt")
    places.record_home(home, places.RECORD)
    return home


def test_a_krita_started_from_a_menu_finds_the_home_that_was_installed(recorded, launcher):
    assert module.home() == recorded
    launcher.start()
    wait_ready(launcher)
    assert launcher.log_path.is_relative_to(recorded)
    assert module.clean_environment()["PAINTERLY_HOME"] == str(recorded)


def test_the_environment_outweighs_what_was_recorded(recorded, monkeypatch, tmp_path):
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path / "elsewhere"))
    assert module.home() == tmp_path / "elsewhere"


def test_a_recorded_home_may_have_any_name(recorded, tmp_path):
    names = ["Łukasz\n"] + [os.fsdecode(b"\xff")] * (sys.platform == "linux")  # elsewhere they are text
    for name in names:
        places.record_home(tmp_path / name, places.RECORD)
        assert module.home() == tmp_path / name


def test_a_flatpak_that_cannot_reach_the_python_is_told_so(home, monkeypatch, tmp_path):
    (home / "env" / "bin" / "python").unlink()
    with pytest.raises(Problem, match="run install.py"):
        module.backend_python()
    monkeypatch.setattr(module, "_FLATPAK", tmp_path)
    with pytest.raises(Problem, match="Flatpak"):
        module.backend_python()


def test_the_environment_is_cleaned(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/krita/lib")
    monkeypatch.setenv("PYTHONHOME", "/krita")
    cleaned = module.clean_environment()
    assert not {"LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH"} & set(cleaned) and "PATH" in cleaned


def test_start_and_stop(launcher):
    launcher.start()
    path = wait_ready(launcher)
    assert path.exists() and launcher.running
    launcher.stop()
    assert not launcher.running and not path.parent.exists()


def test_the_connection_file_is_private(launcher):
    launcher.start()
    path = wait_ready(launcher)
    assert path.stat().st_mode & 0o077 == 0 and path.parent.stat().st_mode & 0o077 == 0


def exchange_of(path):
    return Path(Endpoint.read(path).exchange)


def test_pixels_go_to_the_disk_that_painterly_is_on(home, launcher):
    """The system's temporary folder may be memory; and what is in the cache goes with --uninstall."""
    launcher.start()
    path = wait_ready(launcher)
    assert places.places().cache in exchange_of(path).parents and home not in path.parents
    assert (home / "cache" / "service").stat().st_mode & 0o077 == 0
    exchange = exchange_of(path)
    launcher.stop()
    assert not exchange.parent.exists()


@pytest.mark.parametrize("missing", ["folder", "room"])
def test_where_the_cache_takes_no_pixels_they_go_to_the_temporary_folder(home, launcher, missing):
    """As in a home of somebody else's, and as on a full disk."""
    (home / "cache").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if missing == "folder":
        (home / "cache" / "service").touch()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, limits[1]))
    try:
        launcher.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    path = wait_ready(launcher)
    exchange = exchange_of(path)
    assert path.parent in exchange.parents
    assert missing == "folder" or not list((home / "cache" / "service").iterdir())
    launcher.stop()
    assert not exchange.exists()


def test_a_service_that_was_killed_leaves_no_pixels(launcher):
    """As always on Windows, where ending is killing; the rest of its folder goes with the next start."""
    launcher.start()
    exchange = exchange_of(wait_ready(launcher))
    (exchange / "pixels").touch()
    launcher._process.kill()
    launcher._process.wait()
    launcher.stop()
    assert exchange.parent.exists() and not exchange.exists()
    launcher.start()
    wait_ready(launcher)
    assert not exchange.parent.exists()


def test_two_kritas_share_the_folder(home, launcher):
    other = module.Launcher()
    try:
        rooms = []
        for one in (launcher, other):
            one.start()
            rooms.append(exchange_of(wait_ready(one)).parent)
        assert rooms[0].parent == rooms[1].parent and rooms[0] != rooms[1]
        assert all(room.exists() for room in rooms)
    finally:
        other.stop()
    assert rooms[0].exists() and not rooms[1].exists() and launcher.running


def test_each_start_has_a_log_of_its_own(home, launcher):
    """Two Kritas may be at work; and one that is started anew does not lose why the backend ended before."""
    other, logs = module.Launcher(), []
    assert launcher.log_tail() == ""
    try:
        for one in (launcher, other, other):
            one.start()
            path = wait_ready(one)
            logs.append((one.log_path, "painterly ready {}".format(path)))
    finally:
        other.stop()
    assert len({path for path, _ in logs}) == 3
    for path, words in logs:
        assert path.parent == home / "log" and path.read_text().strip() == words


def test_where_no_log_can_be_written_the_backend_starts_all_the_same(home, launcher):
    (home / "log").touch()
    launcher.start()
    path = wait_ready(launcher)
    assert launcher.log_path.parent == path.parent and str(path) in launcher.log_tail()


def test_a_second_start_replaces_the_first(launcher):
    launcher.start()
    wait_ready(launcher)
    first = launcher._process
    launcher.start()
    assert first.poll() is not None
    wait_ready(launcher)


def test_the_backend_ends_with_its_krita(home):
    code = (
        "import time; from plugin.painterly.launcher import Launcher; one = Launcher(); one.start()\n"
        "while one.endpoint_file() is None: time.sleep(.02)\n"
        "print(one._process.pid, flush=True); time.sleep(600)"
    )
    krita = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ""}
    )
    pid = int(krita.stdout.readline())
    krita.kill()
    krita.wait()
    end = time.monotonic() + 20
    while Path("/proc/{}".format(pid)).exists() and _state(pid) != "Z":
        assert time.monotonic() < end
        time.sleep(0.1)


def _state(pid):
    try:
        return Path("/proc/{}/stat".format(pid)).read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_python_that_cannot_run_is_told(home, launcher):
    (home / "env" / "bin" / "python").chmod(0o644)
    with pytest.raises(Problem, match="could not be started"):
        launcher.start()


@pytest.mark.parametrize("log,words", [
    ("out of memory\npainterly ready /a/file.json\n\n", "out of memory"),
    ("painterly ready /a/file.json\n", "it left no message"),
])  # fmt: skip
def test_that_it_was_ready_is_not_why_it_ended(home, launcher, log, words):
    launcher.log_path = home / "service.log"
    launcher.log_path.write_text(log)
    assert launcher.last_words().startswith(words)


def test_that_there_is_no_room_is_told(launcher, monkeypatch):
    monkeypatch.setattr(module.tempfile, "mkdtemp", refuse(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(Problem, match="could not be started.*No space left"):
        launcher.start()


def test_a_folder_that_cannot_be_removed_holds_up_no_end_and_no_start(launcher, monkeypatch):
    launcher.start()
    path = wait_ready(launcher)
    # As on Windows, while another process has a file in it open.
    monkeypatch.setattr(os, "rmdir", refuse(PermissionError(errno.EACCES, "in use")))
    launcher.stop()
    assert not launcher.running and not path.exists()
    launcher.start()
    assert wait_ready(launcher) != path


def refuse(error):
    def fails(*_, **__):
        raise error

    return fails
