"""What is in the output file: the painting's own samples outside the mask, the result's inside."""

import numpy as np
import pytest
import pyvips
from PIL import Image, PngImagePlugin, TiffImagePlugin

from backend.picture_output import painted
from plugin.painterly.protocol.geometry import Box
from tests.cli.conftest import HEIGHT, WIDTH, noise, object_mask, options, samples_of, save

MASK = object_mask()[..., 0]
OUTSIDE, INSIDE = MASK == 0, MASK == 255
ARTIST = 315  # the tag, in TIFF and in EXIF


@pytest.mark.parametrize(
    "suffix, depth, settings",
    [
        ("png", np.uint8, {}),
        ("png", np.uint16, {}),
        ("tif", np.uint8, {}),
        ("tif", np.uint16, {"compression": "lzw"}),
        ("webp", np.uint8, {"lossless": True}),
    ],
)
def test_exact_outside_and_red_inside(painterly, files, tmp_path, suffix, depth, settings):
    painting = noise(depth)
    space = "rgb16" if depth == np.uint16 else "srgb"
    files["--painting"] = save(tmp_path / f"p.{suffix}", painting, space, **settings)
    out = tmp_path / f"out.{suffix}"
    assert painterly("harmonize", *options(files), "-o", out).code == 0
    result = samples_of(out)
    assert result.dtype == depth and result.shape == painting.shape
    assert (result[OUTSIDE] == painting[OUTSIDE]).all()
    full = np.iinfo(depth).max
    assert (result[INSIDE] == [full, 0, 0]).all()
    half = painting[35, 45] * (1 - 128 / 255) + np.array([full, 0, 0]) * (128 / 255)
    assert np.abs(result[35, 45] - half).max() <= 0.51


def test_greyscale_stays_greyscale(painterly, files, tmp_path):
    painting = noise(np.uint16, bands=1)
    files["--painting"] = save(tmp_path / "p.png", painting, "grey16")
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.png").code == 0
    result = samples_of(tmp_path / "o.png")
    assert result.dtype == np.uint16 and result.shape == painting.shape
    assert (result[OUTSIDE] == painting[OUTSIDE]).all()
    assert np.abs(result[INSIDE] / 65535 - 0.2126).max() < 1e-4  # the luma of red


@pytest.mark.parametrize("mode", ["P", "1"])
def test_packed_paintings_are_unpacked(painterly, files, tmp_path, mode):
    Image.fromarray(noise()).convert(mode).save(tmp_path / "p.png")
    files["--painting"] = tmp_path / "p.png"
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.png").code == 0
    before, after = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("p.png", "o.png"))
    assert (after[OUTSIDE] == before[OUTSIDE]).all()
    expected = [255, 0, 0] if mode == "P" else [54, 54, 54]
    assert (after[INSIDE] == expected).all()


def test_transparency_is_kept_outside_and_filled_inside(painterly, files, tmp_path):
    painting = noise(bands=4)
    files["--painting"] = save(tmp_path / "p.webp", painting, lossless=True, exact=True)
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.webp").code == 0
    result = samples_of(tmp_path / "o.webp")
    assert (result[OUTSIDE] == painting[OUTSIDE]).all()
    assert (result[INSIDE] == [255, 0, 0, 255]).all()


@pytest.mark.parametrize("way", ["naive", "layer"])
def test_colours_under_transparency_are_not_seen(painterly, engine, files, tmp_path, way):
    painting = noise(np.uint16, bands=4)
    painting[..., 3] = np.linspace(0, 65535, WIDTH).astype(np.uint16)
    files["--painting"] = save(tmp_path / "p.png", painting, "rgb16")
    layer = np.full((20, 20, 4), 255, np.uint8)
    if way == "layer":
        files = {"--painting": files["--painting"], "--layer": save(tmp_path / "l.png", layer)}
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.png").code == 0
    values = painting.transpose(2, 0, 1) / 65535
    on_white = 1 + (values[:3] - 1) * values[3:]
    assert np.abs(engine.jobs[0][0].painting.numpy() - on_white).max() < 1e-6


@pytest.mark.parametrize("depth", [np.uint8, np.uint16, np.float32])
def test_hidden_colours_do_not_shine_through_a_soft_edge(depth):
    """Half red over nothing is red at half opacity; over half opaque blue a third of the colour is blue's."""
    one = 1 if depth is np.float32 else np.iinfo(depth).max
    under = np.zeros((1, 3, 4), depth)
    under[0, :] = [[0, one, 0, 0], [0, 0, one, one / 2], [0, one, 0, 0]]
    red = np.zeros((3, 1, 3), np.float32)
    red[0] = 1
    weight = np.array([[[0.5, 0.5, 0]]], np.float32)
    image = pyvips.Image.new_from_array(under, interpretation="rgb16" if depth is np.uint16 else "srgb")
    result = painted(image, Box(0, 0, 3, 1), red, weight).numpy()[0]
    expected = [[1, 0, 0, 0.5], [2 / 3, 0, 1 / 3, 0.75], [0, 1, 0, 0]]
    assert np.abs(result / one - expected).max() <= (1e-6 if one == 1 else 1.01 / one)
    assert (result[2] == under[0, 2]).all()


