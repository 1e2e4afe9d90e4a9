"""What can go wrong in the numerics, as types; each message is one sentence for the artist."""

from __future__ import annotations


class HarmonizeError(Exception):
    """Base of all errors the engine raises on purpose. `kind` is a stable word for programs."""

    kind = "internal"


class InvalidInput(HarmonizeError):
    """The picture, the mask or their sizes cannot be worked with."""

    kind = "invalid-input"


class WeightsUnavailable(HarmonizeError):
    """The network's weight file is missing, truncated or not the one expected."""

    kind = "weights"


class DeviceUnavailable(HarmonizeError):
    """The asked-for device or precision does not exist on this machine."""

    kind = "device"


class OutOfMemory(HarmonizeError):
    """The device's memory did not suffice, also not for the smallest chunks."""

    kind = "out-of-memory"


class Cancelled(HarmonizeError):
    """Raised by an `on_step` callback to stop; the pipeline adds the best picture so far.

    `best` is an `Outcome` (see pipeline.py) or None if nothing had been painted yet.
    """

    kind = "cancelled"

    def __init__(self, message: str = "Cancelled."):
        super().__init__(message)
        self.best = None
