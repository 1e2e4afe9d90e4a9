"""Whatever is wrong with what was given: one sentence on stderr, exit code 2, nothing written."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import picture_output
from plugin.painterly.protocol.places import places
from tests.cli.conftest import HEIGHT, WIDTH, noise, object_mask, options, samples_of, save
from tests.cli.fake_engine import Misfortune
from tests.cli.test_harmonize import start

ROOT = Path(__file__).resolve().parents[2]


def truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def with_nan(path: Path, value=np.nan) -> Path:
    samples = (noise() / 255).astype(np.float32)
    samples[HEIGHT - 1, WIDTH - 1, 2] = value
    return save(path, samples)


def text_file(path: Path) -> Path:
    path.write_text("1,2,3\n4,5,6\n")
    return path


def mask_of(path: Path, value: int) -> Path:
    return save(path, np.full((HEIGHT, WIDTH, 1), value, np.uint8))


def blank(path: Path, width: int, height: int) -> Path:
    Image.new("RGB", (width, height)).save(path)
    return path


BAD_FILES = {
    "empty mask": ("--mask", lambda at: mask_of(at / "m.png", 0), "empty"),
    "mask over everything": ("--mask", lambda at: mask_of(at / "m.png", 255), "covers the whole"),
    "mask's size": ("--mask", lambda at: save(at / "m.png", object_mask()[1:]), "same size"),
    "naive's size": ("--naive", lambda at: save(at / "n.png", noise()[:, 1:]), "same size"),
    "text as png": ("--painting", lambda at: text_file(at / "p.png"), "not a readable"),
    "text as csv": ("--naive", lambda at: text_file(at / "n.csv"), "not a readable"),
    "empty file": ("--mask", lambda at: (at / "m.png").touch() or at / "m.png", "not a readable"),
    "missing": ("--painting", lambda at: at / "nowhere.png", "does not exist"),
    "folder": ("--painting", lambda at: at, "is a folder"),
    "truncated png": ("--painting", lambda at: truncated(save(at / "p.png", noise())), "damaged"),
    "truncated jpeg": ("--painting", lambda at: truncated(save(at / "p.jpg", noise(), Q=95)), "damaged"),
    "truncated tiff": ("--painting", lambda at: truncated(save(at / "p.tif", noise())), "not a readable"),
    "truncated webp": ("--naive", lambda at: truncated(save(at / "n.webp", noise())), "not a readable"),
    "1 x 1": ("--painting", lambda at: blank(at / "p.png", 1, 1), "1 x 1"),
    "100,000 x 10": ("--painting", lambda at: blank(at / "p.png", 100_000, 10), "100000 x 10"),
    "100,000 x 100": ("--painting", lambda at: blank(at / "p.png", 100_000, 100), "100000 x 100"),
    "NaN": ("--painting", lambda at: with_nan(at / "p.tif"), "NaN"),
    "infinity": ("--naive", lambda at: with_nan(at / "n.tif", -np.inf), "infinite"),
    "complex": ("--painting", lambda at: save(at / "p.tif", noise().astype(np.int32)), "8 or 16 bit"),
}


@pytest.fixture
def refused(painterly, engine, tmp_path):
    """Runs a command that must be refused before any work; returns its sentence."""

    def run(*arguments) -> str:
        before = sorted(tmp_path.rglob("*"))
        finished = painterly(*arguments)
        assert finished.code == 2, finished.err
        assert finished.out == "" and engine.jobs == []
        assert finished.err.count("\n") == 1 and finished.err.startswith("painterly")
        assert sorted(tmp_path.rglob("*")) == before
        return finished.err

    return run


@pytest.mark.parametrize("option, make, words", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(refused, files, tmp_path, option, make, words):
    folder = tmp_path / "bad"
    folder.mkdir()
    files[option] = make(folder)
    assert words in refused("harmonize", *options(files), "-o", tmp_path / "o.png")


@pytest.mark.parametrize(
    "extra, words",
    [
        (("--preset", "nice"), "Preset is one of"),
        (("--style", "99"), "from 0.5 to 10"),
        (("--seed", "1.5"), "whole number"),
        (("--seed", "-1"), "a whole number from 0 to 2147483647, not -1."),
        (("--feather", "nan"), "from 0 to 100"),
        (("--patch-synthesis", "maybe"), "on or off"),
        (("--offset", "3"), "two whole numbers"),
        (("--frobnicate",), "unrecognized"),
        (("--layer", "x.png"), "alone"),
        (("--via", "service.json", "--save-stages", "stages"), "leave out"),
    ],
)
def test_bad_option(refused, files, tmp_path, extra, words):
    assert words in refused("harmonize", *options(files), "-o", tmp_path / "o.png", *extra)


def test_missing_options(refused, files):
    assert "-o" in refused("harmonize", *options(files))
    assert "COMMAND" in refused()
    assert "dance" in refused("dance")


@pytest.mark.parametrize(
    "offset, words", [("-40,0", "wholly outside"), ("96,0", "wholly outside"), ("0,79", "visible part")]
)
def test_cut_out_outside(refused, files, tmp_path, offset, words):
    layer = noise(bands=4)[:30, :40]
    layer[:5, :, 3] = 0
    options_ = ("--painting", files["--painting"], "--layer", save(tmp_path / "l.png", layer))
    assert words in refused("harmonize", *options_, f"--offset={offset}", "-o", tmp_path / "o.png")


@pytest.mark.parametrize(
    "layer, words",
    [
        (np.full((HEIGHT, WIDTH, 4), 255, np.uint8), "covers the whole"),
        (np.full((HEIGHT, WIDTH, 4), [9, 9, 9, 0], np.uint8), "fully transparent"),
        (noise(), "no transparency"),
    ],
)
def test_cut_out_that_cannot_serve(refused, files, tmp_path, layer, words):
    options_ = ("--painting", files["--painting"], "--layer", save(tmp_path / "l.png", layer))
    assert words in refused("harmonize", *options_, "-o", tmp_path / "o.png")


def test_output_that_cannot_be(refused, files, tmp_path):
    (tmp_path / "file").touch()
    for output, words in (
        (tmp_path / "nowhere" / "o.png", "No such file"),
        (tmp_path / "file" / "o.png", "Not a directory"),
        (tmp_path / "o.gif", "must end in"),
        (tmp_path / "o", "must end in"),
        (files["--mask"], "would replace the input"),
        (tmp_path / f"{'x' * 300}.png", "too long"),
    ):
        assert words in refused("harmonize", *options(files), "-o", output)


@pytest.mark.parametrize("option", ["-o", "--mask"])
def test_a_name_that_is_not_utf8(files, tmp_path, option):
    odd = shutil.copy(files["--mask"], tmp_path / "\udcff.png")
    process = start("harmonize", *options({**files, "-o": tmp_path / "o.png", option: odd}))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "not UTF-8" in err and err.count("\n") == 1


def test_the_best_so_far_would_replace_an_input(refused, files, tmp_path):
    files["--painting"] = save(tmp_path / "work.partial.png", noise())
    assert f"input {files['--painting']}" in refused(
        "harmonize", *options(files), "-o", tmp_path / "work.png"
    )


@pytest.mark.parametrize("through", ["", "link.png"])
def test_pictures_of_stages_would_replace_an_input(refused, files, tmp_path, through):
    (tmp_path / "stages").mkdir()
    painting = save(tmp_path / "stages" / "01_painting.png", noise())
    if through:
        (tmp_path / through).symlink_to(painting)
    files["--painting"] = tmp_path / through if through else painting
    command = ("harmonize", *options(files), "--save-stages", tmp_path / "stages", "-o", tmp_path / "o.png")
    assert f"could replace {files['--painting']}" in refused(*command)


def test_pictures_of_stages_would_replace_the_output(refused, files, tmp_path):
    (tmp_path / "stages").mkdir()
    output = tmp_path / "stages" / "04_result.png"
    command = ("harmonize", *options(files), "--save-stages", output.parent, "-o", output)
    assert f"could replace {output}" in refused(*command)


def test_folder_without_permission():
    """Root may write everywhere, so this runs as somebody else if need be."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        drop = "import os; os.setuid(65534)" if os.getuid() == 0 else ""
        code = f"""
from pathlib import Path
from backend.picture_output import OutputError, check_writable
{drop}
try:
    check_writable(Path({folder!r}) / "o.png")
except OutputError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert "Permission denied" in done.stdout, done.stderr


def test_no_room_is_noticed_before_the_work(refused, files, tmp_path, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(picture_output.shutil, "disk_usage", lambda path: Usage)
    assert "0.0 MB left" in refused("harmonize", *options(files), "-o", tmp_path / "o.png")


@pytest.mark.parametrize("lack", ["room", "folder"])
def test_no_place_for_temporary_files(refused, tmp_path, monkeypatch, lack):
    """libvips unpacks a picture of more than 100 MB there; a limit on the size of files stands for the full disk."""
    painting = save(tmp_path / "p.png", np.zeros((7000, 5000, 3), np.uint8), compression=1)
    files = {"--painting": painting, "--layer": save(tmp_path / "l.png", noise(bands=4))}
    if lack == "folder":
        monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if lack == "room":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        said = refused("harmonize", *options(files), "-o", tmp_path / "o.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert "temporary files" in said and "TMPDIR" in said and "damaged" not in said


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_disk_that_fills_up_while_writing(painterly, files, tmp_path, suffix, monkeypatch):
    """A limit on the size of files stands for the full disk: the system refuses to write on."""
    folder = tmp_path / "out"
    folder.mkdir()
    old = folder / f"o.{suffix}"
    old.write_bytes(b"an older result")
    monkeypatch.setattr("backend.cli.job.check_writable", lambda path, room=1: None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        finished = painterly("harmonize", *options(files), "-o", old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert finished.code == 2 and "disk" in finished.err
    assert list(folder.iterdir()) == [old] and old.read_bytes() == b"an older result"


@pytest.mark.parametrize("number, code", [(errno.ENOSYS, 0), (errno.EINVAL, 0), (errno.ENOSPC, 2)])
def test_a_disk_that_cannot_be_asked_whether_all_is_written(
    painterly, files, tmp_path, monkeypatch, number, code
):
    def fsync(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(picture_output.os, "fsync", fsync)
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.png").code == code
    assert (tmp_path / "o.png").exists() == (code == 0)


def test_a_result_that_cannot_go_where_it_should_is_kept_beside_it(
    painterly, engine, files, tmp_path, monkeypatch
):
    """On Windows another program may have opened the older result meanwhile; here a folder takes its place."""
    output, harmonize = tmp_path / "o.png", engine.harmonize

    def meanwhile(composite, settings, on_step):
        output.mkdir()
        return harmonize(composite, settings, on_step)

    monkeypatch.setattr(engine, "harmonize", meanwhile)
    finished = painterly("harmonize", *options(files), "-o", output)
    assert finished.code == 2 and "Is a directory; the result is in" in finished.err
    assert (samples_of(tmp_path / "o.partial.png")[35, 50] == [255, 0, 0]).all()
    assert sorted(path.suffix for path in tmp_path.glob(".*")) == []


def test_no_weights(painterly, files, tmp_path):
    finished = painterly(
        "harmonize", *options(files), "--seed", Misfortune.NO_WEIGHTS, "-o", tmp_path / "o.png"
    )
    assert (
        finished.code == 2
        and finished.err == "painterly: The network's weights are missing; run install.py again.\n"
    )
    assert not (tmp_path / "o.png").exists()


def test_a_bug_is_told_in_a_sentence_and_kept_in_a_log(painterly, files, tmp_path):
    finished = painterly("harmonize", *options(files), "--seed", Misfortune.BUG, "-o", tmp_path / "o.png")
    assert finished.code == 1
    assert finished.err.count("\n") == 1 and "Traceback" not in finished.err
    (log,) = places().log.iterdir()
    assert str(log) in finished.err and "ZeroDivisionError: a bug" in log.read_text()


def test_bugs_in_one_second_have_a_log_each(painterly, files, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "20200101-000000")
    for _ in range(2):
        painterly("harmonize", *options(files), "--seed", Misfortune.BUG, "-o", tmp_path / "o.png")
    assert len(list(places().log.iterdir())) == 2


def test_service_that_is_not_there(files, tmp_path):
    """With the real `open_runner`: nothing stands in for it here."""
    nowhere = tmp_path / "nowhere.json"
    command = ["-m", "backend", "harmonize", *map(str, options(files)), "--via", str(nowhere), "-o", "o.png"]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and str(nowhere) in done.stderr
    assert not (ROOT / "o.png").exists()
