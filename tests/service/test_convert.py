"""Rasters to tensors and back: exact in every depth, layers in their place."""

import dataclasses

import numpy as np
import pytest
import torch

from backend import convert
from backend.harmonize.errors import InvalidInput
from backend.harmonize.pipeline import Outcome
from plugin.painterly.protocol import messages, parameters
from plugin.painterly.protocol.geometry import Box
from plugin.painterly.protocol.raster import Placed, Raster

KINDS = {"U8": ("u1", 255), "U16": ("<u2", 65535), "F16": ("<f2", 1), "F32": ("<f4", 1)}
ORDER = {"RGBA": (0, 1, 2, 3), "BGRA": (2, 1, 0, 3)}


def raster(rgba, depth="U8", layout="RGBA", **more):
    """From an (h, w, 4) array of 0..1."""
    kind, one = KINDS[depth]
    values = np.asarray(rgba, dtype=np.float64)[..., ORDER[layout]] * one
    data = (np.rint(values) if one > 1 else values).astype(kind)
    return Raster(data.shape[1], data.shape[0], layout, depth, data.tobytes(), **more)


def mask_raster(coverage):
    data = np.rint(np.asarray(coverage) * 255).astype("u1")
    return Raster(data.shape[1], data.shape[0], "MASK", "U8", data.tobytes())


def noise(height, width, seed=0, alpha=None):
    values = np.random.default_rng(seed).random((height, width, 4))
    if alpha is not None:
        values[..., 3] = alpha
    return values


def request(painting, layer, x=0, y=0, selection=None, depth="U8"):
    return messages.Harmonize(
        "j", painting, Placed(layer, x, y), selection, parameters.resolve(), result_depth=depth
    )


def planes(array):
    return torch.from_numpy(np.asarray(array, dtype=np.float32)).permute(2, 0, 1)


@pytest.mark.parametrize("layout", ["RGBA", "BGRA"])
@pytest.mark.parametrize(
    "depth, error", [("U8", 0.51 / 255), ("U16", 0.51 / 65535), ("F16", 5e-4), ("F32", 1e-7)]
)
def test_colours_arrive(depth, error, layout):
    below, above = noise(40, 50, 1, alpha=1), noise(8, 9, 2, alpha=1)
    composite = convert.to_composite(
        request(raster(below, depth, layout), raster(above, depth, layout), 20, 10)
    )
    assert composite.painting.dtype == torch.float32
    assert (composite.painting - planes(below[..., :3])).abs().max() <= error
    assert (composite.naive[:, 10:18, 20:29] - planes(above[..., :3])).abs().max() <= error
    outside = composite.mask[0] == 0
    assert outside.sum() == 40 * 50 - 8 * 9
    assert torch.equal(composite.naive[:, outside], composite.painting[:, outside])


def test_alpha_and_selection_multiply_and_the_layer_is_laid_over():
    below, above = noise(40, 50, 1, alpha=1), noise(10, 10, 2, alpha=0.8)
    coverage = np.zeros((6, 6))
    coverage[2:5, 2:5] = 0.6
    selection = Placed(mask_raster(coverage), 12, 12)
    composite = convert.to_composite(request(raster(below, "F32"), raster(above, "F32"), 10, 10, selection))
    expected = np.zeros((40, 50, 1))
    expected[14:17, 14:17] = 0.8 * round(0.6 * 255) / 255
    assert (composite.mask - planes(expected)).abs().max() < 1e-6
    whole = below.copy()
    whole[10:20, 10:20] = above
    naive = below[..., :3] * (1 - expected) + whole[..., :3] * expected
    assert (composite.naive - planes(naive)).abs().max() < 1e-6


@pytest.mark.parametrize("x, y", [(-5, -5), (45, 35), (-5, 35), (20, -9), (49, 39), (-9, 39)])
def test_a_layer_that_reaches_beyond_the_painting_is_cut(x, y):
    above = noise(10, 10, 2, alpha=1)
    composite = convert.to_composite(request(raster(noise(40, 50, 1, 1), "F32"), raster(above, "F32"), x, y))
    expected = np.zeros((60, 70))
    expected[10 + y : 20 + y, 10 + x : 20 + x] = 1
    assert torch.equal(composite.mask[0].double(), torch.from_numpy(expected[10:50, 10:60]))


