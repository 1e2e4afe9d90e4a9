"""The installer runs on any Python 3.9 that has nothing installed; what it installs suits the same Pythons."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.installer.commands import NEWEST, OLDEST

ROOT = Path(__file__).parents[2]
LISTED = """
import json, sys
sys.path.insert(0, sys.argv[1])
import install
files = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
print(json.dumps([file for file in files if file.startswith(sys.argv[1])]))
"""


def loaded() -> list:
    """The project's files that install.py imports, on a Python without site-packages."""
    command = [sys.executable, "-S", "-E", "-c", LISTED, str(ROOT)]
    return sorted(map(Path, json.loads(subprocess.run(command, capture_output=True, check=True).stdout)))


FILES = loaded()


def imported(tree: ast.AST) -> set:
    """Top-level names of all absolute imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_3_9_syntax_and_standard_library_alone(path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    standard = getattr(sys, "stdlib_module_names", None)
    if standard is None:  # before Python 3.10
        pytest.fail("Run the tests with Python 3.10 or newer: this one cannot list its standard library.")
    assert imported(tree) - {"backend", "plugin"} <= set(standard)


def test_the_files_are_all_that_the_installer_is_made_of():
    names = {path.relative_to(ROOT).as_posix() for path in FILES}
    told = {f"backend/installer/{name}.py" for name in ("__init__", "commands", "environment", "wanted")}
    told |= {f"plugin/painterly/{name}.py" for name in ("__init__", "vendor", "protocol/places")}
    assert told | {"install.py", "backend/krita_setup.py"} <= names


def test_it_starts_on_a_bare_python(tmp_path):
    """-S: without site-packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(ROOT / "install.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--demo" in done.stdout
    assert "--test" in done.stdout


def test_the_oldest_python_is_the_one_declared():
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'requires-python = ">=(.*)"', declared)[1] == ".".join(map(str, OLDEST))
    assert NEWEST > OLDEST


def test_ci_script_is_executable_and_runs_the_tests():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "python3 install.py --test" in script.read_text(encoding="utf-8")
