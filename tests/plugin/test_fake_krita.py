"""The canvas against the fake Krita: the same cases that tests/krita runs in the real one.

First the quirks: that the fake is as odd as the real one is what makes the others worth something.
"""

import ast

import pytest

from tests.fakes import krita

from .conftest import INSIDE

MODULES = ("quirk_cases", "export_cases", "place_cases", "change_cases", "style_cases")


def _cases():
    for module in MODULES:
        for item in ast.parse((INSIDE / (module + ".py")).read_text("utf-8")).body:
            if isinstance(item, ast.FunctionDef) and item.name.startswith("case_"):
                yield module, item.name


@pytest.mark.parametrize("module,case", list(_cases()))
def test_case(inside, module, case):
    getattr(inside(module), case)()


def test_the_docker_is_added_with_an_enumeration_that_krita_6_has_too(inside):
    host = inside("plugin.painterly.canvas.host")
    host.add_docker("painterly_docker", host.DockWidget)
    assert krita.Krita.instance().dockers == ["painterly_docker"]


def test_a_case_can_fail(inside, monkeypatch):
    monkeypatch.setattr(krita.Document, "resizeImage", lambda *_: None)
    with pytest.raises(AssertionError):
        inside("quirk_cases").case_resizing_moves_layers_so_that_the_corner_is_the_origin()