def test_float_tiff_keeps_its_floats(painterly, files, tmp_path):
    painting = (noise() / 255).astype(np.float32)
    painting[0, 0] = [-0.5, 0.25, 7.0]
    files["--painting"] = save(tmp_path / "p.tif", painting)
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.tif").code == 0
    result = samples_of(tmp_path / "o.tif")
    assert result.dtype == np.float32
    assert (result[OUTSIDE] == painting[OUTSIDE]).all()
    assert (result[INSIDE] == [1, 0, 0]).all()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation_is_applied(painterly, files, tmp_path, orientation):
    tag = Image.Exif()
    tag[0x0112] = orientation
    sideways = noise() if orientation == 3 else noise().reshape(WIDTH, HEIGHT, 3)
    Image.fromarray(sideways).save(tmp_path / "p.jpg", quality=95, exif=tag)
    files["--painting"] = tmp_path / "p.jpg"
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.png").code == 0
    result = pyvips.Image.new_from_file(str(tmp_path / "o.png"))
    assert (result.width, result.height) == (WIDTH, HEIGHT)
    assert not result.get_typeof("orientation") or result.get("orientation") == 1
    turns = {3: 2, 6: 3, 8: 1}[orientation]  # numpy turns counterclockwise
    stored = pyvips.Image.new_from_file(str(tmp_path / "p.jpg")).numpy()
    assert (result.numpy()[OUTSIDE] == np.rot90(stored, turns)[OUTSIDE]).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_profile_is_kept_and_used(painterly, engine, files, tmp_path, suffix):
    depth = 16 if suffix in ("png", "tif") else 8
    colour = np.full((HEIGHT, WIDTH, 3), [60, 160, 90], np.uint8)
    wide = pyvips.Image.new_from_array(colour, interpretation="srgb").icc_transform("p3", depth=depth)
    lossless = {"lossless": True} if suffix == "webp" else {}
    wide.write_to_file(str(tmp_path / f"p.{suffix}"), **lossless)
    files["--painting"] = tmp_path / f"p.{suffix}"
    out = tmp_path / f"o.{suffix}"
    assert painterly("harmonize", *options(files), "-o", out).code == 0

    seen = engine.jobs[0][0].painting.numpy()  # the engine gets sRGB
    assert np.abs(seen - (np.array([60, 160, 90]) / 255)[:, None, None]).max() < 2 / 255
    result = pyvips.Image.new_from_file(str(out))
    assert result.get("icc-profile-data") == wide.get("icc-profile-data")
    assert result.format == wide.format
    red = result.numpy()[INSIDE].mean(axis=0) / (2**depth - 1)
    assert np.abs(red - [0.9175, 0.2003, 0.1386]).max() < 0.01  # sRGB's red in Display P3
    if suffix != "jpg":
        assert (result.numpy()[OUTSIDE] == wide.numpy()[OUTSIDE]).all()


def test_pasted_picture_in_another_profile_is_converted(painterly, engine, files, tmp_path):
    colour = np.full((HEIGHT, WIDTH, 3), [200, 80, 40], np.uint8)
    pasted = pyvips.Image.new_from_array(colour, interpretation="srgb").icc_transform("p3", depth=16)
    pasted.write_to_file(str(tmp_path / "n.png"))
    files["--naive"] = tmp_path / "n.png"
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.png").code == 0
    seen = engine.jobs[0][0].naive.numpy()
    assert np.abs(seen - (np.array([200, 80, 40]) / 255)[:, None, None]).max() < 1 / 255


def test_broken_profile_counts_as_srgb(painterly, engine, files, tmp_path):
    image = pyvips.Image.new_from_array(noise(), interpretation="srgb")
    profile = pyvips.Operation.call("profile_load", "p3")
    broken = profile[:200] + bytes(len(profile) - 200)
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", broken)
    image.tiffsave(str(tmp_path / "p.tif"))
    files["--painting"] = tmp_path / "p.tif"
    finished = painterly("harmonize", *options(files), "-o", tmp_path / "o.tif")
    assert finished.code == 0, finished.err
    assert (engine.jobs[0][0].painting.permute(1, 2, 0).numpy() * 255).round().astype(
        int
    ).tolist() == noise().tolist()
    assert (samples_of(tmp_path / "o.tif")[OUTSIDE] == noise()[OUTSIDE]).all()
    assert (samples_of(tmp_path / "o.tif")[INSIDE] == [255, 0, 0]).all()


