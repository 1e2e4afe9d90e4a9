"""Stands in for `python -m backend serve ...`: the fake service, or one that is silent or dead."""

import argparse
import os
import sys
import time
from pathlib import Path

FAKE = Path(__file__).resolve().parents[1] / "fakes" / "backend.py"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m")
    parser.add_argument("command")
    parser.add_argument("--connection-file")
    parser.add_argument("--folder")
    parser.add_argument("--parent-pid")
    parser.add_argument("--end-with-stdin", action="store_true")
    args = parser.parse_args()
    strays = [name for name in ("PYTHONHOME", "LD_LIBRARY_PATH") if name in os.environ]
    if strays:
        sys.exit("not cleaned: " + ", ".join(strays))
    behaviour = Path("behaviour")
    word = behaviour.read_text() if behaviour.exists() else ""
    if word == "dead":
        sys.exit("torch is broken")
    if word == "silent":
        time.sleep(600)
    os.makedirs(args.folder, exist_ok=True)
    fields = [
        'connection_file="{}"'.format(args.connection_file),
        "parent_pid={}".format(args.parent_pid),
        "end_with_stdin=true",
    ]
    os.execv(sys.executable, [sys.executable, str(FAKE), "serve", args.folder, *fields])


if __name__ == "__main__":
    main()
