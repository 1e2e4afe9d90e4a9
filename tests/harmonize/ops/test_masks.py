"""Masks: loosened by the right distance, grown, and carried down the network as a loop carries them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize.ops.masks import (
    FAINT,
    down_the_network,
    feathered,
    gaussian_blur,
    gaussian_mean,
    grow,
    loose_mask,
    shown,
)
from tests.oracles import masks as oracle


def half_plane(size: int, edge: int) -> torch.Tensor:
    mask = torch.zeros(1, size, size)
    mask[:, :, :edge] = 1
    return mask


@pytest.mark.parametrize("scale, taps", [(1.0, 35), (0.6, 21), (0.2, 7)])
def test_a_half_plane_is_loosened_by_the_right_distance(scale, taps):
    """As published at 700 px: 35 taps, sigma 35/3, cut at 0.1; a dozen pixels beyond the edge."""
    reach = oracle.half_plane_reach(taps, taps / 3, 0.1)
    assert reach == {35: 12, 21: 7, 7: 2}[taps]
    assert torch.equal(loose_mask(half_plane(96, 40), scale), half_plane(96, 40 + reach))


def test_a_loose_mask_is_zero_or_one_and_holds_the_object(generator):
    tight = torch.zeros(1, 64, 64)
    tight[:, 20:40, 24:30] = 1
    loose = loose_mask(tight, 0.3)
    assert set(loose.unique().tolist()) == {0.0, 1.0}
    assert (loose >= tight).all()


@pytest.mark.parametrize("width", [1, 2])
def test_specks_and_lines_are_not_lost(width):
    """A blur of 35 taps spreads them so thin that nothing is above the cut."""
    for tight in (
        half_plane(48, width).flip(2),
        half_plane(48, width) * half_plane(48, width).transpose(1, 2),
    ):
        assert torch.equal(loose_mask(tight).maximum(tight), loose_mask(tight))


def test_blurring_keeps_the_mean_and_a_flat_picture(generator):
    flat = torch.full((2, 12, 9), 0.7)
    torch.testing.assert_close(gaussian_blur(flat, 2.0), flat)
    speck = torch.zeros(1, 31, 31)
    speck[0, 15, 15] = 1
    blurred = gaussian_blur(speck, 2.0)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(blurred, blurred.flip(1)) and torch.allclose(blurred, blurred.transpose(1, 2))
    variance = (blurred[0].sum(dim=0) * (torch.arange(31.0) - 15) ** 2).sum().item()
    assert variance == pytest.approx(4, rel=0.05)


def test_no_blur_is_no_blur():
    mask = half_plane(8, 3)
    assert torch.equal(gaussian_blur(mask, 0), mask)


@given(st.integers(0, 12))
def test_grown_by_a_disc_within_twelve_percent(by):
    mask = torch.zeros(1, 41, 41)
    mask[0, 20, 20] = 0.6
    grown = grow(mask, by)
    y, x = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")
    distance = torch.hypot(y, x)
    assert (grown[0][distance <= 0.92 * by - 0.5] == torch.tensor(0.6)).all()
    assert (grown[0][distance > 1.12 * by + 0.5] == 0).all()
    assert grown[0, 20, 20 + by] == mask.max() and grown[0, 20 + by, 20] == mask.max()


def test_down_the_network_equals_the_loop(generator, thin):
    mask = (torch.rand(1, 32, 48, generator=generator) > 0.6).float()
    wanted = [f"relu{block}_1" for block in range(1, 6)]
    found = down_the_network(mask, thin.structure, wanted)
    expected = oracle.down_the_network(mask[0].double().numpy(), thin.structure)
    assert list(found) == wanted
    for name in wanted:
        torch.testing.assert_close(found[name][0], torch.from_numpy(expected[name]).float())


def test_masks_have_the_features_sizes_when_pools_round_down(thin):
    mask = torch.ones(1, 45, 71)
    found = down_the_network(mask, thin.structure, ["relu1_1", "relu4_1", "relu5_1"])
    features = thin.features(torch.zeros(1, 3, 45, 71), list(found))
    assert {name: m.shape[1:] for name, m in found.items()} == {n: f.shape[2:] for n, f in features.items()}


def test_a_mask_lies_where_its_features_do_when_pools_round_down(thin):
    """Pools leave out an odd last row; stretched over it, a mask near the bottom would lie a position beside."""
    mask = torch.zeros(1, 703, 527)
    mask[:, 600:640, 400:480] = 1
    found = down_the_network(mask, thin.structure, ["relu4_1"])["relu4_1"][0]
    for along, centre in ((0, 620), (1, 440)):
        weight = found.sum(dim=1 - along)
        middles = 8 * (torch.arange(len(weight)) + 0.5)
        assert ((weight * middles).sum() / weight.sum()).item() == pytest.approx(centre, abs=0.5)


def test_the_middle_of_a_large_mask_stays_one(thin):
    found = down_the_network(torch.ones(1, 320, 320), thin.structure, ["relu4_1"])["relu4_1"]
    assert found[0, 20, 20] == pytest.approx(1)


def test_a_hard_edge_fades_inside():
    alpha = feathered(half_plane(64, 32), 6.0)[0, 32]
    alpha = alpha if alpha[-1] > 0 else alpha.flip(0)
    depth = torch.arange(64) - 31.5  # pixels inside the edge
    assert (alpha[depth < 0] == 0).all() and (alpha.diff() >= -1e-6).all()
    assert alpha[depth == 0.5] < 0.05 and (alpha[depth > 8] > 0.98).all()
    # Half is left where a Gaussian of sigma 3 has 0.5 ** 0.1 on its one side: 1.5 sigma, three quarters of the width.
    assert alpha[depth == 4.5].item() == pytest.approx(0.5, abs=0.02)


def test_what_is_thinner_than_the_feather_stays():
    line = torch.zeros(1, 40, 40)
    line[:, :, 19:22] = 1
    alpha = feathered(line, 6.0)[0, 20]
    assert alpha[20] == pytest.approx(1) and alpha[19] > 0.9 and alpha[21] > 0.9 and (alpha[22:] == 0).all()


def body(height: int, width: int) -> torch.Tensor:
    """A mask with a square of 48 px at its upper left, 8 px from the edges."""
    mask = torch.zeros(1, height, width)
    mask[:, 8:56, 8:56] = 1
    return mask


@pytest.mark.parametrize("thickness", [2, 4, 6])
def test_a_limb_of_something_wide_stays(thickness):
    mask, limb = body(64, 128), slice(32, 32 + thickness)
    mask[:, limb, 56:] = 1
    alpha, alone = feathered(mask, 5.0), feathered(body(64, 128), 5.0)
    assert alpha[:, limb, 72:120].mean() > 0.8 and alpha[:, limb, 72:120].amax(dim=1).min() > 0.95
    torch.testing.assert_close(alpha[:, :, :40], alone[:, :, :40])
    assert (alpha[mask == 0] == 0).all()


def test_a_limb_of_many_widths_is_no_dotted_line():
    """Relative to the wider places near, at full power a hundredth of the narrower ones was left."""
    mask = body(64, 128)
    mask[:, 32:34, 56:] = 1
    for wider in range(60, 128, 8):
        mask[:, 31:35, wider : wider + 4] = 1
    assert feathered(mask, 5.0)[:, 32:34, 64:120].min() > 0.4


def test_jags_and_corners_of_an_outline_are_no_limbs():
    """A cut-out's ragged rim carries its old background."""
    ragged = body(64, 64)
    for start in range(12, 52, 12):
        ragged[:, start : start + 3, 56:59] = 1
    assert feathered(ragged, 5.0)[:, :, 56:].max() < 0.05
    away = torch.arange(-40, 41).abs()
    turned = (away[:, None] + away <= 30)[None].float()
    alpha = feathered(turned, 5.0)
    assert alpha[0, 40, 70] < 0.05 and alpha[0, 40, 68] < 0.05 and alpha[0, 40, 40] == pytest.approx(1)


