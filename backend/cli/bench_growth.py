"""`painterly bench --growth FOLDER`: how time and memory grow with the object and with the canvas.

Whole jobs are run, in the engine's seconds, as Krita's artist waits for them (the plugin sends a window of the canvas,
no file); what reading and writing the whole canvas as a file adds is told beside them.

The working resolution is the preset's: an object that fits into it is painted at its own size, a larger one at the
working resolution and then enlarged with the painting's texture. So the curve has a bend there, by design.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.cli import bench_plot
from backend.cli.bench_measure import Case, Row
from backend.cli.inputs import Sources
from backend.picture_output import check_writable, make_folder
from backend.pictures import bounds, open_picture
from plugin.painterly.protocol.parameters import InvalidParameter

OBJECTS, CANVASES = (128, 256, 512, 1024, 2048), (700, 1024, 2048, 4096, 8192)
CANVAS, OBJECT = 4096, 256  # the one while the other grows
NAME = "growth"


@dataclass(frozen=True)
class Point:
    """One measured case, sides in px; `how` is preset, device and precision. `seconds` are the engine's, `files` those of
    reading and writing.

    `memory` (MB) is what the job added to the peak of a warm process.
    """

    how: str
    series: str
    object: int
    canvas: int
    seconds: float
    files: float
    memory: int | None


def cases(sources: Sources, folder: Path, presets: Sequence[str], **rest: Any) -> Iterator[Case]:
    """Each preset's curves, object and canvas; `rest` are a Case's other fields."""
    setups = [("object", side, CANVAS) for side in OBJECTS] + [("canvas", OBJECT, side) for side in CANVASES]
    for preset in presets:
        for grows, side, canvas in setups:
            scene = composed(sources, side, canvas, folder)
            yield Case(canvas, preset, sources=scene, folder=folder, grows=grows, object=side, **rest)


def composed(sources: Sources, side: int, canvas: int, folder: Path) -> Sources:
    """The cut-out, its long side `side`, amid a square canvas that mirrors the painting over and over."""
    if sources.layer is None:
        raise InvalidParameter("--growth takes a cut-out: give --layer instead of --naive and --mask.")
    painting, layer = (open_picture(sources.files()[role], role) for role in ("painting", "layer"))
    seen = bounds(layer.opacity())
    cut = layer.image.crop(seen.left, seen.top, seen.width, seen.height)
    scaled = cut.premultiply().resize(side / max(seen.width, seen.height)).unpremultiply().cast(cut.format)
    # Uncompressed, so that packing the files takes no part in what is measured.
    files = {"painting": folder / f"{canvas}_painting.tif", "layer": folder / f"{side}_layer.tif"}
    mirrored = painting.image.embed(0, 0, canvas, canvas, extend="mirror")
    for path, image in zip(files.values(), (mirrored, scaled)):
        if not path.exists():
            image.write_to_file(str(path))
    return Sources(**files, offset=((canvas - scaled.width) // 2, (canvas - scaled.height) // 2))


def point(case: Case, row: Row) -> Point:
    """The case's point, from its row."""
    files = max(0.0, row.total - row.engine)
    how = f"{row.preset}, {row.device} {row.precision}" + (f", {row.threads} threads" if row.threads else "")
    return Point(how, case.grows, case.object, case.size, row.engine, files, row.added)


def check(folder: Path) -> None:
    """Makes `folder`; raises OutputError before hours of measuring if it cannot be written to."""
    make_folder(folder)
    for suffix in (".json", ".svg"):
        check_writable(folder / (NAME + suffix))


def write(about: Mapping[str, Any], found: Sequence[Point], folder: Path) -> None:
    """growth.json and growth.svg in `folder`, which is there."""
    data = {**about, "points": [asdict(point) for point in found]}
    (folder / f"{NAME}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    facts = {**about["machine"], "painterly": about["commit"], **about["settings"]}
    heading = [f"{name}: {value}" for name, value in facts.items()]
    heading.append("dashed: what grows as an area does, through the last point")
    (folder / f"{NAME}.svg").write_text(bench_plot.svg(list(_panels(found)), heading), "utf-8")


def _panels(found: Sequence[Point]) -> Iterator[bench_plot.Panel]:
    shown = (("seconds", "s"), ("memory", "MB added"))
    for what, unit in shown:
        for series, rest in (("object", f"canvas {CANVAS} px"), ("canvas", f"object {OBJECT} px")):
            chosen = [p for p in found if p.series == series and getattr(p, what)]
            lines = {
                how: [(getattr(p, series), getattr(p, what)) for p in chosen if p.how == how]
                for how in dict.fromkeys(p.how for p in chosen)
            }
            yield bench_plot.Panel(f"{what}, {rest}", f"{series}, px", unit, lines)


def table(found: Sequence[Point]) -> str:
    """One line for each point."""
    head = f"{'':36}{'grows':8}{'object':>7}{'canvas':>8}{'seconds':>9}{'files':>8}{'added MB':>10}"
    lines = [
        f"{p.how:36}{p.series:8}{p.object:7}{p.canvas:8}{p.seconds:9.1f}{p.files:8.1f}"
        f"{'-' if p.memory is None else p.memory:>10}"
        for p in found
    ]
    return "\n".join([head, *lines])
