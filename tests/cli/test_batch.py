"""`painterly batch`: folder, manifests, failures in between, and the contact sheet."""

import csv
import json
import os
import shutil
import signal
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from plugin.painterly.protocol.parameters import PRESETS
from tests.cli.conftest import noise, object_mask, samples_of, save
from tests.cli.fake_engine import Misfortune
from tests.cli.test_harmonize import await_line, start


class Links(HTMLParser):
    """Collects what a page refers to, and its text."""

    def __init__(self, page: Path):
        super().__init__()
        self.images, self.anchors, self.words = [], [], ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "img":
            self.images.append(unquote(attrs["src"]))
        if tag == "a":
            self.anchors.append(unquote(attrs["href"]))
        assert tag not in ("script", "link", "iframe")

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def folder(tmp_path, files):
    """Four composites: two whole ones in both namings, a cut-out, and one with an empty mask."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, painting, mask in (
        ("a", "painting", "mask"),
        ("b & c", "target", "c_mask"),
        ("d", "painting", "mask"),
    ):
        shutil.copy(files["--painting"], folder / f"{name}_{painting}.png")
        shutil.copy(files["--naive"], folder / f"{name}_naive.png")
        shutil.copy(files["--mask"], folder / f"{name}_{mask}.png")
    save(folder / "d_mask.png", np.zeros_like(object_mask()))
    save(folder / "e_painting.jpg", noise(), Q=95)
    save(folder / "e_layer.png", noise(bands=4)[:20, :20])
    (folder / "notes.txt").write_text("not a picture")
    (folder / "._a_painting.png").write_text("what macOS keeps beside files on other systems' disks")
    save(folder / "b & c_c_mask_dilated.jpg", object_mask())
    return folder


def test_folder(painterly, engine, folder, tmp_path):
    out = tmp_path / "out"
    finished = painterly("batch", folder, "-o", out, "--preset", "draft", "--json")
    assert finished.code == 1 and len(engine.jobs) == 3
    assert all(settings == PRESETS["draft"] for _, settings in engine.jobs)
    told = json.loads(finished.out)["composites"]
    assert [each["name"] for each in told] == ["a", "b & c", "d", "e"]
    assert [bool(each["error"]) for each in told] == [False, False, True, False]
    assert sorted(path.name for path in out.iterdir()) == [
        "a.png", "b & c.png", "e.png", "index.html", "thumbnails",
    ]  # fmt: skip
    assert (samples_of(out / "b & c.png")[35, 50] == [255, 0, 0]).all()

    page = Links(out / "index.html")
    assert len(page.images) == 3 * 3 + 2  # the failed one has no result
    assert len(page.anchors) == 3 * 3 + 2
    for link in page.images + page.anchors:
        assert (out / link).is_file(), link
    assert "is empty" in page.words and "b & c" in page.words and "Working resolution350 px" in page.words
    assert "Clean colourson" in page.words and "first pass 2 s" in page.words
    assert "3 of 4 done, 1 failed" in page.words


def test_contact_sheet_survives_a_move(painterly, folder, tmp_path):
    assert painterly("batch", folder, "-o", tmp_path / "out").code == 1
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    (tmp_path / "out").rename(moved)
    assert all((moved / image).is_file() for image in Links(moved / "index.html").images)


def test_csv_manifest(painterly, engine, files, tmp_path):
    save(tmp_path / "layer.png", noise(bands=4)[:20, :20])
    rows = [
        {"painting": "painting.png", "naive": "naive.png", "mask": "mask.png", "style": "7.5"},
        {
            "painting": "painting.png",
            "layer": "layer.png",
            "offset": "90,-3",
            "preset": "high",
            "chroma_denoise": "off",
        },
        {"painting": "painting.png", "layer": "layer.png", "style": "nonsense"},
        {"painting": "painting.png", "naive": "naive.png", "mask": "mask.png", "seed": int(Misfortune.BUG)},
        {"painting": "", "naive": "naive.png", "mask": "mask.png"},
        {"name": "../up", "painting": "painting.png", "layer": "layer.png"},
    ]
    columns = [
        "name",
        "painting",
        "naive",
        "mask",
        "layer",
        "offset",
        "preset",
        "style",
        "chroma_denoise",
        "seed",
    ]
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    finished = painterly("batch", tmp_path / "m.csv", "-o", tmp_path / "out", "--seed", "5", "--json")
    assert finished.code == 1
    errors = [each["error"] for each in json.loads(finished.out)["composites"]]
    assert errors[:2] == [None, None]
    for error, words in zip(errors[2:], ("Style strength", "unexpected", "no painting", "plain file name")):
        assert words in error
    settings = [settings for _, settings in engine.jobs]
    assert settings[0] == dict(PRESETS["balanced"], style=7.5, seed=5)
    assert settings[1] == dict(PRESETS["high"], chroma_denoise=False, seed=5)
    assert {"painting.png", "painting-2.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert not (tmp_path / "up.png").exists() and not list(tmp_path.rglob("up_*"))


def test_json_manifest(painterly, engine, files, tmp_path):
    save(tmp_path / "layer.png", noise(bands=4)[:20, :20])
    rows = [
        {"name": "one", "painting": "painting.png", "layer": "layer.png", "offset": [4, 5], "resolution": 128}
    ]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    finished = painterly("batch", tmp_path / "m.json", "-o", tmp_path / "out")
    assert finished.code == 0, finished.err
    assert engine.jobs[0][1]["resolution"] == 128
    assert (tmp_path / "out" / "one.png").is_file()


def test_one_name_that_cannot_be_a_file_does_not_stop_the_rest(painterly, files, tmp_path):
    common = {"painting": "painting.png", "naive": "naive.png", "mask": "mask.png"}
    rows = [{"name": name, **common} for name in ("n" * 300, "nul\0", "well")]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    finished = painterly("batch", tmp_path / "m.json", "-o", tmp_path / "out", "--json")
    errors = [each["error"] for each in json.loads(finished.out)["composites"]]
    assert finished.code == 1 and "too long" in errors[0] and "plain file name" in errors[1]
    assert errors[2] is None and (tmp_path / "out" / "well.png").is_file()


def test_a_file_whose_name_is_not_utf8_does_not_stop_the_rest(folder, tmp_path):
    for role in ("painting", "layer"):
        shutil.copy(folder / "e_layer.png", os.fsencode(folder) + b"/\xff_" + role.encode() + b".png")
    process = start("batch", folder, "-o", tmp_path / "out", "--json")
    out, err = process.communicate(timeout=60)
    told = json.loads(out)["composites"]
    assert [bool(each["error"]) for each in told] == [False, False, True, False, True]
    assert "plain file name" in told[-1]["error"] and process.returncode == 1
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "../in/%FF_painting.png" in page and "<h2>\\udcff</h2>" in page


def test_no_room_for_the_sheets_pictures_is_a_note(painterly, files, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thumbnails").touch()
    finished = painterly("batch", folder, "-o", out, "--json")
    told = json.loads(finished.out)["composites"]
    assert [bool(each["error"]) for each in told] == [False, False, True, False]
    assert "no pictures of it" in told[0]["notes"][0] and (out / "a.png").is_file()
    assert "no pictures of it" in Links(out / "index.html").words


@pytest.mark.parametrize(
    "column, value, words",
    [
        ("offset", 7, "two whole numbers X,Y in pixels, not '7'"),
        ("offset", True, "two whole numbers"),
        ("offset", {"x": 1, "y": 2}, "two whole numbers"),
        ("preset", ["draft"], "Preset is a name, not ['draft']."),
        pytest.param("seed", 10**400, "whole number from 0 to 2147483647", id="seed-huge"),
        ("style", [3], "Style strength is a number"),
    ],
)
def test_wrong_types_in_json_are_one_sentence(painterly, files, tmp_path, column, value, words):
    row = {"painting": "painting.png", "naive": "naive.png", "mask": "mask.png", column: value}
    (tmp_path / "m.json").write_text(json.dumps([row]))
    finished = painterly("batch", tmp_path / "m.json", "-o", tmp_path / "out", "--json")
    (told,) = json.loads(finished.out)["composites"]
    assert words in told["error"]


def test_no_input_of_another_composite_is_replaced(painterly, files, tmp_path):
    shutil.copy(files["--painting"], tmp_path / "other.png")
    save(tmp_path / "layer.png", noise(bands=4)[:20, :20])
    rows = [
        {"name": "other", "painting": "painting.png", "layer": "layer.png"},
        {"name": "new", "painting": "other.png", "layer": "layer.png"},
    ]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    finished = painterly("batch", tmp_path / "m.json", "-o", tmp_path, "--json")
    first, second = json.loads(finished.out)["composites"]
    assert "would replace the input" in first["error"] and second["error"] is None
    assert (samples_of(tmp_path / "other.png") == noise()).all()


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("m.json", "{", "not a readable manifest"),
        ("m.json", '{"painting": "p.png"}', "list of objects"),
        ("m.json", "[]", "no composites"),
        ("m.csv", "painting,brush\np.png,3\n", "unknown column 'brush'"),
        ("m.csv", "painting,naive\np.png,n.png,extra\n", "unknown column"),
        ("m.csv", "\xff\xfe\x00", "no composites"),
    ],
)
def test_bad_manifest(painterly, tmp_path, name, text, words):
    (tmp_path / name).write_text(text, encoding="utf-8")
    finished = painterly("batch", tmp_path / name, "-o", tmp_path / "out")
    assert finished.code == 2 and words in finished.err and finished.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_bad_places(painterly, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no composites" in painterly("batch", tmp_path / "empty", "-o", tmp_path / "out").err
    assert "cannot be read" in painterly("batch", tmp_path / "nowhere.csv", "-o", tmp_path / "out").err


def test_two_files_for_one_role(painterly, folder, tmp_path):
    save(folder / "a_target.png", noise())
    finished = painterly("batch", folder, "-o", tmp_path / "out", "--json")
    assert "two files for the painting" in json.loads(finished.out)["composites"][0]["error"]


def test_ctrl_c_keeps_what_was_done(folder, tmp_path):
    out = tmp_path / "out"
    process = start("batch", folder, "-o", out, seconds="0.05")
    await_line(process, "2/4 b & c [")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "1 of 4 done" in err
    assert {"a.png", "b & c.partial.png", "index.html"} <= {path.name for path in out.iterdir()}
    assert "1 of 4 done, 1 failed" in Links(out / "index.html").words
