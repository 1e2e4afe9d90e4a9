"""Is that process still the one it was? A number alone is not enough: systems reuse them."""

import ctypes
import os
import subprocess
import sys


def started(pid: int) -> str:
    """When the living process `pid` began, in the system's own words; empty if there is none (or a zombie).

    Two equal answers for one pid mean the same process, across reboots too.
    """
    if pid <= 0:
        return ""
    if sys.platform.startswith("linux"):
        return _started_linux(pid)
    if sys.platform == "win32":
        return _started_windows(pid)
    return _started_posix(pid)


def _started_linux(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may itself hold spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", "r", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        return ""
    state, ticks = fields[0], fields[19]
    return "" if state in (b"Z", b"X") else "{}+{}".format(boot, ticks.decode("ascii"))


def _started_posix(pid: int) -> str:
    # One clock, wherever the machine travels to; and a session of its own, which no Ctrl-C reaches.
    ps = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        env=dict(os.environ, LC_ALL="C", TZ="UTC0"), start_new_session=True,
    )  # fmt: skip
    state, _, when = ps.stdout.decode("ascii", "replace").strip().partition(" ")
    return "" if state.startswith("Z") else when.strip()


def _started_windows(pid: int) -> str:
    query_limited_information, still_active = 0x1000, 259
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(kernel.OpenProcess(query_limited_information, False, pid))
    if not handle:
        return ""
    try:
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        times = [ctypes.c_ulonglong() for _ in range(4)]
        kernel.GetProcessTimes(handle, *[ctypes.byref(time) for time in times])
        return str(times[0].value) if code.value == still_active else ""
    finally:
        kernel.CloseHandle(handle)
