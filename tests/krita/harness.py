"""Starts the real Krita for tests: headless by `kritarunner`, or the program under its own Xvfb."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from backend import krita_setup

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PROGRAMS = ("krita", "kritarunner", "Xvfb", "xdotool", "import")
# A second Krita would otherwise hand over to the first and end.
KRITARC = """EnableSingleApplication=false

[python]
enable_painterly_probe=true

[MainWindow]
Height 600=768
Width 1024=1200
"""


def missing_programs():
    """Which of the programs that these tests need are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Profile:
    """A Krita user of its own: folders for settings, resources and caches below `root`."""

    def __init__(self, root: Path):
        self.root = root
        self.data, self.config, self.run = root / "data", root / "config", root / "run"
        for folder in (self.data / "krita" / "pykrita", self.config, self.run, root / "cache"):
            folder.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o700)

    def equip(self, krita_python: str) -> "Profile":
        """Install the plugin as the installer does, for Krita's own Python, and the probe beside it."""
        # What kritarunner made at its first start is what the program would make, in 10 s, at its own.
        shutil.copytree(self.data / "kritarunner", self.data / "krita", dirs_exist_ok=True)
        user = krita_setup.KritaUser(self.data / "krita", self.config / "kritarc")
        user.kritarc.write_text(KRITARC)
        krita_setup.install(ROOT / "plugin", user, Path(sys.executable), (krita_python,))
        for name in ("painterly_probe", "painterly_probe.desktop"):
            (self.data / "krita" / "pykrita" / name).symlink_to(HERE / "probe" / name)
        (self.config / "kritadisplayrc").write_text("[General]\nOpenGLRenderer=none\n")
        return self

    @property
    def home(self) -> Path:
        """PAINTERLY_HOME of this user."""
        return self.root / "painterly"

    def give_backend(self, command: str) -> "Profile":
        """A backend environment whose Python is `command` (shell words before the arguments)."""
        python = self.home / "env" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(
            "#!/bin/sh\nexport PYTHONPATH='{}' OMP_NUM_THREADS=1\nexec {} \"$@\"\n".format(ROOT, command)
        )
        python.chmod(0o755)
        return self

    def give_real_backend(self) -> "Profile":
        return self.give_backend("'{}'".format(sys.executable))

    def give_fake_backend(self) -> "Profile":
        """The real service with a worker that does as a job's settings say (tests/fakes/backend.py)."""
        return self.give_backend(
            "'{}' '{}'".format(sys.executable, ROOT / "tests" / "plugin" / "serve_fake.py")
        )

    def copied_to(self, root: Path) -> "Profile":
        """The same user again, warm (its resource database is made already), in another folder."""
        shutil.copytree(self.root, root, symlinks=True)
        return Profile(root)

    def environment(self, **extra: str) -> dict:
        # Krita's embedded Python looks for its libraries beside the first python3 on PATH: only the system's.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        kept["PATH"] = "/usr/bin:/bin:/usr/games"
        folders = {
            "HOME": self.root,
            "XDG_DATA_HOME": self.data,
            "XDG_CONFIG_HOME": self.config,
            "XDG_CACHE_HOME": self.root / "cache",
            "XDG_RUNTIME_DIR": self.run,
            "PAINTERLY_HOME": self.home,
        }
        return {**kept, **{name: str(path) for name, path in folders.items()}, "LANG": "C.UTF-8", **extra}


