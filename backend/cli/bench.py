"""`painterly bench`: the same work at several sizes, presets, precisions and devices, as one table.

`paper` takes hours, so it is never run: a few of its iterations are timed for each size and device in
the same run, and its total is estimated from them. Every other row's ratio is to that estimate.
With --profile it is told where each row's time goes, with --growth how it grows with object and canvas.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence, TypeVar

import pyvips

from backend.cli import bench_growth, bench_machine, bench_measure
from backend.cli.arguments import parse_offset, sentence
from backend.cli.bench_measure import PAPER, Case, Row
from backend.cli.failure import Stopped
from backend.cli.inputs import Sources, load
from backend.demo import __main__ as demo
from backend.picture_output import write_picture
from backend.pictures import open_picture
from plugin.painterly.protocol.parameters import (
    AUTO,
    BY_NAME,
    DEFAULT_PRESET,
    PRESETS,
    InvalidParameter,
    resolve,
)

T = TypeVar("T")
SMALLEST = WARM_UP_SIZE = 128
PROFILE = "backend.cli.bench_profile"
LARGEST = int(BY_NAME["resolution"].maximum)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sizes",
        type=_list_of(_size),
        default=[350, 700],
        metavar="PX,PX",
        help=f"long sides of the picture, {SMALLEST}..{LARGEST}; presets keep their own working resolution "
        "[350,700]",
    )
    parser.add_argument(
        "--presets",
        type=_list_of(_preset),
        default=["draft", DEFAULT_PRESET],
        metavar="NAME,NAME",
        help=f"of {', '.join(PRESETS)}; {PAPER} is in every table, estimated [draft,{DEFAULT_PRESET}]",
    )
    for option in ("precision", "device"):
        parser.add_argument(
            f"--{option}s",
            type=_list_of(BY_NAME[option].parse),
            default=[AUTO],
            metavar="NAME,NAME",
            help=f"of {', '.join(BY_NAME[option].choices)} [{AUTO}]",
        )
    parser.add_argument(
        "--iterations",
        type=sentence(_iterations),
        default=3,
        metavar="N",
        help=f"iterations of each pass of {PAPER} to time, after a first that is not counted [3]",
    )
    for role in ("painting", "naive", "mask"):
        parser.add_argument(f"--{role}", type=Path, metavar="FILE", help="instead of the demo picture")
    parser.add_argument("--layer", type=Path, metavar="FILE", help="a cut-out, instead of naive and mask")
    parser.add_argument("--offset", type=sentence(parse_offset), default=(0, 0), metavar="X,Y", help="of it")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument(
        "--clock",
        choices=list(bench_measure.CLOCKS),
        default="wall",
        help="processor counts this process's own time, for a machine that does other work (with "
        "OMP_NUM_THREADS=1) [wall]",
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--profile", action="store_true", help=f"tell the share of each part of the method; without {PAPER}"
    )
    modes.add_argument(
        "--growth",
        type=Path,
        metavar="FOLDER",
        help="instead of --sizes: time and memory against the object's and the canvas's size, as "
        f"{bench_growth.NAME}.svg and .json in FOLDER; without {PAPER}",
    )


def run(args: argparse.Namespace) -> int:
    mode = "--profile" if args.profile else "--growth" if args.growth else None
    if mode and not _others(args):
        raise InvalidParameter(f"{mode} leaves {PAPER} out; name another preset too.")
    sources = _sources(args)
    load(sources, LARGEST)  # wrong files are told of before any long work
    if args.growth:
        bench_growth.check(args.growth)
    about = {
        "machine": bench_machine.machine(),
        "commit": bench_machine.commit(),
        "settings": _settings(args),
    }
    measured: list[tuple[Case, Row]] = []
    stopped = False
    with tempfile.TemporaryDirectory(prefix="painterly-bench-") as folder:
        try:
            for case in (_growing if args.growth else _cases)(args, sources, Path(folder)):
                measured.append((case, bench_measure.measure_apart(case, _work(args))))
                print(f"{case.title}: {_said(measured[-1][1])}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            stopped = True
    (_tell_growth if args.growth else _tell)(args, about, measured)
    if stopped:
        raise Stopped("Stopped; what was measured before is told.")
    return 1 if any(row.error for _, row in measured) else 0


def _work(args: argparse.Namespace) -> Callable[[Case], Row]:
    """What measures one row; profiling needs torch, which takes seconds to load, so it waits until then."""
    return importlib.import_module(PROFILE).profile if args.profile else bench_measure.measure


def _tell(args: argparse.Namespace, about: Mapping[str, Any], measured: Sequence[tuple[Case, Row]]) -> None:
    results = with_ratios([row for _, row in measured])
    if args.profile:
        profile = importlib.import_module(PROFILE)
        results = [{**row, "network_share": profile.network_share(row["parts"])} for row in results]
    print(json.dumps({**about, "rows": results}, indent=2) if args.json else _page(about, results))
    if args.profile and not args.json:
        print("", profile.table(results), sep="\n")


def _tell_growth(
    args: argparse.Namespace, about: Mapping[str, Any], measured: Sequence[tuple[Case, Row]]
) -> None:
    points = [bench_growth.point(case, row) for case, row in measured if not row.error]
    found = {**about, "points": [asdict(point) for point in points]}
    print(json.dumps(found, indent=2) if args.json else bench_growth.table(points))
    bench_growth.write(about, points, args.growth)


def with_ratios(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain data, each with `times_faster`: `paper`'s estimate at its size and device over its own
    seconds; None where either is missing."""
    paper = {(row.size, row.device): row.total for row in rows if row.estimated and row.total is not None}

    def times_faster(row: Row) -> float | None:
        slow = paper.get((row.size, row.device))
        return None if slow is None or not row.total else slow / row.total

    return [{**asdict(row), "times_faster": times_faster(row)} for row in rows]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of `with_ratios` as text in columns; failed ones end in their sentence."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row["stages"]))
    passes = list(dict.fromkeys(stage for row in rows for stage in row["per_iteration"]))
    head = ["size", "preset", "device", "precision", "threads", *(f"{stage} s" for stage in stages)]
    head += [*(f"{stage} s/it" for stage in passes), "total s", "peak MB", "added MB", "of paper"]
    lines = [head, *(_cells(row, stages, passes) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    shown = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]
    errors = ["", *(row["error"] for row in rows)]
    return "\n".join(f"{line}  {error}".rstrip() for line, error in zip(shown, errors))


def _cells(row: Mapping[str, Any], stages: Sequence[str], passes: Sequence[str]) -> list[str]:
    faster = row["times_faster"]
    return [
        str(row["size"]),
        row["preset"] + (" (estimated)" if row["estimated"] else ""),
        row["device"],
        row["precision"],
        _number(row["threads"], 0),
        *(_number(row["stages"].get(stage), 2) for stage in stages),
        *(_number(row["per_iteration"].get(stage), 3) for stage in passes),
        _number(row["total"], 1),
        _number(row["memory"], 0),
        _number(row["added"], 0),
        "-" if faster is None else f"1/{faster:.3g}" if faster < 100 else f"1/{faster:.0f}",
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _page(about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """What was measured on, with, and the table; then what its columns mean."""
    facts = {**about["machine"], "painterly": about["commit"], **about["settings"]}
    lines = [f"{name:12}{value}" for name, value in facts.items()]
    legend = (
        "Seconds by stage, per iteration (a pass's first left out) and in all, with reading and writing; peak "
        "memory, and what of it came after a warm-up on a tiny picture. "
        f"{PAPER} is estimated from its measured seconds per iteration."
    )
    return "\n".join([*lines, "", table(rows), "", legend])


def _said(row: Row) -> str:
    if row.error:
        return row.error
    return f"{row.total:.1f} s" + (" (estimated)" if row.estimated else "")


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    whole = args.growth or args.profile
    presets = _others(args) if whole else dict.fromkeys((*args.presets, PAPER))
    return {
        "picture": "demo" if args.painting is None else args.painting.name,
        "timed": "whole jobs" if whole else f"{args.iterations} iterations of each pass of {PAPER}",
        "clock": args.clock,
        **{preset: _told(preset) for preset in presets},
    }


def _told(preset: str) -> str:
    """What of a preset decides its cost."""
    settings = resolve(preset)
    resolution = "the picture's size" if preset == PAPER else f"{settings['resolution']} px at most"
    iterations = f"{settings['first_iterations']} + {settings['second_iterations']} iterations"
    return f"{settings['schedule']} at {resolution}, {iterations}"


def _sources(args: argparse.Namespace) -> Sources:
    if args.painting is None:
        if args.naive or args.mask or args.layer:
            raise InvalidParameter("Give the painting too, with --painting.")
        return Sources(demo.PAINTING, layer=demo.CUTOUT, offset=demo.OFFSET)
    return Sources(args.painting, args.naive, args.mask, args.layer, args.offset)


def _cases(args: argparse.Namespace, sources: Sources, folder: Path) -> Iterator[Case]:
    """`paper` first for each size and device, then the presets in each precision."""
    small = resized(sources, WARM_UP_SIZE, folder)
    for size in args.sizes:
        scaled = resized(sources, size, folder)
        for device in args.devices:
            runs = [] if args.profile else [(PAPER, str(PRESETS[PAPER]["precision"]))]
            runs += [(preset, precision) for precision in args.precisions for preset in _others(args)]
            for preset, precision in runs:
                yield Case(
                    size, preset, device, precision, scaled, small, folder, args.iterations, clock=args.clock
                )


def _others(args: argparse.Namespace) -> list[str]:
    """The presets that are run as they are."""
    return [preset for preset in args.presets if preset != PAPER]


def _growing(args: argparse.Namespace, sources: Sources, folder: Path) -> Iterator[Case]:
    common = {
        "small": resized(sources, WARM_UP_SIZE, folder),
        "clock": args.clock,
        "iterations": args.iterations,
    }
    for device in args.devices:
        for precision in args.precisions:
            yield from bench_growth.cases(
                sources, folder, _others(args), device=device, precision=precision, **common
            )


def resized(sources: Sources, size: int, folder: Path) -> Sources:
    """Copies of the pictures in `folder`, as PNG, scaled so that the painting's long side is `size`."""
    painting = open_picture(sources.painting, "painting")
    factor = size / max(painting.size)
    files = {}
    for role, path in sources.files().items():
        picture = open_picture(path, role)
        files[role] = folder / f"{size}_{role}.png"
        image = picture.selection() if role == "mask" else picture.image
        write_picture(_scaled(image, factor, picture.has_alpha and role != "mask"), files[role])
    x, y = sources.offset
    return Sources(**files, offset=(round(x * factor), round(y * factor)))


def _scaled(image: pyvips.Image, factor: float, has_alpha: bool) -> pyvips.Image:
    """Colours weighted by opacity, so that what is invisible does not bleed into what is seen."""
    if not has_alpha:
        return image.resize(factor)
    return image.premultiply().resize(factor).unpremultiply().cast(image.format)


def _list_of(parse: Callable[[str], T]) -> Callable[[str], list[T]]:
    """An argparse type: "a,b" read by `parse`, each once."""
    return sentence(lambda text: list(dict.fromkeys(parse(part.strip()) for part in text.split(","))))


def _preset(text: str) -> str:
    resolve(text)
    return text


def _size(text: str) -> int:
    return _whole(text, "Size", SMALLEST, LARGEST)


def _iterations(text: str) -> int:
    return _whole(text, "Iterations", 1, math.inf)


def _whole(text: str, name: str, low: float, high: float) -> int:
    """A whole number in low..high; raises InvalidParameter."""
    if not text.isdecimal() or not low <= int(text) <= high:
        span = f"{low:g}..{high:g}" if high < math.inf else f"at least {low:g}"
        raise InvalidParameter(f"{name} is a whole number, {span}, not {text!r}.")
    return int(text)
