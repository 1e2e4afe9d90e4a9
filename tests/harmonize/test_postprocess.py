"""The post-process: clean chroma, patches of the painting, full-size texture."""

import pytest
import torch

from backend.harmonize import postprocess
from backend.harmonize.composite import Region, resize
from backend.harmonize.ops.color import lab_to_rgb, rgb_to_lab
from backend.harmonize.postprocess import (
    BASE_CONTRAST,
    BASE_LIMITS,
    COHERENCE_LIMIT,
    CRISP,
    FORM_WEIGHT,
    SOFT,
    base_contrast,
    denoise_chroma,
    enlarge,
    own_contrast,
    roughness,
    smoothed,
    synthesize,
)
from tests.harmonize.scenes import painted


def test_denoising_takes_noise_from_chroma_and_leaves_lightness(generator):
    clean = torch.tensor([60.0, 20.0, -15.0]).view(3, 1, 1).expand(3, 32, 32).clone()
    noisy = clean.clone()
    noisy[1:] += 5 * torch.randn(2, 32, 32, generator=generator)
    result = rgb_to_lab(denoise_chroma(lab_to_rgb(noisy)))
    assert (result[1:] - clean[1:]).std() < 0.6 * (noisy[1:] - clean[1:]).std()
    torch.testing.assert_close(result[0], noisy[0], atol=0.5, rtol=0)


def test_denoising_keeps_edges_between_colours():
    image = torch.full((3, 24, 24), 0.2)
    image[0, :, 12:] = 0.9
    # The filter reaches two radii to each side of the edge; further in nothing has changed.
    difference = (denoise_chroma(image) - image).abs().amax(dim=(0, 1))
    assert difference[:8].max() < 1e-3 and difference[16:].max() < 1e-3
    assert difference.max() < 0.1


def test_a_gray_picture_stays_gray(generator):
    gray = torch.rand(1, 20, 20, generator=generator).expand(3, -1, -1)
    torch.testing.assert_close(denoise_chroma(gray), gray, atol=1e-3, rtol=0)


def test_synthesis_leaves_a_piece_of_the_painting_as_it_is():
    """Every patch is in the painting already, so base and detail add up to what was there."""
    painting = painted(48, 56, seed=1)
    piece = painting[:, 8:40, 10:46]
    where = torch.zeros(1, 32, 36)
    where[:, 8:24, 8:28] = 1
    result = synthesize(piece, painting, piece, where, seed=0, laying=CRISP._replace(rounds=10))
    assert (result - piece).abs().mean() < 0.01


def test_synthesis_changes_only_where_wanted_and_stays_in_range():
    painting, image = painted(40, 44, seed=2), painted(32, 36, seed=9)
    where = torch.zeros(1, 32, 36)
    where[:, 10:20, 12:30] = 1
    result = synthesize(image, painting, image, where, seed=0)
    outside = (where == 0).expand_as(image)
    assert torch.equal(result[outside], image[outside])
    assert not torch.equal(result, image)
    assert result.min() >= 0 and result.max() <= 1
    assert torch.equal(result, synthesize(image, painting, image, where, seed=0))


def test_synthesis_brings_the_paintings_colours():
    """A red painting and a blue object: there is no blue to rebuild it from."""
    painting = painted(40, 40, seed=3) * torch.tensor([1.0, 0.1, 0.1]).view(3, 1, 1)
    image = painted(32, 32, seed=4) * torch.tensor([0.1, 0.1, 1.0]).view(3, 1, 1)
    result = synthesize(image, painting, image, torch.ones(1, 32, 32), seed=0)
    assert result[2].mean() < 0.3 * image[2].mean()


BLUE, GREEN, RED = (
    torch.tensor(c).view(3, 1, 1) for c in ([0.3, 0.4, 0.7], [0.3, 0.6, 0.3], [0.7, 0.3, 0.3])
)


