"""A few curves on logarithmic axes as SVG, written as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, GAP = 380, 240, 60, 40, 36  # px of one panel, its margins, and what lies between
COLUMNS = 2
DECADE = 10.0  # that an axis of values spans at least
LINE = 15  # px, of text
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


@dataclass(frozen=True)
class Panel:
    """Curves by name, each (x, y) > 0 in rising x."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def svg(panels: Sequence[Panel], heading: Sequence[str]) -> str:
    """The panels in two columns below the heading's lines; grey is what grows as x squared does, an area."""
    top = LINE * (len(heading) + 1)
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP), top + rows * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(_text(8, LINE * number, line) for number, line in enumerate(heading, start=1)),
    ]
    for number, panel in enumerate(panels):
        x, y = number % COLUMNS * (WIDTH + GAP), top + number // COLUMNS * (HEIGHT + GAP)
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel, f"clip{number}"), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, clip: str) -> list[str]:
    points = [point for line in panel.lines.values() for point in line]
    parts = [_text(LEFT, 12, panel.title, ' font-weight="bold"')]
    if not points:
        return [*parts, _text(LEFT, HEIGHT / 2, "nothing was measured")]
    across, up = (
        _Axis([x for x, _ in points], LEFT, WIDTH),
        _Axis([y for _, y in points], HEIGHT - BOTTOM, 20, DECADE),
    )
    frame = f'x="{LEFT}" y="20" width="{WIDTH - LEFT}" height="{HEIGHT - BOTTOM - 20}"'
    parts += [
        f'<clipPath id="{clip}"><rect {frame}/></clipPath>',
        f'<rect {frame} fill="none" stroke="#888"/>',
    ]
    for tick in sorted({x for x, _ in points}):
        parts.append(_text(across.at(tick), HEIGHT - BOTTOM + 14, f"{tick:g}", ' text-anchor="middle"'))
    for tick in up.ticks():
        parts.append(f'<path d="M{LEFT} {up.at(tick):.1f}H{WIDTH}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 5, up.at(tick) + 4, f"{tick:g}", ' text-anchor="end"'))
    parts.append(
        _text((LEFT + WIDTH) / 2, HEIGHT - 10, f"{panel.x}  ({panel.y} upwards)", ' text-anchor="middle"')
    )
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        end_x, end_y = line[-1]
        area = [(x, end_y * (x / end_x) ** 2) for x, _ in line]
        parts.append(
            _curve(area, across, up, f'stroke="#aaa" stroke-dasharray="4 4" clip-path="url(#{clip})"')
        )
        parts.append(_curve(line, across, up, f'stroke="{colour}" stroke-width="2"'))
        parts += [
            f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3" fill="{colour}"/>' for x, y in line
        ]
        parts.append(_text(LEFT + 8, 34 + LINE * number, name, f' fill="{colour}"'))
    return parts


class _Axis:
    """Logarithmic, from the smallest to the largest value with some room, drawn from `start` to `end` px.

    It spans `least` times the smallest value at least, so that what is flat looks flat.
    """

    def __init__(self, values: Sequence[float], start: float, end: float, least: float = 1.0) -> None:
        low, high = min(values), max(values)
        room = 1.3 * max(1.0, (least * low / high) ** 0.5)
        self.low, self.high = low / room, high * room
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """1, 2 and 5 times the powers of ten within."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        return [value for value in values if self.low <= value <= self.high]


def _curve(line: Sequence[tuple[float, float]], across: _Axis, up: _Axis, style: str) -> str:
    places = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in line)
    return f'<polyline points="{places}" fill="none" {style}/>'


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{escape(words)}</text>'
