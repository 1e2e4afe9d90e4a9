"""What the installer does in each state that it can find: with a stand-in for venv and pip that keeps account."""

import errno
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from backend.installer import environment
from backend.installer.commands import Failure, Shortage
from backend.installer.environment import Setup, check_python, only_one
from backend.installer.wanted import BUILD_TOOL, WEIGHTS, Wanted
from plugin.painterly.protocol.places import Places

from .conftest import add_package


class Computer:
    """Stands in for venv, pip and Python: `did` lists what was asked of them, checks left out."""

    def __init__(self, at):
        self.at = at
        self.did = []
        self.libraries_work = False
        self.pip_repairs = True
        self.on_check = lambda program: None
        self.on_pip = lambda arguments: None
        self.on_settings = lambda: None

    @property
    def site(self):
        return self.at.env / "lib" / "python3.11" / "site-packages"

    def run_logged(self, at, command, doing):
        if command[1:3] == ["-m", "venv"]:
            self.did.append("venv")
            self.site.mkdir(parents=True)
            self.at.python.parent.mkdir(parents=True)
            self.at.python.touch()
            self.libraries_work = False
        elif "-c" in command:
            self.on_check(command[-1])
            works = self.libraries_work if "torch" in command[-1] else True
            if not (self.at.python.exists() and works):
                raise Failure("no")
        else:
            self._pip(
                [
                    word
                    for word in command[command.index("install") + 1 :]
                    if word not in ("--progress-bar", "off")
                ]
            )

    def _pip(self, arguments):
        self.did.append(" ".join(word.replace(str(self.at.scratch), "SCRATCH") for word in arguments))
        self.on_pip(arguments)
        if "painterly" in arguments[-1]:
            assert (Path(arguments[-1].partition("[")[0]) / "pyproject.toml").is_file()
            (self.site / "torch").mkdir(exist_ok=True)
            (self.site / "plugin" / "painterly").mkdir(parents=True, exist_ok=True)
            self.libraries_work = self.pip_repairs


@pytest.fixture
def computer(at, monkeypatch):
    made = Computer(at)
    monkeypatch.setattr(environment, "run_logged", made.run_logged)
    monkeypatch.setattr(environment, "check_pip_settings", lambda at: made.on_settings())
    monkeypatch.setattr(environment, "ROOM_GB", 0)
    return made


@pytest.fixture
def run(at, checkout, computer):
    """Runs the setup once more; returns what it asked of venv and pip."""

    def once(*extras):
        computer.did.clear()
        at.scratch.mkdir(exist_ok=True)
        Setup(at, checkout, extras).run()
        return list(computer.did)

    return once


COMPLETE = [BUILD_TOOL, "--no-build-isolation SCRATCH/painterly", f"--no-deps {WEIGHTS}"]


def test_the_first_run_installs_everything_and_tidies_up(at, checkout, run):
    assert run() == ["venv", *COMPLETE]
    assert Wanted.load(at.stamp) == Wanted.of(checkout, ())
    assert not at.scratch.exists()


def test_the_second_run_does_nothing(run):
    run()
    assert run() == []


def test_the_command_knows_its_home_also_in_an_environment_made_by_an_earlier_version(at, computer, run):
    record = computer.site / "plugin" / "painterly" / "home.txt"
    run()
    assert record.read_text(encoding="utf-8") == str(at.home)
    record.unlink()
    assert run() == []
    assert record.read_text(encoding="utf-8") == str(at.home)


def test_changed_sources_update_painterly_alone(checkout, run):
    run()
    (checkout / "backend" / "__init__.py").write_text("changed", encoding="utf-8")
    assert run() == [BUILD_TOOL, "--no-build-isolation --no-deps SCRATCH/painterly"]
    assert run() == []


def test_changed_requirements_complete_the_libraries(checkout, run):
    run()
    (checkout / "pyproject.toml").write_text("changed", encoding="utf-8")
    assert run() == COMPLETE


