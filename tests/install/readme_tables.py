"""The tables of README.md, made from the parameters' declaration.

`python tests/install/readme_tables.py` writes them into README.md; a test tells when that was forgotten.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
sys.path.insert(0, str(ROOT))

from plugin.painterly.protocol.parameters import (  # noqa: E402
    DEFAULT_PRESET,
    PARAMETERS,
    PRESETS,
    Parameter,
    Value,
)


def presets_table() -> str:
    """One row for each parameter in which presets differ."""
    differing = [p for p in PARAMETERS if len({PRESETS[name][p.name] for name in PRESETS}) > 1]
    rows = [["", *(f"`{name}`" for name in PRESETS)]]
    rows += [[p.label, *(shown(p, PRESETS[name][p.name]) for name in PRESETS)] for p in differing]
    return table(rows)


def settings_table() -> str:
    """One row for each parameter."""
    rows = [["Option", "Values", f"In `{DEFAULT_PRESET}`", "What it does"]]
    for p in PARAMETERS:
        option = f"`--{p.name.replace('_', '-')}`"
        rows.append([option, values(p), shown(p, PRESETS[DEFAULT_PRESET][p.name]), f"{p.label}. {p.help}"])
    return table(rows)


def values(parameter: Parameter) -> str:
    if parameter.kind == "switch":
        return "on, off"
    if parameter.kind == "choice":
        return ", ".join(parameter.choices)
    span = f"{parameter.minimum:.10g} to {parameter.maximum:.10g} {parameter.unit}".strip()
    return f"{span}, auto" if parameter.auto else span


def shown(parameter: Parameter, value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else f"{value:g} {parameter.unit}".strip()


def table(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def with_tables(text: str) -> str:
    """`text` with both tables between their marks as they should be."""
    for name, wanted in (("presets", presets_table()), ("settings", settings_table())):
        text = re.sub(
            rf"(<!-- {name}:.*?-->\n\n).*?(\n<!-- end -->)", rf"\1{wanted}\n\2", text, count=1, flags=re.S
        )
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
