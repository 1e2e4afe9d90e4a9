"""One table and one page per example, so that a person judges presets against each other in a minute.

    python tests/bench/report.py DATA -o OUT draft=RESULTS/draft balanced=RESULTS/balanced [--scorer SCRIPT]

See the README beside this file. Needs numpy and Pillow; no part of Painterly is imported.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Iterable, Mapping

import numpy as np
from PIL import Image, ImageFilter

CROP = 128  # px of the picture, shown twice as large
STYLE_METRIC, BEHIND = "style", 0.4  # further behind the published picture's style than this is marked
STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr + tr { border-top: 1px solid #8884; }
.row { display: flex; gap: .8rem; overflow-x: auto; margin-bottom: 1rem; } figure { margin: 0; }
figcaption { opacity: .75; } .crop img { image-rendering: pixelated; }
table { margin-bottom: 1.5rem; } .behind { color: #c22; font-weight: bold; }
"""


@dataclass
class Example:
    """Pictures of one example by role in the order to be shown, all RGB and of one size; its mask, L."""

    name: str
    pictures: dict[str, Image.Image]
    mask: Image.Image
    seconds: dict[str, float] = field(default_factory=dict)


def read_examples(data: Path, results: Mapping[str, Path]) -> list[Example]:
    """Every example of DATA that has a result in some folder."""
    timings = {preset: read_timings(folder) for preset, folder in results.items()}
    names = [path.stem.rpartition("_target")[0] for path in data.glob("*_target.*")]
    found = []
    for name in sorted(names, key=lambda name: (int(name), "") if name.isdecimal() else (10**9, name)):
        painting = _open(data, f"{name}_target")
        pictures = {"painting": painting, "naive": _open(data, f"{name}_naive")}
        roles = {"published": (data, f"{name}_final_res2"), **{p: (f, name) for p, f in results.items()}}
        pictures.update({role: _open(*place) for role, place in roles.items() if _file(*place)})
        if not set(results) & set(pictures):
            continue
        sized = {role: _fitted(picture, painting.size) for role, picture in pictures.items()}
        mask = _fitted(_open(data, f"{name}_c_mask"), painting.size).convert("L")
        seconds = {preset: of[name] for preset, of in timings.items() if name in of}
        found.append(Example(name, sized, mask, seconds))
    return found


def read_timings(folder: Path) -> dict[str, float]:
    """Seconds in all by example, from what `painterly batch --json` or `harmonize --json` printed into *.json."""
    seconds = {}
    for path in sorted(folder.glob("*.json")):
        told = json.loads(path.read_text("utf-8"))
        for run in told.get("composites", [told]) if isinstance(told, dict) else []:
            output = run.get("files", {}).get("output", "")
            if "seconds_in_all" in run:
                seconds[run.get("name") or Path(output).stem] = float(run["seconds_in_all"])
    return seconds


