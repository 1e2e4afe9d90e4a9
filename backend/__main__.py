"""The command line `painterly` (the same as `python -m backend`): one table of commands, one place for errors.

Exit codes: 0 done, 1 failed (unexpectedly, or a part of a batch), 2 bad input or output, 130 stopped.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from typing import NoReturn, Sequence

from backend.cli.failure import EXIT_STOPPED, Stopped, save_details
from backend.cli.telling import tell
from backend.harmonize.errors import HarmonizeError
from plugin.painterly.protocol.parameters import InvalidParameter

# Command -> (module, one line of help). A module is imported only when its command is chosen.
COMMANDS = {
    "harmonize": ("backend.cli.harmonize", "paint one pasted object into its painting"),
    "batch": ("backend.cli.batch", "many composites, with a contact sheet"),
    "bench": ("backend.cli.bench", "measure sizes, presets, precisions and devices"),
    "doctor": ("backend.cli.doctor", "look whether everything is in order, and say what to do"),
    "serve": ("backend.cli.serve", "run the service that Krita talks to"),
}


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="painterly", description="Paints a pasted object into a painting.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, help_line) in COMMANDS.items():
        command = commands.add_parser(name, help=help_line, description=help_line, allow_abbrev=False)
        if name == chosen:
            importlib.import_module(module).add_arguments(command)
    return parser


def _joined(arguments: list[str]) -> list[str]:
    """The arguments with "--offset -5,3" as "--offset=-5,3": argparse takes a lone "-5,3" for an option."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1].startswith("--") and re.match(r"-\d", word):
            joined[-1] += "=" + word
        else:
            joined.append(word)
    return joined


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; every failure becomes a sentence on stderr and an exit code."""
    if sys.stdout is not None:
        # A path may hold what a log's encoding does not, as on Windows: shown with escapes it does no harm.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    try:
        args = _parser(chosen).parse_args(_joined(arguments))
        return importlib.import_module(COMMANDS[args.command][0]).run(args)
    except Stopped as stopped:
        return _say(stopped, EXIT_STOPPED)
    except KeyboardInterrupt:
        return _say("Stopped; nothing was written.", EXIT_STOPPED)
    except MemoryError:
        return _say("The memory did not suffice; close other programs or lower the working resolution.", 2)
    except InvalidParameter as error:
        return _say(error, 2)
    except HarmonizeError as error:
        if error.kind != HarmonizeError.kind:
            return _say(error, 2)
        return _say(_unexpected(error), 1)
    except Exception as error:
        return _say(_unexpected(error), 1)


def _say(sentence: object, code: int) -> int:
    tell(f"painterly: {sentence}")
    return code


def _unexpected(error: Exception) -> str:
    return f"Something unexpected happened ({type(error).__name__}); {save_details(error)}"


if __name__ == "__main__":
    sys.exit(main())
