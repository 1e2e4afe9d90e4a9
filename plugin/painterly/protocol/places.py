"""Where Painterly lives on this computer: one rule for installer, backend and plugin.

Standard library only, Python 3.8 syntax.
"""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple, Optional

# Beside the plugin's modules, once they were put into Krita: the home that the installer used. A Krita
# started from a menu does not know PAINTERLY_HOME, and in a Flatpak the usual folders are others.
RECORD = Path(__file__).resolve().parents[1] / "home.txt"


class Places(NamedTuple):
    """The folders of one installation, all below `home`."""

    home: Path
    env: Path
    data: Path
    cache: Path
    log: Path

    @property
    def python(self) -> Path:
        return self.env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        return self.home / "installed.json"

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
    record.write_bytes(os.fsencode(str(home)))


def _recorded_home() -> Optional[Path]:
    try:
        return Path(os.fsdecode(RECORD.read_bytes()))
    except OSError:
        return None


def places() -> Places:
    """Where Painterly lives for this user on this platform; creates nothing."""
    user, recorded = Path.home(), _recorded_home()
    if os.environ.get("PAINTERLY_HOME"):
        home = Path(os.environ["PAINTERLY_HOME"]).expanduser().absolute()
    elif recorded is not None:
        home = recorded
    elif os.name == "nt":
        home = Path(os.environ.get("LOCALAPPDATA") or user / "AppData" / "Local") / "Painterly"
    elif sys.platform == "darwin":
        home = user / "Library" / "Application Support" / "Painterly"
    else:
        home = Path(os.environ.get("XDG_DATA_HOME") or user / ".local" / "share") / "painterly"
    return Places(home, home / "env", home / "data", home / "cache", home / "log")
