"""Results as files, when their document was closed: no depth is lost."""

import array
import random
import tempfile
from pathlib import Path

from krita import Krita
from scenes import at_most, convert, finish

from plugin.painterly.canvas import Canvas, colors
from plugin.painterly.protocol.raster import Placed, Raster


def _saved(raster):
    """(space, pixels) of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.png"
        finish(Canvas().save(Placed(raster, 3, 4), path))
        again = Krita.instance().openDocument(str(path))
        layer = again.topLevelNodes()[0]
        pixels = bytes(layer.pixelData(0, 0, raster.width, raster.height))
        space = colors.space_of(layer)
        again.close()
    return space, pixels


def case_sixteen_bits_stay_sixteen():
    data = random.Random(1).randbytes(8 * 20 * 10)
    space, pixels = _saved(Raster(20, 10, "BGRA", "U16", data))
    assert (space.model, space.depth) == ("RGBA", "U16") and pixels == data, space


def case_floats_become_sixteen_bits():
    values = [value / 200 for value in range(201)] * 4
    data = array.array("f", [*values[:800]]).tobytes()
    space, pixels = _saved(Raster(20, 10, "RGBA", "F32", data))
    expected = convert(data, 20, 10, colors.srgb("F32"), colors.srgb("U16"))
    got = convert(pixels, 20, 10, space, colors.srgb("U16"))
    assert space.depth == "U16", space
    one, other = array.array("H", got), array.array("H", expected)
    at_most(max(abs(a - b) for i, (a, b) in enumerate(zip(one, other)) if other[i - i % 4 + 3] > 9000), 257)
