"""Where Painterly lives on this computer: one rule for installer, backend and plugin.

Standard library only, Python 3.8 syntax.
"""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple, Optional

# Beside the plugin's modules, once they were put into Krita or into the environment: the home that the
# installer used. Who starts these knows of no PAINTERLY_HOME, and in a Flatpak the usual folders are others.
RECORD = Path(__file__).resolve().parents[1] / "home.txt"


class Places(NamedTuple):
    """The folders of one installation, all below `home`."""

    home: Path
    env: Path
    data: Path
    cache: Path
    log: Path

    @classmethod
    def below(cls, home: Path) -> "Places":
        return cls(home, home / "env", home / "data", home / "cache", home / "log")

    @property
    def python(self) -> Path:
        return self.env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        return self.home / "installed.json"

    @property
    def lock(self) -> Path:
        """Held by who changes the installation; made before all else, so that it also tells whose folder this is."""
        return self.home / "install.lock"

    @property
    def logfile(self) -> Path:
        return self.log / "install.log"

    @property
    def scratch(self) -> Path:
        """Temporary files of one setting up, on the same disk as the rest."""
        return self.cache / "tmp"

    def as_json(self) -> str:
        shown = {"home": self.home, "python": self.python}
        shown.update(data=self.data, cache=self.cache, log=self.log)
        return json.dumps({name: str(path) for name, path in shown.items()}, indent=2)


def record_home(home: Path, record: Path) -> None:
    """Writes `home` where the plugin whose file RECORD is `record` finds it."""
    draft = record.with_name(record.name + ".new")
    draft.write_bytes(os.fsencode(str(home)))
    os.replace(str(draft), str(record))


def recorded_home(record: Path) -> Optional[Path]:
    """The home that `record` names; None if there is no such file or nothing in it."""
    try:
        named = record.read_bytes()
    except OSError:
        return None
    return Path(os.fsdecode(named)) if named else None


def usual_home() -> Path:
    """The folder that is Painterly's by its name, on this platform and for this user."""
    user = Path.home()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or user / "AppData" / "Local") / "Painterly"
    if sys.platform == "darwin":
        return user / "Library" / "Application Support" / "Painterly"
    return Path(os.environ.get("XDG_DATA_HOME") or user / ".local" / "share") / "painterly"


def places() -> Places:
    """Where Painterly lives for this user on this platform; creates nothing."""
    if os.environ.get("PAINTERLY_HOME"):
        return Places.below(Path(os.environ["PAINTERLY_HOME"]).expanduser().absolute())
    return Places.below(recorded_home(RECORD) or usual_home())
