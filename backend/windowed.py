"""Only the window that an object needs is worked on, however much of a canvas came with it.

A speck or a faint shadow far from the object, or a layer that is larger than what is seen of it, widens the window that
is read or sent. An object of 300 px would be painted at its own size in all of it: gigabytes on a canvas of 8192 px.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from backend.harmonize.composite import Composite, Region, extent
from backend.harmonize.pipeline import Outcome
from backend.harmonize.step import OnStep, Step
from plugin.painterly.protocol.geometry import Box, source_window


def object_box(composite: Composite) -> Box:
    """The smallest box around what is seen of the object (`composite.extent`)."""
    found = extent(composite.mask)
    return Box(found.left, found.top, found.right, found.bottom)


@dataclass(frozen=True)
class Window:
    """The part of a composite that is worked on; it is the composite itself where that is no larger."""

    whole: Composite
    region: Region

    @classmethod
    def needed(cls, composite: Composite, resolution: int) -> Window:
        """The source window (`geometry.source_window`) of what is seen of the object."""
        height, width = composite.mask.shape[1:]
        box = source_window(object_box(composite), Box(0, 0, width, height), resolution)
        return cls(composite, Region(box.top, box.left, box.bottom, box.right))

    def part(self) -> Composite:
        """What is worked on."""
        if self._is_all():
            return self.whole
        pictures = (self.whole.painting, self.whole.naive, self.whole.mask)
        return Composite(*(self.region.of(picture).contiguous() for picture in pictures))

    def back(self, outcome: Outcome) -> Outcome:
        """What came of the part, as an outcome of the size of the whole; nothing is changed around it."""
        if self._is_all():
            return outcome
        alpha = self.region.paste(self.whole.mask.new_zeros(self.whole.mask.shape), outcome.alpha)
        return replace(outcome, image=self._around(outcome.image), alpha=alpha)

    def telling(self, on_step: OnStep) -> OnStep:
        """`on_step`, whose previews are of the size of the whole."""

        def told(step: Step) -> None:
            preview = step.preview
            on_step(step if preview is None else replace(step, preview=lambda: self._around(preview())))

        return on_step if self._is_all() else told

    def _around(self, image: Tensor) -> Tensor:
        return self.region.paste(self.whole.painting, image)

    def _is_all(self) -> bool:
        region, size = self.region, tuple(self.whole.mask.shape[1:])
        return (region.bottom - region.top, region.right - region.left) == size
