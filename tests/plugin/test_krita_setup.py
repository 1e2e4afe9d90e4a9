import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from backend import krita_setup
from backend.installer.commands import Failure
from backend.krita_setup import KritaUser, switched
from plugin.painterly import vendor
from plugin.painterly.protocol.places import Places

PLUGIN = Path(__file__).resolve().parents[2] / "plugin"
ON = "enable_painterly=true"
METADATA = "Metadata-Version: 2.1\nName: pyzmq\nVersion: 1\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\n"
NOTHING = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of an empty file


@pytest.mark.parametrize("before", [
    "", "[a]\nb=c\n", "x=1\n\n[python]\nenable_other=false\n\n[z]\nenable_painterly=false\n",
    "[python]\nenable_painterly=false\nenable_other=true\n", "[python]", "a=b",
    "[python]\r\nenable_other=true\r\n\r\n[z]\r\nq=ü\r\n", "[python][sub]\nenable_painterly=false\n",
])  # fmt: skip
def test_the_switch_is_set_and_removed_and_nothing_else_changes(before):
    on = switched(before, "true")
    group = on[on.index("[python]\r\n" if "\r" in on else "[python]\n") :].splitlines()
    assert group[1] == ON and switched(on, "true") == on
    kept = [line for line in before.splitlines() if line.strip()]
    new = [line for line in on.splitlines() if line.strip()]
    assert [line for line in kept if "enable_painterly" not in line] == [
        line for line in new if "enable_painterly" not in line and (line != "[python]" or "[python]" in kept)
    ]
    off = switched(on, None)
    assert ON not in off and off.count("enable_other") == before.count("enable_other")


@pytest.mark.parametrize("before", ["", "[a]\nb=c\n", "x=1\n\n[python]\nenable_other=false\n\n[z]\nq=1\n"])
def test_what_was_added_is_taken_away_to_the_last_byte(before):
    assert switched(switched(before, "true"), None) == before


def test_a_group_made_for_the_switch_goes_with_it_though_krita_moved_it():
    assert switched("[a]\nb=c\n\n[python]\nenable_painterly=true\n\n[z]\nq=1\n", None) == (
        "[a]\nb=c\n\n[z]\nq=1\n"
    )


@pytest.mark.parametrize("there", [True, False])
def test_a_kritarc_kept_elsewhere_stays_a_link(user, no_network, tmp_path, there):
    kept = tmp_path / "dotfiles" / "kritarc"
    kept.parent.mkdir()
    if there:
        kept.write_text("[a]\nb=c\n")
    user.kritarc.parent.mkdir(parents=True)
    user.kritarc.symlink_to(kept)
    krita_setup.install(PLUGIN, user, pythons=("3.8",))
    assert user.kritarc.is_symlink() and ON in kept.read_text()
    krita_setup.uninstall(user)
    assert user.kritarc.is_symlink() and ON not in kept.read_text()


@pytest.fixture
def user(tmp_path):
    return KritaUser(tmp_path / "data" / "krita", tmp_path / "config" / "kritarc")


def write_wheel(folder, python, abi, platform):
    """A pyzmq of one empty file."""
    name = "pyzmq-1-{}-{}-{}.whl".format(python, abi, platform)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("zmq/__init__.py", "")
        for file, text in (("METADATA", METADATA), ("WHEEL", WHEEL)):
            archive.writestr("pyzmq-1.dist-info/" + file, text)
        archive.writestr("pyzmq-1.dist-info/RECORD", "zmq/__init__.py,{},0\n".format(NOTHING))


@pytest.fixture
def no_network(monkeypatch):
    """pyzmq is "downloaded" as a small wheel of the asked-for Python; which were asked for, in order.

    Once "3.x" is among `unreachable`, its wheel is not to be had.
    """

    class Index:
        def __init__(self):
            self.asked, self.unreachable = [], []

        def run_logged(self, at, command, doing):
            version = command[command.index("--python-version") + 1]
            self.asked.append(version)
            if version in self.unreachable:
                raise Failure("no route")
            python = "cp" + version.replace(".", "")
            abi = python if int(version[2:]) < 12 else "abi3"
            if abi == "abi3":
                python = "cp312"  # as pip finds it for all later Pythons
            write_wheel(Path(command[command.index("--dest") + 1]), python, abi, "any")

    index = Index()
    monkeypatch.setattr(krita_setup, "run_logged", index.run_logged)
    return index


