"""Pixels of the fake Krita: unbounded planes, and plain alpha blending."""

import array

PIXEL_BYTES = {"U8": 4, "U16": 8, "MASK": 1}
_CODES = {"U8": "B", "U16": "H", "MASK": "B"}
_OPAQUE = {"U8": 255, "U16": 65535, "MASK": 255}


class Rect(tuple):
    """As QRect: left, top, width, height."""

    def __new__(cls, x, y, width, height):
        return super().__new__(cls, (x, y, width, height))

    def __getnewargs__(self):  # to be pickled
        return tuple(self)

    def x(self):
        return self[0]

    def y(self):
        return self[1]

    def width(self):
        return self[2]

    def height(self):
        return self[3]

    def intersected(self, other):
        left, top = max(self[0], other[0]), max(self[1], other[1])
        right = min(self[0] + self[2], other[0] + other[2])
        bottom = min(self[1] + self[3], other[1] + other[3])
        return Rect(left, top, right - left, bottom - top) if right > left and bottom > top else EMPTY

    def united(self, other):
        if EMPTY in (self, other):
            return other if self == EMPTY else self
        left, top = min(self[0], other[0]), min(self[1], other[1])
        right = max(self[0] + self[2], other[0] + other[2])
        bottom = max(self[1] + self[3], other[1] + other[3])
        return Rect(left, top, right - left, bottom - top)


EMPTY = Rect(0, 0, 0, 0)


class ByteArray:
    """As QByteArray: it becomes bytes, and nothing else."""

    def __init__(self, data):
        self._data = bytes(data)

    def __bytes__(self):
        return self._data


class Picture:
    """As a QImage of four bytes a pixel, no longer than it is held."""

    def __init__(self, data):
        self._data = data

    def constBits(self):
        return self

    def asstring(self, size):
        return self._data[:size]


class Plane:
    """Pixels anywhere on an endless plane, transparent where nothing was written."""

    def __init__(self, depth, rect=EMPTY, data=b""):
        self.depth, self.rect, self.data = depth, rect, bytearray(data)

    @property
    def pixel_bytes(self):
        return PIXEL_BYTES[self.depth]

    def copied(self):
        return Plane(self.depth, self.rect, self.data)

    def moved(self, dx, dy):
        x, y, width, height = self.rect
        rect = Rect(x + dx, y + dy, width, height) if self.data else EMPTY
        return Plane(self.depth, rect, self.data)

    def read(self, x, y, width, height):
        wanted = Rect(x, y, width, height)
        out = bytearray(width * height * self.pixel_bytes)
        self._copy(self.data, self.rect, out, wanted)
        return bytes(out)

    def write(self, data, x, y, width, height):
        given = Rect(x, y, width, height)
        whole = self.rect.united(given)
        if whole != self.rect:
            grown = bytearray(whole.width() * whole.height() * self.pixel_bytes)
            self._copy(self.data, self.rect, grown, whole)
            self.rect, self.data = whole, grown
        self._copy(data, given, self.data, self.rect)

    def _copy(self, source, source_rect, target, target_rect):
        shared = source_rect.intersected(target_rect)
        size = self.pixel_bytes
        for y in range(shared.y(), shared.y() + shared.height()):
            start, end = (
                size * ((y - rect.y()) * rect.width() + shared.x() - rect.x())
                for rect in (source_rect, target_rect)
            )
            length = size * shared.width()
            target[end : end + length] = source[start : start + length]

    def bounds(self):
        """The smallest rectangle around what is not transparent."""
        x, y, width, height = self.rect
        stride = width * self.pixel_bytes
        opacity = self.pixel_bytes - 1  # an alpha's highest byte; the fake's deep alphas are never that small
        rows = [
            bytes(self.data[row * stride : (row + 1) * stride])[opacity :: self.pixel_bytes]
            for row in range(height)
        ]
        filled = [row for row in range(height) if rows[row].strip(b"\0")]
        if not filled:
            return EMPTY
        left = min(width - len(rows[row].lstrip(b"\0")) for row in filled)
        right = max(len(rows[row].rstrip(b"\0")) for row in filled)
        return Rect(x + left, y + filled[0], right - left, filled[-1] - filled[0] + 1)

    def converted(self, depth):
        if depth == self.depth:
            return self
        values = self._values()
        if depth == "U16":
            values = array.array("H", [257 * value for value in values])
        else:
            values = array.array("B", [(value + 128) // 257 for value in values])
        return Plane(depth, self.rect, values.tobytes())

    def masked(self, mask):
        """With alphas multiplied by the mask's bytes."""
        cover = mask.read(*self.rect)
        values = self._values()
        values[3::4] = array.array(_CODES[self.depth], [a * m // 255 for a, m in zip(values[3::4], cover)])
        return Plane(self.depth, self.rect, values.tobytes())

    def _values(self):
        return array.array(_CODES[self.depth], bytes(self.data))


def blended(layers, depth):
    """The visible ones of `layers` (bottom to top), one over the other."""
    result = Plane(depth)
    for layer in layers:
        if layer.visible:
            _blend(result, layer.shown, layer.opacity, layer.mode)
    return result


def _blend(below, plane, opacity, mode):
    """`plane` onto `below`, which changes."""
    if plane.rect == EMPTY:
        return
    assert mode in ("normal", "multiply"), "the fake does not know this blending"
    values, top = plane._values(), _OPAQUE[plane.depth]
    if mode == "normal" and opacity == 255 and min(values[3::4]) == top:
        below.write(bytes(plane.data), *plane.rect)
        return
    under = array.array(values.typecode, below.read(*plane.rect))
    for at in range(0, len(values), 4):
        alpha = values[at + 3] * opacity // 255
        if alpha:
            under[at : at + 4] = array.array(
                values.typecode, _over(values[at : at + 3], alpha, under[at : at + 4], top, mode)
            )
    below.write(under.tobytes(), *plane.rect)


def _over(color, alpha, under, top, mode):
    """One pixel's colour with `alpha` over another: colours, then the new alpha."""
    base = under[3]
    result = alpha + base - (alpha * base + top // 2) // top
    mixed = []
    for value, old in zip(color, under):
        both = value * old // top if mode == "multiply" else value
        # Where something lies beneath, the two mix; where nothing does, the colour stands alone.
        painted = (both * base + value * (top - base)) // top
        mixed.append(min(top, (painted * alpha * top + old * base * (top - alpha)) // (result * top)))
    return [*mixed, result]
