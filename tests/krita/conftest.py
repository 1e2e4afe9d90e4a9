"""Fixtures for tests in the real Krita. Where CI is set, a missing Krita is a failure, never a skip."""

import os
import re
import shutil

import pytest

from . import harness

PYTHON_FILE = "krita-python"


def pytest_collection_modifyitems(config, items):
    missing = harness.missing_programs()
    if missing and not os.environ.get("CI"):
        for item in items:
            if harness.HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="not installed: " + ", ".join(missing)))


@pytest.fixture(scope="session")
def warm_profile(tmp_path_factory, request):
    """A Krita user with the plugin, whose resource database is made already."""
    missing = harness.missing_programs()
    assert not missing, "these tests need " + ", ".join(missing)
    cold = _first_started(request.config.cache.mkdir("krita-first-start"))
    profile = cold.copied_to(tmp_path_factory.mktemp("warm") / "user")
    return profile.equip((cold.root / PYTHON_FILE).read_text())


def _first_started(root):
    """A user as after the first start, which takes 10 s of an idle machine: kept in pytest's cache."""
    if not (root / PYTHON_FILE).exists():
        shutil.rmtree(root)
        said = harness.run_headless(
            harness.Profile(root), "run_cases", {"module": "scenes", "cases": []}, 400
        )
        version = re.search(r"^PAINTERLY-PYTHON (\S+)", said, re.MULTILINE)
        assert version, "kritarunner does not work here:\n" + said[-3000:]
        (root / PYTHON_FILE).write_text(version.group(1))
    return harness.Profile(root)


@pytest.fixture
def profile(warm_profile, tmp_path):
    """A user of this test's own."""
    return warm_profile.copied_to(tmp_path / "user")


@pytest.fixture(scope="module")
def display():
    made = harness.Display()
    yield made
    made.close()


@pytest.fixture
def start(profile, display):
    """Starts this test's Krita: `start()`, `start(real=True)` with the real backend, `start(NAME="value")`."""
    started = []

    def run(real=False, **environment):
        if not (profile.home / "env").exists():
            (profile.give_real_backend if real else profile.give_fake_backend)()
        krita = harness.KritaProgram(profile, display, **environment)
        started.append(krita)
        krita.run((harness.HERE / "inside" / "program_scene.py").read_text())
        krita.wait_for(
            "K.activeDocument() is not None and K.activeDocument().activeNode().name() == 'object'"
        )
        return krita

    yield run
    for krita in started:
        krita.kill()