def test_install_again_and_uninstall(user, no_network):
    user.kritarc.parent.mkdir(parents=True)
    user.kritarc.write_text("[python]\nenable_other=true\n")
    neighbour = user.resources / "pykrita" / "other" / "__init__.py"
    neighbour.parent.mkdir(parents=True)
    neighbour.write_text("")
    for _ in range(2):
        assert krita_setup.install(PLUGIN, user, pythons=("3.8", "3.12", "3.13")) == []
        (user.installed / "left over.py").write_text("")
    assert ON in user.kritarc.read_text() and "enable_other=true" in user.kritarc.read_text()
    assert (user.resources / "actions" / "painterly.action").exists()
    assert (user.installed / "protocol" / "messages.py").exists()
    folders = {path.name for path in (user.installed / "vendor").iterdir()}
    tag = vendor.platform_tag()
    assert folders == {"cp38-" + tag, "abi3-cp312-" + tag}
    krita_setup.install(PLUGIN, user, pythons=("3.8",))
    assert not (user.installed / "left over.py").exists()
    assert krita_setup.uninstall(user) and not krita_setup.uninstall(user)
    assert neighbour.exists() and user.kritarc.read_text() == "[python]\nenable_other=true\n"
    assert sorted(path.name for path in (user.resources / "pykrita").iterdir()) == ["other"]


def test_only_what_is_not_there_yet_is_downloaded(user, no_network):
    krita_setup.install(PLUGIN, user, pythons=("3.8", "3.12"))
    assert krita_setup.install(PLUGIN, user, pythons=("3.8", "3.9", "3.12", "3.13")) == []
    assert no_network.asked == ["3.8", "3.12", "3.9"]


def test_the_pip_at_hand_fetches_what_the_plugin_chooses(user, tmp_path, monkeypatch, capsys):
    """From a folder, with all of the installer's precautions: its log, its folders, its environment."""
    (tmp_path / "wheels").mkdir()
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    for python, abi in (("cp310", "cp310"), ("cp312", "abi3")):
        write_wheel(tmp_path / "wheels", python, abi, tag)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "astray"))
    (tmp_path / "astray" / "pip").mkdir(parents=True)
    at = Places.below(tmp_path / "home")
    assert krita_setup.install(PLUGIN, user, pythons=("3.9", "3.10", "3.13"), at=at) == ["3.9"]
    found = {vendor.chosen_folder(user.installed / "vendor", minor).name for minor in (10, 13)}
    assert found == {"cp310-" + vendor.platform_tag(), "abi3-cp312-" + vendor.platform_tag()}
    said = at.logfile.read_text(encoding="utf-8")
    assert "No matching distribution found for pyzmq" in said and str(at.scratch) in said
    assert list(at.scratch.iterdir()) == []
    assert "pyzmq for a Krita with Python 3.9" in capsys.readouterr().out


def test_without_network_what_was_there_stays_and_what_lacks_is_told(user, no_network):
    no_network.unreachable = ["3.9"]
    assert krita_setup.install(PLUGIN, user, pythons=("3.8", "3.9")) == ["3.9"]
    no_network.unreachable = ["3.8", "3.9"]
    (user.installed / "left over.py").write_text("")
    assert krita_setup.install(PLUGIN, user, pythons=("3.8", "3.9")) == ["3.9"]
    assert [path.name for path in (user.installed / "vendor").iterdir()] == ["cp38-" + vendor.platform_tag()]
    assert not (user.installed / "left over.py").exists()


