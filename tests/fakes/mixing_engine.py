"""An engine of one line, to see that pictures come and go unharmed."""

import os
import time

import torch

from backend.harmonize.errors import Cancelled
from backend.harmonize.pipeline import Outcome
from backend.harmonize.step import Step
from tests.fakes.backend import STARVES
from tests.fakes.scarcity import starve


class MixingEngine:
    """As backend.engine.Engine: half painting, half pasted object, in `first_iterations` steps.

    With a `seed` of STARVES it asks torch for more memory than there is.
    """

    def describe(self):
        return {"device": "cpu", "torch": torch.__version__, "pid": os.getpid()}

    def harmonize(self, composite, settings, on_step):
        if settings["seed"] == STARVES:
            starve(lambda size: torch.zeros(size, dtype=torch.uint8))
        outcome = mixed(composite)
        steps = settings["first_iterations"]
        try:
            for number in range(1, steps + 1):
                time.sleep(settings["feather"] / 1000)
                preview = lambda: outcome.image  # noqa: E731
                on_step(Step("mixing", number, steps, number / steps, 0.0, {"loss": 1.0}, preview))
        except Cancelled as cancelled:
            cancelled.best = outcome
            raise
        return outcome


def mixed(composite):
    return Outcome((composite.painting + composite.naive) / 2, composite.mask.clone(), {"engine": "mixing"})
