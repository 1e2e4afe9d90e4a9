"""Puts the plugin into this user's Krita and takes it away again. Standard library only.

Into Krita's resource folder go `pykrita/painterly/`, `pykrita/painterly.desktop` and
`actions/painterly.action`; in `kritarc` the plugin is switched on. Krita embeds a Python of its own, so
pyzmq is laid beside the plugin for each Python that a Krita may embed; the plugin chooses at run time.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple, Sequence

from backend.installer.commands import Failure, Shortage, run_logged, say
from backend.installer.wanted import is_whole
from plugin.painterly import vendor
from plugin.painterly.protocol.places import RECORD, Places, record_home

PLUGIN = "painterly"
# Krita 5.1 and 5.2 bundles embed 3.8 and 3.10, Linux distributions what they ship; from 3.12 on pyzmq has
# wheels for all later Pythons on some systems.
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
_SWITCH = "enable_" + PLUGIN
# Beside the plugin while it is renewed, so that a rename puts the new one in its place; in it waits the old one.
_SCRATCH, _OLD = ".painterly-", "old"


class KritaUser(NamedTuple):
    """Where one Krita keeps its user's resources and settings."""

    resources: Path
    kritarc: Path
    flatpak: bool = False

    @property
    def installed(self) -> Path:
        return self.resources / "pykrita" / PLUGIN


def krita_users() -> list[KritaUser]:
    """The native Krita's folders first, then those of a Flatpak or of the Microsoft Store, if it was ever started."""
    home = Path.home()
    if os.name == "nt":
        roaming = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
        local = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        return [KritaUser(roaming / "krita", local / "kritarc"), *_store_users(local)]
    if sys.platform == "darwin":
        library = home / "Library"
        return [KritaUser(library / "Application Support" / "krita", library / "Preferences" / "kritarc")]
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    flatpak = home / ".var" / "app" / "org.kde.krita"
    users = [KritaUser(data / "krita", config / "kritarc")]
    if flatpak.is_dir():
        users.append(KritaUser(flatpak / "data" / "krita", flatpak / "config" / "kritarc", flatpak=True))
    return users


def _store_users(local: Path) -> list[KritaUser]:
    """A program from the Store has its own AppData below the `local` one; the Store puts codes into its name."""
    caches = sorted(local.glob("Packages/*Krita_*/LocalCache"))
    return [KritaUser(cache / "Roaming" / "krita", cache / "Local" / "kritarc") for cache in caches]


def snap_was_started() -> bool:
    """Whether this user has a Krita from a Snap: it sees none of the folders of `krita_users`."""
    return (Path.home() / "snap" / "krita").is_dir()


def install(
    plugin_source: Path,
    user: KritaUser,
    python: Path = Path(sys.executable),
    pythons: Sequence[str] = PYTHONS,
    at: Places | None = None,
) -> list[str]:
    """Installs or renews the plugin from the folder `plugin_source` (the checkout's `plugin/`).

    `python` is one with pip, which fetches what is not there yet of pyzmq. Returns those of `pythons` for
    which there is none. The plugin will look for the backend in `at`, with None where one usually is. Raises
    Failure or OSError; what was installed before stays until the new one is complete.
    """
    pykrita = user.resources / "pykrita"
    pykrita.mkdir(parents=True, exist_ok=True)
    for scratch in pykrita.glob(_SCRATCH + "*"):  # of a run that was killed
        _clear(scratch, user.installed)
    fresh = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=str(pykrita)))
    try:
        ignore = shutil.ignore_patterns("__pycache__", "vendor", RECORD.name)
        shutil.copytree(plugin_source / PLUGIN, fresh / PLUGIN, ignore=ignore)
        _copy_whole(user.installed / "vendor", fresh / PLUGIN / "vendor")
        lacking = add_pyzmq(fresh / PLUGIN / "vendor", python, pythons, at or Places.below(fresh))
        if at is not None:
            record_home(at.home, fresh / PLUGIN / RECORD.name)
        _replace(fresh / PLUGIN, user.installed)
    finally:
        _clear(fresh, user.installed)
    shutil.copy2(plugin_source / "painterly.desktop", pykrita / "painterly.desktop")
    (user.resources / "actions").mkdir(exist_ok=True)
    shutil.copy2(plugin_source / "painterly.action", user.resources / "actions" / "painterly.action")
    _edit(user.kritarc, "true")
    return lacking


def uninstall(user: KritaUser) -> bool:
    """Takes the plugin away and leaves all else; false if there was none.

    What a running Krita may have open comes last, so that the next one starts without the plugin.
    """
    for path in (
        user.resources / "pykrita" / "painterly.desktop",
        user.resources / "actions" / "painterly.action",
    ):
        path.unlink(missing_ok=True)
    if user.kritarc.exists():
        _edit(user.kritarc, None)
    for scratch in user.installed.parent.glob(_SCRATCH + "*"):
        shutil.rmtree(scratch)
    found = os.path.lexists(user.installed)
    if user.installed.is_symlink():
        user.installed.unlink()
    elif found:
        shutil.rmtree(user.installed)
    return found


