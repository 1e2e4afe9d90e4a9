"""`python -m backend.demo -o DIR`: harmonizes the demo picture; the last line printed is the sheet's path."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from PIL import Image

from backend.__main__ import main as painterly
from backend.demo.sheet import Panel, draw_sheet
from plugin.painterly.protocol.parameters import PRESETS

HERE = Path(__file__).parent
PAINTING = HERE / "painting.jpg"
CUTOUT = HERE / "astronaut.png"
# Top left corner of the cut-out on the painting: the figure stands on the painting's lower edge.
OFFSET = (40, 200)


def command_line(output: Path, preset: str) -> list[str]:
    """What an illustrator would type to get the demo's result."""
    x, y = OFFSET
    pictures = ["--painting", str(PAINTING), "--layer", str(CUTOUT), f"--offset={x},{y}", "-o", str(output)]
    return ["harmonize", *pictures, "--preset", preset, "--device", "cpu"]


def pasted() -> Image.Image:
    """The painting with the cut-out as it is: what the harmonizing starts from."""
    painting = Image.open(PAINTING).convert("RGB")
    cutout = Image.open(CUTOUT)
    painting.paste(cutout, OFFSET, cutout)
    return painting


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m backend.demo", description="Harmonizes the demo picture."
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--preset", choices=PRESETS, default="draft")
    args = parser.parse_args(arguments)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        return _run(args.output, args.preset)
    except OSError as error:
        print(f"The demo cannot be written to {args.output}: {error.strerror or error}.", file=sys.stderr)
        return 2


def _run(folder: Path, preset: str) -> int:
    result = folder / "harmonized.png"
    result.unlink(missing_ok=True)
    print(f"Harmonizing the demo picture (preset {preset}, on the processor)...", flush=True)
    start = time.monotonic()
    code = painterly(command_line(result, preset))
    if code:
        return code
    seconds = time.monotonic() - start
    panels = [
        Panel("The painting", Image.open(PAINTING)),
        Panel("A photograph pasted in", pasted()),
        Panel(f"Harmonized: preset {preset}, {seconds:.0f} s", Image.open(result)),
    ]
    sheet = folder / "sheet.png"
    draw_sheet(panels).save(sheet)
    print(sheet.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
