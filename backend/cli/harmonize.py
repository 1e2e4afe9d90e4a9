"""`painterly harmonize`: one composite."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from backend.cli import runner
from backend.cli.arguments import add_parameters, parse_offset, sentence, settings
from backend.cli.failure import Stopped
from backend.cli.inputs import Sources
from backend.cli.interrupt import Interrupt
from backend.cli.job import Job, Report, run_job, together
from backend.cli.progress import Progress, duration
from backend.cli.telling import tell
from backend.harmonize.errors import Cancelled, InvalidInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--painting", type=Path, required=True, metavar="FILE", help="the painting")
    parser.add_argument("--naive", type=Path, metavar="FILE", help="the painting with the object pasted in")
    parser.add_argument("--mask", type=Path, metavar="FILE", help="white where the object is; with --naive")
    parser.add_argument(
        "--layer", type=Path, metavar="FILE", help="a cut-out with transparency, instead of both"
    )
    parser.add_argument(
        "--offset",
        type=sentence(parse_offset),
        default=(0, 0),
        metavar="X,Y",
        help="where the cut-out's top left corner lies on the painting",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="png, tif, webp or jpg"
    )
    parser.add_argument(
        "--save-stages",
        type=Path,
        metavar="DIR",
        help="write the pictures of each stage there; not with --via",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object about the run")
    runner.add_arguments(parser)
    add_parameters(parser)


def run(args: argparse.Namespace) -> int:
    if args.via and args.save_stages:
        raise InvalidInput("A service sends no pictures of stages; leave out --save-stages or --via.")
    sources = Sources(args.painting, args.naive, args.mask, args.layer, args.offset)
    job = Job(sources, args.output, settings(args), args.save_stages)
    progress = Progress()
    with Interrupt() as interrupt, runner.RunnerOnDemand(args) as get_runner:
        try:
            report = run_job(job, get_runner, together(progress, interrupt))
        except Cancelled as cancelled:
            raise Stopped("Stopped before anything was painted; nothing was written.") from cancelled
        finally:
            progress.close()
    _tell(report, args.json)
    if report.cancelled:
        raise Stopped(f"Stopped; the best so far is in {report.output}.")
    return 0


def _tell(report: Report, as_json: bool) -> None:
    for note in report.notes:
        tell(note)
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
    elif not report.cancelled:
        tell(f"Wrote {report.output} in {duration(report.seconds)}.")
