"""Every colour space: what the artist sees is exported, and the result looks as it was computed."""

import array
import random

import scenes
from krita import Krita
from scenes import SMALL, SRGB, add_layer, at_most, convert, difference, export, finish, seen

from plugin.painterly.canvas import Canvas, colors, documents
from plugin.painterly.job import ABOVE
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.protocol.raster import Placed, Raster

LINEAR = "sRGB-elle-V2-g10.icc"
WIDTH, HEIGHT = 160, 120


def _profile(model, depth):
    """Some profile of a model that is not RGB."""
    names = Krita.instance().profiles(model, depth)
    return "Gray-D50-elle-V2-srgbtrc.icc" if model == "GRAYA" else sorted(names)[0]


def _colors(width, height, seed, alpha=0xFFFF):
    """Smooth sRGB U16 BGRA pixels: every value occurs, none at the ends."""
    chance = random.Random(seed)
    values = array.array("H")
    for _ in range(width * height):
        values.extend([chance.randrange(4000, 60000) for _ in range(3)] + [alpha])
    return values.tobytes()


def _scene(model, depth, profile):
    """A document in that space, with a painting and an object of known 16-bit sRGB colours."""
    doc = scenes.document(model, depth, profile, WIDTH, HEIGHT)
    space = colors.space_of(doc)
    painting = convert(_colors(WIDTH, HEIGHT, 1), WIDTH, HEIGHT, colors.srgb("U16"), space)
    doc.topLevelNodes()[0].setPixelData(painting, 0, 0, WIDTH, HEIGHT)
    pasted = convert(_colors(40, 30, 2), 40, 30, colors.srgb("U16"), space)
    layer = add_layer(doc, "object", pasted, 60, 40, 40, 30)
    doc.refreshProjection()
    return doc, layer


def _to8(raster):
    return convert(
        bytes(raster.data), raster.width, raster.height, colors.srgb(raster.depth), colors.srgb("U8")
    )


def _to16(raster):
    return convert(
        bytes(raster.data), raster.width, raster.height, colors.srgb(raster.depth), colors.srgb("U16")
    )


def _largest16(one, other):
    a, b = array.array("H", one), array.array("H", other)
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b))


def _mean_difference(one, other):
    assert len(one) == len(other)
    return sum(abs(a - b) for a, b in zip(one, other)) / len(one)


def _check(model, depth, profile, export_depth, tolerance8, measure=difference):
    """Exports and places in that space; tolerances are in steps of 8-bit sRGB, for the result by `measure`.

    What is exported is what is shown; what is placed may lose by the profile's own tables (CMYK, LAB).
    """
    doc, pasted = _scene(model, depth, profile)
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    assert got.origin.depth == export_depth == got.painting.depth == got.layer.raster.depth
    shown_object = seen(doc, Box(60, 40, 100, 70))
    pasted.setVisible(False)
    exported8 = 1 if measure is _mean_difference else tolerance8
    shown_painting = seen(doc, got.origin.window)
    at_most(difference(_to8(got.painting), shown_painting), exported8)
    at_most(_mean_difference(_to8(got.painting), shown_painting), 0.5)
    pasted.setVisible(True)
    at_most(difference(_to8(got.layer.raster), shown_object), exported8)
    wanted = Raster(
        20, 10, colors.layout(export_depth), export_depth, _wanted(got.layer.raster, export_depth)
    )
    result = Placed(wanted, 70 - got.origin.window.left, 50 - got.origin.window.top)
    landing = finish(canvas.place(got.origin, result, "result", ABOVE))
    at_most(measure(_to8(wanted), seen(doc, Box(70, 50, 90, 60))), tolerance8)
    layer = documents.find_node(doc, landing.node)
    assert colors.space_of(layer) == colors.space_of(doc)
    return doc, got, wanted, layer


def _wanted(raster, depth):
    """A result that the document can show: 20 x 10 pixels of the object itself."""
    size = 4 * colors.CHANNEL_BYTES[depth]
    data = bytes(raster.data)
    return b"".join(data[size * raster.width * y :][: size * 20] for y in range(10))


