"""Command-line options made from the parameters' declaration, and their way back to settings."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Mapping

from plugin.painterly.protocol.parameters import (
    AUTO,
    DEFAULT_PRESET,
    PARAMETERS,
    PRESETS,
    InvalidParameter,
    Parameter,
    Value,
    resolve,
)

_PREFIX = "parameter."


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Adds --preset and one option per parameter."""
    parser.add_argument(
        "--preset",
        default=DEFAULT_PRESET,
        metavar="NAME",
        help=f"{', '.join(PRESETS)}; the default is {DEFAULT_PRESET}",
    )
    settings = parser.add_argument_group(
        "settings", "Each overrides the preset's value, shown for the default."
    )
    for parameter in PARAMETERS:
        settings.add_argument(
            "--" + parameter.name.replace("_", "-"),
            dest=_PREFIX + parameter.name,
            type=_parser_of(parameter),
            metavar=_metavar(parameter),
            help=_help(parameter).replace("%", "%%"),
        )


def given(args: argparse.Namespace) -> dict[str, Value]:
    """The parameters that were named on the command line, by name."""
    return {
        name[len(_PREFIX) :]: value
        for name, value in vars(args).items()
        if name.startswith(_PREFIX) and value is not None
    }


def settings(args: argparse.Namespace, changes: Mapping[str, Any] = {}) -> dict[str, Value]:
    """Complete settings: preset, then the command line's options, then `changes`; raises InvalidParameter."""
    changes = dict(changes)
    preset = changes.pop("preset", args.preset)
    return resolve(preset, {**given(args), **changes})


def parse_offset(text: str) -> tuple[int, int]:
    """ "X,Y" in whole pixels, either of them negative too; raises InvalidParameter."""
    try:
        x, y = (int(part) for part in text.split(","))
    except ValueError:
        raise InvalidParameter(f"Offset is two whole numbers X,Y in pixels, not {text!r}.") from None
    return x, y


def sentence(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """`parse` as an argparse type whose refusal keeps its own sentence."""

    def checked(text: str) -> Any:
        try:
            return parse(text)
        except InvalidParameter as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def _parser_of(parameter: Parameter) -> Callable[[str], Any]:
    return sentence(parameter.parse)


def _metavar(parameter: Parameter) -> str:
    if parameter.kind == "switch":
        return "on|off"
    if parameter.kind == "choice":
        return "|".join(parameter.choices)
    span = parameter.span("..")
    return f"{span}|{AUTO}" if parameter.auto else span


def _help(parameter: Parameter) -> str:
    value = PRESETS[DEFAULT_PRESET][parameter.name]
    shown = {True: "on", False: "off"}[value] if parameter.kind == "switch" else value
    unit = f" {parameter.unit}" if parameter.unit and value != AUTO else ""
    return f"{parameter.help} [{shown}{unit}]"
