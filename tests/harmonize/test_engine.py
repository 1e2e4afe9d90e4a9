"""The engine as others use it (`backend/engine.py`): settings in, outcome out, warm in between."""

from types import SimpleNamespace

import pytest
import torch

from backend import engine as module
from backend import worker
from backend.engine import Engine, configure
from backend.harmonize.composite import Composite
from backend.harmonize.errors import Cancelled, DeviceUnavailable, OutOfMemory, WeightsUnavailable
from backend.harmonize.step import Step
from plugin.painterly.protocol import messages
from plugin.painterly.protocol.parameters import PRESETS, resolve
from tests.harmonize.scenes import composed

TINY = {
    "device": "cpu",
    "precision": "float32",
    "first_iterations": 1,
    "second_iterations": 1,
    "resolution": 64,
    "style": 4,
}


@pytest.fixture(scope="module")
def small():
    return composed(64, 64, 20, 20, 24)


def test_settings_arrive_in_the_numerics(small):
    changes = dict(
        style=3,
        content=2,
        smoothness=0.5,
        own_colours=0.3,
        grow=4,
        feather=6,
        seed=9,
        chroma_denoise=False,
        patch_synthesis=False,
        first_iterations=11,
        second_iterations=12,
    )
    config = configure(small, resolve("balanced", changes))
    assert (config.style_level, config.content, config.smoothness) == (3, 2, 0.5)
    assert config.own_colours == 0.3
    assert (config.grow, config.feather, config.seed) == (4, 6, 9)
    assert not config.chroma_denoise and not config.patch_synthesis and not config.full_frame
    assert config.first.plan.iterations == 11 and config.second[-1].plan.iterations == 12
    assert config.working_scale == 1


def test_auto_style_is_left_to_the_estimate(small):
    assert configure(small, resolve("balanced", {"style": "auto"})).style_level is None


def test_steps_are_smaller_by_the_root_of_their_number(small):
    steps = []
    for iterations in (25, 50, 100, 200):
        levels = configure(small, resolve("balanced", {"second_iterations": iterations})).second
        steps.append(levels[1].plan.step)
    assert steps[0] == steps[1] > 0
    assert [step / steps[1] for step in steps[2:]] == pytest.approx([0.5**0.5, 0.5])


@pytest.mark.parametrize(
    "iterations, rounds", [(1, 1), (39, 1), (40, 2), (50, 2), (79, 2), (80, 3), (100, 3), (203, 3)]
)
def test_many_iterations_at_full_size_come_in_rounds(small, iterations, rounds):
    levels = configure(small, resolve("balanced", {"second_iterations": iterations})).second
    fine = [level.plan for level in levels if level.scale >= 1]
    assert len(fine) == rounds and sum(plan.iterations for plan in fine) == iterations
    assert sum(plan.iterations for plan in fine[1:]) == iterations // 2 // (rounds - 1 or 1) * (rounds - 1)
    assert all(plan.step == fine[0].step and plan.bands < fine[0].bands for plan in fine[1:])


@pytest.mark.parametrize(
    "iterations, side, larger",
    [
        (39, 100, 1),
        (48, 100, 1.5),
        (48, 240, 1.5),
        (48, 288, 1.25),
        (48, 310, 1),  # not worth it
        (48, 400, 1),
        (100, 400, 1.5),
        (100, 600, 1.28),
        (100, 800, 1),
    ],
)
def test_of_a_small_object_the_first_round_is_painted_larger(iterations, side, larger):
    composite = composed(900, 900, 30, 40, side)
    settings = resolve("balanced", {"second_iterations": iterations, "resolution": 900})
    again = {39: 0, 48: 1, 100: 2}[iterations]
    found = [level.scale for level in configure(composite, settings).second]
    assert found == pytest.approx([0.5 * larger, larger] + [1] * again)


def test_what_is_supersampled_is_large_enough_sooner():
    composite = composed(700, 700, 30, 40, 200)
    scales = [
        configure(composite, resolve("balanced", {"supersampling": times})).second[1].scale
        for times in (1.0, 1.5, 2.0)
    ]
    assert scales == pytest.approx([1.5, 1.2, 1.0])


