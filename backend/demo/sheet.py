"""Draws pictures side by side with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

GAP = 16
CAPTION_SIZE = 20
BACKGROUND, INK = (250, 249, 246), (40, 40, 40)


class Panel(NamedTuple):
    """One picture and the words above it."""

    caption: str
    picture: Image.Image


def draw_sheet(panels: Sequence[Panel]) -> Image.Image:
    """One RGB picture with all panels in a row, each at its own size; raises ValueError if there are none."""
    if not panels:
        raise ValueError("A sheet needs at least one picture.")
    font = ImageFont.load_default(CAPTION_SIZE)
    top = GAP + CAPTION_SIZE + GAP
    width = GAP + sum(panel.picture.width + GAP for panel in panels)
    height = top + max(panel.picture.height for panel in panels) + GAP
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    left = GAP
    for caption, picture in panels:
        pen.text((left, GAP), caption, INK, font)
        sheet.paste(picture.convert("RGB"), (left, top))
        left += picture.width + GAP
    return sheet
