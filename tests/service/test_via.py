"""The worker's real conversion, and a job of the command line done through a service."""

import dataclasses
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from backend.cli.via import ServiceRunner, ServiceUnavailable, cut_out
from backend.harmonize.composite import Composite
from backend.harmonize.errors import Cancelled, HarmonizeError, InvalidInput
from plugin.painterly.connection import ConnectionProblem
from plugin.painterly.protocol import messages
from plugin.painterly.protocol.raster import Placed
from tests.fakes import backend
from tests.fakes.backend import ROOT, job, settings
from tests.fakes.mixing_engine import mixed


@pytest.fixture(scope="module")
def composite():
    generator = torch.Generator().manual_seed(3)
    painting = torch.rand(3, 60, 80, generator=generator)
    pasted = torch.rand(3, 60, 80, generator=generator)
    mask = torch.zeros(1, 60, 80)
    mask[0, 20:40, 30:60] = torch.rand(20, 30, generator=generator)
    mask[0, 25:35, 35:55] = 1
    return Composite(painting, painting + (pasted - painting) * mask, mask)


@pytest.fixture
def service(start):
    return start(worker_command=[sys.executable, backend.__file__, "engine"])


@pytest.fixture
def runner(service):
    runner = ServiceRunner(service.where)
    yield runner
    runner.close()


def test_the_cut_out_gives_back_the_naive_picture(composite):
    layer = cut_out(composite)
    again = composite.painting + (layer[:3] - composite.painting) * layer[3:]
    assert (again - composite.naive).abs().max() < 1e-5


def test_the_outcome_is_that_of_the_engine_itself(runner, composite):
    steps = []
    outcome = runner.harmonize(composite, settings(steps=3, milliseconds=80), steps.append)
    expected = mixed(composite)
    assert outcome.report == expected.report
    assert (outcome.alpha - expected.alpha).abs().max() < 1e-6
    shown = composite.mask[0] > 0
    assert (outcome.image - expected.image)[:, shown].abs().max() < 1e-4
    assert torch.equal(outcome.image[:, ~shown], composite.painting[:, ~shown])
    told = [(step.stage, step.iteration) for step in steps if step.stage != "queue"]
    assert told == [("mixing", 1), ("mixing", 2), ("mixing", 3)]
    again = runner.harmonize(composite, settings(), lambda step: None)
    assert torch.equal(again.image, outcome.image)


def test_more_pixels_than_the_service_takes_are_not_sent(runner, composite):
    size = 80 * 60 * 4 * 4  # RGBA in four bytes each
    runner.harmonize(composite, settings(), lambda step: None)
    for limit in (size, size - 1):
        runner._connection.welcome = dataclasses.replace(runner._connection.welcome, buffer_limit=limit)
        if limit == size:
            runner.harmonize(composite, settings(), lambda step: None)
    with pytest.raises(InvalidInput, match="80 x 60 pixels.*leave out --via"):
        runner.harmonize(composite, settings(), lambda step: None)


def test_stopped_before_the_service_has_answered(service, composite):
    runner = ServiceRunner(service.where)

    def stop(step):
        raise Cancelled()

    with pytest.raises(Cancelled) as caught:
        runner.harmonize(composite, settings(), stop)
    assert caught.value.best is None
    runner.close()


def test_stopping_brings_the_best_so_far(runner, composite):
    def stop(step):
        if step.stage != "queue":
            raise Cancelled()

    with pytest.raises(Cancelled) as caught:
        runner.harmonize(composite, settings(steps=1000, milliseconds=50), stop)
    assert (caught.value.best.alpha - composite.mask).abs().max() < 1e-6


def start_harmonize(service, folder):
    """`painterly harmonize --via` of a small picture with many iterations, as a process of its own."""
    Image.new("RGB", (96, 96), (90, 80, 70)).save(folder / "painting.png")
    Image.new("RGBA", (16, 16), (200, 100, 0, 255)).save(folder / "layer.png")
    files = ["--painting", folder / "painting.png", "--layer", folder / "layer.png", "-o", folder / "out.png"]
    more = ["--via", service.where, "--first-iterations", "1000", "--feather", "50"]
    command = [sys.executable, "-m", "backend", "harmonize", *map(str, files), *more]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_a_job_that_waits_is_stopped_at_once(start, composite):
    service = start()
    client = service.client()
    client.submit(job("ahead", steps=5000, milliseconds=50))
    client.progress("ahead")
    asked = []

    def stop(step):
        assert step.stage == "queue"
        if step.iterations == 2:
            asked.append(time.monotonic())
            raise Cancelled()

    runner = ServiceRunner(service.where)
    with pytest.raises(Cancelled) as caught:
        runner.harmonize(composite, settings(), stop)
    answered = time.monotonic() - asked[0]
    runner.close()
    print(f"answered in {answered * 1e3:.0f} ms")
    assert caught.value.best is None and len(asked) == 1
    assert answered < 0.3


