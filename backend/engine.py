"""The engine as the command line and the service use it: settings in, outcome out, warm in between."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from backend import download, machine
from backend.harmonize import networks
from backend.harmonize.composite import Composite, longest_side
from backend.harmonize.config import Config, coarse_to_fine, published
from backend.harmonize.errors import Cancelled, DeviceUnavailable, OutOfMemory
from backend.harmonize.memo import Memo
from backend.harmonize.ops.chunks import is_out_of_memory
from backend.harmonize.pipeline import Outcome, harmonize
from backend.harmonize.step import OnStep, Step, ignore
from backend.windowed import Window, object_box
from plugin.painterly.protocol.geometry import Box, working_scale
from plugin.painterly.protocol.parameters import AUTO, Value

SCHEDULES = {"pyramid": coarse_to_fine, "published": published}


class Engine:
    """Keeps networks, the painting's features and pass 1 warm between jobs. Not thread-safe."""

    def __init__(self) -> None:
        self._networks: dict[tuple, networks.Network] = {}
        self._memo = Memo()

    def describe(self) -> dict[str, Any]:
        """The machine as it would be used with device and precision on auto; loads no weights."""
        device = machine.choose_device(AUTO)
        try:
            way = machine.choose(AUTO, device)
        except (RuntimeError, DeviceUnavailable) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            way = machine.Way("float32")  # the next job tells what the card lacks, if it still does
        return {
            "device": str(device),
            **asdict(way),
            "torch": torch.__version__,
            "python": platform.python_version(),
        }

    def harmonize(
        self, composite: Composite, settings: Mapping[str, Value], on_step: OnStep = ignore
    ) -> Outcome:
        """One job; `settings` are complete (`parameters.resolve`). Raises HarmonizeError kinds."""
        started, device = time.monotonic(), machine.choose_device(str(settings["device"]))
        window = Window.needed(composite, int(settings["resolution"]))
        part, on_step = window.part(), window.telling(on_step)
        config = configure(part, settings)
        try:
            network = self._network(settings, device, on_step)
            machine.start_peak_memory(device)
            loaded = time.monotonic()
            outcome = harmonize(part, network, config, _tidying(device, on_step), self._memo)
        except Cancelled as stopped:
            stopped.best = None if stopped.best is None else window.back(stopped.best)
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._memo.clear()
            raise OutOfMemory(
                f"The memory of {device} did not suffice; choose a smaller working resolution or the cpu."
            ) from error
        finally:
            machine.release(device)
        report = outcome.report
        report["seconds"] = {"load": round(loaded - started, 3), **report["seconds"]}
        report["peak_memory_mb"] = machine.peak_memory(device)
        report["threads"] = torch.get_num_threads()
        report["versions"] = {"torch": torch.__version__, "python": platform.python_version()}
        return window.back(outcome)

    def _network(
        self, settings: Mapping[str, Value], device: torch.device, on_step: OnStep
    ) -> networks.Network:
        way = machine.choose(str(settings["precision"]), device)
        if device.type == "cpu" and way.threads != torch.get_num_threads():
            torch.set_num_threads(way.threads)
        name = str(settings["network"])
        key = (name, str(device), way.dtype, way.layout)
        if key not in self._networks:  # one at a time: memory
            if wanted := networks.download_of(name):
                download.fetch(wanted, name, on_step)
            self._networks = {key: networks.load(name).to(device, way.dtype, way.layout)}
        return self._networks[key]


def _tidying(device: torch.device, on_step: OnStep) -> OnStep:
    """`on_step`, and as each stage begins the memory that the one before left unused is given back."""

    def told(step: Step) -> None:
        if step.iteration == 1:
            machine.release(device)
        on_step(step)

    return told


def configure(composite: Composite, settings: Mapping[str, Value]) -> Config:
    """The numerics' view of an artist's settings for this composite."""
    height, width = composite.mask.shape[1:]
    schedule = str(settings["schedule"])
    scale = working_scale(object_box(composite), Box(0, 0, width, height), int(settings["resolution"]))
    scale *= float(settings["supersampling"])
    side = scale * longest_side(composite.mask)
    passes = SCHEDULES[schedule](settings["first_iterations"], settings["second_iterations"], side)
    return Config(
        style_level=None if settings["style"] == AUTO else float(settings["style"]),
        content=float(settings["content"]),
        smoothness=float(settings["smoothness"]),
        own_colours=float(settings["own_colours"]),
        grow=int(settings["grow"]),
        feather=float(settings["feather"]),
        chroma_denoise=bool(settings["chroma_denoise"]),
        patch_synthesis=bool(settings["patch_synthesis"]),
        seed=int(settings["seed"]),
        working_scale=scale,
        **passes._asdict(),
        full_frame=schedule == "published",
        published=schedule == "published",
    )
