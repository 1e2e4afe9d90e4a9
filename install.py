#!/usr/bin/env python3
"""Sets Painterly up in a private environment in the user's data folder, and mends it when run again.

    python3 install.py            set up or repair, and put the plugin into this user's Krita
    python3 install.py --demo     ... and harmonize the demo picture
    python3 install.py --test     ... with the test tools, and run all tests
    python3 install.py --where    print where everything is, as JSON
    python3 install.py --uninstall  take the plugin and the environment away again

Standard library only, Python 3.9 or newer, no root. Nothing is changed outside the data folder
(PAINTERLY_HOME names another one, which the plugin in Krita remembers) and, without a flag, Krita's own folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

from backend.installer.commands import Failure, explain_os_error, hand_over, say
from backend.installer.environment import only_one, set_up
from backend.krita_setup import install, krita_users, snap_was_started, uninstall
from plugin.painterly.protocol.places import RECORD, Places, places, recorded_home, usual_home

CHECKOUT = Path(__file__).resolve().parent


def painterlys_places() -> Places:
    """PAINTERLY_HOME's; where that is not set those of the plugin in this user's Krita, else the usual ones."""
    recorded = [] if os.environ.get("PAINTERLY_HOME") else recorded_homes()
    return Places.below(recorded[0]) if recorded else places()


def recorded_homes() -> list[Path]:
    """The homes from which the plugins in this user's Kritas were installed."""
    found = (recorded_home(user.installed / RECORD.name) for user in krita_users())
    return [home for home in found if home is not None]


def run_demo(at: Places) -> int:
    """Harmonizes the demo picture; the last line printed is the path of the sheet."""
    command = [str(at.python), "-m", "backend.demo", "-o", str(at.data / "demo")]
    return hand_over(command, at.home, at)


def run_tests(at: Places, arguments: list[str]) -> int:
    """Runs pytest in the environment on this checkout's sources; its exit code."""
    command = [str(at.python), "-m", "pytest", *arguments]
    return hand_over(command, CHECKOUT, at)


def put_into_krita(at: Places) -> None:
    """Installs the plugin for every Krita of this user; says so if there is none."""
    users = [user for user in krita_users() if user.resources.is_dir() or shutil.which("krita")]
    for user in users:
        say(f"Putting the plugin into {user.resources}...")
        lacking = install(CHECKOUT / "plugin", user, at.python, at=at)
        if lacking:
            say(
                f"There is no pyzmq for Python {', '.join(lacking)} yet: should your Krita bring one of these, "
                "run install.py again with a network connection."
            )
        say("The plugin is there: start Krita anew, then Tools > Scripts > Harmonize pasted layer.")
        if user.flatpak:
            say(
                "This Krita is a Flatpak, where Painterly was never tried: if its sandbox lacks this Python, use "
                "Krita's AppImage or your system's own package of it."
            )
    if snap_was_started():
        say(
            "A Krita from a Snap, where Painterly was never tried, does not see the plugin's folder: use Krita's AppImage "
            "or your system's own package of it."
        )
    if not users:
        say(
            "Krita was not found: install it, start it once and run install.py again, to put the plugin into it."
        )


def take_away(at: Places) -> None:
    """Removes the plugin from Krita, the environment, caches and logs; what was painted stays in the data folder."""
    others = {home for home in recorded_homes() if home != at.home and home.is_dir()}
    missing = at.home != usual_home() and not at.home.is_dir()
    with only_one(at) if at.home.is_dir() else contextlib.nullcontext():
        _remove_all_but_data(at)
    say(
        f"Painterly is gone; {at.data} is yours to keep or delete."
        if at.data.exists()
        else "Painterly is gone."
    )
    if missing:
        say(f"{at.home} was not there: should it be on a disk that is not connected now, delete it there.")
    for home in sorted(others):
        say(
            f"The plugin was of another one in {home}: with PAINTERLY_HOME={home}, run install.py --uninstall."
        )


def _remove_all_but_data(at: Places) -> None:
    """Raises Failure if something stays, after removing all that can be removed."""
    left = []  # as much as goes is removed; the rest is told
    for user in krita_users():
        try:
            if uninstall(user):
                say(f"The plugin is gone from {user.resources}.")
        except OSError as error:
            left.append(str(error.filename or user.resources))
    with contextlib.suppress(OSError):
        at.stamp.unlink(missing_ok=True)
        at.data.rmdir()  # if nothing was painted
    for folder in (at.env, at.cache, at.log):
        shutil.rmtree(folder, ignore_errors=True)
    left += [str(path) for path in (at.stamp, at.env, at.cache, at.log) if path.exists()]
    if left:
        raise Failure(in_use(left))


def in_use(left: list[str]) -> str:
    return (
        f"These are in use or protected: {', '.join(left)}; end Krita, see to it that you may change them, "
        "and run install.py again."
    )


def read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    title, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="install.py", description=title, epilog=details, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--demo", action="store_true", help="set up, and harmonize the demo picture")
    what.add_argument("--where", action="store_true", help="print the places as JSON and do nothing")
    what.add_argument("--uninstall", action="store_true", help="take the plugin and the environment away")
    what.add_argument("--test", nargs=argparse.REMAINDER, metavar="PYTEST_ARGUMENT",
                      help="set up with the test tools, and run the tests")  # fmt: skip
    return parser.parse_args(arguments)


def as_asked(asked: argparse.Namespace) -> str:
    """The command that was given: without its flag it does something else."""
    given = (name for name, value in vars(asked).items() if value not in (None, False))
    return " ".join(["install.py", *(f"--{name}" for name in given)])


def main(arguments: list[str] | None = None) -> int:
    """The exit code: pytest's after --test, else 0, 1 for a failure told in one sentence, 130 interrupted."""
    if sys.stdout is not None:
        # A path may hold what a log's encoding does not, as on Windows: shown with escapes it does no harm.
        sys.stdout.reconfigure(errors="backslashreplace")
    asked, at = read_arguments(arguments), painterlys_places()
    if asked.where:
        print(at.as_json())
        return 0
    if at != places():
        say(
            f"Painterly is in {at.home}, from where the plugin in Krita was installed; to have another, set PAINTERLY_HOME."
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if asked.uninstall:
            take_away(at)
            return 0
        with only_one(at):
            set_up(at, CHECKOUT, ("test",) if asked.test is not None else ())
            if asked.test is None and not asked.demo:
                put_into_krita(at)
        if asked.test is not None:
            return run_tests(at, asked.test)
        if asked.demo:
            return run_demo(at)
        say(f"Painterly is ready: {at.python.with_name('painterly')}")
        return 0
    except Failure as failure:
        told, code = str(failure), 1
    except OSError as error:
        told = in_use([str(error.filename or at.home)]) if asked.uninstall else explain_os_error(error, at)
        code = 1
    except KeyboardInterrupt:
        told, code = "Interrupted: run install.py again and it goes on from here.", 130
    print(told.replace("run install.py again", f"run {as_asked(asked)} again"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
