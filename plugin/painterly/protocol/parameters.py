"""Every setting an artist can change, declared once.

The command line, the docker and the check at the service's door are all made from
`PARAMETERS`: a name, a range, a unit and a sentence of help are written here and
nowhere else. `PRESETS` are complete settings under a name; `resolve` turns a preset
and the artist's changes into the one dictionary that, with the pixels, determines a
result.

Standard library only, Python 3.8 syntax: Krita's own Python reads this file.
"""

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple, Union

AUTO = "auto"
Value = Union[str, bool, int, float]


class InvalidParameter(ValueError):
    """A value that a parameter does not take; the message is one sentence for the artist."""


@dataclass(frozen=True)
class Parameter:
    """One setting: what it is called, what it may be, and what it does.

    `kind` is "number", "integer", "switch" or "choice". Numbers and integers lie in
    `minimum`..`maximum` (inclusive) and have a `step` for spin boxes and a `unit` to show;
    with `auto` they may also be the word "auto". `advanced` ones are folded away.
    """

    name: str
    label: str
    kind: str
    help: str
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    step: Optional[float] = None
    unit: str = ""
    auto: bool = False
    choices: Tuple[str, ...] = ()
    advanced: bool = False

    def check(self, value: Any) -> Value:
        """The value in this parameter's own type; raises InvalidParameter if it has no place here."""
        if self.auto and value == AUTO:
            return AUTO
        if self.kind == "switch":
            if isinstance(value, bool):
                return value
            raise InvalidParameter("{} is on or off, not {!r}.".format(self.label, value))
        if self.kind == "choice":
            if isinstance(value, str) and value in self.choices:
                return value
            raise InvalidParameter(
                "{} is one of {}, not {!r}.".format(self.label, ", ".join(self.choices), value)
            )
        return self._check_number(value)

    def _check_number(self, value: Any) -> Value:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        number = number and self.minimum <= value <= self.maximum
        if not number or (self.kind == "integer" and value != int(value)):
            raise InvalidParameter(
                "{} is {} from {}{}{}, not {!r}.".format(
                    self.label,
                    "a whole number" if self.kind == "integer" else "a number",
                    self.span(" to "),
                    " " + self.unit if self.unit else "",
                    " or " + AUTO if self.auto else "",
                    value,
                )
            )
        return int(value) if self.kind == "integer" else float(value)

    def span(self, between: str) -> str:
        """The range in words: both ends to the last digit, with `between` between them."""
        return "{:.10g}{}{:.10g}".format(self.minimum, between, self.maximum)

    def parse(self, text: str) -> Value:
        """The value that `text` (as typed on a command line) stands for; raises InvalidParameter."""
        words = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
        if self.kind == "switch":
            return self.check(words.get(text.strip().lower(), text))
        if self.kind == "choice" or (self.auto and text == AUTO):
            return self.check(text)
        try:
            number = _number(text)
        except ValueError:
            raise InvalidParameter("{} is a number, not {!r}.".format(self.label, text)) from None
        return self.check(number)


def _number(text: str) -> Union[int, float]:
    """An integer where `text` is one, so that a refusal repeats it as it was typed."""
    try:
        return int(text)
    except ValueError:
        return float(text)


