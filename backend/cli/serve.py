"""`painterly serve`: the service that Krita talks to, on this machine or another.

On this machine (the default) it listens on a free loopback port and writes a connection file, readable by
its owner only, with the address and the keys; whoever can read that file may use the service. Once it
listens it prints one line, `painterly ready FILE`. On Windows the file has the rights of its folder: a new
folder is made for you alone (by Python 3.9.20, 3.10.15, 3.11.10, 3.12.4, 3.13 or later), one in your profile
is yours anyway, and any other you have to look after yourself.

For other machines it takes a keys file. Once, on the machine that computes:

    painterly serve --keys keys.json --bind tcp://gpu.example:5555 --invite laptop.json

makes `keys.json`, allows one more client and writes its connection file `laptop.json`: carry that one to the
other machine by a safe way, it holds the client's secret key, and name it in the plugin's settings or in
`painterly harmonize --via laptop.json`. Then

    painterly serve --keys keys.json --bind tcp://0.0.0.0:5555

serves all clients whose keys are in `keys.json`. Invitations count at once; to shut a client out, take it out
of the file (an open connection stays until it ends). All traffic is encrypted and authenticated (CurveZMQ);
for the pixels, which a client on this machine hands over as files, that takes at least three times as long as
a plain socket would, on a busy machine up to nine times.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
import sys
from pathlib import Path

import zmq

from backend.cli.telling import tell
from backend.service.jobs import KEEP_SECONDS
from plugin.painterly.protocol.errors import ProtocolError
from plugin.painterly.protocol.places import places

_ADDRESS = re.compile(r"tcp://(?P<host>\[[^\][]+\]|[^\s:/\][]+):(?P<port>[0-9]+|\*)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = __doc__.split("\n\n", 1)[1]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    here = places().cache / "service"
    parser.add_argument(
        "--connection-file",
        type=Path,
        metavar="FILE",
        help=f"where to write it (default {here / 'connection.json'})".replace("%", "%%"),
    )
    parser.add_argument(
        "--folder", type=Path, default=here, metavar="DIR", help="for private files while it runs"
    )
    parser.add_argument(
        "--bind", metavar="tcp://HOST:PORT", help="where to listen (default a free loopback port)"
    )
    parser.add_argument("--keys", type=Path, metavar="FILE", help="serve other machines; made if missing")
    parser.add_argument(
        "--invite", type=Path, metavar="FILE", help="allow a client, write its connection file, end"
    )
    parser.add_argument("--parent-pid", type=int, default=0, metavar="PID", help="end when this process ends")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input is closed")
    parser.add_argument(
        "--idle",
        type=float,
        default=30.0,
        metavar="MINUTES",
        help="end after so long without a client (default 30), but not while a result is kept for one "
        f"({KEEP_SECONDS / 3600:.0f} hours at most)",
    )
    parser.add_argument("--queue", type=int, default=64, metavar="N", help="jobs that may wait (default 64)")


def run(args: argparse.Namespace) -> int:
    problem = _problem(args)
    if problem:
        print(f"painterly: {problem}", file=sys.stderr)
        return 2
    try:
        return _invite(args) if args.invite else _serve(args)
    except (OSError, ProtocolError, zmq.ZMQError) as error:
        what = "The client cannot be invited" if args.invite else "The service cannot start"
        print(f"painterly: {what}: {error}", file=sys.stderr)
        return 2


def _problem(args: argparse.Namespace) -> str:
    """What is wrong with the options taken together, in one sentence; empty if nothing is."""
    if args.invite and not (args.keys and args.bind):
        return "--invite needs --keys and, in --bind, the address that the client is to use."
    if args.invite and _same_file(args.invite, args.keys):
        return "--invite writes a file for the client; --keys stays here: name two files."
    if args.keys and args.connection_file:
        return "With --keys each client has its own connection file from --invite."
    if args.bind and not _is_address(args.bind):
        return "--bind is tcp://HOST:PORT, with a port from 1 to 65535 or * for any that is free."
    if args.invite and not _leads_here(args.bind):
        return (
            "With --invite, --bind is how the client reaches this machine: its name or number, and a port "
            "from 1 to 65535."
        )
    if args.bind and not args.keys and not args.bind.startswith(("tcp://127.0.0.1:", "tcp://[::1]:")):
        return "To be reached from other machines, --bind needs --keys."
    if not args.idle > 0 or args.queue < 1 or args.parent_pid < 0:  # nan, too, is not above 0
        return "--idle and --queue are above 0, --parent-pid is a process."
    return ""


def _is_address(address: str) -> bool:
    """Of the port libzmq would take the last 16 bits of any number."""
    parts = _ADDRESS.fullmatch(address)
    return parts is not None and (parts["port"] == "*" or 0 < int(parts["port"]) < 1 << 16)


def _leads_here(address: str) -> bool:
    """Whether a client can go there: to listen everywhere, or at any free port, is no place."""
    parts = _ADDRESS.fullmatch(address)
    try:
        nowhere = ipaddress.ip_address(parts["host"].strip("[]")).is_unspecified
    except ValueError:  # a name
        nowhere = parts["host"] == "*"
    return parts["port"] != "*" and not nowhere


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def _invite(args: argparse.Namespace) -> int:
    from backend.service.keys import KeysFile

    KeysFile(args.keys).invite(args.bind, args.invite)
    print(f"Wrote {args.invite}; it holds a secret key, carry it by a safe way.")
    return 0


def _serve(args: argparse.Namespace) -> int:
    from backend.server import Config, Server

    connection_file = None if args.keys else args.connection_file or args.folder / "connection.json"
    config = Config(
        folder=args.folder.absolute(),
        connection_file=connection_file.absolute() if connection_file else None,
        bind=args.bind or "tcp://127.0.0.1:*",
        keys=args.keys,
        parent_pid=args.parent_pid,
        end_with_stdin=args.end_with_stdin,
        idle_seconds=args.idle * 60,
        queue_limit=args.queue,
    )
    tell(f"painterly: {Server(config).run(_say_ready)}")
    return 0


def _say_ready(address: str, connection_file: Path | None) -> None:
    print(f"painterly ready {connection_file or address}", flush=True)