@pytest.mark.parametrize("iterations, settling", [(0, 0), (6, 0), (12, 1), (39, 2), (48, 6), (100, 2)])
def test_settling_is_a_seventh_of_few_iterations_and_never_long(small, iterations, settling):
    config = configure(small, resolve("balanced", {"second_iterations": iterations}))
    assert config.settling.iterations == settling
    assert config.settling.step < config.second[-1].plan.step / 10


def test_faint_dirt_far_from_the_object_does_not_make_it_smaller():
    composite = composed(600, 600, 250, 250, 100)
    clean, settings = configure(composite, resolve("draft")), resolve("draft")
    mask = composite.mask.clone()
    mask[:, [2, 590], [590, 2]] = 1 / 255
    dirty = configure(Composite(composite.painting, composite.naive, mask), settings)
    assert dirty.working_scale == clean.working_scale == 1


def test_two_small_things_far_apart_begin_as_each_would():
    both = composed(700, 700, 60, 60, 100)
    mask = both.mask + composed(700, 700, 550, 550, 100).mask
    both, one = (configure(Composite(both.painting, both.naive, m), resolve()) for m in (mask, both.mask))
    assert [level.scale for level in both.second] == [level.scale for level in one.second]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_a_run(small, preset):
    config = configure(small, resolve(preset))
    assert config.second[-1].scale == 1 and 0 < config.working_scale <= 1
    assert (config.settling is None) == config.published


def test_paper_is_the_published_setting(small):
    config = configure(small, resolve("paper"))
    levels = [config.first, *config.second]
    assert config.full_frame and len(levels) == 2 and config.settling is None
    plans = [(level.scale, level.plan.iterations, level.plan.method, level.plan.rate) for level in levels]
    assert plans == [(1.0, 1000, "lbfgs", 1.0), (1.0, 1000, "lbfgs", 0.1)]
    assert PRESETS["paper"]["precision"] == "float32" and PRESETS["paper"]["resolution"] == 700


def test_a_large_object_is_worked_on_smaller():
    large = composed(400, 600, 50, 50, 300)
    config = configure(large, resolve("balanced", {"resolution": 256}))
    assert 0.3 < config.working_scale < 0.9


def test_a_job_with_the_packaged_network_and_the_next_one_warm(small, monkeypatch):
    loads = []
    load = module.networks.load
    monkeypatch.setattr(module.networks, "load", lambda name: loads.append(name) or load(name))
    engine, stages = Engine(), []
    first = engine.harmonize(small, resolve("balanced", TINY))
    second = engine.harmonize(
        small, resolve("balanced", {**TINY, "content": 2}), lambda s: stages.append(s.stage)
    )
    assert loads == ["packaged"]
    assert "first pass" not in stages and stages[-1] == "postprocess"
    fresh = Engine().harmonize(small, resolve("balanced", {**TINY, "content": 2}))
    assert torch.equal(second.image, fresh.image)
    report = first.report
    assert report["network"] == "packaged" and report["precision"] == "float32" and report["device"] == "cpu"
    assert report["style_level"] == 4 and report["peak_memory_mb"] > 0
    assert set(report["versions"]) == {"torch", "python"} and "load" in report["seconds"]


def test_memory_is_given_back_as_each_stage_begins_and_at_the_end(small, monkeypatch):
    said = []
    monkeypatch.setattr(module.machine, "release", lambda device: said.append(device.type))
    settings = resolve("balanced", {**TINY, "second_iterations": 3})
    Engine().harmonize(small, settings, lambda step: said.append((step.stage, step.iteration)))
    told = [(before, after) for before, after in zip(said, said[1:]) if after != "cpu"]
    assert {stage for _, (stage, _) in told} == {
        "first pass",
        "second pass",
        "patch synthesis",
        "postprocess",
    }
    assert all((before == "cpu") == (iteration == 1) for before, (_, iteration) in told)
    assert said[-1] == "cpu"


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("place", ["painting", "loading the network"])
def test_memory_that_does_not_suffice_is_a_sentence(small, monkeypatch, error, place):
    def exhausted(*arguments):
        raise error

    if place == "painting":
        monkeypatch.setattr(module, "harmonize", exhausted)
        monkeypatch.setattr(Engine, "_network", lambda *asked: None)
    else:
        monkeypatch.setattr(module.networks.Network, "to", exhausted)
    with pytest.raises(OutOfMemory, match="smaller working resolution"):
        Engine().harmonize(small, resolve("balanced", TINY))


