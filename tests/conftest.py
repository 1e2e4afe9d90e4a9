"""For all tests: found examples must not depend on the luck or the load of the machine that runs them, and
where CI is set a test that was skipped is a failure of the run (Windows has none of POSIX's modes to test).
"""

import os

from hypothesis import settings

settings.register_profile("painterly", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("painterly")


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    unseen = [report for kind in ("skipped", "xfailed") for report in reporter.stats.get(kind, ())]
    if unseen and os.environ.get("CI") and os.name != "nt":
        reporter.write_line(f"CI: {len(unseen)} tests were not really run, the first {unseen[0].nodeid}")
        session.exitstatus = session.exitstatus or 1
