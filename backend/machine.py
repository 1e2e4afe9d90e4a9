"""How this machine computes best: device, precision, memory format and threads, measured once and remembered.

`torch.compile` is not among the choices. The same stack as in `trial`, compiled with dynamic shapes on a
2-core Zen 4 in bfloat16, took 107 s to compile and then 0.69 s of processor time for a forward and backward
at 384 px where plain torch took 0.67 s: the convolutions are oneDNN's either way, and a whole job takes a minute.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.harmonize.errors import DeviceUnavailable
from backend.harmonize.ops.chunks import is_out_of_memory
from backend.harmonize.ops.gram import gram_gradient
from backend.harmonize.ops.taps import tap
from plugin.painterly.protocol.parameters import AUTO
from plugin.painterly.protocol.places import places

try:
    import resource
except ImportError:  # Windows
    resource = None

# glibc gives memory back from the end of its heap only: between what is still used gaps of half a gigabyte stay.
# Other C libraries have no such function, and Windows no way to ask for it.
TRIM = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "malloc_trim", None)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
# torch starts with the physical cores, or with what OMP_NUM_THREADS says; read before anybody changes it.
TORCHS_THREADS = torch.get_num_threads()
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Way:
    """One way to compute: names of DTYPES and LAYOUTS, and the threads of the processor."""

    precision: str = "float32"
    memory_format: str = "channels_last"
    threads: int = TORCHS_THREADS

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @property
    def layout(self) -> torch.memory_format:
        return LAYOUTS[self.memory_format]

    def __str__(self) -> str:
        return f"{self.precision} {self.memory_format} {self.threads} thread{'s' * (self.threads > 1)}"


# Seconds count this many times: what is unusual must be worth its rounding, and small gains are chance.
HANDICAP = {"float32": 1.0, "bfloat16": 1.2, "float16": 1.2, "channels_last": 1.0, "contiguous": 1.05}
THREADS_HANDICAP = 1.15


@dataclass(frozen=True)
class Measurement:
    """Seconds of `trial`: `single` by precision and memory format, on one thread; `shared` the best of those by
    number of threads, missing where that was not measured. `busy` if the machine had other work."""

    single: Mapping[Way, float]
    shared: Mapping[Way, float] = field(default_factory=dict)
    busy: bool = False

    def best(self) -> Way:
        way = min(
            self.single,
            key=lambda way: self.single[way] * HANDICAP[way.precision] * HANDICAP[way.memory_format],
        )
        usual = replace(way, threads=TORCHS_THREADS)
        return min(
            self.shared,
            key=lambda way: self.shared[way] * (1 if way == usual else THREADS_HANDICAP),
            default=usual,
        )

    def as_json(self) -> dict:
        def rows(seconds: Mapping[Way, float]) -> list[dict]:
            return [{**asdict(way), "seconds": round(value, 5)} for way, value in seconds.items()]

        return {"busy": self.busy, "single": rows(self.single), "shared": rows(self.shared)}

    @classmethod
    def from_json(cls, kept: dict) -> Measurement:
        """Raises ValueError, TypeError or KeyError if `kept` is no measurement."""

        def read(rows: list[dict]) -> dict[Way, float]:
            return {
                Way(row["precision"], row["memory_format"], int(row["threads"])): float(row["seconds"])
                for row in rows
            }

        found = cls(read(kept["single"]), read(kept["shared"]), bool(kept["busy"]))
        ways = [*found.single, *found.shared]
        if not found.single or any(
            way.precision not in DTYPES or way.memory_format not in LAYOUTS or way.threads < 1 for way in ways
        ):
            raise ValueError("no measurement, or one of ways that are not known")
        return found


Timer = Callable[[torch.device, Sequence[Way]], Mapping[Way, float]]


# -- choosing --------------------------------------------------------------------------------------


def choose_device(wanted: str) -> torch.device:
    """The device asked for, or the best there is; raises DeviceUnavailable."""
    there = _listed()
    if wanted == AUTO:
        return torch.device(next(name for name in there if _refusal(name) is None))
    if wanted not in there:
        raise DeviceUnavailable(f"This machine has no usable {wanted} device; choose auto or cpu.")
    if (why := _refusal(wanted)) is not None:
        raise DeviceUnavailable(f"This machine's {wanted} device cannot be used ({why}); choose auto or cpu.")
    return torch.device(wanted)


def refusals() -> dict[str, str]:
    """What the devices answer that torch lists and that cannot compute, by name."""
    answers = {name: _refusal(name) for name in _listed()}
    return {name: why for name, why in answers.items() if why is not None}


def _listed() -> list[str]:
    """The names of the devices that torch says are there, the best first."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, is_there in there.items() if is_there]


