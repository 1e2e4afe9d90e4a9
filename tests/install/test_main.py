"""What each flag does, and how install.py ends."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import install
from backend import krita_setup
from backend.installer import environment
from backend.installer.commands import Failure
from backend.krita_setup import KritaUser
from plugin.painterly.protocol.places import places


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What install.py asked for, in order; the commands it starts answer 5."""
    made = []

    def hand_over(command, folder, at):
        made.append((command[1:], folder))
        return 5

    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(install, "set_up", lambda at, checkout, extras: made.append(("set up", extras)))
    monkeypatch.setattr(install, "hand_over", hand_over)
    monkeypatch.setattr(install, "krita_users", lambda: [])
    before = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, before)


def test_no_flag_sets_up_and_names_the_program(calls, capsys):
    assert install.main([]) == 0
    assert calls == [("set up", ())]
    assert capsys.readouterr().out.endswith(f"{places().python.with_name('painterly')}\n")


def test_a_log_in_a_small_encoding_takes_any_path(tmp_path):
    """As with `install.py > log.txt` on Windows, whose encoding there is the system's."""
    code = "import install; install.set_up = lambda *_: None; install.krita_users = list; install.main([])"
    home = {"PAINTERLY_HOME": str(tmp_path / "Łukasz"), "PYTHONIOENCODING": "cp1252"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=install.CHECKOUT, env={**os.environ, **home}, capture_output=True)
    assert done.returncode == 0 and done.stderr == b""
    assert b"\\u0141ukasz" in done.stdout.splitlines()[-1]


def test_test_adds_the_test_tools_and_passes_everything_on(calls):
    assert install.main(["--test", "tests/install", "-x", "--demo"]) == 5
    assert calls == [
        ("set up", ("test",)),
        (["-m", "pytest", "tests/install", "-x", "--demo"], install.CHECKOUT),
    ]


def test_demo_runs_the_installed_copy_away_from_the_checkout(calls):
    assert install.main(["--demo"]) == 5
    at = places()
    assert calls == [("set up", ()), (["-m", "backend.demo", "-o", str(at.data / "demo")], at.home)]


@pytest.mark.parametrize(
    ("trouble", "code", "told"),
    [
        (Failure("It broke: mend it."), 1, "It broke: mend it.\n"),
        (KeyboardInterrupt(), 130, "Interrupted: run install.py{flag} again and it goes on from here.\n"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "The disk is full: "),
    ],
    ids=["failure", "interrupt", "full disk"],
)
@pytest.mark.parametrize("flag", ["", "--test", "--demo"])
def test_trouble_is_one_line_and_nothing_else_is_run(calls, monkeypatch, capsys, trouble, code, told, flag):
    def set_up(at, checkout, extras):
        raise trouble

    monkeypatch.setattr(install, "set_up", set_up)
    assert install.main([flag] if flag else []) == code
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.startswith(told.format(flag=flag and f" {flag}"))
    assert heard.err.count("\n") == 1
    assert calls == []


def test_flags_that_exclude_each_other_are_refused(calls, capsys):
    with pytest.raises(SystemExit, match="2"):
        install.main(["--demo", "--where"])
    assert calls == []


@pytest.fixture
def krita(monkeypatch, tmp_path):
    """A user who has started Krita once."""
    user = KritaUser(tmp_path / "krita", tmp_path / "kritarc")
    user.resources.mkdir()
    user.kritarc.write_text("[theme]\nTheme=dark\n")

    def add_pyzmq(folder, python, pythons, at):
        folder.mkdir(exist_ok=True)
        return ["3.8", "3.9"]

    monkeypatch.setattr(install, "krita_users", lambda: [user])
    monkeypatch.setattr(krita_setup, "add_pyzmq", add_pyzmq)
    return user


def test_no_flag_puts_the_plugin_into_krita_and_uninstall_takes_all_away(calls, krita, capsys):
    assert install.main([]) == 0
    assert (krita.installed / "extension.py").exists()
    assert (krita.installed / "home.txt").read_text() == str(places().home)
    assert "enable_painterly=true" in krita.kritarc.read_text()
    at = places()
    for folder in (at.env, at.cache, at.log, at.data):
        folder.mkdir(parents=True)
    (at.data / "painted.png").touch()
    at.lock.touch()
    assert install.main(["--uninstall"]) == 0
    assert not krita.installed.exists()
    assert krita.kritarc.read_text().replace("[python]", "").strip() == "[theme]\nTheme=dark"
    assert [folder.exists() for folder in (at.env, at.cache, at.log, at.data)] == [False, False, False, True]
    assert str(at.data) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["env", "data", "cache", "log"])