PARAMETERS = (
    Parameter(
        "style", "Style strength", "number",
        "How strongly the object takes on the painting's brush. 1 suits smooth old masters, 5 "
        "impressionists, 10 expressionists; auto estimates it from the painting.",
        minimum=0.5, maximum=10, step=0.5, auto=True,
    ),
    Parameter(
        "content", "Content strength", "number",
        "How firmly the object keeps its own shapes, light and lines. Raise it if it dissolves or is faint; lower it "
        "for a freer brush.",
        minimum=0, maximum=10, step=0.1, unit="x",
    ),
    Parameter(
        "smoothness", "Smoothness", "number",
        "How strongly specks and ripples are smoothed away.",
        minimum=0, maximum=10, step=0.1, unit="x",
    ),
    Parameter(
        "own_colours", "Own colours", "number",
        "How much of its own colours the object keeps: at 0 they all come from the painting, at 1 it has its own, laid "
        "with the painting's brush. Raise it if a face turns green or a black ship blue.",
        minimum=0, maximum=1, step=0.05,
    ),
    Parameter(
        "resolution", "Working resolution", "integer",
        "Long side of the object with its surroundings while it is painted. Larger objects are "
        "painted at this size and brought back with the painting's own full-size texture.",
        minimum=64, maximum=4096, step=64, unit="px",
    ),
    Parameter(
        "supersampling", "Supersampling", "number",
        "Paints at this many times that size, even beyond the canvas's own, and shrinks the result. Raise it if "
        "faces, letters or other small forms dissolve; strokes come out finer, and time grows with its square at most.",
        minimum=1, maximum=2, step=0.25, unit="x",
    ),
    Parameter(
        "grow", "Grow", "integer",
        "Moves the object's edge outwards before painting.",
        minimum=0, maximum=200, step=1, unit="px",
    ),
    Parameter(
        "feather", "Feather", "number",
        "Width inside its edge over which the painted object fades into the painting.",
        minimum=0, maximum=100, step=0.5, unit="px",
    ),
    Parameter(
        "chroma_denoise", "Clean colours", "switch",
        "Removes fine colour noise after painting, guided by the brightness.",
        advanced=True,
    ),
    Parameter(
        "patch_synthesis", "Rebuild from painting", "switch",
        "Rebuilds the object from small patches of the painting, keeping its fine detail.",
        advanced=True,
    ),
    Parameter(
        "first_iterations", "Iterations, first pass", "integer",
        "Steps of the coarse pass that finds which parts of the painting fit.",
        minimum=0, maximum=5000, step=10, advanced=True,
    ),
    Parameter(
        "second_iterations", "Iterations, second pass", "integer",
        "Steps of the fine pass at the working resolution.",
        minimum=0, maximum=5000, step=10, advanced=True,
    ),
    Parameter(
        "schedule", "Schedule", "choice",
        "pyramid paints from coarse to fine around the object; published works on the whole frame at one "
        "size as in the paper, many times slower.",
        choices=("pyramid", "published"), advanced=True,
    ),
    Parameter(
        "network", "Network", "choice",
        "The network whose features describe the brushwork. vgg19 and vgg16 are downloads of about 0.5 GB.",
        choices=("packaged", "vgg19", "vgg16"), advanced=True,
    ),
    Parameter(
        "device", "Device", "choice",
        "Where to compute; auto takes the graphics card if there is one.",
        choices=(AUTO, "cpu", "cuda", "mps"), advanced=True,
    ),
    Parameter(
        "precision", "Precision", "choice",
        "Number format of the network; auto takes the fastest that this machine computes natively.",
        choices=(AUTO, "float32", "bfloat16", "float16"), advanced=True,
    ),
    Parameter(
        "seed", "Seed", "integer",
        "The same seed gives the same picture again.",
        minimum=0, maximum=2**31 - 1, step=1, advanced=True,
    ),
)  # fmt: skip

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}

_BALANCED = {
    "style": AUTO,
    "content": 1.0,
    "smoothness": 1.0,
    "own_colours": 0.0,
    "resolution": 700,
    "supersampling": 1.0,
    "grow": 0,
    "feather": 3.5,
    "chroma_denoise": True,
    "patch_synthesis": True,
    "first_iterations": 8,
    "second_iterations": 48,
    "schedule": "pyramid",
    "network": "packaged",
    "device": AUTO,
    "precision": AUTO,
    "seed": 0,
}  # type: Dict[str, Value]

PRESETS = {
    "draft": dict(_BALANCED, resolution=350, first_iterations=6, second_iterations=12),
    "balanced": _BALANCED,
    "high": dict(_BALANCED, resolution=1024, second_iterations=100),
    # The published setting (Luan et al. 2018, section 4): 2 x 1000 iterations at 700 px, full frame.
    "paper": dict(
        _BALANCED, schedule="published", first_iterations=1000, second_iterations=1000, precision="float32"
    ),
}  # type: Dict[str, Dict[str, Value]]

DEFAULT_PRESET = "balanced"


def resolve(preset: str = DEFAULT_PRESET, changes: Mapping[str, Any] = {}) -> Dict[str, Value]:
    """Complete, checked settings: the preset's values with `changes` laid over them.

    Raises InvalidParameter for an unknown preset, an unknown name or a value out of range.
    """
    if preset not in PRESETS:
        raise InvalidParameter("Preset is one of {}, not {!r}.".format(", ".join(PRESETS), preset))
    unknown = sorted(set(changes) - set(BY_NAME))
    if unknown:
        raise InvalidParameter("There is no setting called {!r}.".format(unknown[0]))
    values = dict(PRESETS[preset])
    values.update({name: BY_NAME[name].check(value) for name, value in changes.items()})
    return values