def _refusal(name: str) -> str | None:
    """What a device that torch lists answers to a small convolution, or None if it computes it: a card may be too old for
    this torch, which has no kernels for it then, or full."""
    if name == "cpu":
        return None
    try:
        F.conv2d(torch.ones(1, 1, 8, 8, device=name), torch.ones(1, 1, 3, 3, device=name)).sum().item()
    except RuntimeError as refusal:
        return _first_line(refusal)
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def choose(wanted: str, device: torch.device) -> Way:
    """The way to compute on `device` in the `wanted` precision; for "auto" the fastest of a remembered
    measurement. What is asked for is not measured: torch's own threads and the usual memory format serve."""
    if wanted != AUTO:
        return Way(wanted)
    kept, key = remembered(), _key(device)
    if key not in kept or (kept[key].busy and not busy()):
        kept[key] = measure(device)
        _remember(kept)
    return kept[key].best()


def measure(device: torch.device, timer: Timer | None = None) -> Measurement:
    """Times precisions and memory formats, and the best of them with several numbers of threads.

    Beside other work the threads are left as torch has them: fewer would only win by waiting less.
    """
    timer, occupied = timer or _seconds, busy()
    names = itertools.product(_precisions(device), LAYOUTS)
    found = Measurement(timer(device, [Way(*pair, threads=1) for pair in names]), busy=occupied)
    counts = _thread_counts()
    if device.type != "cpu" or occupied or len(counts) < 2:
        return found
    best = found.best()
    return replace(found, shared=timer(device, [replace(best, threads=count) for count in counts]))


def busy() -> bool:
    """Whether other programs keep more than half of the processors; False where the system does not tell."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return load > (os.cpu_count() or 1) / 2


def _precisions(device: torch.device) -> tuple[str, ...]:
    """What is worth a try: float16 on graphics cards, bfloat16 wherever it is native."""
    if device.type == "cuda":
        return ("float32", *(("bfloat16",) if torch.cuda.is_bf16_supported() else ()), "float16")
    if device.type == "mps":
        return ("float32", "float16")
    return ("float32", "bfloat16") if native_bfloat16() else ("float32",)


def native_bfloat16() -> bool:
    """Whether the processor has instructions for it, as far as torch tells; else the measurement decides."""
    features = getattr(torch.cpu, "get_capabilities", dict)()
    told = [present for name, present in features.items() if "bf16" in name]
    return any(told) if told else True


def _thread_counts() -> list[int]:
    """One, torch's own (the physical cores) and all that this process may use; what the user set is kept to."""
    if any(name in os.environ for name in THREAD_VARIABLES):
        return [TORCHS_THREADS]
    everything = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({1, TORCHS_THREADS, everything})


# -- measuring -------------------------------------------------------------------------------------

# VGG-16 up to relu4_1: channels of each convolution, those after a pooling, those whose features pass 2 reads.
_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512)
_POOLED, _TAPPED = (2, 4, 7), (0, 2, 4, 7)
_SIZES = {"cpu": 192, "mps": 384, "cuda": 512}  # px: enough to keep the device busy
ROUNDS, ENOUGH = 4, 6.0  # of rounds the best counts; after so many seconds there are no more


def _seconds(device: torch.device, ways: Sequence[Way]) -> dict[Way, float]:
    """Best of some rounds of `trial` by way, after one to warm up; what the device refuses is left out.

    Each round tries all of them, so that what else the machine does hits them alike.
    """
    before, started = torch.get_num_threads(), time.perf_counter()
    best: dict[Way, float] = {}
    try:
        runs, refused = {}, None
        for way in ways:
            try:
                runs[way] = _warm(device, way)
            except RuntimeError as refusal:
                if is_out_of_memory(refusal):
                    raise
                refused = refusal
        if refused is not None and not runs:
            why = _first_line(refused)
            raise DeviceUnavailable(f"The {device} device refuses all ways to compute ({why}).") from refused
        for _ in range(ROUNDS):
            for way, run in runs.items():
                best[way] = min(best.get(way, math.inf), _once(device, way, run))
            if time.perf_counter() - started > ENOUGH:
                break
    finally:
        torch.set_num_threads(before)
    return best