def test_ctrl_c_while_the_job_waits_in_the_queue(start, tmp_path):
    service = start()
    client = service.client()
    client.submit(job("ahead", steps=5000, milliseconds=50))
    client.progress("ahead")
    process = start_harmonize(service, tmp_path)
    try:
        while "queue 1/2" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        while "nothing was written" not in process.stderr.readline():
            assert process.poll() is None
        answered = time.monotonic() - asked
        process.wait(30)  # a program that has imported torch takes its time to end
    finally:
        process.kill()
    print(f"answered in {answered:.2f} s")
    assert answered < 1
    assert process.returncode == 130
    assert not (tmp_path / "out.png").exists()
    client.submit(job("next"))
    assert client.until(lambda m: isinstance(m, messages.Accepted) and m.job == "next").position == 1


def test_ctrl_c_while_the_job_runs_keeps_the_best(service, tmp_path):
    process = start_harmonize(service, tmp_path)
    try:
        while "mixing" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        words = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert process.returncode == 130 and "the best so far" in words
    assert (tmp_path / "out.partial.png").exists()


def test_the_services_errors_keep_their_kind(runner, composite):
    with pytest.raises(HarmonizeError) as caught:
        runner.harmonize(composite, {**settings(), "feather": -1}, lambda step: None)
    assert caught.value.kind == messages.INVALID_PARAMETER
    runner.harmonize(composite, settings(), lambda step: None)


def test_a_service_that_ends_meanwhile(service, runner, composite):
    def kill(step):
        threading.Timer(0.1, service.process.kill).start()

    with pytest.raises((ServiceUnavailable, ConnectionProblem), match="ended"):
        runner.harmonize(composite, settings(steps=1000, milliseconds=100), kill)
    service.process.wait()  # the runner may have seen its end a moment before its parent can


def test_no_service(tmp_path):
    with pytest.raises(ServiceUnavailable):
        ServiceRunner(tmp_path / "missing.json")


def test_layers_as_krita_sends_them(service):
    """U8 BGRA over the wire through the real worker: mixed exactly, in the asked depth, with previews."""
    client = service.client()
    pixels = np.zeros((48, 48, 4), "u1")
    pixels[...] = (10, 20, 30, 255)
    painting = messages.Raster(48, 48, "BGRA", "U8", pixels.tobytes())
    pixels[:16, :16] = (110, 120, 130, 255)
    layer = messages.Raster(16, 16, "BGRA", "U8", np.ascontiguousarray(pixels[:16, :16]).tobytes())
    request = messages.Harmonize(
        "krita", painting, Placed(layer, 40, -4), None, settings(steps=60, milliseconds=20), want_preview=True
    )
    result = client.do(request)
    assert (result.image.x, result.image.y) == (40, 0)
    assert (result.image.raster.width, result.image.raster.height) == (8, 12)
    assert bytes(result.image.raster.data) == bytes((60, 70, 80, 255)) * (8 * 12)
    previews = [m.preview for m in client.heard if isinstance(m, messages.Progress) and m.preview]
    assert previews and (previews[0].x, previews[0].y, previews[0].width, previews[0].height) == (
        40,
        0,
        8,
        12,
    )
    assert bytes(previews[0].image.data[:4]) == bytes((60, 70, 80, 255))


def test_a_job_that_the_engine_cannot_do(service):
    client = service.client()
    empty = messages.Raster(16, 16, "BGRA", "U8", bytes(16 * 16 * 4))
    painting = messages.Raster(48, 48, "BGRA", "U8", bytes(48 * 48 * 4))
    failed = client.do(messages.Harmonize("empty", painting, Placed(empty), None, settings()))
    assert failed.kind == messages.INVALID_INPUT and failed.message.endswith(".")