@pytest.mark.parametrize("error", [OSError(13, "in use"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("linked", [False, True])
def test_when_the_new_plugin_cannot_take_its_place_the_old_one_stays(
    user, no_network, monkeypatch, tmp_path, linked, error
):
    """As on Windows, where a virus scanner has the new files open."""
    krita_setup.install(PLUGIN, user, pythons=("3.8",))
    if linked:
        user.installed.rename(tmp_path / "kept elsewhere")
        user.installed.symlink_to(tmp_path / "kept elsewhere")
    (user.installed / "mine.py").write_text("")
    rename = Path.rename

    def failing(self, target):
        if self.name == "painterly" and self.parent != user.installed.parent:
            raise error
        return rename(self, target)

    with monkeypatch.context() as trouble:
        trouble.setattr(Path, "rename", failing)
        with pytest.raises(type(error)):
            krita_setup.install(PLUGIN, user, pythons=("3.8",))
    assert (user.installed / "mine.py").exists() and user.installed.is_symlink() == linked
    assert not list(user.installed.parent.glob(".painterly-*"))
    assert krita_setup.uninstall(user) and not user.installed.exists()
    assert (tmp_path / "kept elsewhere").exists() == linked


def test_what_a_killed_run_left_is_put_back_or_removed(user, no_network):
    krita_setup.install(PLUGIN, user, pythons=("3.8",))
    pykrita = user.installed.parent
    for name in (".painterly-one", ".painterly-two"):
        (pykrita / name / "painterly").mkdir(parents=True)
    user.installed.rename(pykrita / ".painterly-two" / "old")
    no_network.unreachable = ["3.8"]
    krita_setup.install(PLUGIN, user, pythons=("3.8",))
    assert sorted(path.name for path in pykrita.iterdir()) == ["painterly", "painterly.desktop"]
    (pykrita / ".painterly-three" / "old").mkdir(parents=True)
    krita_setup.uninstall(user)
    assert list(pykrita.iterdir()) == []


@pytest.mark.parametrize("harm", [
    lambda package: (package / "zmq" / "__init__.py").write_text("x"),
    lambda package: (package / "zmq" / "__init__.py").unlink(),
    lambda package: (package / "pyzmq-1.dist-info" / "RECORD").unlink(),
])  # fmt: skip
def test_a_damaged_pyzmq_is_downloaded_anew(user, no_network, harm):
    for _ in range(2):
        krita_setup.install(PLUGIN, user, pythons=("3.8",))
        package = user.installed / "vendor" / ("cp38-" + vendor.platform_tag())
        assert (package / "zmq" / "__init__.py").read_text() == ""
        harm(package)
    assert no_network.asked == ["3.8", "3.8"]


def test_without_network_and_any_pyzmq_the_old_plugin_stays(user, no_network):
    krita_setup.install(PLUGIN, user, pythons=("3.8",))
    shutil.rmtree(user.installed / "vendor")
    no_network.unreachable = ["3.8"]
    with pytest.raises(Failure, match="no route"):
        krita_setup.install(PLUGIN, user, pythons=("3.8",))
    assert (user.installed / "extension.py").exists()


def test_the_plugin_chooses_its_pythons_folder(tmp_path):
    tag = vendor.platform_tag()
    minor = sys.version_info[1]
    assert vendor.chosen_folder(tmp_path) is None
    (tmp_path / "cp37-{}".format(tag)).mkdir()
    assert vendor.chosen_folder(tmp_path) is None
    older = tmp_path / "abi3-cp3{}-{}".format(minor - 1, tag)
    older.mkdir()
    assert vendor.chosen_folder(tmp_path) == older
    exact = tmp_path / "cp3{}-{}".format(minor, tag)
    exact.mkdir()
    assert vendor.chosen_folder(tmp_path) == exact


def test_the_plugin_knows_the_home_it_was_installed_from(user, no_network, tmp_path):
    """Found by the installed copy itself, in a process that knows of no PAINTERLY_HOME."""
    program = "from protocol.places import places; print(places().home)"
    clean = {name: value for name, value in os.environ.items() if name != "PAINTERLY_HOME"}
    for home in (tmp_path / "large disk", tmp_path / "other"):
        krita_setup.install(PLUGIN, user, pythons=("3.8",), at=Places.below(home))
        asked = subprocess.Popen(
            [sys.executable, "-c", program], cwd=str(user.installed), env=clean, stdout=subprocess.PIPE
        )
        assert asked.communicate()[0].decode() == "{}\n".format(home)


def test_a_flatpak_that_was_started_is_known_as_one(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".var" / "app" / "org.kde.krita").mkdir(parents=True)
    assert [user.flatpak for user in krita_setup.krita_users()] == [False, True]


def test_a_krita_from_the_microsoft_store_has_folders_of_its_own(tmp_path):
    """Where Store programs write that name AppData's Roaming and Local."""
    assert krita_setup._store_users(tmp_path) == []
    for name in ("49800Krita_krita4_vrcmy1yg3z64c", "PythonSoftwareFoundation.Python.3.11_qbz5n2kfra8p0"):
        (tmp_path / "Packages" / name / "LocalCache").mkdir(parents=True)
    cache = tmp_path / "Packages" / "49800Krita_krita4_vrcmy1yg3z64c" / "LocalCache"
    wanted = KritaUser(cache / "Roaming" / "krita", cache / "Local" / "kritarc")
    assert krita_setup._store_users(tmp_path) == [wanted]


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    first = krita_setup.krita_users()[0]
    assert first == KritaUser(tmp_path / "d" / "krita", tmp_path / "c" / "kritarc")
