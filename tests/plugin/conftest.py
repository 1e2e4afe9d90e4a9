import importlib
import os
import sys
import time
from pathlib import Path

import pytest

from plugin.painterly import tasks
from plugin.painterly.backend_link import BackendLink
from plugin.painterly.launcher import Launcher
from plugin.painterly.session import Session
from plugin.painterly.settings import Settings
from tests.fakes import krita

from .fakes import FakeCanvas

HERE = Path(__file__).resolve().parent
INSIDE = HERE.parent / "krita" / "inside"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """PAINTERLY_HOME with a Python whose backend is the fake one."""
    python = tmp_path / "home" / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nexec "{}" "{}" "$@"\n'.format(sys.executable, HERE / "serve_fake.py"))
    python.chmod(0o755)
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.devnull)
    return tmp_path / "home"


@pytest.fixture
def launcher(home):
    made = Launcher()
    yield made
    made.stop()


class Driver:
    """A session with its event loop."""

    def __init__(self, session, canvas, link, launcher):
        self.session, self.canvas, self.link, self.launcher = session, canvas, link, launcher

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.session.tick()
            time.sleep(0.002)
            assert time.monotonic() < end, [vars(job) for task in self.session.tasks for job in task.jobs]

    def finish(self, task):
        self.until(lambda: task.ended and not self.session.busy)
        return [job.state for job in task.jobs]

    def running(self, task):
        self.until(lambda: task.current is not None and task.current.state == tasks.RUNNING)


@pytest.fixture
def inside(monkeypatch):
    """Imports a module of tests/krita/inside as kritarunner does, but with the fake Krita."""
    names = [path.stem for path in INSIDE.glob("*.py")]
    krita.install(monkeypatch)
    monkeypatch.syspath_prepend(str(INSIDE))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in list(sys.modules):
        if name in names or name.startswith("plugin.painterly.canvas"):
            del sys.modules[name]


@pytest.fixture
def driver(launcher, tmp_path):
    canvas, settings = FakeCanvas(), Settings()
    link = BackendLink(launcher, lambda: settings.connection_file)
    session = Session(canvas, link, settings, tmp_path / "recovered")
    yield Driver(session, canvas, link, launcher)
    session.close()
