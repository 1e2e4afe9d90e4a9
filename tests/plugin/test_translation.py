"""Every sentence that an artist reads goes through the one translation call, as a literal that can be found."""

import ast
import re
from pathlib import Path

import pytest

from plugin.painterly import translation
from plugin.painterly.translation import tr

PLUGIN = Path(__file__).resolve().parents[2] / "plugin" / "painterly"
# Said to engineers, in English: the bug report; and the contract, whose words both ends share.
NOT_FOR_ARTISTS = {PLUGIN / "diagnostics.py", PLUGIN / "protocol"}
FILES = sorted(
    path for path in PLUGIN.rglob("*.py") if not NOT_FOR_ARTISTS.intersection([path, *path.parents])
)
# Names of Krita's, not said to anybody.
KRITAS_WORDS = {"pass through"}
# What is declared elsewhere and translated where it is shown.
DECLARED = {"parameter.label", "parameter.help", "parameter.unit", "choice", "job.stage"}


def _tree(path):
    return ast.parse(path.read_text("utf-8"), str(path))


def _translated(tree):
    """The first arguments of all calls of tr."""
    return [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr"
    ]


def _docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            yield node.body[0].value


def _is_sentence(text):
    """Two words with a space between them."""
    return re.search(r"[A-Za-z]{2,}[,:.]? [a-z“{]", text) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PLUGIN).as_posix())
def test_no_sentence_is_outside(path):
    tree = _tree(path)
    allowed = {id(node) for node in [*_translated(tree), *_docstrings(tree)]}
    outside = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in allowed
        if _is_sentence(node.value) and node.value not in KRITAS_WORDS
    ]
    assert outside == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PLUGIN).as_posix())
def test_what_is_translated_is_a_literal(path):
    for argument in _translated(_tree(path)):
        literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        assert literal or ast.unparse(argument) in DECLARED, ast.unparse(argument)


def test_there_are_sentences_to_find():
    found = [text for path in FILES for text in _translated(_tree(path))]
    assert len(found) > 60
    assert (
        _is_sentence("Open a document.")
        and _is_sentence("“{layer}” is gone: it")
        and not _is_sentence("Home")
    )


def test_the_language_is_chosen_before_the_placeholders_are_filled(monkeypatch):
    monkeypatch.setattr(translation, "_translate", translation._translate)
    translation.translate_with(lambda context, text: {"{layer} is gone.": "{layer} ist weg."}.get(text, text))
    assert tr("{layer} is gone.", layer="Hut {1}") == "Hut {1} ist weg."
    assert tr("100 % {sure}") == "100 % {sure}"
