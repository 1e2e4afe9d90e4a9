"""`painterly batch`: many composites, one after another; a failing one never stops the rest."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Callable, Sequence

from backend.cli import runner, sheet
from backend.cli.arguments import add_parameters
from backend.cli.failure import Stopped, save_details
from backend.cli.interrupt import Interrupt
from backend.cli.job import run_job, together
from backend.cli.manifest import COLUMNS, Entry, read_entries
from backend.cli.progress import Progress, duration
from backend.cli.sheet import Result
from backend.cli.telling import tell
from backend.harmonize.errors import Cancelled, HarmonizeError
from backend.picture_output import OutputError, check_writable, make_folder
from plugin.painterly.protocol.parameters import InvalidParameter

SHEET = "index.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        type=Path,
        metavar="FOLDER_OR_MANIFEST",
        help="a folder of NAME_painting.*, NAME_naive.* and NAME_mask.* (or NAME_target.*, NAME_c_mask.*; or "
        "NAME_layer.* instead of naive and mask), or a CSV or JSON list with some of the columns "
        + ", ".join(COLUMNS),
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help=f"results and {SHEET} go there"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object about all runs")
    runner.add_arguments(parser)
    add_parameters(parser)


def run(args: argparse.Namespace) -> int:
    entries = read_entries(args.input)
    make_folder(args.output)
    check_writable(args.output / SHEET)
    inputs = [path for entry in entries for path in entry.files.values()]
    results: list[Result] = []
    with Interrupt() as interrupt, runner.RunnerOnDemand(args) as get_runner:
        for number, entry in enumerate(entries, 1):
            title = f"{number}/{len(entries)} {entry.name} "
            results.append(_run_entry(entry, title, args, inputs, get_runner, interrupt))
            sheet.write(results, args.output / SHEET, len(entries))
            if interrupt.asked:
                break
    failed = [result for result in results if result.error]
    if args.json:
        print(json.dumps({"composites": [result.as_json() for result in results]}, indent=2))
    tell(f"{len(results) - len(failed)} of {len(entries)} done; see {args.output / SHEET}.")
    if interrupt.asked:
        raise Stopped("Stopped; what was finished, and the best so far of the last, are kept.")
    return 1 if failed else 0


def _run_entry(
    entry: Entry,
    title: str,
    args: argparse.Namespace,
    inputs: Sequence[Path],
    get_runner: Callable[[], runner.Runner],
    interrupt: Interrupt,
) -> Result:
    """Runs one composite; whatever goes wrong becomes the result's error sentence."""
    progress = Progress(title)
    job, report, error = None, None, ""
    try:
        job = replace(entry.job(args.output, args), keep=inputs)
        report = run_job(job, get_runner, together(progress, interrupt))
    except Cancelled:
        error = "Stopped before anything was painted."
    except (HarmonizeError, InvalidParameter) as problem:
        error = str(problem)
    except Exception as problem:
        error = f"Something unexpected happened ({type(problem).__name__}); {save_details(problem)}"
    finally:
        progress.close()
    if report and report.cancelled:
        error = f"Stopped; the best so far is in {report.output.name}."
    tell(title + (error or f"done in {duration(report.seconds)}"))
    try:
        previews = sheet.draw_previews(entry, job, report, args.output)
    except OutputError as problem:
        previews = {}
        if report:  # the result itself is well
            report.notes.append(f"There are no pictures of it here: {problem}")
    return Result(entry, job, report, error, previews)
