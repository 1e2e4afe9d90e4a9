"""Which part of the canvas a job needs: plain geometry that both ends agree on.

An 8k canvas is never sent or worked on whole. The object with a margin is the *region* that is
painted; the *window* around it is the part of the painting that serves as the source of brushwork.
Its size follows the object, not the canvas, so time and memory do too.
"""

from typing import NamedTuple, Tuple

# Pixels of surroundings, at working resolution, that the network must see around the object: about
# twice the receptive radius of relu4_1 (34 px in VGG-19), once for features and once for the mask
# that is carried along with them.
MARGIN = 72
# Source of brushwork: at least this many times the working resolution on a side, if the canvas has it.
SOURCE_FACTOR = 1.5


class Box(NamedTuple):
    """Whole pixels, document coordinates, y down; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return max(0, self.right - self.left)

    @property
    def height(self) -> int:
        return max(0, self.bottom - self.top)

    @property
    def empty(self) -> bool:
        return self.width == 0 or self.height == 0

    def intersect(self, other: "Box") -> "Box":
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def united(self, other: "Box") -> "Box":
        """The smallest box around both, where an empty one does not count."""
        if self.empty or other.empty:
            return other if self.empty else self
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def grown(self, by: int) -> "Box":
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def shifted(self, x: int, y: int) -> "Box":
        return Box(self.left + x, self.top + y, self.right + x, self.bottom + y)


def working_scale(obj: Box, canvas: Box, resolution: int) -> float:
    """Factor (0..1] from canvas pixels to working pixels: the region's long side becomes `resolution`."""
    side = max(obj.width, obj.height)
    longest = max(canvas.width, canvas.height)
    # The margin is counted in working pixels, so the region at scale s is s * side + 2 * MARGIN.
    room = max(resolution - 2 * MARGIN, resolution // 2)
    return min(1.0, max(room / max(side, 1), resolution / max(longest, 1)))


def source_window(obj: Box, canvas: Box, resolution: int) -> Box:
    """The part of `canvas` to export for an object whose bounds are `obj`; contains `obj` within the canvas.

    Raises ValueError if the object lies wholly outside the canvas.
    """
    inside = obj.intersect(canvas)
    if inside.empty:
        raise ValueError("The object lies outside the canvas.")
    scale = working_scale(inside, canvas, resolution)
    least = int(round(SOURCE_FACTOR * resolution / scale))
    margin = int(round(2 * MARGIN / scale))
    left, right = _span(inside.left, inside.right, margin, least, canvas.left, canvas.right)
    top, bottom = _span(inside.top, inside.bottom, margin, least, canvas.top, canvas.bottom)
    return Box(left, top, right, bottom)


def _span(start: int, end: int, margin: int, least: int, low: int, high: int) -> Tuple[int, int]:
    """An interval in low..high around start..end: with `margin` on both sides and `least` long, where there is room."""
    size = min(max(end - start + 2 * margin, least), high - low)
    first = (start + end - size) // 2
    first = max(low, min(first, high - size))
    return first, first + size
