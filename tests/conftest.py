"""For all tests: found examples must not depend on the luck or the load of the machine that runs them, and
where CI is set a test that was skipped is a failure of the run (Windows has none of POSIX's modes to test).
A disk that is nearly full is told in one sentence, before it fails hundreds of tests.
"""

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

ROOM_GB = 2  # tests in Krita held 0.7 at a time

settings.register_profile("painterly", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("painterly")


def pytest_sessionstart(session):
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free / 1e9
    if free < ROOM_GB:
        pytest.exit(
            f"The tests need about {ROOM_GB} GB free where {folder} is, and {free:.1f} GB are: free some, or set "
            "TMPDIR to a folder on a larger disk.",
            returncode=1,
        )


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    unseen = [report for kind in ("skipped", "xfailed") for report in reporter.stats.get(kind, ())]
    if unseen and os.environ.get("CI") and os.name != "nt":
        reporter.write_line(f"CI: {len(unseen)} tests were not really run, the first {unseen[0].nodeid}")
        session.exitstatus = session.exitstatus or 1
