"""Fixtures for tests in the real Krita. Where CI is set, a missing Krita is a failure, never a skip."""

import os
import re

import pytest

from . import harness


def pytest_collection_modifyitems(config, items):
    missing = harness.missing_programs()
    if missing and not os.environ.get("CI"):
        for item in items:
            if harness.HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="not installed: " + ", ".join(missing)))


@pytest.fixture(scope="session")
def warm_profile(tmp_path_factory):
    """A Krita user whose resource database is made already (that takes 10 s once)."""
    missing = harness.missing_programs()
    assert not missing, "these tests need " + ", ".join(missing)
    profile = harness.Profile(tmp_path_factory.mktemp("warm"))
    said = harness.run_headless(profile, "run_cases", {"module": "scenes", "cases": []})
    version = re.search(r"^PAINTERLY-PYTHON (\S+)", said, re.MULTILINE)
    assert version, "kritarunner does not work here:\n" + said[-3000:]
    return profile.equip(version.group(1))


@pytest.fixture
def profile(warm_profile, tmp_path):
    """A user of this test's own."""
    return warm_profile.copied_to(tmp_path / "user")