def interior(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of a place deep within the object: where a strongly blurred mask is highest."""
    blurred = _blurred(mask, max(mask.shape) / 16)
    return _place(np.where(mask > 127, blurred, -1))


def edge(mask: np.ndarray, naive: np.ndarray, painting: np.ndarray) -> tuple[int, int]:
    """(x, y) on the object's edge where pasting changed the painting most: there a seam would show."""
    inside = mask > 127
    neighbours = [np.roll(inside, step, axis) for axis in (0, 1) for step in (1, -1)]
    rim = inside & ~np.logical_and.reduce(neighbours)
    rim[[0, -1]] = rim[:, [0, -1]] = False  # the picture's border is no edge of the object
    change = _blurred(np.abs(naive.astype(float) - painting).mean(axis=2), 8)
    return _place(np.where(rim if rim.any() else inside, change, -1))


def crop(picture: Image.Image, at: tuple[int, int]) -> Image.Image:
    """CROP pixels around `at`, moved inside the picture where needed, twice as large, pixel by pixel."""
    width, height = min(CROP, picture.width), min(CROP, picture.height)
    left = min(max(0, at[0] - width // 2), picture.width - width)
    top = min(max(0, at[1] - height // 2), picture.height - height)
    part = picture.crop((left, top, left + width, top + height))
    return part.resize((2 * width, 2 * height), Image.NEAREST)


def scores(scorer: Path, data: Path, folder: Path, examples: Iterable[Example]) -> dict[str, Any]:
    """What the script prints for this folder: {"rows": {name: {kind: {metric: value}}}, "mean": {kind: ...}}."""
    first = next(path for example in examples if (path := _file(folder, example.name)))
    pattern = folder / f"{{}}{first.suffix}"
    command = [sys.executable, str(scorer), str(data), str(pattern), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"report.py: the scorer failed on {folder} (exit code {done.returncode}).")
    return json.loads(done.stdout)


def mean_rows(scored: Mapping[str, Mapping[str, Any]], name: str = "") -> dict[str, dict[str, float]]:
    """Metrics by kind (naive, published, each preset), of one example or, without a name, the means."""
    rows: dict[str, dict[str, float]] = {}
    for preset, told in scored.items():
        kinds = told["rows"].get(name, {}) if name else told["mean"]
        for kind, metrics in kinds.items():
            rows.setdefault(preset if kind == "result" else kind, metrics)
    return {kind: rows[kind] for kind in sorted(rows, key=lambda kind: kind in scored)}


def table(rows: Mapping[str, Mapping[str, float]], seconds: Mapping[str, float]) -> str:
    """An HTML table: a line for each kind, its metrics and its seconds."""
    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    kinds = dict.fromkeys([*rows, *seconds])
    head = "".join(f"<th>{escape(word)}</th>" for word in ("", *metrics, "seconds"))
    lines = []
    for kind in kinds:
        values = [rows.get(kind, {}).get(metric) for metric in metrics] + [seconds.get(kind)]
        cells = "".join(f"<td>{'' if value is None else f'{value:.2f}'}</td>" for value in values)
        lines.append(f"<tr><td>{escape(kind)}</td>{cells}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>" if kinds else ""


def by_example(examples: Iterable[Example], scored: Mapping[str, Any]) -> str:
    """An HTML table: a line for each example, for each metric the published picture's and each preset's value.

    A style further from the painting than the published picture's by more than BEHIND is marked.
    """
    rows = {example.name: mean_rows(scored, example.name) for example in examples}
    kinds = [kind for kind in ("published", *scored) if any(kind in of for of in rows.values())]
    found = [of[kind] for of in rows.values() for kind in kinds if kind in of]
    metrics = list(dict.fromkeys(metric for values in found for metric in values))
    if not metrics:
        return ""
    groups = "".join(f'<th colspan="{len(kinds)}">{escape(metric)}</th>' for metric in metrics)
    heads = "".join(f"<th>{escape(kind)}</th>" for _ in metrics for kind in kinds)
    lines = []
    for name, of in rows.items():
        cells = "".join(_score(of, kind, metric) for metric in metrics for kind in kinds)
        lines.append(f'<tr><td><a href="{escape(name)}.html">{escape(name)}</a></td>{cells}</tr>')
    return f"<table><tr><th></th>{groups}</tr><tr><th></th>{heads}</tr>{''.join(lines)}</table>"


def _score(of: Mapping[str, Mapping[str, float]], kind: str, metric: str) -> str:
    value, published = (of.get(each, {}).get(metric) for each in (kind, "published"))
    if value is None:
        return "<td></td>"
    behind = metric == STYLE_METRIC and published is not None and value > published + BEHIND
    return f"<td{' class=behind' if behind else ''}>{value:.2f}</td>"


def write_example(example: Example, scored: Mapping[str, Any], out: Path) -> None:
    """The example's page and its pictures; PNG, so that nothing is judged that a format did."""
    mask, naive, painting = (
        np.asarray(picture)
        for picture in (example.mask, example.pictures["naive"], example.pictures["painting"])
    )
    places = {"edge": edge(mask, naive, painting), "interior": interior(mask)}
    body = [f"<h1>{escape(example.name)}</h1>", '<p><a href="index.html">all examples</a></p>']
    body.append(table(mean_rows(scored, example.name), example.seconds))
    body.append(_strip(example, "full", example.pictures, out))
    for name, at in places.items():
        parts = {role: crop(picture, at) for role, picture in example.pictures.items()}
        body += [f"<h2>{name} at {at[0]}, {at[1]}</h2>", _strip(example, name, parts, out)]
    _write_page(out / f"{example.name}.html", f"Example {example.name}", body)


def write_index(examples: list[Example], scored: Mapping[str, Any], out: Path) -> None:
    """The means, the scores by example, and a link to each example under its pictures in small."""
    presets = dict.fromkeys(preset for example in examples for preset in example.seconds)
    seconds = {p: float(np.mean([e.seconds[p] for e in examples if p in e.seconds])) for p in presets}
    body = [f"<h1>{len(examples)} examples</h1>", table(mean_rows(scored), seconds)]
    body.append(by_example(examples, scored))
    for example in examples:
        small = {role: _thumbnail(picture) for role, picture in example.pictures.items()}
        page = f'<a href="{escape(example.name)}.html">{escape(example.name)}</a>'
        body += [f"<h2>{page}</h2>", _strip(example, "small", small, out)]
    _write_page(out / "index.html", "Painterly: presets side by side", body)


def _strip(example: Example, kind: str, pictures: Mapping[str, Image.Image], out: Path) -> str:
    """The pictures in a row, saved beside the page."""
    figures = []
    for role, picture in pictures.items():
        name = f"pictures/{example.name}_{kind}_{role}.png"
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(out / name)
        figures.append(
            f'<figure><a href="{escape(name)}"><img src="{escape(name)}" alt="{escape(role)}" loading="lazy"></a>'
            f"<figcaption>{escape(role)}</figcaption></figure>"
        )
    return f'<div class="row {"crop" if kind in ("edge", "interior") else kind}">{"".join(figures)}</div>'


def _write_page(path: Path, title: str, body: Iterable[str]) -> None:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    path.write_text(
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n",
        encoding="utf-8",
    )


def _file(folder: Path, stem: str) -> Path | None:
    kinds = (".png", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
    return next((path for kind in kinds if (path := folder / (stem + kind)).exists()), None)


def _open(folder: Path, stem: str) -> Image.Image:
    path = _file(folder, stem)
    if path is None:
        raise SystemExit(f"report.py: {folder} has no picture {stem}.*; see the README beside this script.")
    return Image.open(path).convert("RGB")


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.LANCZOS)


def _thumbnail(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((260, 260))
    return small


def _blurred(values: np.ndarray, radius: float) -> np.ndarray:
    """(h, w), 0..255, as float."""
    image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), float)


def _place(height: np.ndarray) -> tuple[int, int]:
    y, x = np.unravel_index(int(height.argmax()), height.shape)
    return int(x), int(y)


def _folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    path = Path(folder if equals else text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is no folder")
    return (name if equals else path.name), path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="N_target, N_naive, N_c_mask[, N_final_res2]")
    parser.add_argument("results", type=_folder, nargs="+", metavar="[PRESET=]FOLDER", help="with N.png each")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    parser.add_argument(
        "--scorer", type=Path, metavar="SCRIPT", help="run as SCRIPT DATA FOLDER/{}.png --json"
    )
    args = parser.parse_args(arguments)
    results = dict(args.results)
    examples = read_examples(args.data, results)
    if not examples:
        raise SystemExit("report.py: no example of DATA has a result in these folders.")
    scored = {
        preset: scores(args.scorer, args.data, folder, [e for e in examples if preset in e.pictures])
        for preset, folder in results.items()
        if args.scorer and any(preset in example.pictures for example in examples)
    }
    args.output.mkdir(parents=True, exist_ok=True)
    for example in examples:
        write_example(example, scored, args.output)
    write_index(examples, scored, args.output)
    print(args.output / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
