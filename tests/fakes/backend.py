"""A real service with a worker that misbehaves on demand; needs no torch.

What a job does is said by its own settings: `seed` is one of the words below, `first_iterations` the number
of steps, `feather` the milliseconds of each. The result is the layer as it came. As a program:

    backend.py serve FOLDER [key=value ...]     a service; further fields of server.Config, vmstat, heartbeat
    backend.py worker                           its worker (started by the service)
    backend.py engine                           the real worker with torch around an engine that only mixes
"""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from backend import worker  # noqa: E402
from backend.harmonize.errors import InvalidInput  # noqa: E402
from backend.server import Config, Server  # noqa: E402
from backend.service import peers, supervisor  # noqa: E402
from plugin.painterly.protocol import messages, parameters  # noqa: E402
from plugin.painterly.protocol.raster import Placed, Raster  # noqa: E402
from tests.fakes.scarcity import starve  # noqa: E402

# Values of `seed`.
WELL, RAISES, REFUSES, DIES, EXHAUSTS, HANGS, BURNS, DEAF, BABBLES, DIES_LATE, STARVES = range(11)


def settings(does=WELL, steps=1, milliseconds=0):
    """Complete settings that tell the fake worker what to do."""
    return parameters.resolve(changes={"seed": does, "first_iterations": steps, "feather": milliseconds})


def raster(width=8, height=8, depth="U8"):
    layout = "BGRA" if depth[0] == "U" else "RGBA"
    size = {"U8": 1, "U16": 2, "F16": 2, "F32": 4}[depth] * 4
    return Raster(width, height, layout, depth, bytes(range(256)) * (width * height * size // 256))


def job(name, does=WELL, steps=1, milliseconds=0, size=8, **more):
    """A Harmonize request of `size` x `size` pixels."""
    pixels = raster(size, size)
    return messages.Harmonize(
        name, pixels, Placed(pixels, 1, 2), None, settings(does, steps, milliseconds), **more
    )


@dataclasses.dataclass(frozen=True)
class FakeStep:
    """As backend.harmonize.step.Step."""

    stage: str
    iteration: int
    iterations: int
    fraction: float
    seconds_left: float = 0.0
    preview: object = staticmethod(lambda: None)


class FakeWorkshop:
    """As worker.EngineWorkshop, without an engine."""

    def describe(self):
        return {"device": "fake", "pid": os.getpid()}

    def harmonize(self, request, watch):
        _misbehave(int(request.settings["seed"]), request, watch)
        steps, pause = request.settings["first_iterations"], request.settings["feather"] / 1000
        for number in range(1, steps + 1):
            time.sleep(pause)
            step = FakeStep("fake pass", number, steps, number / steps, (steps - number) * pause)
            watch.step(step, lambda: messages.Preview(raster(), 0, 0, 8, 8))
        return request.layer, {"steps": steps, "not finite": float("nan")}

    def best(self, cancelled, request):
        return request.layer


def _misbehave(does, request, watch):
    if does == RAISES:
        raise RuntimeError("as asked")
    if does == REFUSES:
        raise InvalidInput("The mask is empty; mark the pasted object.")
    if does == DIES:
        os.kill(os.getpid(), 9)
    if does == DIES_LATE:  # its result is in the exchange, but nobody hears of it
        watch.link.exchange.put([request.layer.raster.data], request.job)
        os.kill(os.getpid(), 9)
    if does == EXHAUSTS:
        bytearray(1 << 55)
    if does == STARVES:
        starve(bytearray)
    if does == DEAF:  # computes on without a step, so that it hears no Cancel
        time.sleep(3600)
    if does == HANGS:
        threading.Event().wait()
    if does == BURNS:
        _burn(request, watch)
    if does == BABBLES:
        os.write(1, b"noise on stdout\n" * 100)


def _burn(request, watch):
    """Keeps every core busy until the steps are done."""
    ends = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        for number in range(1, request.settings["first_iterations"] + 1):
            end = time.monotonic() + request.settings["feather"] / 1000
            while time.monotonic() < end:
                pass
            watch.step(FakeStep("burning", number, request.settings["first_iterations"], 0.5))
    finally:
        for process in ends:
            process.kill()


def open_mixing_workshop():
    """The real worker's own workshop around `mixing_engine.MixingEngine`."""
    from tests.fakes.mixing_engine import MixingEngine  # torch

    return worker.EngineWorkshop(MixingEngine())


def main(arguments):
    if arguments[0] == "worker":
        return worker.main(FakeWorkshop)
    if arguments[0] == "engine":
        return worker.main(open_mixing_workshop)
    folder = Path(arguments[1])
    fields = {name: json.loads(value) for name, value in (item.split("=", 1) for item in arguments[2:])}
    fields = {
        name: Path(value) if name in ("keys", "connection_file") and value else value
        for name, value in fields.items()
    }
    supervisor.VMSTAT = Path(fields.pop("vmstat", supervisor.VMSTAT))
    peers.HEARTBEAT_MS = fields.pop("heartbeat", peers.HEARTBEAT_MS)
    fields.setdefault("connection_file", None if fields.get("keys") else folder / "connection.json")
    fields.setdefault("worker_command", (sys.executable, str(Path(__file__).resolve()), "worker"))
    Server(Config(folder=folder / "room", **fields)).run(
        lambda address, path: print(f"painterly ready {path or address}", flush=True)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