@pytest.mark.parametrize("width", [0.0, 3.0, 10.0])
def test_even_transparency_stays(width):
    mask = torch.full((1, 30, 30), 0.4)
    torch.testing.assert_close(feathered(mask, width), mask)


def test_what_fades_by_itself_stays():
    """A soft brush's stroke: the feather touches only its outermost end."""
    ramp = (torch.arange(100) / 99).expand(1, 40, 100).contiguous()
    alpha = feathered(ramp, 4.0)
    torch.testing.assert_close(alpha[:, :, 15:], ramp[:, :, 15:], atol=0.01, rtol=0)


def test_faint_dirt_around_the_object_does_not_move_its_edge():
    clean = half_plane(64, 32)
    dirty = torch.where(clean > 0, clean, 1 / 255)
    torch.testing.assert_close(feathered(dirty, 4.0), feathered(clean, 4.0))


def test_no_feather_is_the_mask(generator):
    mask = torch.rand(1, 9, 11, generator=generator)
    torch.testing.assert_close(feathered(mask, 0.0), mask)


def test_a_mean_by_weight_sees_only_what_has_weight(generator):
    """A constant stays what it is up to the edge, whatever lies beyond; two halves mix half and half between."""
    weight = half_plane(64, 40)
    image = torch.where(weight > 0, 7.0, 1e3).expand(2, -1, -1).clone()
    torch.testing.assert_close(
        gaussian_mean(image, weight, 3.0)[:, :, :44], image[:, :, :1].expand(-1, -1, 44)
    )
    assert (gaussian_mean(image, weight, 3.0)[:, :, 60:] == 0).all()
    image[:, 32:] = 9.0
    mean = gaussian_mean(image, weight, 3.0)
    torch.testing.assert_close(mean[:, 31, :40] + mean[:, 32, :40], torch.full((2, 40), 16.0))
    assert (mean[:, 31, :40] < 8).all() and (mean[:, 31, :40] > 7.5).all()


@pytest.mark.parametrize("width", [0.0, 3.0])
def test_what_is_evenly_half_transparent_is_laid_whole(width):
    """The picture that is laid has the painting shine through already."""
    mask = torch.zeros(1, 90, 90)
    mask[:, 20:70, 20:70] = 0.4
    alpha = shown(mask, width, reach=8)
    torch.testing.assert_close(alpha[:, 28:62, 28:62], torch.ones(1, 34, 34))
    assert (alpha[mask == 0] == 0).all()


def test_what_is_opaque_is_laid_as_it_is_feathered():
    mask = half_plane(64, 32)
    torch.testing.assert_close(shown(mask, 4.0, reach=8), feathered(mask, 4.0))


def test_what_fades_slowly_still_fades():
    """Never less than by itself, never more than what is half as far along again shows."""
    ramp = (torch.arange(100) / 99).expand(1, 40, 100).contiguous()
    alpha = shown(ramp, 0.0, reach=8)
    assert (alpha >= ramp - 1e-6).all() and (alpha <= 1).all()
    assert (alpha[:, :, 1:] - alpha[:, :, :-1]).min() > -0.02 and alpha[:, :, 10].max() < 0.6


def test_faint_dirt_is_not_laid_whole():
    mask = half_plane(96, 32)
    mask[:, 48, 80] = 1 / 255
    assert shown(mask, 0.0, reach=8)[:, 48, 80] <= 1 / 255 / FAINT