def _warm(device: torch.device, way: Way) -> Callable[[], Tensor]:
    """`trial`, done once. Raises RuntimeError if the device cannot do it that way."""
    run = trial(device, way, _SIZES[device.type])
    _once(device, way, run)
    return run


def _once(device: torch.device, way: Way, run: Callable[[], Tensor]) -> float:
    # A lone thread's own time does not count the time that other programs have the processor.
    clock = time.thread_time if device.type == "cpu" and way.threads == 1 else time.perf_counter
    torch.set_num_threads(way.threads)
    begun = clock()
    run()
    wait(device)
    return clock() - begun


def trial(device: torch.device, way: Way, size: int) -> Callable[[], Tensor]:
    """One iteration of pass 2 in small: a VGG's forward and backward with a Gram term at each tapped layer.

    The weights are random; `size` px square. Calling it gives the gradient of the picture.
    """
    generator = torch.Generator().manual_seed(0)
    pairs = zip((3, *_CHANNELS), _CHANNELS)
    # Scaled as He et al. 2015 have it: activations that vanish would be slow for being denormal.
    kernels = [torch.randn(o, i, 3, 3, generator=generator) * (2 / (9 * i)) ** 0.5 for i, o in pairs]
    kernels = [kernel.to(device, way.dtype).contiguous(memory_format=way.layout) for kernel in kernels]
    picture = torch.rand(1, 3, size, size, generator=generator).to(device)

    def run() -> Tensor:
        leaf = picture.clone().requires_grad_()
        x = leaf.to(way.dtype).contiguous(memory_format=way.layout)
        for number, kernel in enumerate(kernels):
            x = F.max_pool2d(x, 2) if number in _POOLED else x
            x = F.relu(F.conv2d(x, kernel, padding=1))
            x = _tapped(x) if number in _TAPPED else x
        x.backward(torch.zeros_like(x))
        return leaf.grad

    return run


def _tapped(features: Tensor) -> Tensor:
    positions = torch.arange(features[0, 0].numel() // 2, device=features.device)
    weight = torch.ones(len(positions), device=features.device)
    target = torch.zeros(features.shape[1], features.shape[1], device=features.device)
    return tap(features, positions, [(1.0, partial(gram_gradient, weight=weight, target=target))], True, [])


# -- the device's clock and memory -----------------------------------------------------------------


def wait(device: torch.device) -> None:
    """Until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def release(device: torch.device) -> None:
    """Gives back what torch, or on a processor the C library, keeps of the device's memory for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif TRIM is not None:
        TRIM(0)


def start_peak_memory(device: torch.device) -> None:
    """From now on a graphics card's peak is counted; a process's own cannot be set back."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Megabytes: the graphics card's peak, else this process's (None on Windows, which does not tell); on mps,
    what its driver holds now."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20)
    if device.type == "mps":
        return round(torch.mps.driver_allocated_memory() / 2**20)
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


# -- remembering -----------------------------------------------------------------------------------


def remembered() -> dict[str, Measurement]:
    """The measurements kept so far, by machine and torch; what is damaged is left out."""
    try:
        kept = json.loads(_file().read_text("utf-8")).items()
    except (OSError, ValueError, AttributeError):
        return {}
    found = {}
    for key, value in kept:
        try:
            found[key] = Measurement.from_json(value)
        except (ValueError, TypeError, KeyError):
            continue
    return found


def forget() -> None:
    """Measure anew next time."""
    _file().unlink(missing_ok=True)


def _remember(measurements: Mapping[str, Measurement]) -> None:
    """Keep them; a folder that cannot be written only costs the measurement again."""
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        kept = {key: measurement.as_json() for key, measurement in measurements.items()}
        part.write_text(json.dumps(kept, indent=1), "utf-8")
        part.replace(path)
    except OSError:
        return


def _key(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    threads = "/".join(map(str, _thread_counts()))
    return f"{device.type} {name} torch {torch.__version__} threads {threads}"


def _processor() -> str:
    return f"{platform.processor() or platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _file() -> Path:
    return places().cache / "machine.json"
