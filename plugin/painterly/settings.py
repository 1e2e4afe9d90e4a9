"""The artist's settings, kept across restarts in one small JSON file.

A damaged or outdated file never stops the plugin: what can still be understood is kept, the rest falls
back to the defaults.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, List

from .job import ABOVE, REPLACE
from .protocol import parameters
from .protocol.endpoint import write_private_json
from .protocol.parameters import Value

VARIANT_STYLES = [1.0, 2.5, 5.0, 10.0]


@dataclass
class Settings:
    """`changes` lie over the preset's values; `connection_file` names a backend elsewhere, empty for ours."""

    preset: str = parameters.DEFAULT_PRESET
    changes: Dict[str, Value] = field(default_factory=dict)
    result: str = ABOVE
    without_others: bool = False
    variant_styles: List[float] = field(default_factory=lambda: list(VARIANT_STYLES))
    connection_file: str = ""

    def resolved(self) -> Dict[str, Value]:
        """The complete parameters of a job."""
        return parameters.resolve(self.preset, self.changes)

    def change(self, name: str, value: Any) -> None:
        """Sets one parameter; the preset's own value is no change. Raises InvalidParameter."""
        checked = parameters.BY_NAME[name].check(value)
        if checked == parameters.PRESETS[self.preset][name]:
            self.changes.pop(name, None)
        else:
            self.changes[name] = checked

    def choose_preset(self, preset: str) -> None:
        """All of the preset's values, without changes. Raises InvalidParameter."""
        parameters.resolve(preset)
        self.preset, self.changes = preset, {}

    def use(self, values: Dict[str, Value]) -> None:
        """Takes over the complete parameters of an earlier job."""
        for name, value in values.items():
            if name in parameters.BY_NAME:
                self.change(name, value)

    def save(self, path: Path) -> None:
        """Raises OSError if the file cannot be written."""
        write_private_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """The settings in the file, defaults for all that is missing or makes no sense."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            data = {}
        loaded = cls()
        if isinstance(data, dict):
            for item in fields(cls):
                if item.name in data and _sensible(item.name, data[item.name]):
                    setattr(loaded, item.name, data[item.name])
            loaded.changes = _valid_changes(data.get("changes"))
        return loaded


def _sensible(name: str, value: Any) -> bool:
    if name == "preset":
        return isinstance(value, str) and value in parameters.PRESETS
    if name == "result":
        return value in (ABOVE, REPLACE)
    if name == "without_others":
        return isinstance(value, bool)
    if name == "variant_styles":
        return isinstance(value, list) and bool(value) and all(_is_valid("style", item) for item in value)
    return name == "connection_file" and isinstance(value, str)


def _valid_changes(changes: Any) -> Dict[str, Value]:
    if not isinstance(changes, dict):
        return {}
    return {name: value for name, value in changes.items() if _is_valid(name, value)}


def _is_valid(name: str, value: Any) -> bool:
    try:
        parameters.BY_NAME[name].check(value)
    except (KeyError, TypeError, parameters.InvalidParameter):
        return False
    return True