def test_jpeg_puts_transparency_on_white(painterly, files, tmp_path):
    painting = noise(bands=4)
    painting[..., 3] = 0
    files["--painting"] = save(tmp_path / "p.png", painting)
    finished = painterly("harmonize", *options(files), "-o", tmp_path / "o.jpg")
    assert finished.code == 0 and "transparency" in finished.err
    assert (samples_of(tmp_path / "o.jpg")[:16, :16] >= 254).all()


@pytest.mark.parametrize("width, height", [(64, 4000), (4000, 64), (64, 64)])
def test_any_aspect(painterly, engine, tmp_path, width, height):
    painting = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    layer = np.full((9, 9, 4), 200, np.uint8)
    layer[..., 3] = 255
    save(tmp_path / "p.png", painting)
    save(tmp_path / "l.png", layer)
    at = (width - 9, height - 9)
    finished = painterly(
        "harmonize", "--painting", tmp_path / "p.png", "--layer", tmp_path / "l.png",
        "--offset", f"{at[0]},{at[1]}", "-o", tmp_path / "o.png",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    painting[at[1] :, at[0] :] = [255, 0, 0]
    assert (samples_of(tmp_path / "o.png") == painting).all()


def test_cmyk_tiff_stays_cmyk_and_png_gets_srgb(painterly, files, tmp_path):
    inks = noise(bands=4) // 2
    files["--painting"] = save(tmp_path / "p.tif", inks, "cmyk")
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.tif").code == 0
    result = pyvips.Image.new_from_file(str(tmp_path / "o.tif"))
    assert result.interpretation == "cmyk"
    assert (result.numpy()[OUTSIDE] == inks[OUTSIDE]).all()
    cyan, magenta, yellow, _ = result.numpy()[INSIDE].mean(axis=0)
    assert cyan < 60 < min(magenta, yellow)

    finished = painterly("harmonize", *options(files), "-o", tmp_path / "o.png")
    assert finished.code == 0 and "CMYK" in finished.err
    assert (samples_of(tmp_path / "o.png")[INSIDE] == [255, 0, 0]).all()


def test_less_depth_is_said(painterly, files, tmp_path):
    painting = noise(np.uint16)
    files["--painting"] = save(tmp_path / "p.png", painting, "rgb16")
    finished = painterly("harmonize", *options(files), "-o", tmp_path / "o.webp")
    assert finished.code == 0 and "8 bits" in finished.err
    assert (samples_of(tmp_path / "o.webp")[OUTSIDE] == np.rint(painting[OUTSIDE] / 257)).all()


def with_tags(path, **more):
    """`noise` with its author in the tags that Pillow writes for this kind of file."""
    tags = TiffImagePlugin.ImageFileDirectory_v2() if path.suffix == ".tif" else Image.Exif()
    tags[ARTIST] = "Vincent"
    options_ = {"tiffinfo" if path.suffix == ".tif" else "exif": tags, **more}
    Image.fromarray(noise()).save(path, **options_)
    return path


@pytest.mark.parametrize(
    "given, asked, kept",
    [
        ("p.jpg", "o.png", True),
        ("p.png", "o.webp", True),
        ("p.jpg", "o.tif", False),
        ("p.tif", "o.png", False),
        ("p.tif", "o.tif", False),
    ],
)
def test_tags_are_kept_or_a_note_tells(painterly, files, tmp_path, given, asked, kept):
    files["--painting"] = with_tags(tmp_path / given)
    finished = painterly("harmonize", *options(files), "-o", tmp_path / asked)
    assert finished.code == 0 and ("author" in finished.err) == (not kept)
    with Image.open(tmp_path / asked) as result:
        assert result.getexif().get(ARTIST) == ("Vincent" if kept else None)


@pytest.mark.parametrize("suffix, kept", [("png", True), ("jpg", False)])
def test_a_pngs_texts_are_kept_or_a_note_tells(painterly, files, tmp_path, suffix, kept):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "Vincent")
    Image.fromarray(noise()).save(tmp_path / "p.png", pnginfo=texts)
    files["--painting"] = tmp_path / "p.png"
    finished = painterly("harmonize", *options(files), "-o", tmp_path / f"o.{suffix}")
    assert finished.code == 0 and ("author" in finished.err) == (not kept)
    with Image.open(tmp_path / f"o.{suffix}") as result:
        assert result.info.get("Author") == ("Vincent" if kept else None)


