"""A place to install into, and a stand-in for the environment that records what it was told to do."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

from plugin.painterly.protocol.places import Places


@pytest.fixture
def at(tmp_path) -> Places:
    """Places in a temporary folder, with the folders that `set_up` makes and the sign that they are ours."""
    made = Places.below(tmp_path / "home")
    for folder in (made.data, made.scratch, made.log):
        folder.mkdir(parents=True)
    made.lock.touch()
    return made


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A small checkout: enough for hashing and copying."""
    root = tmp_path / "checkout"
    for name in (
        "backend/__init__.py",
        "plugin/painterly/__init__.py",
        "README.md",
        "LICENSE",
        "pyproject.toml",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name, encoding="utf-8")
    return root


def add_package(site: Path, name: str, version: str, files: dict) -> Path:
    """Lays out an installed package with a RECORD as pip writes it; returns its .dist-info."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    rows = [f"{info.name}/RECORD,,"]
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).decode("ascii").rstrip("=")
        rows.append(f"{json.dumps(path) if ',' in path else path},sha256={digest},{len(text)}")
    (info / "RECORD").write_text("\n".join(rows), encoding="utf-8")
    return info
