"""Runs commands: every detail goes to the log, the user reads plain words."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from plugin.painterly.protocol.places import Places


def newest_python(system: str, processor: str) -> tuple[int, int]:
    """The newest Python for which all compiled dependencies publish wheels; torch left Intel Macs with 2.2."""
    return (3, 12) if (system, processor) == ("darwin", "x86_64") else (3, 14)


OLDEST, NEWEST = (3, 9), newest_python(sys.platform, platform.machine())
# Linux wheels of torch for x86_64 carry the CUDA libraries: gigabytes installed, and more while installing.
CUDA_WHEELS = sys.platform == "linux" and platform.machine() == "x86_64"
SIZE_GB, ROOM_GB = (6, 10) if CUDA_WHEELS else (1, 3)
# pip's settings that make it install into another place than the environment it is in.
LEADING_OUT = ("target", "prefix", "root")
# Less than the smallest step of the installation needs.
FULL_DISK_BYTES = 20e6

# Windows refuses to change what a running program has open, as Krita has pyzmq's library.
_IN_USE = r"WinError (?:5|32)\b|Access is denied" + (r"|Errno 13\b" if os.name == "nt" else "")
# What Python adds to such a message: the path, quoted as in its source code.
_PATH = r"(?:.*?: (?P<quote>['\"])(?P<path>.+?)(?P=quote))?"

# What pip, venv and the operating system say, and what it means for the user; the first that fits counts.
# What the computer lacked for the moment comes first: it tells nothing about what is installed.
SHORTAGES = {
    r"No space left on device|Errno 28\b|not enough space on the disk|Disk quota exceeded": (
        "The disk is full: free about {room} GB where {home} is, or set PAINTERLY_HOME to a folder on a "
        "larger disk, and run install.py again."
    ),
    r"MemoryError|bad_alloc|Cannot allocate memory|WinError 1455|paging file is too small": (
        "There was not enough memory: close other programs and run install.py again."
    ),
    # Seen for want of memory, and where a disk is mounted so that nothing on it may be executed.
    r"failed to map segment from shared object": (
        "The libraries could not be loaded: close other programs to have more memory, or set PAINTERLY_HOME to a "
        "folder on a disk from which programs may run, and run install.py again."
    ),
}
EXPLANATIONS = {
    **SHORTAGES,
    r"CERTIFICATE_VERIFY_FAILED|certificate verify failed": (
        "The package server's certificate was not accepted: check this computer's date and its proxy, and "
        "run install.py again."
    ),
    r"NewConnectionError|NameResolutionError|name resolution|getaddrinfo failed|Network is unreachable"
    r"|ConnectTimeoutError|ReadTimeoutError|Read timed out|ProxyError|Max retries exceeded"
    r"|Connection (?:refused|broken|aborted|reset)": (
        "The package server cannot be reached: check the network connection and run install.py again; what "
        "was already downloaded is kept."
    ),
    rf"(?:{_IN_USE}){_PATH}": (
        "{path} is in use or protected: end Krita, see to it that you may change it{elsewhere}, and run "
        "install.py again."
    ),
    rf"(?:Read-only file system|Permission denied|Errno (?:13|30)\b|File exists|Not a directory){_PATH}": (
        "{path} cannot be written: see to it that you may write there{elsewhere}, and run install.py again."
    ),
    r"ensurepip is not available|No module named ensurepip": (
        "This Python cannot make environments: install its venv module (on Debian and Ubuntu 'sudo apt "
        "install python3-venv') and run install.py again."
    ),
    r"No matching distribution found for (?P<what>\S+)": (
        "There is no {what} for Python {python} on this computer: run install.py with another Python from "
        "{oldest} to {newest}."
    ),
}


class Failure(Exception):
    """Setting up cannot go on; the message is one sentence: what happened and what to do."""


class Shortage(Failure):
    """Memory or room was lacking: whether what is installed works is not known."""


def explain(said: list[str], code: int, doing: str, at: Places) -> str:
    """One sentence for a command that ended with `code` after printing the lines `said`."""
    text = _all_that_is_known(said, code, at)
    for pattern, sentence in EXPLANATIONS.items():
        found = re.search(pattern, text)
        if found:
            named = found.groupdict()
            path = Path((named.pop("path", None) or str(at.home)).replace(r"\\", "\\"))
            ours = at.home in (path, *path.parents) or path in at.home.parents
            return sentence.format(
                room=ROOM_GB, home=at.home, python=dotted(sys.version_info[:2]), path=path,
                elsewhere=", or set PAINTERLY_HOME to another folder" if ours else "",
                oldest=dotted(OLDEST), newest=dotted(NEWEST), **named,
            )  # fmt: skip
    last = next((line.strip() for line in reversed(said) if line.strip()), f"exit code {code}")
    return f"{doing} failed ({last}): run install.py again, and if it fails again report {at.logfile}."


def as_failure(said: list[str], code: int, doing: str, at: Places) -> Failure:
    """What `explain` says, as the exception to raise."""
    text = _all_that_is_known(said, code, at)
    lacking = any(re.search(pattern, text) for pattern in SHORTAGES)
    return (Shortage if lacking else Failure)(explain(said, code, doing, at))


def _all_that_is_known(said: list[str], code: int, at: Places) -> str:
    """`said` as one text, with what not every command says that fails for it."""
    known = list(said)
    if _disk_is_full(at):
        known.append("No space left on device")
    if sys.platform == "linux" and code == -signal.SIGKILL:  # the kernel ends who takes the last memory
        known.append("Cannot allocate memory")
    return "\n".join(known)


def _disk_is_full(at: Places) -> bool:
    return at.home.is_dir() and shutil.disk_usage(at.home).free < FULL_DISK_BYTES


def explain_os_error(error: OSError, at: Places) -> str:
    """One sentence for a file operation of the installer itself that failed."""
    return explain([str(error)], 1, "Setting up", at)


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def say(line: str) -> None:
    print(line, flush=True)


def clean_environment(at: Places) -> dict[str, str]:
    """This process's environment variables for another Python: without those that would lead it astray.

    PAINTERLY_HOME is absolute in it, as the other works in another folder.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PAINTERLY_HOME": str(at.home)}


