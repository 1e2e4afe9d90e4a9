"""Finds, starts and ends the backend: a process of its own Python, without a console window."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import BinaryIO, Dict, Optional

from .job import Problem
from .protocol.endpoint import Endpoint
from .protocol.errors import ProtocolError
from .protocol.exchange import SHARE_FROM
from .protocol.logs import new_log
from .protocol.places import places
from .translation import tr

START_SECONDS = 120.0
END_SECONDS = 3.0
# Krita's own Python and libraries (an AppImage names them here) would lead the backend's astray.
_STRIPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONSTARTUP", "LD_LIBRARY_PATH", "LD_PRELOAD")
_FLATPAK = Path("/.flatpak-info")  # is in each Flatpak's sandbox and nowhere else
_LOG_TAIL = 4000
_READY = ["painterly", "ready"]  # how the line begins that tells where it listens


def home() -> Path:
    """Painterly's folder: that of the installer which put this plugin into Krita, unless PAINTERLY_HOME is set."""
    return places().home


def backend_python() -> Path:
    """The backend's own Python; raises Problem if it is not installed."""
    python = places().python
    if not python.exists():
        if _FLATPAK.exists():
            raise Problem(
                tr(
                    "This Krita is a Flatpak, and Python for Painterly's backend is out of its reach: use Krita's "
                    "AppImage or your system's own package of it."
                )
            )
        raise Problem(tr("Painterly's backend is not installed in {folder}: run install.py.", folder=home()))
    return python


def clean_environment() -> Dict[str, str]:
    """This process's environment without what belongs to Krita's own Python, and with this plugin's home."""
    kept = {name: value for name, value in os.environ.items() if name not in _STRIPPED}
    return {**kept, "PAINTERLY_HOME": str(home())}


class Launcher:
    """One backend process: `start()`, then `endpoint_file()` until it gives the connection file."""

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen] = None
        self._folder: Optional[Path] = None
        self._started_at = 0.0
        self.log_path = places().log  # the present start's own file, the folder of all before the first

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts a new process; raises Problem if that is not possible."""
        self.stop()
        python = backend_python()
        self._started_at = time.monotonic()
        try:
            # Owner-only, and each start has its own: a connection file found there is this process's.
            self._folder = Path(tempfile.mkdtemp(prefix="painterly-"))
            command = [
                str(python), "-m", "backend", "serve",
                "--connection-file", str(self._connection_file()), "--folder", str(self._pixel_folder()),
                "--parent-pid", str(os.getpid()), "--end-with-stdin",
            ]  # fmt: skip
            with self._new_log() as log:
                self.log_path = Path(log.name)
                self._process = subprocess.Popen(
                    command, cwd=str(home()), env=clean_environment(), creationflags=_no_window(),
                    stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                )  # fmt: skip
        except OSError as error:
            self.stop()
            raise Problem(tr("The backend could not be started: {error}.", error=error)) from None

    def endpoint_file(self) -> Optional[Path]:
        """The connection file once the backend listens, None before; raises Problem if it ended or hangs."""
        path = self._connection_file()
        try:
            if Endpoint.read(path).alive:
                return path
        except (OSError, ProtocolError):
            pass  # not written yet
        if not self.running:
            raise Problem(tr("The backend ended while starting: {words}", words=self.last_words()))
        if time.monotonic() - self._started_at > START_SECONDS:
            self.stop()
            raise Problem(
                tr("The backend did not start within {seconds:.0f} seconds.", seconds=START_SECONDS)
            )
        return None

    def last_words(self) -> str:
        """The last line of the backend's log; that it was ready tells nothing about its end."""
        lines = [line.strip() for line in self.log_tail().splitlines()]
        lines = [line for line in lines if line and line.split()[:2] != _READY]
        return lines[-1] if lines else tr("it left no message; see {path}.", path=self.log_path)

    def log_tail(self) -> str:
        try:
            return self.log_path.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace")
        except OSError:
            return ""

    def stop(self) -> None:
        """Ends the process, by force if it does not heed; returns at once if there is none."""
        if self._process is not None:
            self._process.stdin.close()
            try:
                self._process.terminate()
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            self._remove_pixels()
        if self._folder is not None:
            # On Windows a worker that outlives the service for a moment has files open: they stay. (There
            # TemporaryDirectory raises, in some versions of Python a RecursionError.)
            shutil.rmtree(str(self._folder), ignore_errors=True)
            self._folder = None

    def _connection_file(self) -> Path:
        return self._folder / "connection.json"

    def _new_log(self) -> BinaryIO:
        """Of this start alone: two Kritas may be at work. Where logs cannot be written it goes with this start."""
        try:
            return new_log(places().log, "service")
        except OSError:
            return new_log(self._folder, "service")

    def _pixel_folder(self) -> Path:
        """Where the backend keeps pixels and clears away what killed ones left: a folder that all starts share, on
        the disk of the rest, since a temporary folder may be memory. Only where no job's pixels could be written to
        it, this start's own."""
        shared = places().cache / "service"
        return shared if _takes_pixels(shared) else self._folder / "service"

    def _remove_pixels(self) -> None:
        """After its end: those of a backend that could not do it itself, as always on Windows, where ending is
        killing. The next start clears away the rest of its folder, once it sees whose it was."""
        try:
            exchange = Endpoint.read(self._connection_file()).exchange
        except (OSError, ProtocolError):
            return  # it has cleared away everything
        if exchange:
            shutil.rmtree(exchange, ignore_errors=True)


def _takes_pixels(folder: Path) -> bool:
    """Makes the folder, owner-only, and tries whether its disk has room for as little as goes there at all."""
    probe = folder / "{}.tmp".format(uuid.uuid4().hex)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with open(str(probe), "xb") as file:
                file.write(bytes(SHARE_FROM))
        finally:
            probe.unlink()
    except OSError:
        return False
    return True


def _no_window() -> int:
    """Flags that keep Windows from showing a console."""
    return getattr(subprocess, "CREATE_NO_WINDOW", 0)