def chroma_with_a_block(monkeypatch, painting: torch.Tensor, side: int) -> tuple[torch.Tensor, float]:
    """Chroma of a blue image, a third as large as the painting, of which all that is laid is green, and in the middle a
    red block `side` pixels wide: (2, h, w), and how much of the block's difference is left."""
    size = painting.shape[1] // 3
    laid, first = GREEN.repeat(1, size, size), (size - side) // 2
    laid[:, first : first + side, first : first + side] = RED
    monkeypatch.setattr(postprocess, "_laid", lambda *given: laid)
    image = BLUE.repeat(1, size, size)
    chroma = rgb_to_lab(synthesize(image, painting, image, torch.ones(1, size, size), seed=0))[1:]
    middle, far = chroma[:, size // 2, size // 2], chroma[:, 4, 4]
    red, green = (rgb_to_lab(colour)[1:, 0, 0] for colour in (RED, GREEN))
    return chroma, ((middle - far).norm() / (red - green).norm()).item()


@pytest.mark.parametrize("colours, kept", [(1.0, True), (0.1, False)])
def test_a_piece_of_a_foreign_hue_gets_its_surroundings_hue_back(monkeypatch, colours, kept):
    """A painting of few colours would only get tints that it has nowhere."""
    painting = painted(400, 400, seed=3)
    painting = torch.lerp(painting.mean(dim=0, keepdim=True), painting, colours)
    chroma, left = chroma_with_a_block(monkeypatch, painting, side=28)
    assert left < 0.6 if kept else left > 0.9
    far, green, blue = chroma[:, 4, 4], rgb_to_lab(GREEN)[1:, 0, 0], rgb_to_lab(BLUE)[1:, 0, 0]
    assert (far - green).norm() < 5 < (far - blue).norm()


def test_how_wide_a_block_gets_its_hue_back_grows_with_the_painting(monkeypatch):
    """Of one four reaches wide most comes back, of one as wide as a reach, a stroke, next to nothing."""
    monkeypatch.setattr(postprocess, "_following", lambda image, laid, contrast: laid)
    for width, share in ((4, 0.3), (1, 0.9)):
        for size in (360, 720):
            side = round(width * postprocess.HUE_REACH * size)
            _, left = chroma_with_a_block(monkeypatch, painted(size, size, seed=3), side)
            assert left == pytest.approx(share, abs=0.05), (width, size)


def test_pieces_that_are_painted_over_are_averaged_widely(monkeypatch, generator):
    """Of a chequered field, whose neighbours lay black and white, nothing but grey is left."""
    painting = torch.zeros(3, 40, 80)
    painting[:, :, 40:] = 1
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    field = torch.stack((rows + 8, columns + 8 + 40 * ((rows // 3 + columns // 3) % 2)))
    monkeypatch.setattr(postprocess, "quilt", lambda *given: field)
    image, everywhere = torch.full((3, 24, 24), 0.5), torch.ones(24, 24) > 0
    spread = [
        postprocess._laid(image, painting, image, everywhere, 0, 1.0, laying, lambda: None).std()
        for laying in (CRISP, SOFT)
    ]
    assert spread[0] > 0.2 and spread[1] < 0.05


def calm() -> torch.Tensor:
    """A painting whose strokes have little contrast."""
    return torch.lerp(torch.full((3, 96, 96), 0.5), painted(96, 96, seed=3), 0.4)


@pytest.mark.parametrize("sharp", [False, True])
def test_two_tones_meet_as_softly_as_in_the_image(monkeypatch, generator, sharp):
    """Pieces of a dark and a light tone, with fine grain, for a cheek's soft shadow, and for an edge at the same place."""
    columns = torch.arange(96.0)
    step = 0.3 + 0.3 * (columns >= 48)
    tone = step if sharp else 0.3 + 0.3 * columns / 95
    image, flat = tone.expand(3, 48, 96).contiguous(), torch.full((3, 48, 96), 0.5)
    grain = 0.1 * torch.rand(1, 48, 96, generator=generator)
    monkeypatch.setattr(postprocess, "_laid", lambda *given: step + grain.expand(3, -1, -1))
    result = synthesize(image, calm(), flat, torch.ones(1, 48, 96), seed=0)[0]
    light, dark = result[:, 48:52].mean(), result[:, 44:48].mean()
    assert light - dark > 0.25 if sharp else light - dark < 0.15
    assert result[:, 80:].mean() - result[:, :16].mean() > 0.25
    assert result[:, 4:24].std(dim=0).mean() > 0.4 * grain.std()


def test_a_figure_of_a_piece_is_not_seen_where_the_image_is_smooth(monkeypatch):
    image, laid = torch.full((3, 64, 64), 0.5), torch.full((3, 64, 64), 0.5)
    laid[:, 28:36, 29:35] = 0.1
    monkeypatch.setattr(postprocess, "_laid", lambda *given: laid)
    result = synthesize(image, calm(), image, torch.ones(1, 64, 64), seed=0)
    assert (result - 0.5).abs().max() < 0.15  # of 0.4


@pytest.mark.parametrize("firmness", [0.0, 1.0, 3.0])
def test_resemblance_weighs_most_where_the_pasted_object_has_form(monkeypatch, firmness):
    weights, laying = [], CRISP._replace(firmness=firmness)

    def quilt(picture, painting, where, weight, *rest):
        weights.append(weight)
        return torch.zeros(2, *where.shape, dtype=torch.int64)

    monkeypatch.setattr(postprocess, "quilt", quilt)
    naive = torch.full((3, 40, 60), 0.2)
    naive[:, :, 30:] = 0.8
    image, painting = painted(40, 60, seed=1), painted(64, 64, seed=2)
    synthesize(image, painting, naive, torch.ones(1, 40, 60), seed=0, laying=laying)
    (weight,) = weights
    assert 0.9 * firmness * FORM_WEIGHT <= weight[20, 30] - 1 <= firmness * FORM_WEIGHT
    torch.testing.assert_close(weight[:, [3, 56]], torch.ones(40, 2), atol=1e-3, rtol=0)


def test_pieces_fit_one_another_less_in_smaller_pictures(monkeypatch):
    asked = []

    def quilt(picture, painting, where, weight, generator, coherence, *rest):
        asked.append(coherence)
        return torch.zeros(2, *where.shape, dtype=torch.int64)

    monkeypatch.setattr(postprocess, "quilt", quilt)
    image, painting = painted(40, 60, seed=1), painted(64, 64, seed=2)
    for scale in (1.0, 0.5, 3.0):
        synthesize(image, painting, image, torch.ones(1, 40, 60), seed=0, scale=scale)
    assert asked[0] == asked[2] == pytest.approx(4 * asked[1]) and 0 < asked[0] <= COHERENCE_LIMIT


def grain(contrast, generator):
    """A picture that is lighter to the right, with grain of a standard deviation of `contrast` in CIELAB's lightness."""
    lightness = torch.linspace(40, 60, 96).expand(1, 96, -1) + contrast * torch.randn(
        1, 96, 96, generator=generator
    )
    return lab_to_rgb(torch.cat((lightness, torch.zeros(2, 96, 96))))


@pytest.mark.parametrize("own, theirs, gets", [(3, 3.3, 3.3), (4, 3.2, 3.2), (2, 6, 2.5), (6, 2, 4.2)])
def test_the_finest_contrast_becomes_the_paintings_within_bounds(generator, own, theirs, gets):
    picture, painting, wanted = grain(own, generator), grain(theirs, generator), torch.ones(1, 96, 96)
    result = postprocess._as_fine(picture, painting, wanted[0] > 0)
    (before, _), (coarse, fine), (_, exact) = (
        postprocess._bands(rgb_to_lab(x), wanted) for x in (picture, result, grain(gets, generator))
    )
    assert fine[0].std() == pytest.approx(exact[0].std().item(), rel=0.06)
    torch.testing.assert_close(coarse, before, atol=0.8, rtol=0)


def test_averaged_pieces_are_made_crisp_again(monkeypatch, generator):
    """Of grain no two pieces are alike, so that their average is soft."""
    image, painting, wanted = grain(6, generator), grain(6, generator), torch.ones(1, 96, 96)

    def crispness():
        laid = synthesize(image, painting, torch.full_like(image, 0.5), wanted, seed=0)
        return postprocess._bands(rgb_to_lab(laid), wanted)[1][0].std()

    crisp = crispness()
    monkeypatch.setattr(postprocess, "FINE_SLOPES", (1.0, 1.0))
    assert 1.15 * crispness() < crisp < 6


def test_where_nothing_is_wanted_the_image_stays():
    image = painted(32, 32, seed=5)
    result = synthesize(image, painted(40, 40, seed=6), image, torch.zeros(1, 32, 32), seed=0)
    assert torch.equal(result, image)


def test_a_single_wanted_pixel_is_served():
    where = torch.zeros(1, 32, 32)
    where[0, 11, 13] = 1
    image = painted(32, 32, seed=5)
    result = synthesize(image, painted(40, 40, seed=6), image, where, seed=0)
    assert (result != image).any(dim=0).sum() == 1


def test_roughness_is_half_at_its_contrast():
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    checkers = 0.5 + 0.05 * ((rows + columns) % 2 * 2.0 - 1).expand(3, -1, -1)
    torch.testing.assert_close(
        roughness(checkers, 0.05, 2.0)[:, 12:28, 12:28], torch.full((1, 16, 16), 0.5), atol=1e-3, rtol=0
    )
    assert roughness(torch.full((3, 20, 20), 0.3), 0.05, 2.0).max() < 0.001


def test_an_edge_of_the_object_keeps_its_lightness_where_the_painting_has_none(monkeypatch):
    """A flat blue painting: patches alone would leave nothing of a red object's edge."""
    monkeypatch.setattr(postprocess, "FINE_SLOPES", (1.0, 1.0))  # else it is softer, as all in that painting
    painting = torch.tensor([0.3, 0.4, 0.7]).view(3, 1, 1).expand(3, 40, 40).contiguous()
    image = torch.tensor([0.5, 0.1, 0.1]).view(3, 1, 1).repeat(1, 32, 48)
    image[:, :, 24:] *= 2
    everywhere = torch.ones(1, 32, 48)

    def lightness(naive, laying=CRISP):
        return rgb_to_lab(synthesize(image, painting, naive, everywhere, seed=0, laying=laying))[:, 16]

    kept, lost = lightness(image), lightness(torch.full_like(image, 0.5))
    step, own = kept[0, 24] - kept[0, 23], rgb_to_lab(image)[0, 16]
    loose, firm = (lightness(image, CRISP._replace(firmness=firmness))[0] for firmness in (0.0, 3.0))
    assert (loose[24] - loose[23]).abs() < 0.1 and firm[24] - firm[23] > 1.3 * step
    assert 0.35 < step / (own[24] - own[23]) <= 1
    assert (lost[0, 24] - lost[0, 23]).abs() < 0.1
    torch.testing.assert_close(kept[:, [4, 44]], lost[:, [4, 44]], atol=0.1, rtol=0)  # far from the edge
    assert (kept[2] < 0).all()  # blue to the edge itself


@pytest.mark.parametrize("tone, half", [(0.4, postprocess.DARK_EDGE), (0.6, postprocess.LIGHT_EDGE)])
def test_darks_of_an_edge_are_the_images_own_from_less_contrast_on_than_lights(tone, half):
    """A chequered object, whose luminance deviates by `half` everywhere, on pieces of one grey."""
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    naive = (0.5 + half * (1 - 2 * ((rows + columns) % 2))).expand(3, 40, 40)
    pieces, image = (torch.full((3, 40, 40), value) for value in (0.5, tone))
    variance = postprocess._variance(naive, postprocess.EDGE_RADIUS)
    rebuilt, (laid, own) = (
        rgb_to_lab(postprocess._reconciled(pieces, image, variance, torch.zeros(2, 1, 1)))[0, 20, 20],
        (rgb_to_lab(x)[0, 20, 20] for x in (pieces, image)),
    )
    assert (rebuilt - laid) / (own - laid) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("paper", [0.0, 1.0])
def test_smoothness_on_a_blank_canvas(paper):
    """Which has no contrast to tell ripples by."""
    blank, where = torch.full((3, 40, 40), paper), torch.zeros(1, 40, 40)
    where[:, 10:30, 10:30] = 1
    assert torch.allclose(smoothed(blank, blank, where, 3.0), blank, atol=1e-5)


@pytest.mark.parametrize("smoothness, ripple", [(0.0, 1.5), (0.5, 1.2), (1.0, 1.0), (4.0, 0.5), (10.0, 0.25)])
def test_smoothness_multiplies_ripples_and_leaves_edges_and_surroundings(smoothness, ripple):
    columns, where = torch.arange(64), torch.zeros(1, 40, 64)
    ripples, where[:, :, :48] = 0.01 * (1 - 2 * (columns % 2)), 1.0
    picture = (torch.where(columns < 24, 0.3, 0.7) + ripples).expand(3, 40, 64)
    result = smoothed(picture, painted(64, 64, seed=2), where, smoothness)
    left, right = result[:, 10:30, 8:20], result[:, 10:30, 28:40]
    for side, mean in ((left, 0.3), (right, 0.7)):
        assert side.std(correction=0).item() == pytest.approx(0.01 * ripple, abs=6e-4)
        assert side.mean().item() == pytest.approx(mean, abs=1e-3)
    assert torch.equal(result[:, :, 48:], picture[:, :, 48:])
    assert (result[:, 20, 24] - result[:, 20, 23]).min() > 0.37  # 0.42 before


@pytest.mark.parametrize("top, left", [(0, 0), (13, 7), (70, 66)])
def test_enlarging_looks_only_around_the_object_and_sees_the_same(monkeypatch, top, left):
    """As when it looks at the whole picture; at its corners, too."""
    painting, image = painted(96, 90, seed=7), painted(48, 45, seed=8)
    where = torch.zeros(1, 96, 90)
    where[:, top : top + 26, left : left + 24] = 1
    kept = image.clone()
    result = enlarge(image, painting, where, seed=0)
    assert torch.equal(image, kept)
    monkeypatch.setattr(postprocess, "around", lambda mask, margin: Region(0, 0, *mask.shape[1:]))
    assert torch.equal(result, enlarge(image, painting, where, seed=0))


def test_where_nothing_is_enlarged_the_painting_stays():
    painting = painted(48, 40, seed=4)
    result = enlarge(painted(24, 20, seed=3), painting, torch.zeros(1, 48, 40), seed=0)
    assert torch.equal(result, painting) and result is not painting


@pytest.mark.parametrize("row, column", [(30, 26), (31, 26), (30, 27), (31, 27)])
def test_an_object_of_one_pixel_has_texture_too(row, column):
    painting, image = painted(96, 96, seed=7), torch.full((3, 48, 48), 0.5)
    where = torch.zeros(1, 96, 96)
    where[:, row, column] = 1
    result = enlarge(image, painting, where, seed=0)
    assert (result[:, row, column] - 0.5).abs().max() > 1e-3


def test_enlarging_gives_back_the_paintings_own_texture():
    painting = painted(96, 96, seed=7)
    small = resize(painting, (48, 48))
    where = torch.zeros(1, 96, 96)
    where[:, 24:72, 24:72] = 1
    inside = where.bool().expand_as(painting)
    plain = resize(small, (96, 96)).clamp(0, 1)
    result = enlarge(small, painting, where, seed=0, rounds=10)
    error = [(image - painting).abs()[inside].mean() for image in (plain, result)]
    assert error[1] < 0.5 * error[0]
    assert torch.equal(result[~inside], painting[~inside])


def test_the_base_begins_at_a_contrast_that_grows_with_the_paintings_own(generator):
    noise = torch.randn(3, 60, 70, generator=generator)
    faint, strong, flat, wild = (
        base_contrast(own_contrast((0.5 + a * noise).clamp(0, 1))) for a in (0.012, 0.024, 0, 1)
    )
    # The deviation within 5 x 5 of 25 independent values is a little below that of all.
    assert 0.9 * 0.012 * BASE_CONTRAST < faint < 0.012 * BASE_CONTRAST and strong == pytest.approx(
        2 * faint, rel=0.01
    )
    assert (flat, wild) == BASE_LIMITS


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_painting_of_one_tone_gives_that_tone(grey, generator):
    """A blank canvas: there is no stroke to tell from the rest."""
    painting = torch.full((3, 48, 56), grey)
    image = (painting + 0.01 * torch.randn(painting.shape, generator=generator)).clamp(0, 1)
    result = synthesize(image, painting, image, torch.ones(1, 48, 56), seed=0)
    assert torch.isfinite(result).all() and (result - grey).abs().max() < 0.05
