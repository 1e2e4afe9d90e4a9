"""The contract is read by Krita's own Python: standard library only, Python 3.8 syntax."""

import ast
import sys
from pathlib import Path

import pytest

import plugin.painterly.protocol as protocol

FILES = sorted(Path(protocol.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_standard_library_and_old_syntax(path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        else:
            continue
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names, name