def test_test_tools_are_added_once_and_stay(run):
    run()
    assert run("test") == [COMPLETE[0], COMPLETE[1] + "[test]", COMPLETE[2]]
    assert run() == []
    assert run("test") == []


def test_the_checkout_is_left_as_it_was(checkout, run):
    before = sorted(checkout.rglob("*"))
    run()
    assert sorted(checkout.rglob("*")) == before


def test_libraries_that_do_not_import_are_completed(computer, run):
    run()
    computer.libraries_work = False
    assert run() == COMPLETE


def test_a_deleted_python_gives_a_new_environment(at, run):
    run()
    at.python.unlink()
    assert run() == ["venv", *COMPLETE]


def test_a_damaged_package_is_installed_anew(at, computer, run):
    run()
    add_package(computer.site, "zmq", "27.0", {"zmq/a.py": b"whole"})
    info = add_package(computer.site, "torch", "2.8.0", {"torch/a.py": b"whole"})
    (computer.site / "torch" / "a.py").unlink()
    assert run() == ["--no-deps --force-reinstall torch==2.8.0", *COMPLETE]
    assert not info.exists()


@pytest.mark.parametrize("state", ["new", "damaged", "outdated"])
def test_with_settings_that_lead_elsewhere_pip_installs_nothing(computer, checkout, run, state):
    if state != "new":
        run()
    if state == "damaged":
        info = add_package(computer.site, "torch", "2.8.0", {"torch/a.py": b"whole"})
        (computer.site / "torch" / "a.py").unlink()
    if state == "outdated":
        (checkout / "backend" / "__init__.py").write_text("changed", encoding="utf-8")

    def refuse():
        raise Failure("pip's setting")

    computer.on_settings = refuse
    with pytest.raises(Failure, match="pip's setting"):
        run()
    assert computer.did == (["venv"] if state == "new" else [])
    assert state != "damaged" or info.exists()


def test_damage_to_painterly_itself_is_mended_from_the_checkout(computer, run):
    run()
    add_package(computer.site, "painterly", "0.1.0", {"backend/a.py": b"whole"})
    (computer.site / "backend" / "a.py").unlink()
    assert run() == COMPLETE


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Failure("no network")])
@pytest.mark.parametrize("when", range(3))
def test_stopped_half_way_it_goes_on_the_next_time(at, computer, run, stop, when):
    def on_pip(arguments):
        if len(computer.did) == when + 2:  # the environment came first
            raise stop

    computer.on_pip = on_pip
    with pytest.raises(type(stop) if isinstance(stop, Failure) else stop):
        run()
    assert not at.stamp.exists()
    computer.on_pip = lambda arguments: None
    assert run() == COMPLETE
    assert run() == []


def test_beyond_mending_it_starts_over_once_and_then_says_so(at, computer, run):
    computer.pip_repairs = False
    with pytest.raises(Failure, match="do not start on this computer") as failure:
        run()
    assert str(at.logfile) in str(failure.value)
    assert computer.did.count("venv") == 2
    assert not at.stamp.exists()


def raising(error, word):
    """Raises `error` in each check whose program has `word` in it."""

    def check(program):
        if word in program:
            raise error

    return check


@pytest.mark.parametrize("checked", ["torch", "pip"])
@pytest.mark.parametrize("error", [
    Shortage("There was not enough memory."),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError(errno.ENOSPC, "No space left on device"),
], ids=repr)  # fmt: skip
def test_what_the_computer_lacks_is_no_damage(at, computer, run, error, checked):
    run()
    (computer.site / "mine").touch()
    computer.on_check = raising(error, checked)
    with pytest.raises(type(error)):
        run()
    assert computer.did == [] and (computer.site / "mine").exists()
    computer.on_check = lambda program: None
    assert run() == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Failure("no network")], ids=repr)
def test_the_old_environment_is_back_when_no_new_one_can_be_made(at, computer, run, stop):
    run()
    (computer.site / "mine").touch()
    computer.libraries_work = computer.pip_repairs = False

    def on_pip(arguments):
        if "venv" in computer.did:
            raise stop

    computer.on_pip = on_pip
    with pytest.raises(type(stop)):
        run()
    assert "venv" in computer.did and (computer.site / "mine").exists() and not at.stamp.exists()
    computer.on_pip, computer.pip_repairs = lambda arguments: None, True
    assert run() == COMPLETE
    assert (computer.site / "mine").exists()