def run_headless(profile: Profile, module: str, arguments: dict, timeout: float = 300) -> str:
    """Run `main` of tests/krita/inside/`module`.py in kritarunner; returns what it printed.

    kritarunner's exit code says nothing, so callers demand a last line.
    """
    environment = profile.environment(
        QT_QPA_PLATFORM="offscreen",
        PYTHONPATH=os.pathsep.join([str(HERE / "inside"), str(ROOT)]),
        PAINTERLY_CASE=json.dumps(arguments),
    )
    done = subprocess.run(
        ["kritarunner", "-s", module, "-f", "main"],
        env=environment, timeout=timeout, cwd=str(profile.root), text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


class Display:
    """An X server of one's own, on a free display number."""

    def __init__(self, size: str = "1280x900x24"):
        for number in random.sample(range(100, 1000), 5):  # one may be taken
            self.name = ":{}".format(number)
            self._process = subprocess.Popen(
                ["Xvfb", self.name, "-screen", "0", size, "-nolisten", "tcp", "-noreset"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._answers(10):
                return
            self.close()
        raise AssertionError("Xvfb does not start.")

    def _answers(self, seconds: float) -> bool:
        environment = {**os.environ, "DISPLAY": self.name}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            asked = subprocess.run(["xdotool", "getdisplaygeometry"], env=environment, capture_output=True)
            if asked.returncode == 0:
                return True
            time.sleep(0.1)
        return False

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class InsideError(AssertionError):
    """Code sent into Krita raised; the message is its traceback."""


class KritaProgram:
    """A running Krita that answers to Python sent to it."""

    def __init__(self, profile: Profile, display: Display, **environment: str):
        self.profile, self.display = profile, display
        self._socket_path = str(profile.run / "probe")
        self.log = profile.root / "krita.log"
        self._environment = profile.environment(
            DISPLAY=display.name, PAINTERLY_PROBE=self._socket_path, **environment
        )
        self.process = subprocess.Popen(
            ["krita", "--nosplash"], env=self._environment, cwd=str(profile.root),
            stdout=self.log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            self._socket = self._connect(240)
        except BaseException:
            self._kill_group()
            raise

    def _connect(self, timeout: float) -> socket.socket:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            client = socket.socket(socket.AF_UNIX)
            try:
                client.connect(self._socket_path)
                client.settimeout(60)
                return client
            except OSError:
                client.close()
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise AssertionError("Krita did not answer:\n" + self.log.read_text()[-3000:])

    def run(self, code: str):
        """Execute `code` in Krita's GUI thread; its variable `result` comes back (JSON types)."""
        self._socket.sendall(json.dumps({"code": code}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise AssertionError("Krita ended:\n" + self.log.read_text()[-3000:])
            answer += piece
        reply = json.loads(answer)
        if "error" in reply:
            raise InsideError(reply["error"])
        return reply["result"]

    def value(self, expression: str):
        return self.run("result = " + expression)

    def wait_for(self, expression: str, timeout: float = 30):
        """The first truthy value of `expression`; fails with its last value after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            value = self.value(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError("Still {!r} after {:g} s: {}".format(value, timeout, expression))
            time.sleep(0.05)

    def trigger(self, action: str) -> None:
        """A menu action of Krita's own; Krita allows some only moments after what they need is there."""
        self.wait_for("K.action({!r}).isEnabled()".format(action), 10)
        self.run("K.action({!r}).trigger()".format(action))

    def click(self, widget: str) -> None:
        """A real mouse click, by the X server, in the middle of the widget that `widget` evaluates to."""
        x, y = self.run(
            "w = {}\np = w.mapToGlobal(w.rect().center())\nresult = [p.x(), p.y()]".format(widget)
        )
        self.xdotool("mousemove", str(x), str(y), "click", "1")

    def xdotool(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self._environment, check=True, timeout=20)

    def screenshot(self, path: Path) -> None:
        subprocess.run(
            ["import", "-window", "root", str(path)], env=self._environment, check=True, timeout=30
        )

    def quit(self, timeout: float = 30) -> None:
        """Close all documents unsaved and quit as the menu does."""
        self.run(
            "for d in Krita.instance().documents():\n    d.setModified(False)\n    d.close()\n"
            "try:\n    from PyQt5.QtCore import QTimer\nexcept ImportError:\n    from PyQt6.QtCore import QTimer\n"
            "QTimer.singleShot(100, Krita.instance().action('file_quit').trigger)"
        )
        self.process.wait(timeout)

    def kill(self) -> None:
        """End what is left of this Krita and of the processes it started in its group."""
        self._socket.close()
        self._kill_group()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait(60)
