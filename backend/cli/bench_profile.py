"""`painterly bench --profile`: where a job's time goes, each tensor operation counted to one part of the method.

Operations are timed one by one, so on a graphics card, which otherwise runs ahead, the shares are right and the
total is too long. What lies between the operations is Python's.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from importlib import import_module
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backend import machine
from backend.cli import bench_measure
from backend.cli.bench_measure import Case, Row
from backend.cli.runner import Runner
from backend.harmonize.composite import Composite
from backend.harmonize.networks import Network
from backend.harmonize.pipeline import Outcome
from backend.harmonize.step import OnStep
from plugin.painterly.protocol.parameters import Value

FORWARD, BACKWARD = "convolutions, forward", "convolutions, backward"
NETWORK, OPTIMIZER, DIRECTION, REST, PYTHON = "network, rest", "optimizer", "taps", "rest", "Python"
# Part -> the functions of backend.harmonize whose operations count to it, unless a part within says otherwise.
FUNCTIONS = {
    "matching": ("ops.matching.nearest_neighbours", "second_pass.match"),
    "Gram": ("ops.gram.gram", "ops.gram.gram_gradient"),
    "histogram": ("ops.histogram.quantiles", "ops.histogram.histogram_gradient"),
    "PatchMatch": ("ops.patchmatch.patchmatch", "ops.quilting.quilt", "ops.field.vote"),
    "guided filter": ("ops.guided_filter.guided_filter",),
}
# ATen's names: a convolution's backward has its own, so does what else of a VGG has a backward.
CONVOLUTION, CONVOLUTION_BACKWARD = "convolution", "convolution_backward"
NETWORK_BACKWARD = ("threshold_backward", "max_pool2d_with_indices_backward")


class PartsClock(TorchDispatchMode):
    """While entered, times every operation of torch, also those of autograd, by the part it belongs to."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._clock, self._labels = clock, [REST]
        self.seconds: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        begun = self._clock()
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            machine.wait(result.device)
        self.seconds[part_of(function.overloadpacket.__name__, self._labels[-1])] += self._clock() - begun
        return result

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Operations in this block belong to `name`."""
        self._labels.append(name)
        try:
            yield
        finally:
            self._labels.pop()

    def labelled(self, name: str, function: Callable) -> Callable:
        """`function`, whose operations belong to `name`."""

        @wraps(function)
        def inside(*args, **kwargs):
            with self.part(name):
                return function(*args, **kwargs)

        return inside


def part_of(operation: str, label: str) -> str:
    """The part that an operation, by ATen's name, belongs to when it is called in the part `label`."""
    if operation == CONVOLUTION_BACKWARD:
        return BACKWARD
    if operation == CONVOLUTION and label == NETWORK:
        return FORWARD
    return NETWORK if operation in NETWORK_BACKWARD else label


@contextmanager
def watched(clock: PartsClock) -> Iterator[None]:
    """While entered, the numerics' functions tell `clock` which part they are."""
    replaced: list[tuple[Any, str, Any]] = []
    wrappers = {function_at(path): name for name, paths in FUNCTIONS.items() for path in paths}
    optimize = function_at("optimize.optimize")

    def optimize_in_parts(start, mask, direction, plan, on_iteration):
        direction, on_iteration = clock.labelled(DIRECTION, direction), clock.labelled(REST, on_iteration)
        return optimize(start, mask, direction, plan, on_iteration)

    changes = {function: clock.labelled(name, function) for function, name in wrappers.items()}
    changes[optimize] = clock.labelled(OPTIMIZER, optimize_in_parts)
    changes[Network.features] = clock.labelled(NETWORK, Network.features)
    modules = [module for name, module in sys.modules.items() if name.startswith("backend.harmonize")]
    try:
        for place in (*modules, Network):
            for name, value in list(vars(place).items()):
                if callable(value) and getattr(value, "__hash__", None) and value in changes:
                    replaced.append((place, name, value))
                    setattr(place, name, changes[value])
        with clock:
            yield
    finally:
        for place, name, value in replaced:
            setattr(place, name, value)


def function_at(path: str) -> Callable:
    """The function of backend.harmonize at "module.name"."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"backend.harmonize.{module}"), name)


class _Watched:
    """A runner whose work is timed in parts."""

    def __init__(self, runner: Runner, clock: PartsClock) -> None:
        self._runner, self._clock = runner, clock

    def harmonize(self, composite: Composite, settings: Mapping[str, Value], on_step: OnStep) -> Outcome:
        with watched(self._clock):
            return self._runner.harmonize(composite, settings, on_step)


def profile(case: Case) -> Row:
    """`bench_measure.measure`, with the seconds of each part."""
    clock = PartsClock(bench_measure.CLOCKS[case.clock])
    row = bench_measure.measure(case, lambda runner: _Watched(runner, clock))
    parts = dict(sorted(clock.seconds.items(), key=lambda item: -item[1]))
    python = max(0.0, row.engine - sum(parts.values()))
    return row if row.error else replace(row, parts={**parts, PYTHON: python})


def network_share(parts: Mapping[str, float]) -> float:
    """How much of the time is the network's own arithmetic, its convolutions: 0..1."""
    return (parts.get(FORWARD, 0.0) + parts.get(BACKWARD, 0.0)) / (sum(parts.values()) or 1.0)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Share and seconds of each part, a block for each row that was measured."""
    blocks = []
    for row in rows:
        if not row["parts"]:
            continue
        total = sum(row["parts"].values())
        lines = [f"{row['size']} px {row['preset']} {row['device']} {row['precision']}: {total:.1f} s"]
        lines += [f"  {name:24}{value / total:7.1%}{value:9.2f} s" for name, value in row["parts"].items()]
        lines.append(f"  the network's own arithmetic: {network_share(row['parts']):.0%}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
