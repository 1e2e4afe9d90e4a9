"""Paintings with fill layers: Krita draws them anew, from its corner on, when a picture's size changes."""

import time

import scenes
from krita import InfoObject, Selection
from scenes import add_layer, export, flat

from plugin.painterly import qt
from plugin.painterly.canvas import reading
from plugin.painterly.protocol.geometry import Box

WIDTH, HEIGHT = 900, 700
GENERATORS = {
    "color": {},
    "pattern": {},
    "screentone": {},
    "multigrid": {},
    "simplex_noise": {},
}
if qt.MAJOR == 5:  # Krita 6.0.4 of Debian ends when a test without windows makes one
    GENERATORS["seexpr"] = {"script": "$val=[$u,$v,0.5]; $val"}


def _filled(generator, **options):
    """(document, fill layer, object layer): the object above a canvas filled by the generator."""
    doc = scenes.document(width=WIDTH, height=HEIGHT, **options)
    settings = InfoObject()
    for name, value in GENERATORS[generator].items():
        settings.setProperty(name, value)
    everywhere = Selection()
    everywhere.select(0, 0, WIDTH, HEIGHT, 255)
    fill = doc.createFillLayer("fill", generator, settings, everywhere)
    doc.rootNode().addChildNode(fill, None)
    _wait_until_drawn(fill)
    pasted = add_layer(doc, "object", flat(40, 30, 1, 2, 3), 707, 511, 40, 30)
    doc.refreshProjection()
    return doc, fill, pasted


def _wait_until_drawn(fill):
    """Krita draws it from the event loop, a little later."""
    end = time.monotonic() + 20
    while not any(bytes(fill.projectionPixelData(0, 0, WIDTH, HEIGHT))):
        assert time.monotonic() < end, "the fill layer is not drawn"
        qt.QtCore.QCoreApplication.processEvents()
        time.sleep(0.02)


def _beneath(doc, pasted, box):
    """What the picture shows in `box` beneath the object."""
    pasted.setVisible(False)
    shown = scenes.seen(doc, box)
    pasted.setVisible(True)
    return shown


def case_a_fill_layer_is_exported_as_it_is_seen():
    for generator in GENERATORS:
        doc, _, pasted = _filled(generator)
        got = export(doc, pasted)
        window = got.origin.window
        assert window.width < WIDTH and window.left > 0 and window.top > 0, window
        shown = _beneath(doc, pasted, window)
        assert bytes(got.painting.data) == shown, (generator, scenes.difference(got.painting.data, shown))
        assert bytes(got.layer.raster.data) == flat(40, 30, 1, 2, 3)


def case_in_strips_and_with_opacity_it_is_so_too():
    reading.STRIP_PIXELS, kept = 10000, reading.STRIP_PIXELS
    try:
        doc, _, pasted = _filled("pattern")
        pasted.setOpacity(128)
        got = export(doc, pasted)
        assert bytes(got.painting.data) == _beneath(doc, pasted, got.origin.window)
        assert bytes(got.layer.raster.data) == scenes.seen(doc, Box(707, 511, 747, 541))
    finally:
        reading.STRIP_PIXELS = kept
