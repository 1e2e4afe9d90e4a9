"""The service as it is shipped: `painterly serve`, the real engine, and `harmonize --via`; small pictures."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from plugin.painterly.connection import Connection
from plugin.painterly.protocol import messages, parameters
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


def do(client, name, **changes):
    request = messages.Harmonize(
        name,
        raster(pixels(160, 200, 1)),
        Placed(raster(pixels(48, 56, 2)), 70, 60),
        None,
        parameters.resolve("draft", {**QUICK, **changes}),
    )
    client.submit(request)
    heard = []
    result = client.wait(name, heard.append, PATIENCE)
    client.acknowledge(name)
    assert isinstance(result, messages.Result), result
    return result, [message for message in heard if isinstance(message, messages.Progress)]


def test_a_second_job_finds_the_engine_warm(where):
    client = Connection.open(where)
    first, progress = do(client, "first")
    box = first.image.box
    assert box.left <= 70 and box.top <= 60 and box.right >= 126 and box.bottom >= 108
    fractions = [message.fraction for message in progress]
    assert fractions == sorted(fractions) and progress[-1].seconds_left is not None
    again, _ = do(client, "again")
    assert bytes(again.image.raster.data) == bytes(first.image.raster.data)  # same request, same bytes
    other, _ = do(client, "other", content=2.0)
    assert bytes(other.image.raster.data) != bytes(first.image.raster.data)
    cold, warm = first.report["seconds"], again.report["seconds"]
    print(f"seconds cold {cold}, warm {warm}, other content {other.report['seconds']}")
    assert warm["load"] < 0.5 * cold["load"]
    client.close()


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