def _copy_whole(vendored: Path, folder: Path) -> None:
    """Copies into `folder` each pyzmq in `vendored` that is as it was unpacked."""
    for package in vendored.iterdir() if vendored.is_dir() else ():
        infos = list(package.glob("*.dist-info"))
        if infos and all(is_whole(package, info, contents=True) for info in infos):
            shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))


def add_pyzmq(folder: Path, python: Path, pythons: Sequence[str], at: Places) -> list[str]:
    """Unpacks into `folder` what it lacks for `pythons` (as "3.11"); returns those for which it still has none.

    pip's words and its temporary files go where the installer has them. Raises Failure if there is none at all.
    """
    failure = None
    for made in (at.log, at.scratch):
        made.mkdir(parents=True, exist_ok=True)
    for version in pythons:
        if _has(folder, version):
            continue
        say(f"  fetching pyzmq for a Krita with Python {version}")
        with tempfile.TemporaryDirectory(dir=str(at.scratch)) as fetched:
            command = [
                str(python), "-I", "-m", "pip", "download", "--progress-bar", "off", "--no-deps",
                "--only-binary=:all:", "--implementation", "cp", "--python-version", version,
                "--dest", fetched, "pyzmq",
            ]  # fmt: skip
            try:
                run_logged(at, command, f"Fetching pyzmq for Python {version}")
            except Shortage:
                raise
            except Failure as error:
                failure = failure or error
            for wheel in Path(fetched).glob("*.whl"):
                _unpack(wheel, folder)
    if failure and not folder.is_dir():
        raise failure
    return [version for version in pythons if not _has(folder, version)]


def _has(folder: Path, version: str) -> bool:
    return vendor.chosen_folder(folder, int(version.partition(".")[2])) is not None


def _unpack(wheel: Path, folder: Path) -> None:
    """A wheel into a folder whose name `vendor.chosen_folder` understands."""
    _, _, python_tag, abi, _ = wheel.stem.split("-")
    tag = f"{python_tag}-{vendor.platform_tag()}"
    target = folder / (f"abi3-{tag}" if abi == "abi3" else tag)
    if not target.exists():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)


def _replace(fresh: Path, installed: Path) -> None:
    """Puts the complete new folder in the old one's place; should that fail, `_clear` puts the old one back."""
    if os.path.lexists(installed):
        installed.rename(fresh.with_name(_OLD))
    fresh.rename(installed)


def _clear(scratch: Path, installed: Path) -> None:
    """Removes a scratch folder; the plugin that waits in it goes back if none took its place."""
    old = scratch / _OLD
    if os.path.lexists(old) and not os.path.lexists(installed):
        old.rename(installed)
    shutil.rmtree(scratch, ignore_errors=True)


def _edit(kritarc: Path, value: str | None) -> None:
    """Sets or, with None, removes the plugin's switch; every other byte of the file stays, and a link to it."""
    kritarc = Path(os.path.realpath(str(kritarc)))
    text = kritarc.read_bytes().decode("utf-8", "surrogateescape") if kritarc.exists() else ""
    edited = switched(text, value)
    if edited == text:
        return
    kritarc.parent.mkdir(parents=True, exist_ok=True)
    scratch = kritarc.with_name(kritarc.name + ".painterly")
    scratch.write_bytes(edited.encode("utf-8", "surrogateescape"))
    if kritarc.exists():
        shutil.copymode(kritarc, scratch)
    os.replace(scratch, kritarc)


def switched(text: str, value: str | None) -> str:
    """`text` of a kritarc with the switch set to `value` in its group [python], or without it."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = re.split(r"(?<=\n)", text)
    lines = [line for line in lines if line]
    start = next((i for i, line in enumerate(lines) if line.strip() == "[python]"), None)
    if start is None:
        if value is None:
            return text
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        return f"{text}{gap}[python]{newline}{_SWITCH}={value}{newline}"
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    body = [line for line in lines[start + 1 : end] if line.partition("=")[0].strip() != _SWITCH]
    if value is not None:
        body.insert(0, f"{_SWITCH}={value}{newline}")
    elif not "".join(body).strip():
        # Nothing else is in the group: it was made for the switch, with the blank line above it.
        start -= start > 0 and not lines[start - 1].strip()
        return "".join(lines[:start] + body + lines[end:])
    if not lines[start].endswith("\n"):
        lines[start] += newline
    return "".join(lines[: start + 1] + body + lines[end:])
