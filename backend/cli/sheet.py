"""The contact sheet of a batch: one HTML file and small pictures beside it, opened straight from disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Iterable, Mapping
from urllib.parse import quote

from backend.cli import thumbnails
from backend.cli.job import Job, Report
from backend.cli.manifest import Entry
from backend.cli.progress import duration
from backend.picture_output import write_text
from plugin.painterly.protocol.parameters import AUTO, BY_NAME, Value

THUMBNAILS = "thumbnails"
STYLE = """
:root { color-scheme: light dark; --ground: #fafaf8; --card: #fff; --text: #222; --faint: #6b6b6b;
  --line: #ddd; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #191918; --card: #232322; --text: #e8e6e3;
  --faint: #a09d98; --line: #3a3938; --bad: #ff8a80; } }
body { margin: 2rem auto; max-width: 1200px; padding: 0 1rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem;
  margin: 1.2rem 0; }
.pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: .8rem; }
@media (max-width: 700px) { .pictures { grid-template-columns: 1fr; } }
figure { margin: 0; } figcaption, .faint, td:first-child { color: var(--faint); }
img, .none { width: 100%; height: 320px; object-fit: contain; border-radius: 4px; background: var(--ground); }
.none { display: grid; place-items: center; color: var(--faint); }
.error { color: var(--bad); margin: .6rem 0 0; }
.faint { margin: .6rem 0; } summary { cursor: pointer; } td { padding: 0 1.2rem 0 0; }
td { font-variant-numeric: tabular-nums; vertical-align: top; }
"""


@dataclass(frozen=True)
class Result:
    """What came of one entry: `job` is None if its settings were wrong, `report` if nothing was painted.

    `error` is its sentence, or empty; `previews` are the thumbnails' files by role.
    """

    entry: Entry
    job: Job | None
    report: Report | None
    error: str
    previews: Mapping[str, Path]

    def as_json(self) -> dict[str, Any]:
        """Name, error (or None) and the report's fields."""
        fields = self.report.as_json() if self.report else {}
        return {"name": self.entry.name, "error": self.error or None, **fields}

    def links(self) -> dict[str, Path]:
        """The full files behind painting, naive (the cut-out, if that was given) and result."""
        files = {"painting": self.entry.files.get("painting")}
        files["naive"] = self.entry.files.get("naive") or self.entry.files.get("layer")
        files["result"] = self.report.output if self.report else None
        return {role: path for role, path in files.items() if path is not None}


def draw_previews(entry: Entry, job: Job | None, report: Report | None, folder: Path) -> dict[str, Path]:
    """Makes the thumbnails there can be, in a folder in `folder`; by role. Raises OutputError."""
    if not entry.has_plain_name:
        return {}

    def target(role: str) -> Path:
        return folder / THUMBNAILS / f"{entry.name}_{role}.webp"

    files, drawn = entry.files, {}
    for role in ("painting", "naive"):
        if role in files:
            drawn[role] = thumbnails.of_file(files[role], target(role))
    if job and job.sources.layer:
        sources = job.sources
        drawn["naive"] = thumbnails.of_pasted(
            sources.painting, sources.layer, sources.offset, target("naive")
        )
    if report:
        drawn["result"] = thumbnails.of_file(report.output, target("result"))
    return {role: path for role, path in drawn.items() if path is not None}


def write(results: Iterable[Result], path: Path, total: int) -> None:
    """Writes the sheet for the results so far out of `total`; raises OutputError."""
    results = list(results)
    failed = sum(1 for result in results if result.error)
    summary = f"{len(results) - failed} of {total} done" + (f", {failed} failed" if failed else "")
    cards = "\n".join(_card(result, path.parent) for result in results)
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Painterly: {summary}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>Painterly</h1>\n"
        f'<p class="faint">{summary}</p>\n{cards}\n</body>\n</html>\n',
    )


def _card(result: Result, folder: Path) -> str:
    figures = "\n".join(_figure(result, role, folder) for role in ("painting", "naive", "result"))
    parts = [f"<h2>{escape(result.entry.name)}</h2>", f'<div class="pictures">\n{figures}\n</div>']
    if result.error:
        parts.append(f'<p class="error">{escape(result.error)}</p>')
    if result.report:
        parts.append(f'<p class="faint">{escape(_timings(result.report))}</p>')
    if result.job:
        parts.append(_settings(result.job.settings))
    return "<article>\n" + "\n".join(parts) + "\n</article>"


def _figure(result: Result, role: str, folder: Path) -> str:
    picture = '<div class="none">no picture</div>'
    if role in result.previews:
        source = _address(result.previews[role], folder)
        picture = f'<img src="{source}" alt="{escape(role)} of {escape(result.entry.name)}" loading="lazy">'
    if role in result.links():
        picture = f'<a href="{_address(result.links()[role], folder)}">{picture}</a>'
    return f"<figure>{picture}<figcaption>{role}</figcaption></figure>"


def _timings(report: Report) -> str:
    """The seconds in all and by stage, and the notes, in one line."""
    stages = [f"{stage} {duration(value)}" for stage, value in report.engine.get("seconds", {}).items()]
    times = f"{duration(report.seconds)} in all" + (f" ({', '.join(stages)})" if stages else "")
    return " ".join([times + ".", *report.notes])


def _settings(settings: Mapping[str, Value]) -> str:
    """A folded table of the settings, in the artist's words."""
    rows = []
    for name, value in settings.items():
        shown = {True: "on", False: "off"}[value] if isinstance(value, bool) else value
        unit = BY_NAME[name].unit if value != AUTO else ""
        rows.append(
            f"<tr><td>{escape(BY_NAME[name].label)}</td><td>{escape(f'{shown} {unit}'.strip())}</td></tr>"
        )
    return f"<details><summary>Settings</summary><table>{''.join(rows)}</table></details>"


def _address(path: Path, folder: Path) -> str:
    """The file's address relative to the sheet's folder; absolute if it is on another drive."""
    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix(), errors="surrogateescape")
    except ValueError:
        return path.resolve().as_uri()
