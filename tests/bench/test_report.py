"""The report script: where it looks, what it reads, and that its pages hold together."""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from tests.bench import report

SIZE = (200, 160)
SCORER = """
import json, sys
data, pattern, flag = sys.argv[1:]
assert flag == "--json" and pattern.endswith("{}.png")
value = 1.0 if "draft" in pattern else 2.0
row = {"result": {"style": value}, "naive": {"style": 9.0}}
print(json.dumps({"rows": {"2": row}, "mean": row}))
"""


def square() -> np.ndarray:
    """White in rows 60..99 and columns 100..159."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[60:100, 100:160] = 255
    return mask


def test_interior_is_deep_within():
    x, y = report.interior(square())
    assert abs(x - 130) <= 8 and abs(y - 80) <= 8


def test_edge_is_where_pasting_changed_most():
    painting = np.zeros((*SIZE[::-1], 3), np.uint8)
    naive = painting.copy()
    naive[70:90, 100:110] = 200
    x, y = report.edge(square(), naive, painting)
    assert x == 100 and 70 <= y < 90


def test_the_pictures_border_is_no_edge():
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[80:] = 255
    painting = np.zeros((*SIZE[::-1], 3), np.uint8)
    naive = painting.copy()
    naive[80:] = 50
    naive[150:] = 255
    assert report.edge(mask, naive, painting)[1] == 80


@pytest.mark.parametrize("at, corner", [((100, 80), (36, 16)), ((0, 0), (0, 0)), ((199, 159), (72, 32))])
def test_crop_stays_inside_and_doubles_pixels(at, corner):
    samples = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    shown = np.asarray(report.crop(Image.fromarray(samples), at))
    left, top = corner
    expected = samples[top : top + report.CROP, left : left + report.CROP]
    assert (shown == expected.repeat(2, axis=0).repeat(2, axis=1)).all()


@pytest.fixture
def folders(tmp_path):
    """Example 2 with results of two presets, example 10 with one and a published result."""
    for name in ("data", "draft", "high"):
        (tmp_path / name).mkdir()
    colours = {"target": 10, "naive": 90}
    for example in ("2", "10"):
        for kind, grey in colours.items():
            Image.new("RGB", SIZE, (grey,) * 3).save(tmp_path / "data" / f"{example}_{kind}.jpg")
        Image.fromarray(square()).save(tmp_path / "data" / f"{example}_c_mask.jpg")
        Image.new("RGB", SIZE).save(tmp_path / "high" / f"{example}.png")
    Image.new("RGB", (100, 80)).save(tmp_path / "data" / "10_final_res2.png")
    Image.new("RGB", SIZE).save(tmp_path / "draft" / "2.png")
    runs = [{"name": "2", "seconds_in_all": 12.5}, {"name": "10", "error": "No."}]
    (tmp_path / "draft" / "batch.json").write_text(json.dumps({"composites": runs}))
    (tmp_path / "scorer.py").write_text(SCORER)
    return tmp_path


def run(folders, *more) -> int:
    presets = [f"draft={folders / 'draft'}", str(folders / "high")]
    return report.main([str(folders / "data"), *presets, "-o", str(folders / "out"), *more])


def test_pages(folders):
    assert run(folders, "--scorer", str(folders / "scorer.py")) == 0
    pages = {page.name: page.read_text() for page in (folders / "out").glob("*.html")}
    assert set(pages) == {"index.html", "2.html", "10.html"}
    assert pages["index.html"].index('"2.html"') < pages["index.html"].index('"10.html"')
    for page in pages.values():
        sources = re.findall(r'src="([^"]+)"', page)
        assert sources and all((folders / "out" / source).is_file() for source in sources)
        assert str(folders) not in page
    assert "published" in pages["10.html"] and "published" not in pages["2.html"]
    for words in ("<td>draft</td><td>1.00</td><td>12.50</td>", "<td>high</td><td>2.00</td>", "9.00"):
        assert words in pages["2.html"]


def test_scores_by_example_mark_what_is_behind():
    rows = {"2": {"published": {"style": 1.0}, "result": {"style": 1.5, "content": 0.7}}}
    rows["5"] = {"published": {"style": 1.0}, "result": {"style": 1.3, "content": 2.0}}
    examples = [report.Example(name, {}, None) for name in rows]
    table = report.by_example(examples, {"draft": {"rows": rows, "mean": {}}})
    assert "<td>1.00</td><td class=behind>1.50</td><td></td><td>0.70</td>" in table
    assert "<td>1.00</td><td>1.30</td><td></td><td>2.00</td>" in table
    assert report.by_example(examples, {}) == ""


def test_without_a_scorer(folders):
    assert run(folders) == 0
    assert "<td>draft</td><td>12.50</td>" in (folders / "out" / "index.html").read_text()


def test_a_scorer_that_fails_ends_it(folders):
    (folders / "scorer.py").write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="exit code 3"):
        run(folders, "--scorer", str(folders / "scorer.py"))


def test_nothing_to_show(folders):
    for path in [*folders.glob("draft/*.png"), *folders.glob("high/*.png")]:
        path.unlink()
    with pytest.raises(SystemExit, match="no example"):
        run(folders)


def test_it_stands_alone():
    """Only the standard library, numpy and Pillow: read from its import lines."""
    text = (report.Path(report.__file__)).read_text()
    names = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    assert names - set(sys.stdlib_module_names) == {"numpy", "PIL"}
