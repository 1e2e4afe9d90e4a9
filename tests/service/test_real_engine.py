"""The service as it is shipped: `painterly serve`, the real engine, and `harmonize --via`; small pictures."""

import dataclasses
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from backend import worker
from plugin.painterly.connection import Connection
from plugin.painterly.protocol import codec, messages, parameters
from plugin.painterly.protocol.raster import Placed, Raster
from tests.fakes.backend import ROOT

QUICK = {"resolution": 128, "first_iterations": 6, "second_iterations": 4, "style": 3}
PATIENCE = 240.0


def pixels(height, width, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype="u1")
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.BICUBIC))


def raster(rgb):
    opaque = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 255, "u1")])
    return Raster(rgb.shape[1], rgb.shape[0], "BGRA", "U8", opaque.tobytes())


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    command = [sys.executable, "-m", "backend", "serve", "--folder", str(folder / "room")]
    command += ["--connection-file", str(folder / "connection.json"), "--parent-pid", str(os.getpid())]
    service = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield service.stdout.readline().split(" ", 2)[2].strip()
    service.terminate()
    assert service.wait(30) == 0
    service.stdout.close()
    assert list((folder / "room").iterdir()) == [] and not (folder / "connection.json").exists()


def request_of(name, **changes):
    return messages.Harmonize(
        name,
        raster(pixels(160, 200, 1)),
        Placed(raster(pixels(48, 56, 2)), 70, 60),
        None,
        parameters.resolve("draft", {**QUICK, **changes}),
    )


def do(client, name, **changes):
    """The result, the progress, and the seconds until the first of it."""
    start, heard, times = time.monotonic(), [], []
    client.submit(request_of(name, **changes))

    def hear(message):
        if isinstance(message, messages.Progress):
            heard.append(message)
            times.append(time.monotonic() - start)

    result = client.wait(name, hear, PATIENCE)
    client.acknowledge(name)
    assert isinstance(result, messages.Result), result
    return result, heard, times[0]


def test_a_second_job_finds_the_engine_warm(where):
    client = Connection.open(where)
    first, progress, waited = do(client, "first")
    box = first.image.box
    assert box.left <= 70 and box.top <= 60 and box.right >= 126 and box.bottom >= 108
    fractions = [message.fraction for message in progress]
    assert fractions == sorted(fractions) and progress[-1].seconds_left is not None
    again, _, waited_again = do(client, "again")
    assert bytes(again.image.raster.data) == bytes(first.image.raster.data)  # same request, same bytes
    cold, warm = first.report["seconds"], again.report["seconds"]
    print(f"seconds cold {cold}, warm {warm}; first progress after {waited:.2f} and {waited_again:.2f} s")
    assert warm["load"] < 0.5 * cold["load"] and waited_again < 0.5 * waited
    assert cold["first pass"] > 0 and "first pass" not in warm
    for name, change in (("content", {"content": 2.0}), ("style", {"style": 6})):
        other, progress, _ = do(client, name, **change)
        assert bytes(other.image.raster.data) != bytes(first.image.raster.data)
        # Other weights: pass 1, which ends in the matching, is not done again.
        assert "first pass" not in other.report["seconds"]
        assert {message.stage for message in progress} == {"second pass", "patch synthesis", "postprocess"}
    client.close()


@pytest.mark.parametrize("stage, keep_best", [("first pass", False), ("second pass", True)])
def test_cancel_is_heeded_within_an_iteration(where, stage, keep_best):
    client, times, asked = Connection.open(where), [], []
    name = f"stopped-{keep_best}"

    def hear(message):
        if isinstance(message, messages.Progress) and message.stage == stage:
            times.append(time.monotonic())
            if len(times) == 4:
                client.cancel(name, keep_best)
                asked.append(times[-1])

    # Another object than elsewhere, so that pass 1 is not kept from another test.
    request = request_of(name, first_iterations=2000 if stage == "first pass" else 6, second_iterations=2000)
    moved = Placed(request.layer.raster, 60 + keep_best, 50)
    client.submit(dataclasses.replace(request, layer=moved))
    cancelled = client.wait(name, hear, PATIENCE)
    answered = time.monotonic() - asked[0]
    longest = max(later - earlier for earlier, later in zip(times[:4], times[1:4]))
    client.acknowledge(name)
    client.close()
    print(f"answered in {answered:.2f} s; the longest pause between steps before was {longest:.2f} s")
    assert isinstance(cancelled, messages.Cancelled) and (cancelled.best is not None) == keep_best
    assert answered < 3 * longest + 0.3  # one iteration, on a machine that does other things too


def test_previews_of_the_real_engine_take_less_than_a_twentieth():
    """Of a whole job, rendered, scaled down and put into messages; measured within the worker's own code."""
    spent = 0.0

    class Link(worker.Link):
        def __init__(self):
            self.previews = 0

        def send(self, message):
            nonlocal spent
            start = time.monotonic()
            codec.encode(message)
            spent += time.monotonic() - start
            self.previews += message.preview is not None

        def cancel_of(self, name):
            return None

    class Watch(worker.Watch):
        def step(self, step, preview=None):
            def measured():
                nonlocal spent
                start = time.monotonic()
                shown = preview()
                spent += time.monotonic() - start
                assert max(shown.image.width, shown.image.height) <= 256
                return shown

            super().step(step, measured)

    quick = {"resolution": 256, "patch_synthesis": False, "style": 3}
    request = messages.Harmonize(
        "shown",
        raster(pixels(320, 400, 1)),
        Placed(raster(pixels(160, 160, 2)), 70, 60),
        None,
        parameters.resolve("draft", quick),
        want_preview=True,
    )
    link = Link()
    start = time.monotonic()
    worker.EngineWorkshop().harmonize(request, Watch(link, request))
    seconds = time.monotonic() - start
    print(
        f"{link.previews} previews took {spent:.2f} s of {seconds:.1f} s, {spent / seconds:.1%} (limit 5 %)"
    )
    assert link.previews > 0 and spent < 0.05 * seconds


def test_the_command_line_goes_through_the_service(where, tmp_path):
    Image.fromarray(pixels(160, 200, 1)).save(tmp_path / "painting.png")
    cutout = np.dstack([pixels(48, 56, 2), np.full((48, 56), 255, "u1")])
    Image.fromarray(cutout).save(tmp_path / "layer.png")
    command = [sys.executable, "-m", "backend", "harmonize", "--painting", str(tmp_path / "painting.png")]
    command += ["--layer", str(tmp_path / "layer.png"), "--offset", "70,60", "--preset", "draft"]
    for name, value in QUICK.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    for name, more in (("here", []), ("there", ["--via", where])):
        output = ["-o", str(tmp_path / (name + ".png"))]
        done = subprocess.run(
            command + output + more, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
    here, there = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("here", "there"))
    painting = np.asarray(Image.open(tmp_path / "painting.png")).astype(int)
    assert np.abs(here - painting).max() > 20
    assert np.array_equal(there[:40], painting[:40])  # untouched outside
    assert np.abs(here - there).mean() < 1  # the cut-out's rounding is amplified by the iterations
