"""`painterly bench`: ratios and seconds with known answers, the table, rows that fail, processes that die."""

import json
import os
from pathlib import Path

import pytest

from backend.cli import bench, bench_machine, bench_measure
from backend.cli.bench_measure import Case, Row, Stopwatch, measure_apart, paper_seconds
from backend.cli.inputs import Sources
from backend.harmonize.errors import DeviceUnavailable
from backend.harmonize.step import Step
from plugin.painterly.protocol.parameters import PRESETS
from tests.cli.conftest import noise, options, samples_of, save

QUICK = ("--sizes", "128", "--presets", "draft", "--iterations", "2")


def row(size=700, preset="draft", device="cpu", total=10.0, **changes) -> Row:
    return Row(size, preset, device, "float32", total=total, **changes)


def case(preset="draft", **changes) -> Case:
    sources = Sources(Path("p"), layer=Path("l"))
    fields = dict(size=128, device="cpu", precision="float32", iterations=4, folder=Path("f"))
    return Case(preset=preset, sources=sources, small=sources, **{**fields, **changes})


def ended(case: Case) -> Row:
    os._exit(7)


def elsewhere(case: Case) -> Row:
    return row(error=f"process {os.getpid()}")


@pytest.fixture
def inline(monkeypatch):
    """Rows are measured in this process, where the fake engine is."""
    monkeypatch.setattr(bench_measure, "measure_apart", lambda case, work: work(case))


def test_ratio_is_papers_seconds_over_the_rows_own():
    rows = [row(preset="paper", total=5000.0, estimated=True), row(total=50.0), row(size=350, total=5.0)]
    rows += [row(preset="paper", device="cuda", total=100.0, estimated=True), row(device="cuda", total=4.0)]
    assert [r["times_faster"] for r in bench.with_ratios(rows)] == [1.0, 100.0, None, 1.0, 25.0]


def test_no_ratio_where_paper_or_the_row_failed():
    rows = [row(preset="paper", total=None, estimated=True, error="No."), row(), row(total=None, error="No.")]
    assert [r["times_faster"] for r in bench.with_ratios(rows)] == [None, None, None]


def test_paper_is_its_iterations_times_their_measured_seconds(monkeypatch):
    monkeypatch.setitem(PRESETS, "paper", dict(PRESETS["paper"], first_iterations=10, second_iterations=100))
    assert paper_seconds({"first pass": 3.0, "second pass": 0.5}) == 80.0


def test_stopwatch_leaves_out_the_first_iteration_of_each_pass_and_level():
    times = iter([100.0, 102.0, 104.0, 200.0, 203.0, 300.0, 305.0, 400.0])
    watch = Stopwatch(lambda: next(times))
    steps = [("first pass", i) for i in (1, 2, 3)] + [("second pass", i) for i in (1, 2, 1, 2)]
    for stage, iteration in [*steps, ("postprocess", 1)]:
        watch(Step(stage, iteration, 3, 0.5))
    assert watch.per_iteration == {"first pass": 2.0, "second pass": 4.0}


def test_of_paper_a_few_iterations_are_run_at_full_size():
    settings = case("paper", size=512).settings()
    assert (settings["first_iterations"], settings["second_iterations"]) == (5, 5)
    assert settings["schedule"] == "published" and settings["resolution"] == 512
    assert case("draft", precision="bfloat16").settings() == {
        **PRESETS["draft"], "device": "cpu", "precision": "bfloat16",
    }  # fmt: skip


def test_rows_for_every_size_preset_precision_and_device(painterly, engine, inline):
    finished = painterly(
        "bench", "--sizes", "128,200", "--presets", "draft,paper,high,draft", "--precisions",
        "float32,bfloat16", "--devices", "cpu,cuda", "--json",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    rows = json.loads(finished.out)["rows"]
    runs = ["paper float32", "draft float32", "high float32", "draft bfloat16", "high bfloat16"]
    expected = [f"{s} {d} {run}" for s in (128, 200) for d in ("cpu", "cuda") for run in runs]
    assert [f"{r['size']} {r['device']} {r['preset']} {r['precision']}" for r in rows] == expected
    # A warm-up on a tiny picture goes before each; the rest have the size asked for.
    assert [max(composite.mask.shape) for composite, _ in engine.jobs[::2]] == [128] * len(rows)
    assert [max(composite.mask.shape) for composite, _ in engine.jobs[1::2]] == [r["size"] for r in rows]
    assert all(r["times_faster"] > 0 for r in rows)


def test_json_says_where_and_what_was_measured(painterly, inline):
    told = json.loads(painterly("bench", *QUICK, "--json").out)
    assert told["machine"]["cores"] == os.cpu_count() and told["machine"]["cpu"] and told["commit"]
    assert told["settings"]["picture"] == "demo" and "2 iterations" in told["settings"]["timed"]
    paper, draft = told["rows"]
    assert paper["estimated"] and not draft["estimated"]
    assert draft["stages"] == {"first pass": 1.5} and set(draft["per_iteration"]) == {
        "first pass", "second pass",
    }  # fmt: skip
    assert draft["times_faster"] == pytest.approx(paper["total"] / draft["total"])


def test_table_has_machine_and_one_line_for_each_row(painterly, inline):
    lines = painterly("bench", *QUICK).out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("size"))
    assert any(line.startswith("cpu ") for line in lines[:head])
    assert "paper (estimated)" in lines[head + 1] and lines[head + 1].endswith("1/1")
    assert "draft" in lines[head + 2] and "1/" in lines[head + 2]