def test_an_environment_set_aside_by_a_killed_run_is_gone_once_a_new_one_works(at, computer, run):
    run()
    at.env.rename(at.cache / "env-before")
    assert run() == ["venv", *COMPLETE]
    assert [path.name for path in at.cache.iterdir()] == []


def test_a_new_environment_needs_its_room_beside_the_old_one(at, computer, run, monkeypatch):
    run()
    (computer.site / "mine").touch()
    computer.libraries_work = computer.pip_repairs = False
    monkeypatch.setattr(environment, "ROOM_GB", 1e9)
    with pytest.raises(Failure, match="GB free"):
        run()
    assert (computer.site / "mine").exists()


def test_too_little_room_is_told_before_anything_is_downloaded(at, computer, run, monkeypatch):
    monkeypatch.setattr(environment, "ROOM_GB", 10)
    usage = namedtuple("usage", "total used free")(20e9, 18.8e9, 1.2e9)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Failure, match=r"needs about 10 GB free where .* is, and 1\.2 GB are"):
        run()
    assert computer.did == []


@pytest.mark.parametrize(("version", "word"), [((3, 8), "old"), ((3, 15), "new"), ((4, 0), "new")])
def test_an_unsuited_python_is_refused(at, monkeypatch, version, word):
    monkeypatch.setattr(environment.sys, "version_info", (*version, 0, "final", 0))
    with pytest.raises(Failure, match=rf"too {word} .* from 3\.9 to 3\.\d+"):
        check_python(at)


@pytest.mark.parametrize(("prefix", "refused"), [
    (r"C:\Program Files\WindowsApps\PythonSoftwareFoundation.Python.3.11_3.11.2544.0_x64__qbz5n2kfra8p0", True),
    (r"C:\Users\Sam\AppData\Local\Programs\Python\Python313", False),
    (r"C:\Users\Sam\AppData\Local\Python\pythoncore-3.14-64", False),
])  # fmt: skip
def test_on_windows_a_python_whose_files_krita_cannot_see_is_refused(at, monkeypatch, prefix, refused):
    monkeypatch.setattr(environment.sys, "base_prefix", prefix)
    if refused:
        with pytest.raises(Failure, match="python.org"):
            check_python(at)
    else:
        check_python(at)


def test_a_python_without_venv_is_refused(at, monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Failure, match="python3-venv"):
        check_python(at)


def test_this_python_will_do(at):
    check_python(at)


HOLD = """
import sys
from backend.installer.environment import only_one
from plugin.painterly.protocol.places import places
with only_one(places()):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_run_waits_and_a_killed_one_frees_the_lock(at, monkeypatch, capsys):
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PAINTERLY_HOME", str(at.home))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD], cwd=root, text=True, **pipes) as first:
        assert first.stdout.readline() == "held\n"
        monkeypatch.setattr(environment, "LOCK_PATIENCE_SECONDS", 0.3)
        with pytest.raises(Failure, match="Another install.py"), only_one(at):
            pytest.fail("Two held the lock.")
        assert "waiting" in capsys.readouterr().out
        first.kill()
    with only_one(at):
        assert capsys.readouterr().out == ""


def test_who_waits_for_an_uninstalling_run_does_not_lock_the_file_it_removed(tmp_path):
    """Else the next one would hold the lock of a new file at the same time."""
    at = Places.below(tmp_path / "home")
    at.home.mkdir()
    with open(at.lock, "wb") as removed:
        at.lock.unlink()
        assert not environment._is_at(removed, at.lock)
        at.lock.touch()
        assert not environment._is_at(removed, at.lock)
    with only_one(at), open(at.lock, "rb") as there:
        assert environment._is_at(there, at.lock)
    assert not at.home.exists()
