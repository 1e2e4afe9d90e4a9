"""`painterly bench --growth` and `--profile`: scenes of known size, known seconds, parts that add up."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from backend.cli import bench_growth, bench_measure, bench_plot, bench_profile
from backend.cli.bench_measure import Case, Row
from backend.cli.inputs import Sources, load
from plugin.painterly.protocol.parameters import PRESETS
from tests.cli.conftest import noise, options, save


@pytest.fixture
def inline(monkeypatch):
    """Rows are measured in this process, where the fake engine is."""
    monkeypatch.setattr(bench_measure, "measure_apart", lambda case, work: work(case))


@pytest.fixture
def small_series(monkeypatch):
    for name, value in dict(OBJECTS=(24, 48), CANVASES=(128, 256), CANVAS=256, OBJECT=32).items():
        monkeypatch.setattr(bench_growth, name, value)


@pytest.fixture
def cut_out(tmp_path) -> Sources:
    """Visible are 30 x 20 px of the layer."""
    layer = noise(bands=4)
    layer[..., 3] = 0
    layer[10:30, 5:35, 3] = 255
    return Sources(save(tmp_path / "p.png", noise()), layer=save(tmp_path / "l.png", layer))


def test_a_scene_has_the_sizes_asked_for_and_the_object_in_the_middle(cut_out, tmp_path):
    scene = bench_growth.composed(cut_out, 60, 200, tmp_path)
    loaded = load(scene, 700)
    assert loaded.painting.size == (200, 200) and loaded.mask.shape == (1, 200, 200)
    rows, columns = (loaded.mask[0].max(axis=axis).nonzero()[0] for axis in (1, 0))
    assert (columns[0], columns[-1]) == (70, 129) and (rows[0], rows[-1]) == (80, 119)


def test_a_point_tells_the_engines_seconds_and_those_of_the_files_apart():
    sources = Sources("p", layer="l")
    case = Case(4096, "draft", "cpu", "float32", sources, sources, "f", 2, "object", 512)
    point = bench_growth.point(case, Row(4096, "draft", "cpu", "float32", engine=41.0, total=45.0, added=9))
    assert (point.seconds, point.files, point.memory) == (41, 4, 9)
    assert point.how == "draft, cpu float32" and (point.series, point.object, point.canvas) == (
        "object",
        512,
        4096,
    )


def test_growth_writes_a_plot_and_its_numbers(painterly, engine, inline, small_series, tmp_path):
    out = tmp_path / "out"
    finished = painterly("bench", "--growth", out, "--presets", "draft,paper")
    assert finished.code == 0, finished.err
    told = json.loads((out / "growth.json").read_text())
    assert [(p["series"], p["object"], p["canvas"]) for p in told["points"]] == [
        ("object", 24, 256), ("object", 48, 256), ("canvas", 32, 128), ("canvas", 32, 256),
    ]  # fmt: skip
    assert told["machine"]["cpu"] and told["commit"] and "draft" in told["settings"]
    wanted = PRESETS["draft"]["second_iterations"]
    assert [settings["second_iterations"] for _, settings in engine.jobs[1::2]] == [wanted] * 4
    plot = ElementTree.parse(out / "growth.svg")
    words = " ".join(plot.getroot().itertext())
    assert told["commit"] in words and told["machine"]["cpu"] in words and "canvas 256 px" in words
    assert len(finished.out.splitlines()) == 5


def test_growth_tells_before_it_measures_that_it_cannot_write(
    painterly, engine, inline, small_series, tmp_path
):
    (tmp_path / "out").write_text("a file")
    finished = painterly("bench", "--growth", tmp_path / "out", "--presets", "draft")
    assert finished.code == 2 and "cannot be made" in finished.err and engine.jobs == []


def test_growth_needs_a_cut_out(painterly, engine, files, tmp_path):
    finished = painterly("bench", *options(files), "--growth", tmp_path / "out")
    assert finished.code == 2 and "--layer" in finished.err and engine.jobs == []


def test_on_logarithmic_axes_an_area_is_a_straight_line_twice_as_steep():
    panel = bench_plot.Panel("t", "x", "y", {"a": [(10, 1), (100, 100), (1000, 10000)]})
    curve, area = (
        [tuple(map(float, place.split(","))) for place in places.split()]
        for places in re.findall(r'points="([^"]+)"', bench_plot.svg([panel], ["h"]))
    )
    assert curve == area
    (x0, y0), (x1, y1), (x2, y2) = curve
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y0 - y1 == pytest.approx(y1 - y2, abs=0.2)


def test_what_is_flat_looks_flat():
    panel = bench_plot.Panel("t", "x", "y", {"flat": [(700.0, 100.0), (8192.0, 110.0)]})
    curve = re.findall(r'points="([^"]+)"', bench_plot.svg([panel], ["h"]))[1]
    (_, first), (_, last) = (map(float, place.split(",")) for place in curve.split())
    assert 0 < first - last < 0.05 * bench_plot.HEIGHT


def test_a_plot_of_nothing_and_of_names_with_signs():
    ElementTree.fromstring(bench_plot.svg([bench_plot.Panel("<t>", "x", "y", {})], ["a & b"]))


@pytest.mark.parametrize("path", [path for paths in bench_profile.FUNCTIONS.values() for path in paths])
def test_the_functions_of_each_part_are_there(path):
    assert callable(bench_profile.function_at(path))


@pytest.mark.parametrize(
    "operation, label, part",
    [
        ("convolution", bench_profile.NETWORK, bench_profile.FORWARD),
        ("convolution", "rest", "rest"),
        ("convolution_backward", "taps", bench_profile.BACKWARD),
        ("threshold_backward", "taps", bench_profile.NETWORK),
        ("relu", bench_profile.NETWORK, bench_profile.NETWORK),
        ("mm", "Gram", "Gram"),
    ],
)
def test_what_belongs_to_what(operation, label, part):
    assert bench_profile.part_of(operation, label) == part


def test_a_clock_counts_operations_also_backward_and_of_the_innermost_part():
    ticks = iter(range(1000))
    clock = bench_profile.PartsClock(lambda: next(ticks))
    kernel = torch.rand(4, 3, 3, 3)
    double = clock.labelled("Gram", lambda x: x * 2)
    leaf = torch.rand(1, 3, 8, 8, requires_grad=True)
    with clock, clock.part(bench_profile.NETWORK):
        out = double(torch.nn.functional.conv2d(leaf, kernel))
        out.backward(torch.ones(1, 4, 6, 6))
    assert {"Gram": 1, bench_profile.FORWARD: 1, bench_profile.BACKWARD: 1}.items() <= clock.seconds.items()


def test_a_profile_of_a_real_job_adds_up_and_leaves_nothing_behind(monkeypatch, cut_out, tmp_path):
    monkeypatch.setattr(bench_measure, "WARM_UP", {**bench_measure.WARM_UP, "first_iterations": 3})
    before = bench_profile.function_at("second_pass.optimize")
    case = Case(96, "draft", "cpu", "float32", cut_out, cut_out, tmp_path, 1, "object", 30)
    row = bench_profile.profile(case)
    assert row.error == "" and bench_profile.function_at("second_pass.optimize") is before
    expected = {
        *bench_profile.FUNCTIONS,
        bench_profile.FORWARD,
        bench_profile.BACKWARD,
        bench_profile.OPTIMIZER,
    }
    assert expected | {bench_profile.PYTHON, "taps"} <= set(row.parts)
    assert sum(row.parts.values()) == pytest.approx(row.engine)
    assert 0 < bench_profile.network_share(row.parts) < 1
    told = bench_profile.table([vars(row)])
    assert "own arithmetic" in told and "PatchMatch" in told


@pytest.mark.parametrize("mode", [["--profile"], ["--growth", "out"]])
def test_whole_jobs_of_paper_alone_are_refused(painterly, inline, mode):
    finished = painterly("bench", "--sizes", "128", "--presets", "paper", *mode)
    assert finished.code == 2 and finished.out == "" and "another preset" in finished.err


def test_profile_is_told_for_each_row(painterly, inline, monkeypatch):
    parts = {"Gram": 3.0, bench_profile.FORWARD: 1.0}
    monkeypatch.setattr(
        bench_profile,
        "profile",
        lambda case: Row(case.size, case.preset, "cpu", "float32", total=4.0, parts=parts),
    )
    command = ("bench", "--sizes", "128", "--presets", "draft,high", "--profile")
    rows = json.loads(painterly(*command, "--json").out)["rows"]
    assert [row["network_share"] for row in rows] == [0.25, 0.25] and rows[0]["parts"] == parts
    finished = painterly(*command)
    assert finished.code == 0 and "paper (estimated)" not in finished.out
    assert finished.out.count("Gram") == 2 and finished.out.count("own arithmetic: 25%") == 2
