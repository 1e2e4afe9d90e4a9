"""From file names to the floats that the engine takes: what a job is given, checked before any long work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.harmonize.errors import InvalidInput
from backend.pictures import (
    Picture,
    bounds,
    check_painting_size,
    check_pixels,
    check_same_size,
    fills,
    open_picture,
    unit,
)
from plugin.painterly.protocol.geometry import Box, source_window


@dataclass(frozen=True)
class Sources:
    """The files of one composite: painting, and either naive with mask or a cut-out `layer` at `offset`."""

    painting: Path
    naive: Path | None = None
    mask: Path | None = None
    layer: Path | None = None
    offset: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        pasted = (self.naive is not None, self.mask is not None)
        if pasted != ((True, True) if self.layer is None else (False, False)):
            raise InvalidInput("Give either a naive picture and its mask, or a cut-out layer alone.")

    def files(self) -> dict[str, Path]:
        """The given files by role."""
        names = {"painting": self.painting, "naive": self.naive, "mask": self.mask, "layer": self.layer}
        return {role: path for role, path in names.items() if path is not None}


@dataclass(frozen=True)
class Scene:
    """A checked composite: the painting's file, and the source window as sRGB floats 0..1.

    `original` and `naive` are (3, h, w), `mask` is (1, h, w); h and w are those of `window`.
    """

    painting: Picture
    window: Box
    original: np.ndarray
    naive: np.ndarray
    mask: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The pixels by the names that the engine's Composite gives them."""
        return {"painting": self.original, "naive": self.naive, "mask": self.mask}


def load(sources: Sources, resolution: int) -> Scene:
    """Opens and checks the files and reads the source window; raises InvalidInput."""
    painting = open_picture(sources.painting, "painting")
    check_painting_size(painting)
    read = _read_pasted if sources.layer is None else _read_layer
    return read(sources, painting, resolution)


def _read_pasted(sources: Sources, painting: Picture, resolution: int) -> Scene:
    naive, mask = open_picture(sources.naive, "naive picture"), open_picture(sources.mask, "mask")
    for picture in (naive, mask):
        check_same_size(picture, painting)
    for picture in (painting, naive, mask):
        check_pixels(picture)
    selection = mask.selection()
    selected = bounds(selection)
    if selected.empty:
        raise InvalidInput(f"The mask {mask.path} is empty; paint the object's place white.")
    if fills(selection, mask.box):
        raise InvalidInput(f"The mask {mask.path} covers the whole painting; leave the surroundings black.")
    window = source_window(selected, painting.box, resolution)
    original = _on_paper(painting, window)
    pasted = naive.colours(window)
    if naive.has_alpha:
        pasted = over(original, pasted, unit(naive.opacity(), window))
    return Scene(painting, window, original, pasted, unit(selection, window))


def _read_layer(sources: Sources, painting: Picture, resolution: int) -> Scene:
    layer = open_picture(sources.layer, "cut-out")
    if not layer.has_alpha:
        raise InvalidInput(f"The cut-out {layer.path} has no transparency; save it with an alpha channel.")
    x, y = sources.offset
    covered = layer.box.shifted(x, y).intersect(painting.box)
    if covered.empty:
        raise InvalidInput(f"The cut-out {layer.path} at {x},{y} lies wholly outside the painting.")
    for picture in (painting, layer):
        check_pixels(picture)
    opacity = layer.opacity()
    visible = bounds(opacity)
    if visible.empty:
        raise InvalidInput(f"The cut-out {layer.path} is fully transparent; there is nothing to paint.")
    seen = visible.shifted(x, y).intersect(painting.box)
    if seen.empty:
        raise InvalidInput(f"The visible part of {layer.path} at {x},{y} lies wholly outside the painting.")
    if covered == painting.box and fills(opacity, covered.shifted(-x, -y)):
        raise InvalidInput(f"The cut-out {layer.path} covers the whole painting; leave some of it free.")
    window = source_window(seen, painting.box, resolution)
    original = _on_paper(painting, window)
    naive, mask = original.copy(), np.zeros((1, window.height, window.width), np.float32)
    part = covered.intersect(window)
    inside, on_layer = _slices(part, window), part.shifted(-x, -y)
    mask[inside] = unit(opacity, on_layer)
    naive[inside] = over(original[inside], layer.colours(on_layer), mask[inside])
    return Scene(painting, window, original, naive, mask)


def _on_paper(painting: Picture, window: Box) -> np.ndarray:
    """The painting as it is seen, on white where it is transparent; convert.py does so for the service."""
    colours = painting.colours(window)
    if not painting.has_alpha:
        return colours
    return over(np.ones((3, 1, 1), np.float32), colours, unit(painting.opacity(), window))


def over(under: np.ndarray, colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """`colours` (3, h, w) laid over `under` by `opacity` (1, h, w)."""
    return under * (1 - opacity) + colours * opacity


def _slices(part: Box, window: Box) -> tuple[slice, slice, slice]:
    """Where `part` lies in an array that holds `window`: all channels, rows, columns."""
    here = part.shifted(-window.left, -window.top)
    return np.s_[:, here.top : here.bottom, here.left : here.right]
