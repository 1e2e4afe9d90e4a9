"""The pyzmq that the installer put beside the plugin, for the Python that this Krita embeds.

`vendor/cp311-linux-x86_64/` holds the wheel for just that Python; `vendor/abi3-cp312-linux-x86_64/` one for
that Python and all later ones.
"""

import platform
import sys
from pathlib import Path
from typing import Optional

FOLDER = Path(__file__).resolve().parent / "vendor"
_SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}


def platform_tag() -> str:
    """Operating system and processor, as the folders name them."""
    machine = platform.machine().lower()
    return "{}-{}".format(_SYSTEMS.get(sys.platform, sys.platform), _MACHINES.get(machine, machine))


def chosen_folder(folder: Path = FOLDER, minor: int = sys.version_info[1]) -> Optional[Path]:
    """The folder for Python 3.`minor` (by default the one that runs this), None if the installer left none."""
    exact = folder / "cp3{}-{}".format(minor, platform_tag())
    if exact.is_dir():
        return exact
    minors = range(minor, 7, -1)
    stable = (folder / "abi3-cp3{}-{}".format(minor, platform_tag()) for minor in minors)
    return next((path for path in stable if path.is_dir()), None)


def add_to_path() -> None:
    """Appended, not put in front: a pyzmq that Krita itself brings is the better one."""
    folder = chosen_folder()
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))
