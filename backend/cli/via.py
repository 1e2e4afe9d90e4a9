"""`--via FILE`: the work is done by a running service, here or on another machine."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Mapping

import torch
from torch import Tensor

from backend import convert
from backend.harmonize import errors
from backend.harmonize.composite import Composite
from backend.harmonize.pipeline import Outcome
from backend.harmonize.step import OnStep, Step
from plugin.painterly.connection import Connection, ConnectionProblem
from plugin.painterly.protocol import messages
from plugin.painterly.protocol.messages import Message
from plugin.painterly.protocol.parameters import Value
from plugin.painterly.protocol.raster import DEPTHS, LAYOUTS, Placed

_WAITING = Step("queue", 1, 1, 0.0)
_PIXEL = LAYOUTS["RGBA"] * DEPTHS["F32"]  # bytes, as `convert.raster_of` makes them


class ServiceUnavailable(errors.HarmonizeError):
    """The service cannot be reached or ended meanwhile."""

    kind = "service"


class ServiceRunner:
    """A runner (see runner.py) over the service whose connection file is `path`."""

    def __init__(self, path: Path):
        try:
            self._connection = Connection.open(path, "painterly command line")
        except ConnectionProblem as problem:
            raise ServiceUnavailable(str(problem)) from None

    def harmonize(self, composite: Composite, settings: Mapping[str, Value], on_step: OnStep) -> Outcome:
        """As `backend.engine.Engine.harmonize`; the picture comes back in full precision."""
        self._check_size(composite, on_step)
        job = uuid.uuid4().hex
        request = messages.Harmonize(
            job=job,
            painting=convert.raster_of(torch.cat([composite.painting, torch.ones_like(composite.mask)])),
            layer=Placed(convert.raster_of(cut_out(composite))),
            selection=None,
            settings=dict(settings),
            result_depth="F32",
        )
        try:
            self._connection.submit(request)
            relay = _Relay(self._connection, job, on_step)
            last_word = self._connection.wait(job, relay.hear, on_look=relay.look)
            self._connection.acknowledge(job)
        except ConnectionProblem as problem:
            raise ServiceUnavailable(str(problem)) from None
        return _outcome(last_word, composite)

    def close(self) -> None:
        self._connection.close()

    def _check_size(self, composite: Composite, on_step: OnStep) -> None:
        """Raises InvalidInput for a composite whose pixels are more than the service takes."""
        try:
            limit = self._connection.greeting(on_look=lambda: on_step(_WAITING)).buffer_limit
        except ConnectionProblem as problem:
            raise ServiceUnavailable(str(problem)) from None
        height, width = composite.mask.shape[1:]
        if width * height * _PIXEL > limit:
            raise errors.InvalidInput(
                f"The object with its surroundings is {width} x {height} pixels, more than a service takes; "
                "leave out --via, or make the object smaller."
            )


class _Relay:
    """Hands Progress to `on_step`; when that asks to stop, the service is told, once.

    Until the first Progress `on_step` is called again and again, with the job's place in the queue as a
    Step, so that it can also stop a job that waits.
    """

    def __init__(self, connection: Connection, job: str, on_step: OnStep):
        self._connection, self._job, self._on_step = connection, job, on_step
        self._queue = _WAITING
        self._begun = self._stopped = False

    def hear(self, message: Message) -> None:
        if isinstance(message, messages.Failed) and not message.job:
            raise ServiceUnavailable(message.message)
        if isinstance(message, messages.Accepted) and message.job == self._job:
            length = max(self._queue.iterations, message.position + 1)
            self._queue = Step("queue", length - message.position, length, 0.0)
        if isinstance(message, messages.Progress) and message.job == self._job:
            self._begun = True
            self._tell(
                Step(
                    message.stage,
                    message.iteration,
                    message.iterations,
                    message.fraction,
                    message.seconds_left,
                )
            )

    def look(self) -> None:
        if not self._begun:
            self._tell(self._queue)

    def _tell(self, step: Step) -> None:
        if self._stopped:
            return
        try:
            self._on_step(step)
        except errors.Cancelled:
            self._stopped = True
            self._connection.cancel(self._job, keep_best=True)


def cut_out(composite: Composite) -> Tensor:
    """(4, H, W): the layer that, laid over the painting with its alpha, gives the naive picture."""
    mask = composite.mask
    colours = composite.painting + (composite.naive - composite.painting) / mask.clamp(min=1e-6)
    return torch.cat([torch.where(mask > 0, colours, composite.naive), mask])


def _outcome(last_word: Message, composite: Composite) -> Outcome:
    """The result on its window; raises the HarmonizeError that the service tells of."""
    if isinstance(last_word, messages.Result):
        return convert.outcome_of(last_word.image, composite.painting, last_word.report)
    if isinstance(last_word, messages.Cancelled):
        cancelled = errors.Cancelled()
        if last_word.best is not None:
            cancelled.best = convert.outcome_of(last_word.best, composite.painting, {})
        raise cancelled
    error = errors.HarmonizeError(last_word.message)
    error.kind = last_word.kind
    raise error