def test_numbers_of_the_table():
    rows = bench.with_ratios(
        [
            row(preset="paper", total=5000.0, estimated=True),
            row(
                total=10.0,
                stages={"load": 1.234},
                per_iteration={"first pass": 0.25},
                memory=900,
                added=100,
                threads=2,
            ),
        ]
    )
    cells = bench.table(rows).splitlines()[2].split()
    assert cells == ["700", "draft", "cpu", "float32", "2", "1.23", "0.250", "10.0", "900", "100", "1/500"]


def test_a_row_that_fails_shows_its_sentence_and_the_rest_go_on(painterly, engine, inline, monkeypatch):
    harmonize = engine.harmonize

    def refusing(composite, settings, on_step):
        if settings["device"] == "mps":
            raise DeviceUnavailable("This machine has no usable mps device.")
        return harmonize(composite, settings, on_step)

    monkeypatch.setattr(engine, "harmonize", refusing)
    finished = painterly("bench", *QUICK, "--devices", "mps,cpu")
    assert finished.code == 1
    lines = [line for line in finished.out.splitlines() if " draft " in line and "float" not in line]
    assert lines[-2].endswith("no usable mps device.") and "1/" in lines[-1]


def test_a_bug_is_one_rows_sentence(painterly, engine, inline, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(engine, "harmonize", broken)
    finished = painterly("bench", *QUICK)
    assert finished.code == 1 and "ZeroDivisionError" in finished.out and "Traceback" not in finished.err


def test_ones_own_picture(painterly, engine, files, inline):
    finished = painterly("bench", *options(files), "--sizes", "192", "--presets", "draft", "--json")
    assert finished.code == 0, finished.err
    assert json.loads(finished.out)["settings"]["picture"] == "painting.png"
    assert engine.jobs[1][0].mask.shape == (1, 160, 192)
    # The object's 30 x 20 px, twice as large.
    assert engine.jobs[1][0].mask.sum().item() == pytest.approx(2400, rel=0.02)


def test_a_cut_out_keeps_its_place_and_its_colours(tmp_path):
    layer = noise(bands=4)
    layer[...] = [255, 0, 0, 255]
    layer[:, :40] = [0, 255, 0, 0]
    sources = Sources(
        save(tmp_path / "p.png", noise()), layer=save(tmp_path / "l.png", layer), offset=(-20, 10)
    )
    half = bench.resized(sources, 48, tmp_path)
    small = samples_of(half.layer)
    assert half.offset == (-10, 5) and small.shape == (40, 48, 4)
    seen = small[small[..., 3] > 8]
    assert (seen[:, 0] > 250).all() and (seen[:, 1] < 5).all()


@pytest.mark.parametrize(
    "extra, words",
    [
        (("--sizes", "12"), "128..4096"),
        (("--sizes", "many"), "whole number"),
        (("--presets", "nice"), "Preset is one of"),
        (("--precisions", "int8"), "Precision is one of"),
        (("--iterations", "0"), "at least 1"),
        (("--mask", "m.png"), "--painting"),
        (("--painting", "nowhere.png", "--layer", "l.png"), "does not exist"),
    ],
)
def test_bad_options(painterly, engine, extra, words):
    finished = painterly("bench", *extra)
    assert finished.code == 2 and words in finished.err and finished.err.count("\n") == 1
    assert engine.jobs == []


def test_each_row_has_a_process_of_its_own():
    told = {measure_apart(case(), elsewhere).error for _ in range(2)}
    assert len(told) == 2 and f"process {os.getpid()}" not in told


def test_a_process_that_dies_is_a_row_with_a_sentence():
    died = measure_apart(case("paper"), ended)
    assert "exit code 7" in died.error and died.total is None and died.estimated


def test_cpu_name_from_the_systems_list(tmp_path):
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n")
    assert bench_machine._linux_cpu_name(listed) == "Some CPU @ 2 GHz"
    assert bench_machine._linux_cpu_name(tmp_path / "none") == ""


def test_without_a_checkout_the_commit_is_the_version(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_machine, "ROOT", tmp_path)
    assert bench_machine.commit().startswith("version ")