def pip_environment(at: Places) -> dict[str, str]:
    """Like `clean_environment`; of the variables that set pip those are left out that lead out of the environment.

    What its files set stays, see `check_pip_settings`.
    """
    strays = (*(f"PIP_{name.upper()}" for name in LEADING_OUT), "PIP_REQUIRE_VIRTUALENV")
    kept = {name: value for name, value in clean_environment(at).items() if name not in strays}
    scratch = str(at.scratch)
    return {
        **kept,
        "LC_ALL": "C",  # `explain` reads the error texts: they must not be translated
        "PYTHONUTF8": "1",
        "PIP_CACHE_DIR": str(at.cache / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_USER": "0",  # in pip.conf it would forbid every installation into an environment
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch),  # the system's is often too small for torch
    }


def check_pip_settings(at: Places) -> None:
    """Raises Failure if a file of pip's settings makes the environment's pip install elsewhere.

    No variable can outweigh one: pip overlooks an empty one.
    """
    command = [str(at.python), "-I", "-m", "pip", "config", "list"]
    for line in run_logged(at, command, "Asking pip for its settings"):
        found = re.match(rf"(?:global|install)\.(?:{'|'.join(LEADING_OUT)})(?==)", line)
        if found:
            raise Failure(
                f"pip's setting {found[0]} would put the libraries elsewhere: take it out ('pip config debug' shows in "
                "which file it is), and run install.py again."
            )


def run_logged(at: Places, command: list[str], doing: str) -> list[str]:
    """Runs to the end, output to the log, large downloads told; returns the lines of output, raises Failure.

    On POSIX the child inherits the installation's lock (see `only_one`): should this process be killed,
    the lock is free only when the child has ended too.
    """
    said = []
    with open(at.logfile, "a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        with subprocess.Popen(
            command, env=pip_environment(at), cwd=at.home, close_fds=os.name == "nt",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace",
        ) as child:  # fmt: skip
            try:
                for line in child.stdout or ():
                    log.write(line)
                    said.append(line.rstrip())
                    tell_download(line)
            except BaseException:
                child.terminate()
                raise
    if child.returncode:
        raise as_failure(said, child.returncode, doing, at)
    return said


def hand_over(command: list[str], folder: Path, at: Places) -> int:
    """Runs the command that was asked for, in `folder` and on this terminal; its exit code.

    Ctrl-C reaches it from the terminal and SIGTERM becomes one: it ends in its own way, after it has written
    its best so far or ended what it had started, and this process waits for it. A signal's number is its
    exit code less 128, as in a shell.
    """
    child = []

    def end(number: int, frame: object) -> None:
        for process in child:
            process.send_signal(signal.SIGINT)

    # Functions, not SIG_IGN, which the child would inherit.
    heeded = {signal.SIGINT: lambda number, frame: None, signal.SIGTERM: end}
    before = {number: signal.signal(number, what) for number, what in heeded.items()}
    try:
        child.append(subprocess.Popen(command, cwd=folder, env=clean_environment(at)))
        code = child[0].wait()
    finally:
        for number, what in before.items():
            signal.signal(number, what)
    return code if code >= 0 else 128 - code


def tell_download(line: str) -> None:
    """One line for each of pip's downloads that takes a while."""
    found = re.match(r"\s*Downloading (?:\S*/)?([A-Za-z0-9_.]+?)-\d\S* \((\d+)(?:\.\d+)? ([MG]B)\)", line)
    if found and (found[3] == "GB" or int(found[2]) >= 50):
        say(f"  downloading {found[1]}, {found[2]} {found[3]}")