def case_rgba_u8_linear():
    _check("RGBA", "U8", LINEAR, "U8", 14)  # linear 8-bit steps are coarse in the dark


def case_rgba_u16_is_exact():
    doc, got, wanted, layer = _check("RGBA", "U16", SRGB, "U16", 1)
    first = 2 * 4 * (got.origin.window.top * WIDTH + got.origin.window.left)
    assert bytes(got.painting.data[:80]) == _colors(WIDTH, HEIGHT, 1)[first : first + 80]
    assert bytes(got.layer.raster.data) == _colors(40, 30, 2)
    assert bytes(layer.pixelData(70, 50, 20, 10)) == wanted.data


def case_rgba_u16_linear_keeps_sixteen_bits():
    _, got, wanted, layer = _check("RGBA", "U16", LINEAR, "U16", 1)
    at_most(_largest16(_to16(got.layer.raster), _colors(40, 30, 2)), 40)  # of 65535; an 8-bit step is 257


def case_rgba_f32_keeps_more_than_eight_bits():
    _, got, _, _ = _check("RGBA", "F32", SRGB, "F32", 1)
    at_most(_largest16(_to16(got.layer.raster), _colors(40, 30, 2)), 16)


def case_rgba_f32_linear():
    _, got, _, _ = _check("RGBA", "F32", LINEAR, "F32", 1)
    at_most(_largest16(_to16(got.layer.raster), _colors(40, 30, 2)), 40)


def case_rgba_f16_linear():
    _, got, _, _ = _check("RGBA", "F16", LINEAR, "F32", 1)
    at_most(_largest16(_to16(got.layer.raster), _colors(40, 30, 2)), 64)


def case_rgba_f16():
    _check("RGBA", "F16", SRGB, "F32", 1)


def case_gray_u8():
    _check("GRAYA", "U8", _profile("GRAYA", "U8"), "U16", 2)


def case_gray_u16():
    _check("GRAYA", "U16", _profile("GRAYA", "U16"), "U16", 2)


def case_gray_f16():
    _check("GRAYA", "F16", _profile("GRAYA", "F16"), "F32", 2)


def case_gray_f32():
    _check("GRAYA", "F32", _profile("GRAYA", "F32"), "F32", 2)


def case_cmyk_u8():
    _check("CMYKA", "U8", _profile("CMYKA", "U8"), "U16", 6.5, _mean_difference)


def case_cmyk_u16():
    _check("CMYKA", "U16", _profile("CMYKA", "U16"), "U16", 6.5, _mean_difference)


def case_cmyk_f32():
    _check("CMYKA", "F32", _profile("CMYKA", "F32"), "F32", 6.5, _mean_difference)


def case_lab_u8():
    _check("LABA", "U8", _profile("LABA", "U8"), "U16", 2, _mean_difference)


def case_lab_u16():
    _check("LABA", "U16", _profile("LABA", "U16"), "U16", 0.5, _mean_difference)


def case_lab_f32():
    # Krita 5.2 shows it through tables: 0.2 steps off on average, 14 in a saturated colour's darkest channel.
    _check("LABA", "F32", _profile("LABA", "F32"), "F32", 16)


def case_srgb_layer_in_a_cmyk_document():
    doc, _ = _scene("CMYKA", "U8", _profile("CMYKA", "U8"))
    layer = doc.createNode("odd", "paintlayer")
    layer.setPixelData(b"\0" * 5 * 100, 10, 10, 10, 10)
    doc.rootNode().addChildNode(layer, None)
    layer.setColorSpace("RGBA", "U8", SRGB)
    layer.setPixelData(b"\x10\x80\xf0\xff" * 100, 10, 10, 10, 10)
    doc.refreshProjection()
    got = export(doc, layer)
    assert _to8(got.layer.raster) == b"\x10\x80\xf0\xff" * 100