def test_grey_pixels_and_transparent_paintings():
    grey = Raster(40, 40, "GRAYA", "U8", bytes([128, 255]) * 1600)
    composite = convert.to_composite(request(grey, raster(noise(5, 5, 1, 1)), 3, 3))
    assert (composite.painting - 128 / 255).abs().max() < 1e-6
    clear = noise(40, 40, 3, alpha=0)
    composite = convert.to_composite(request(raster(clear, "F32"), raster(noise(5, 5, 1, 1)), 3, 3))
    assert torch.equal(composite.painting, torch.ones(3, 40, 40))


def test_float_colours_beyond_white_are_cut():
    below = noise(40, 40, 1, 1) * 3 - 1
    below[..., 3] = 1
    composite = convert.to_composite(request(raster(below, "F32"), raster(noise(5, 5, 1, 1), "F32"), 3, 3))
    assert composite.painting.min() == 0 and composite.painting.max() == 1


@pytest.mark.parametrize(
    "case",
    ["outside", "transparent", "unselected", "cmyk", "lab", "profile", "tiny", "everything", "nan"],
)
def test_what_cannot_be_worked_with_is_one_sentence(case):
    good = request(raster(noise(40, 40, 1, 1)), raster(noise(5, 5, 1, 1)), 3, 3)
    nothing = Placed(mask_raster(np.zeros((4, 4))), 3, 3)
    below = noise(40, 40, 1, 1)
    below[7, 7, 0] = np.nan
    bad = {
        "outside": {"layer": dataclasses.replace(good.layer, x=100)},
        "transparent": {"layer": Placed(raster(noise(5, 5, 1, 0)), 3, 3)},
        "unselected": {"selection": nothing},
        "cmyk": {"painting": Raster(40, 40, "CMYKA", "U8", bytes(40 * 40 * 5))},
        "lab": {"painting": Raster(40, 40, "LABA", "U16", bytes(40 * 40 * 8))},
        "profile": {"layer": Placed(raster(noise(5, 5, 1, 1), profile="linear"), 3, 3)},
        "tiny": {"painting": raster(noise(10, 10, 1, 1))},
        "everything": {"layer": Placed(raster(noise(40, 40, 1, 1)))},
        "nan": {"painting": raster(below, "F32")},
    }[case]
    with pytest.raises(InvalidInput) as caught:
        convert.to_composite(dataclasses.replace(good, **bad))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def outcome(height=30, width=40):
    alpha = torch.zeros(1, height, width)
    alpha[0, 5:9, 7:13] = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.1
    return Outcome(planes(noise(height, width, 5)[..., :3]).contiguous(), alpha, {})


@pytest.mark.parametrize("depth, layout", [("U8", "BGRA"), ("U16", "BGRA"), ("F16", "RGBA"), ("F32", "RGBA")])
def test_results_leave_as_krita_keeps_them(depth, layout):
    placed = convert.to_placed(outcome(), depth)
    assert placed.box == Box(7, 5, 13, 9)
    assert (placed.raster.layout, placed.raster.depth) == (layout, depth)
    expected = torch.cat([outcome().image, outcome().alpha])[:, 5:9, 7:13].permute(1, 2, 0).numpy()
    assert bytes(placed.raster.data) == raster(expected, depth, layout).data


def test_an_outcome_survives_the_way():
    there = outcome()
    painting = torch.zeros_like(there.image)
    again = convert.outcome_of(convert.to_placed(there, "F32"), painting, {"a": 1})
    assert torch.equal(again.alpha, there.alpha) and again.report == {"a": 1}
    inside = there.alpha[0] > 0
    assert torch.equal(again.image[:, inside], there.image[:, inside])
    assert again.image[:, 0, 0].abs().max() == 0


def test_nothing_painted_is_said():
    with pytest.raises(InvalidInput):
        convert.to_placed(Outcome(torch.zeros(3, 9, 9), torch.zeros(1, 9, 9), {}), "U8")


@pytest.mark.parametrize("box", [Box(0, 0, 1000, 500), Box(3, 4, 13, 10), Box(0, 0, 1, 900)])
def test_previews_are_small(box):
    image = torch.full((3, 1000, 1000), 0.25)
    image[0] = 1
    preview = convert.to_preview(image, box)
    assert max(preview.image.width, preview.image.height) <= convert.PREVIEW_SIDE
    assert (preview.x, preview.y, preview.width, preview.height) == (box.left, box.top, box.width, box.height)
    assert bytes(preview.image.data[:4]) == bytes([64, 64, 255, 255])