@pytest.mark.parametrize("flag", ["", "--demo", "--test", "--uninstall"])
def test_a_home_with_what_others_put_there_is_refused(calls, krita, capsys, flag, name):
    at = places()
    precious = at.home / name / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.touch()
    assert install.main([flag] if flag else []) == 1
    said = capsys.readouterr()
    assert f"{at.home} holds {name}, which Painterly did not make" in said.err and said.out == ""
    assert calls == [] and [path for path in at.home.rglob("*") if path.is_file()] == [precious]


@pytest.mark.parametrize("sign", ["installed.json", "install.lock"])
def test_a_home_made_by_an_earlier_version_is_known(calls, krita, sign):
    at = places()
    for folder in (at.env, at.data):
        folder.mkdir(parents=True)
    (at.home / sign).touch()
    assert install.main([]) == 0
    assert install.main(["--uninstall"]) == 0
    assert not at.home.exists()


def test_the_usual_home_needs_no_sign(calls, krita, monkeypatch, tmp_path):
    """A service that ran on while it was uninstalled may have left something there."""
    for name in ("PAINTERLY_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    places().cache.mkdir(parents=True)
    assert install.main([]) == 0


def test_what_was_painted_keeps_its_home_painterlys(calls, krita):
    at = places()
    at.data.mkdir(parents=True)
    (at.data / "painted.png").touch()
    at.lock.touch()
    assert install.main(["--uninstall"]) == 0
    assert sorted(path.name for path in at.home.iterdir()) == ["data", "install.lock"]
    assert install.main([]) == 0


def test_only_painterlys_part_of_a_home_goes(calls, krita):
    at = places()
    at.home.mkdir()
    (at.home / "photographs").mkdir()
    assert install.main([]) == 0
    assert install.main(["--uninstall"]) == 0
    assert [path.name for path in at.home.iterdir()] == ["photographs"]


def test_where_nothing_is_installed_uninstalling_makes_nothing(calls, krita, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert install.main(["--uninstall"]) == 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("flag", ["", "--uninstall"])
def test_plugin_and_environment_change_under_one_lock(calls, krita, capsys, monkeypatch, flag):
    at = places()
    at.home.mkdir()
    at.lock.touch()
    monkeypatch.setattr(environment, "LOCK_PATIENCE_SECONDS", 0.1)
    heard = []

    def another(*_, **__):
        with pytest.raises(Failure, match="Another install.py"), environment.only_one(at):
            pytest.fail("Two held the lock.")
        heard.append(flag)

    monkeypatch.setattr(install, "uninstall" if flag else "install", another)
    assert install.main([flag] if flag else []) == 0
    assert heard == [flag]


@pytest.fixture
def elsewhere(calls, krita, monkeypatch, tmp_path):
    """The home on another disk from which the plugin was installed; the variable that named it is forgotten."""
    at = places()
    assert install.main([]) == 0
    at.env.mkdir(parents=True)
    at.lock.touch()
    calls.clear()
    monkeypatch.delenv("PAINTERLY_HOME")
    for name in ("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "small disk"))
    return at


def test_without_the_variable_the_plugins_home_is_taken(calls, krita, elsewhere, capsys, tmp_path):
    assert install.main(["--where"]) == 0
    assert json.loads(capsys.readouterr().out)["home"] == str(elsewhere.home)
    assert install.main(["--demo"]) == 5
    assert calls[-1] == (["-m", "backend.demo", "-o", str(elsewhere.data / "demo")], elsewhere.home)
    assert f"Painterly is in {elsewhere.home}, " in capsys.readouterr().out
    assert install.main([]) == 0
    assert (krita.installed / "home.txt").read_text() == str(elsewhere.home)
    assert install.main(["--uninstall"]) == 0
    assert not elsewhere.home.exists() and not (tmp_path / "small disk").exists()


def test_another_installation_is_told_of(elsewhere, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path / "second"))
    assert install.main(["--uninstall"]) == 0
    assert f"with PAINTERLY_HOME={elsewhere.home}, run install.py --uninstall" in capsys.readouterr().out
    assert elsewhere.env.exists()


def test_a_home_whose_disk_is_away_is_not_called_gone_without_a_word(elsewhere, krita, capsys):
    elsewhere.home.rename(elsewhere.home.with_name("away"))
    assert install.main(["--uninstall"]) == 0
    assert f"{elsewhere.home} was not there" in capsys.readouterr().out
    assert not krita.installed.exists()


def test_a_flatpak_is_told_of(calls, krita, capsys, monkeypatch):
    monkeypatch.setattr(install, "krita_users", lambda: [krita._replace(flatpak=True)])
    assert install.main([]) == 0
    assert "Flatpak" in capsys.readouterr().out


@pytest.mark.parametrize("there", [True, False])
def test_a_snap_is_told_of(calls, krita, capsys, monkeypatch, tmp_path, there):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    if there:
        (tmp_path / "snap" / "krita").mkdir(parents=True)
    assert install.main([]) == 0
    assert ("Snap" in capsys.readouterr().out) == there


def test_for_which_pythons_pyzmq_lacks_is_told(calls, krita, capsys):
    assert install.main([]) == 0
    assert "no pyzmq for Python 3.8, 3.9 yet" in capsys.readouterr().out


def test_what_cannot_be_taken_away_is_told(calls, krita, capsys, monkeypatch):
    """As on Windows while the backend runs from there."""
    at, remove = places(), install.shutil.rmtree
    for folder in (at.env, at.cache):
        folder.mkdir(parents=True)
    at.lock.touch()
    monkeypatch.setattr(install.shutil, "rmtree", lambda path, **how: path == at.env or remove(path, **how))
    assert install.main(["--uninstall"]) == 1
    said = capsys.readouterr()
    assert "run install.py --uninstall again" in said.err
    assert str(at.env) in said.err and "gone" not in said.out and not at.cache.exists()
    assert at.lock.exists()  # so that the next one knows what is left as Painterly's


@pytest.mark.parametrize(("trouble", "told"), [
    (KeyboardInterrupt(), "Interrupted: run install.py --uninstall again and"),
    (PermissionError(13, "Permission denied", "/x"), "These are in use or protected: /x; "),
    (OSError(errno.EIO, "Input/output error"), "These are in use or protected: {home}; "),
], ids=repr)  # fmt: skip
def test_trouble_while_uninstalling_does_not_lead_to_installing(calls, capsys, monkeypatch, trouble, told):
    def raising():
        raise trouble

    monkeypatch.setattr(install, "krita_users", raising)
    assert install.main(["--uninstall"]) == (130 if isinstance(trouble, KeyboardInterrupt) else 1)
    said = capsys.readouterr().err
    assert said.startswith(told.format(home=places().home)) and "PAINTERLY_HOME" not in said
    assert "run install.py --uninstall again" in said


@pytest.mark.parametrize("abbreviated", ["--un", "--dem", "--tes"])
def test_no_flag_is_guessed(calls, krita, abbreviated):
    with pytest.raises(SystemExit, match="2"):
        install.main([abbreviated])
    assert calls == []


def test_help_tells_what_the_head_of_the_file_tells(capsys):
    with pytest.raises(SystemExit, match="0"):
        install.main(["--help"])
    assert install.__doc__.partition("\n\n")[2].strip() in capsys.readouterr().out


def test_what_krita_has_open_hinders_nothing_else(calls, krita, capsys, monkeypatch, tmp_path):
    """As on Windows, with two Kritas of which the first one runs."""
    other = KritaUser(tmp_path / "other", tmp_path / "other rc")
    other.resources.mkdir()
    monkeypatch.setattr(install, "krita_users", lambda: [krita, other])
    assert install.main([]) == 0
    at, remove = places(), shutil.rmtree
    at.env.mkdir(parents=True)
    at.lock.touch()

    def rmtree(path, **how):
        if path == krita.installed:
            raise PermissionError(13, "Access is denied", str(path / "_zmq.pyd"))
        remove(path, **how)

    monkeypatch.setattr(krita_setup.shutil, "rmtree", rmtree)
    assert install.main(["--uninstall"]) == 1
    said = capsys.readouterr().err
    assert str(krita.installed / "_zmq.pyd") in said and "end Krita" in said and "PAINTERLY_HOME" not in said
    assert not at.env.exists() and not other.installed.exists()
    assert "enable_painterly" not in krita.kritarc.read_text()


def test_without_krita_the_rest_is_set_up_and_said(calls, monkeypatch, capsys):
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    assert install.main([]) == 0
    told = capsys.readouterr().out
    assert "Krita was not found" in told and "start it once" in told
