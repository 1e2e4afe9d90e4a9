"""The pictures behind the result, for --save-stages: what went in, and how each stage left it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyvips

from backend.picture_output import OutputError, make_folder, write_picture

if TYPE_CHECKING:
    from backend.harmonize.step import Step


def is_stage_name(name: str) -> bool:
    """Whether a stage's picture could have this file name; which stages there will be is not known before."""
    return fnmatchcase(name.lower(), "[0-9][0-9]_*.png")


class StageFolder:
    """An `on_step` callback that writes an 8-bit PNG, the size of the source window, at the end of each stage.

    What cannot be written costs no one the job: it is told in `failure`, and no more pictures are written.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._pending: Step | None = None
        self.failure: OutputError | None = None

    @property
    def files(self) -> dict[str, str]:
        """The files written so far, by stage."""
        return {name: str(path) for name, path in self._files.items()}

    def __call__(self, step: Step) -> None:
        if self._pending is not None and step.stage != self._pending.stage:
            self.finish()
        self._pending = step if step.preview else None
        if step.iteration >= step.iterations:
            self.finish()

    def finish(self) -> None:
        """Writes the last stage, also if it stopped early."""
        if self._pending is not None:
            self.save(self._pending.stage, self._pending.preview().numpy())
        self._pending = None

    def save(self, name: str, values: np.ndarray) -> None:
        """Writes (1 or 3, h, w) floats 0..1; a second picture under one name replaces the first."""
        if self.failure is not None:
            return
        path = self._files.get(name)
        if path is None:
            path = self._folder / f"{len(self._files) + 1:02}_{name.replace(' ', '_')}.png"
        samples = np.rint(np.clip(values.transpose(1, 2, 0), 0, 1) * 255).astype(np.uint8)
        space = "srgb" if samples.shape[2] == 3 else "b-w"
        try:
            write_picture(pyvips.Image.new_from_array(samples, interpretation=space), path)
        except OutputError as error:
            self.failure = error
            return
        self._files[name] = path
