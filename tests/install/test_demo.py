"""The demo: its pictures, its command line and its sheet. The real run is `install.py --demo`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.demo import __main__ as demo
from backend.demo.sheet import BACKGROUND, GAP, Panel, draw_sheet

PICTURES = (demo.PAINTING, demo.CUTOUT)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_pictures_are_small_and_their_provenance_is_told(path):
    assert path.stat().st_size < 300_000
    assert path.name in (demo.HERE / "PROVENANCE.txt").read_text(encoding="utf-8").splitlines()


def test_the_cutout_lies_on_the_painting_and_has_a_soft_edge():
    painting, cutout = Image.open(demo.PAINTING), Image.open(demo.CUTOUT)
    x, y = demo.OFFSET
    assert 0 <= x and x + cutout.width <= painting.width
    assert 0 <= y and y + cutout.height <= painting.height
    alpha = np.asarray(cutout.getchannel("A"))
    assert 0.3 < (alpha == 255).mean() < 0.9
    assert (alpha == 0).mean() > 0.1
    assert 0 < ((alpha > 0) & (alpha < 255)).mean() < 0.05


def test_pasting_changes_the_object_and_nothing_else():
    painting = np.asarray(Image.open(demo.PAINTING).convert("RGB"))
    changed = (np.asarray(demo.pasted()) != painting).any(axis=2)
    x, y = demo.OFFSET
    alpha = np.asarray(Image.open(demo.CUTOUT).getchannel("A"))
    assert changed[y : y + alpha.shape[0], x : x + alpha.shape[1]][alpha == 255].mean() > 0.95
    changed[y : y + alpha.shape[0], x : x + alpha.shape[1]] = False
    assert not changed.any()


def test_a_sheet_shows_every_picture_whole_and_side_by_side():
    colours, sizes = [(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(30, 20), (10, 40), (25, 25)]
    panels = [Panel("x", Image.new("RGB", size, colour)) for size, colour in zip(sizes, colours)]
    sheet = np.asarray(draw_sheet(panels))
    assert sheet.shape[1] == GAP + sum(width + GAP for width, _ in sizes)
    lefts = []
    for (width, height), colour in zip(sizes, colours):
        rows, columns = np.nonzero((sheet == colour).all(axis=2))
        assert len(rows) == width * height
        lefts.append(columns.min())
    assert lefts == sorted(lefts)
    assert tuple(sheet[0, 0]) == BACKGROUND


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        draw_sheet([])


@pytest.fixture
def painterly(monkeypatch):
    """Stands in for the command line: answers `code`, after writing the output if that is 0."""

    class Painterly:
        code = 0
        asked = ()

        def __call__(self, arguments):
            self.asked = list(arguments)
            if not self.code:
                demo.pasted().save(arguments[arguments.index("-o") + 1])
            return self.code

    stand_in = Painterly()
    monkeypatch.setattr(demo, "painterly", stand_in)
    return stand_in


def test_the_last_line_is_the_path_of_a_sheet_with_three_pictures(painterly, tmp_path, capsys):
    assert demo.main(["-o", str(tmp_path / "new" / "folder")]) == 0
    sheet = Path(capsys.readouterr().out.splitlines()[-1])
    assert sheet.is_absolute()
    assert Image.open(sheet).width > 3 * Image.open(demo.PAINTING).width
    assert painterly.asked[0] == "harmonize"
    assert painterly.asked[painterly.asked.index("--device") + 1] == "cpu"
    assert painterly.asked[painterly.asked.index("--preset") + 1] == "draft"


def test_a_failed_run_leaves_no_sheet_and_passes_its_code_on(painterly, tmp_path, capsys):
    painterly.code = 2
    assert demo.main(["-o", str(tmp_path)]) == 2
    assert "sheet" not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_one_sentence(painterly, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert demo.main(["-o", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("The demo cannot be written to")
    assert painterly.asked == ()


def test_what_an_earlier_run_left_does_not_pass_for_a_result(painterly, tmp_path):
    (tmp_path / "harmonized.png").write_bytes(b"old")
    painterly.code = 1
    assert demo.main(["-o", str(tmp_path)]) == 1
    assert not (tmp_path / "harmonized.png").exists()