def test_only_the_first_of_several_pages_is_said(painterly, files, tmp_path):
    page = Image.fromarray(noise())
    page.save(tmp_path / "p.tif", save_all=True, append_images=[page, page])
    files["--painting"] = tmp_path / "p.tif"
    finished = painterly("harmonize", *options(files), "-o", tmp_path / "o.tif")
    assert finished.code == 0 and "holds 3 pictures; only the first was kept" in finished.err
    with Image.open(tmp_path / "o.tif") as result:
        assert result.n_frames == 1


@pytest.mark.skipif(
    not pyvips.type_find("VipsOperation", "uhdrsave"), reason="this libvips writes no gain maps"
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_phones_jpeg_is_read_without_its_gain_map(painterly, engine, files, tmp_path, suffix):
    bright = pyvips.Image.new_from_array(noise(), interpretation="srgb").colourspace("scrgb") * 3
    bright.copy(interpretation="scrgb").uhdrsave(str(tmp_path / "p.jpg"))
    files["--painting"] = tmp_path / "p.jpg"
    finished = painterly("harmonize", *options(files), "-o", tmp_path / f"o.{suffix}")
    assert finished.code == 0 and "gain map for HDR screens was not kept" in finished.err
    result = pyvips.Image.new_from_file(str(tmp_path / f"o.{suffix}"))
    assert not [field for field in result.get_fields() if "gain" in field]
    if suffix == "png":
        stored = np.asarray(Image.open(tmp_path / "p.jpg")).astype(int)
        assert np.abs(result.numpy() - stored)[OUTSIDE].max() <= 2  # two decoders


def test_jpeg_says_that_it_is_lossy(painterly, files, tmp_path):
    finished = painterly("harmonize", *options(files), "-o", tmp_path / "o.jpg")
    assert finished.code == 0 and "lossy" in finished.err
    difference = samples_of(tmp_path / "o.jpg").astype(int) - samples_of(files["--painting"])
    assert np.abs(difference[OUTSIDE & (np.arange(WIDTH) < 32)]).mean() < 3


def test_jpeg_masks_ringing_selects_nothing(painterly, files, tmp_path):
    Image.fromarray(object_mask()[..., 0]).save(tmp_path / "m.jpg", quality=85)
    files["--mask"] = tmp_path / "m.jpg"
    assert painterly("harmonize", *options(files), "-o", tmp_path / "o.png").code == 0
    changed = (samples_of(tmp_path / "o.png") != samples_of(files["--painting"])).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert 28 <= rows[0] and rows[-1] < 52 and 38 <= columns[0] and columns[-1] < 72


def test_only_the_window_is_worked_on(painterly, engine, tmp_path):
    side = 1500
    painting = save(tmp_path / "p.png", np.random.default_rng(3).integers(0, 256, (side, side, 3), np.uint8))
    mask = np.zeros((side, side, 1), np.uint8)
    mask[1400:1420, 1300:1330] = 255
    files = {"--painting": painting, "--naive": painting, "--mask": save(tmp_path / "m.png", mask)}
    code = painterly("harmonize", *options(files), "--resolution", 64, "-o", tmp_path / "o.png").code
    assert code == 0
    assert max(engine.jobs[0][0].painting.shape) < 500
    changed = (samples_of(tmp_path / "o.png") != samples_of(painting)).any(axis=2)
    assert (changed <= (mask[..., 0] > 0)).all() and changed.any()


@pytest.mark.parametrize("offset", [(10, 20), (-15, 60), (80, -5)])
def test_cut_out_may_hang_over_the_edge(painterly, engine, files, tmp_path, offset):
    layer = noise(bands=4, seed=4)[:30, :40]
    layer[..., 3] = 255
    layer[0, :, 3] = 0
    save(tmp_path / "l.png", layer)
    x, y = offset
    code = painterly(
        "harmonize", "--painting", files["--painting"], "--layer", tmp_path / "l.png",
        "--offset", f"{x},{y}", "-o", tmp_path / "o.png",
    ).code  # fmt: skip
    assert code == 0
    painting, expected = samples_of(files["--painting"]), samples_of(files["--painting"]).copy()
    naive = painting.copy()
    for row in range(1, 30):
        for column in range(40):
            if 0 <= y + row < HEIGHT and 0 <= x + column < WIDTH:
                expected[y + row, x + column] = [255, 0, 0]
                naive[y + row, x + column] = layer[row, column, :3]
    assert (samples_of(tmp_path / "o.png") == expected).all()
    # The canvas is smaller than a source window, so the engine saw all of it.
    assert np.abs(engine.jobs[0][0].naive.permute(1, 2, 0).numpy() - naive / 255).max() < 1e-6
