"""Boxes cut into strips, so that no single call of Krita's holds up the artist's brush."""

from typing import Iterator

from ..protocol.geometry import Box

# Pixels of a strip, so that each of Krita's calls stays below some 50 ms; conversions are dearer.
STRIP_PIXELS = 1 << 20
CONVERTED_STRIP_PIXELS = 1 << 18


def strips(box: Box, pixels: int) -> Iterator[Box]:
    """`box` cut into rows of at most `pixels` (at least one row), from top to bottom."""
    rows = max(1, pixels // max(1, box.width))
    for top in range(box.top, box.bottom, rows):
        yield Box(box.left, top, box.right, min(top + rows, box.bottom))