@pytest.mark.parametrize(
    "error, kind",
    [
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), messages.OUT_OF_MEMORY),
        (MemoryError(), messages.OUT_OF_MEMORY),
        (RuntimeError("shapes do not fit"), messages.INTERNAL),
        (ValueError("out of memory"), messages.INTERNAL),
    ],
    ids=repr,
)
def test_so_it_is_outside_the_engine(error, kind):
    """Where rasters become tensors, and back."""

    class Failing:
        def harmonize(self, job, watch):
            raise error

    assert worker.do_job(Failing(), None, SimpleNamespace(job="failing")).kind == kind


def test_missing_weights_are_told_and_nothing_is_kept(small, monkeypatch):
    def missing(name):
        raise WeightsUnavailable("none")

    engine = Engine()
    with monkeypatch.context() as without:
        without.setattr(module.networks, "load", missing)
        with pytest.raises(WeightsUnavailable):
            engine.harmonize(small, resolve("balanced", TINY))
    assert engine.harmonize(small, resolve("balanced", TINY)).image.shape == (3, 64, 64)


def test_a_network_that_is_not_there_is_downloaded_and_that_is_told(small, monkeypatch, tmp_path):
    def fetched(wanted, name, on_step):
        on_step(Step("download", 1, 548, 0.0))
        raise Cancelled()

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(module.download, "fetch", fetched)
    told = []
    with pytest.raises(Cancelled) as stopped:
        Engine().harmonize(small, resolve("balanced", dict(TINY, network="vgg19")), told.append)
    assert [step.stage for step in told] == ["download"] and stopped.value.best is None


def test_describing_loads_no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path))
    monkeypatch.setattr(module.networks, "load", lambda name: pytest.fail("weights were loaded"))
    way = module.machine.Way("float32", threads=3)
    found = module.machine.Measurement({way: 1.0}, shared={way: 1.0})
    monkeypatch.setattr(module.machine, "measure", lambda device: found)
    description = Engine().describe()
    assert description["precision"] == "float32" and description["torch"] == torch.__version__
    assert description["threads"] == 3 and description["memory_format"] == "channels_last"


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), DeviceUnavailable("in no way")], ids=repr
)
def test_a_card_that_is_full_is_described_all_the_same(monkeypatch, error):
    """The service describes the machine as it starts; a job tells what is wrong, if it still is."""

    def full(wanted, device):
        raise error

    monkeypatch.setattr(module.machine, "choose", full)
    assert Engine().describe()["precision"] == "float32"


def test_a_fault_of_ours_is_not_taken_for_a_full_card(monkeypatch):
    monkeypatch.setattr(module.machine, "choose", lambda wanted, device: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        Engine().describe()


def test_other_errors_are_not_called_a_lack_of_memory(small, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(module, "harmonize", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        Engine().harmonize(small, resolve("balanced", TINY))


def test_the_measured_choice_is_what_the_engine_computes_with(small, monkeypatch, tmp_path):
    """On auto; afterwards the threads are as before."""
    monkeypatch.setenv("PAINTERLY_HOME", str(tmp_path))
    before = torch.get_num_threads()
    way = module.machine.Way("bfloat16", threads=before + 1)
    slow = module.machine.Way("float32")
    found = module.machine.Measurement({way: 0.1, slow: 1.0}, shared={way: 0.1})
    monkeypatch.setattr(module.machine, "measure", lambda device: found)
    try:
        report = Engine().harmonize(small, resolve("balanced", {**TINY, "precision": "auto"})).report
    finally:
        torch.set_num_threads(before)
    assert (report["precision"], report["threads"]) == ("bfloat16", before + 1)
