"""Layer styles: outlines, shadows and what else Krita draws around a layer."""

from scenes import OUTLINE, SMALL, export, finish, scene, select

from plugin.painterly.canvas import Canvas, documents
from plugin.painterly.job import ABOVE, REPLACE


def _styled(doc, landing):
    return documents.find_node(doc, landing.node).layerStyleToAsl()


def case_a_style_is_the_same_in_a_copy_and_on_another_layer():
    doc, _, pasted = scene()
    assert pasted.layerStyleToAsl() == ""
    pasted.setLayerStyleFromAsl(OUTLINE)
    style = pasted.layerStyleToAsl()
    assert "FrFX" in style
    copy = doc.clone()
    assert copy.topLevelNodes()[1].layerStyleToAsl() == style
    copy.close()
    loose = doc.createNode("loose", "paintlayer")
    loose.setLayerStyleFromAsl(style)
    assert loose.layerStyleToAsl() == style
    pasted.setLayerStyleFromAsl("")
    assert pasted.layerStyleToAsl() == style


def case_a_result_has_its_layers_style():
    for mode in (ABOVE, REPLACE):
        doc, _, pasted = scene()
        pasted.setLayerStyleFromAsl(OUTLINE)
        style = pasted.layerStyleToAsl()
        canvas = Canvas()
        got = export(doc, pasted, SMALL, canvas)
        for name in ("result", "added again"):  # in the mode that replaces it its layer is gone then
            landing = finish(canvas.place(got.origin, got.layer, name, mode))
            assert _styled(doc, landing) == style and landing.note == "", (mode, name)


def case_variants_have_it_as_a_group():
    doc, _, pasted = scene()
    pasted.setLayerStyleFromAsl(OUTLINE)
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    landing = finish(canvas.place_group(got.origin, [("style 1", got.layer)], "variants"))
    assert _styled(doc, landing) == pasted.layerStyleToAsl()
    assert [node.layerStyleToAsl() for node in documents.find_node(doc, landing.node).childNodes()] == [""]


def case_a_part_of_a_picture_that_stays_visible_gets_none():
    doc, painting, _ = scene()
    for node in doc.topLevelNodes()[1:]:
        node.remove()
    painting.setLayerStyleFromAsl(OUTLINE)
    select(doc, 110, 85, 10, 10)
    canvas = Canvas()
    got = export(doc, painting, SMALL, canvas)
    landing = finish(canvas.place(got.origin, got.layer, "result", ABOVE))
    assert painting.visible() and _styled(doc, landing) == ""


def case_a_style_given_meanwhile_is_noticed():
    doc, _, pasted = scene()
    canvas = Canvas()
    got = export(doc, pasted, SMALL, canvas)
    pasted.setLayerStyleFromAsl(OUTLINE)
    landing = finish(canvas.place(got.origin, got.layer, "result", ABOVE))
    assert "was changed meanwhile" in landing.note and pasted.visible()
