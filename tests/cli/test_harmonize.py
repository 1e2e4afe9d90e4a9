"""`painterly harmonize` as a program: what it prints, its stages, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.cli import stages
from backend.picture_output import OutputError
from plugin.painterly.protocol.parameters import BY_NAME, PRESETS
from tests.cli.conftest import noise, object_mask, options, samples_of, save

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments, seconds="0") -> subprocess.Popen:
    """The command line with the fake engine, as its own process."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), FAKE_ENGINE_SECONDS=seconds)
    command = [sys.executable, str(ROOT / "tests" / "cli" / "fake_engine.py"), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def await_line(process: subprocess.Popen, words: str) -> str:
    """Reads stderr until a line has `words`; returns what was read."""
    read = ""
    for line in process.stderr:
        read += line
        if words in line:
            return read
    raise AssertionError(f"{words!r} never came: {read}")


def test_json_is_one_object_with_everything(files, tmp_path):
    process = start(
        "harmonize", *options(files), "--preset", "draft", "--style", "3", "--json", "-o", tmp_path / "o.png"
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["parameters"] == dict(PRESETS["draft"], style=3.0)
    assert told["seconds"] == {"first pass": 1.5} and told["seconds_in_all"] > 0
    assert told["files"]["output"] == str(tmp_path / "o.png")
    assert told["files"]["mask"] == str(files["--mask"]) and told["cancelled"] is False


def test_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "backend", "harmonize", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for parameter in BY_NAME.values():
        assert "--" + parameter.name.replace("_", "-") in done.stdout
    assert "--save-stages" in done.stdout and "0..2147483647" in done.stdout and done.stderr == ""


def test_help_and_bad_input_need_no_torch(files, tmp_path):
    code = (
        "import sys; from backend.__main__ import main; "
        f"code = main(['harmonize', '--painting', {str(tmp_path / 'none.png')!r}, '--layer', 'l.png', '-o', 'o.png']);"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"


def test_settings_reach_the_engine(painterly, engine, files, tmp_path):
    code = painterly(
        "harmonize", *options(files), "--chroma-denoise", "off", "--style", "auto", "--resolution", "512",
        "-o", tmp_path / "o.png",
    ).code  # fmt: skip
    assert code == 0
    ((_, settings),) = engine.jobs
    assert settings == dict(PRESETS["balanced"], chroma_denoise=False, resolution=512)


def test_stages_are_saved(painterly, files, tmp_path):
    stages = tmp_path / "deep" / "stages"
    finished = painterly(
        "harmonize", *options(files), "--save-stages", stages, "--json", "-o", tmp_path / "o.png"
    )
    assert finished.code == 0
    saved = json.loads(finished.out)["files"]["stages"]
    assert list(saved) == ["painting", "naive", "mask", "first pass", "second pass", "alpha", "result"]
    assert sorted(stages.iterdir()) == sorted(Path(path) for path in saved.values())
    assert (samples_of(saved["naive"]) == noise(seed=2)).all()
    assert (samples_of(saved["mask"]) == object_mask()).all()
    assert (samples_of(saved["second pass"])[35, 50] == [255, 0, 0]).all()


def test_a_stages_picture_that_cannot_be_written_costs_no_one_the_job(
    painterly, files, tmp_path, monkeypatch
):
    def write(image, path):
        if "first" in path.name:
            raise OutputError(f"The output {path} cannot be written: No space left on device.")
        real(image, path)

    real = stages.write_picture
    monkeypatch.setattr(stages, "write_picture", write)
    finished = painterly(
        "harmonize", *options(files), "--save-stages", tmp_path / "stages", "--json", "-o", tmp_path / "o.png"
    )
    assert finished.code == 0 and (tmp_path / "o.png").is_file()
    told = json.loads(finished.out)
    assert list(told["files"]["stages"]) == ["painting", "naive", "mask"]
    assert "Not all pictures of stages" in finished.err and "No space left" in told["notes"][0]


def test_a_stages_folder_that_cannot_be_written_is_told_before_any_work(
    painterly, engine, files, tmp_path, monkeypatch
):
    def write(image, path):
        raise OutputError(f"The output {path} cannot be written: Permission denied.")

    monkeypatch.setattr(stages, "write_picture", write)
    finished = painterly(
        "harmonize", *options(files), "--save-stages", tmp_path / "s", "-o", tmp_path / "o.png"
    )
    assert finished.code == 2 and "Permission denied" in finished.err and engine.jobs == []


def test_ctrl_c_keeps_the_best_so_far(files, tmp_path):
    process = start("harmonize", *options(files), "--json", "-o", tmp_path / "o.png", seconds="0.3")
    await_line(process, "first pass")
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - asked < 2
    assert process.returncode == 130
    partial = tmp_path / "o.partial.png"
    assert f"painterly: Stopped; the best so far is in {partial}.\n" in err
    assert json.loads(out)["cancelled"] is True and json.loads(out)["files"]["output"] == str(partial)
    assert not (tmp_path / "o.png").exists()
    outside = object_mask()[..., 0] == 0
    assert (samples_of(partial)[outside] == noise()[outside]).all()
    assert (samples_of(partial)[35, 50] == [255, 0, 0]).all()


@pytest.mark.parametrize("interrupted", [True, False])
def test_nobody_reads_its_words_any_more(files, tmp_path, interrupted):
    """As with `2>&1 | tee log`, where Ctrl-C reaches `tee` too."""
    seconds = "0.3" if interrupted else "0.02"
    process = start("harmonize", *options(files), "-o", tmp_path / "o.png", seconds=seconds)
    await_line(process, "first pass")
    process.stderr.close()
    if interrupted:
        process.send_signal(signal.SIGINT)
    assert process.wait(30) == (130 if interrupted else 0)
    process.stdout.close()
    assert (tmp_path / ("o.partial.png" if interrupted else "o.png")).exists()


def test_second_ctrl_c_ends_at_once(files, tmp_path):
    process = start("harmonize", *options(files), "-o", tmp_path / "o.png", seconds="4")
    await_line(process, "first pass 1/")
    process.send_signal(signal.SIGINT)
    await_line(process, "Stopping after this iteration")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=2)  # the iteration would take longer
    assert process.returncode == -signal.SIGINT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.png", "naive.png", "painting.png"]


def test_older_result_is_replaced_and_odd_names_work(painterly, files, tmp_path):
    out = tmp_path / "é [x=1] 'q'.png"
    save(tmp_path / "old.png", np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "old.png").rename(out)
    renamed = tmp_path / "p[page=7].png"
    files["--painting"].rename(renamed)
    files["--painting"] = renamed
    assert painterly("harmonize", *options(files), "-o", out).code == 0
    result = np.asarray(Image.open(out))
    assert result.shape == noise().shape
    assert out.stat().st_mode & 0o777 == renamed.stat().st_mode & 0o777


@pytest.mark.parametrize("missing", ["--mask", "--naive"])
def test_half_a_pair_is_refused(painterly, files, tmp_path, missing):
    del files[missing]
    finished = painterly("harmonize", *options(files), "-o", tmp_path / "o.png")
    assert finished.code == 2 and "mask" in finished.err
