"""What a batch consists of: a folder of files named by a convention, or a CSV or JSON manifest."""

from __future__ import annotations

import argparse
import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Mapping

from backend.cli.arguments import parse_offset, settings
from backend.cli.inputs import Sources
from backend.cli.job import Job
from backend.harmonize.errors import InvalidInput
from backend.picture_output import FORMATS
from backend.pictures import has_utf8_name
from plugin.painterly.protocol.parameters import BY_NAME

FILES = ("painting", "naive", "mask", "layer")
COLUMNS = ("name", *FILES, "offset", "preset", *BY_NAME)
# Endings of file names in a folder, before the suffix; a longer one goes before one that it ends in.
ENDINGS = {
    "_c_mask": "mask",
    "_mask": "mask",
    "_painting": "painting",
    "_target": "painting",
    "_naive": "naive",
    "_layer": "layer",
}


@dataclass(frozen=True)
class Entry:
    """One composite of a batch, not yet checked: its name, files by role, and raw further columns."""

    name: str
    files: Mapping[str, Path]
    columns: Mapping[str, Any] = field(default_factory=dict)
    twice: str = ""

    @property
    def has_plain_name(self) -> bool:
        """Whether a file with this name lies in the folder that it is put into."""
        return Path(self.name).name == self.name and "\0" not in self.name and has_utf8_name(self.name)

    def job(self, folder: Path, args: argparse.Namespace) -> Job:
        """The job that writes into `folder`; its own columns go before the command line's options.

        Raises InvalidInput or InvalidParameter.
        """
        if self.twice:
            raise InvalidInput(f"There are two files for the {self.twice}; remove one.")
        if "painting" not in self.files:
            raise InvalidInput("There is no painting; name one.")
        if not self.has_plain_name:
            raise InvalidInput(f"The name {self.name!r} must be a plain file name.")
        changes = {name: _value(name, value) for name, value in self.columns.items() if name != "offset"}
        sources = Sources(**self.files, offset=_offset(self.columns.get("offset", (0, 0))))
        return Job(sources, folder / (self.name + _suffix(self.files["painting"])), settings(args, changes))


def read_entries(path: Path) -> list[Entry]:
    """The composites that `path` names; raises InvalidInput if it cannot be read or names none."""
    try:
        entries = _from_folder(path) if path.is_dir() else _from_manifest(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:  # JSON and text decoding are ValueErrors
        raise InvalidInput(f"{path} is not a readable manifest: {error}.") from error
    if not entries:
        raise InvalidInput(f"{path} names no composites; see painterly batch --help for the names of files.")
    return entries


def _from_folder(folder: Path) -> list[Entry]:
    found: dict[str, dict[str, Path]] = {}
    twice: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        ending = next((ending for ending in ENDINGS if path.stem.endswith(ending)), None)
        hidden = path.name.startswith(".")  # such as macOS's companions of files on other systems' disks
        if hidden or ending is None or path.suffix.lower() not in FORMATS:
            continue
        name, role = path.stem[: -len(ending)], ENDINGS[ending]
        files = found.setdefault(name, {})
        if role in files:
            twice[name] = role
        files[role] = path
    return [
        Entry(name, files, twice=twice.get(name, "")) for name, files in sorted(found.items(), key=_order)
    ]


def _order(named: tuple[str, Any]) -> list[tuple[int, str]]:
    """Sorts names so that 2 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", named[0])]


def _from_manifest(path: Path) -> list[Entry]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = json.load(file) if path.suffix.lower() == ".json" else list(csv.DictReader(file))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput(f"The manifest {path} must be a list of objects, one for each composite.")
    unknown = sorted({str(column) for row in rows for column in row} - set(COLUMNS))
    if unknown:
        raise InvalidInput(
            f"The manifest {path} has an unknown column {unknown[0]!r}; use {', '.join(COLUMNS)}."
        )
    rows = [{column: value for column, value in row.items() if value not in ("", None)} for row in rows]
    names = _unique(str(row.get("name") or Path(str(row.get("painting", "composite"))).stem) for row in rows)
    return [_entry(name, row, path.parent) for name, row in zip(names, rows)]


def _entry(name: str, row: Mapping[str, Any], folder: Path) -> Entry:
    files = {role: folder / str(row[role]) for role in FILES if role in row}
    columns = {column: value for column, value in row.items() if column not in (*FILES, "name")}
    return Entry(name, files, columns)


def _unique(names: Iterable[str]) -> list[str]:
    """The names, with -2, -3 ... after those that came before; case counts for nothing, as on some disks."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def _value(name: str, value: Any) -> Any:
    """CSV knows only text, and JSON may use it: text is read as on the command line."""
    if name == "preset" and not isinstance(value, str):
        raise InvalidInput(f"Preset is a name, not {value!r}.")
    return BY_NAME[name].parse(value) if isinstance(value, str) and name in BY_NAME else value


def _offset(value: Any) -> tuple[int, int]:
    parts = value if isinstance(value, (list, tuple)) else [value]
    return parse_offset(",".join(str(part) for part in parts))


def _suffix(painting: Path) -> str:
    """The painting's own format where that is lossless, else PNG."""
    kind = FORMATS.get(painting.suffix.lower())
    return painting.suffix.lower() if kind and kind.lossless else ".png"
