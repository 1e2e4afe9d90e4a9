"""Pass 2: one consistent mapping, and the crop around the object equals the full frame."""

from dataclasses import replace

import pytest
import torch

from backend.harmonize.composite import MATCHED, Composite, Region, Scene, by_cells, resize
from backend.harmonize.ops.color import lab_to_rgb
from backend.harmonize.ops.field import Mapping
from backend.harmonize.optimize import Plan
from backend.harmonize.second_pass import (
    REFERENCE,
    SHALLOW,
    STYLE_LAYERS,
    _Descent,
    carried,
    match,
    second_pass,
    statistics,
)
from backend.harmonize.style_level import Weights
from tests.harmonize.scenes import composed

SIZE = (208, 224)
# relu4_1 of a VGG-16 sees 30 pixels to each side, and the mask carried along fades over as many again.
EXACT_MARGIN = 2 * 30
WEIGHTS = Weights(content=1.0, style=5.0, histogram=20.0, variation=10.0)
CONTENT_ALONE = Weights(content=5.0, style=0.0, histogram=0.0, variation=0.0)


def ignore(number, image, losses):
    pass


def features(scene: Scene, network) -> dict:
    with torch.no_grad():
        return network.features(scene.painting[None], STYLE_LAYERS)


def run(scene: Scene, network, plan: Plan, weights: Weights = WEIGHTS, seen=ignore) -> torch.Tensor:
    source, naive = features(scene, network), scene.region.of(scene.naive)
    field = match(naive, scene, network, source).consensus
    wanted = statistics(field, scene, source)
    return scene.region.paste(scene.naive, second_pass(naive, wanted, scene, network, weights, plan, seen))


def scene_cells(scene: Scene) -> Region:
    """The scene's region in positions of relu4_1."""
    return Region(*(side // 8 for side in vars(scene.region).values()))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.at(composed(*SIZE, 88, 96, 24), SIZE, EXACT_MARGIN, False, mask_scale=0.1)


def difference(scene: Scene, network) -> torch.Tensor:
    """Between optimizing the scene's region and optimizing the full frame."""
    full = replace(scene, region=Region(0, 0, *SIZE))
    assert scene.region != full.region
    return (run(scene, network, Plan(4)) - run(full, network, Plan(4))).abs()


def test_the_crop_equals_the_full_frame_to_float_rounding(scene, thin):
    """Not bit for bit: a convolution sums in another order when the picture has another size, an activation
    at the border of two histogram bins may then fall into the other, and Adam magnifies what is next to
    nothing: single pixels may differ by a level, their mean by a small part of one."""
    inside = (scene.loose > 0).expand_as(scene.naive)
    found = difference(scene, thin)[inside]
    assert found.mean() < 0.1 and found.max() < 2  # of 255


def test_a_crop_without_surroundings_does_not(thin):
    """What the test above would see if the region were too small."""
    tight = Scene.at(composed(*SIZE, 88, 96, 24), SIZE, 0, False, mask_scale=0.1)
    assert difference(tight, thin)[(tight.loose > 0).expand_as(tight.naive)].mean() > 0.5


def test_the_mapping_of_the_crop_is_the_full_frames(scene, thin):
    full = replace(scene, region=Region(0, 0, *SIZE))
    source = features(scene, thin)
    cells = scene_cells(scene)
    croppeds = match(scene.region.of(scene.naive), scene, thin, source)
    for cropped, whole in zip(croppeds, match(scene.naive, full, thin, source)):
        assert torch.equal(cells.of(whole), cropped)
        outside = whole.clone()
        outside[:, cells.top : cells.bottom, cells.left : cells.right] = -1
        assert (outside == -1).all()


def test_a_painting_matched_to_itself_stays_in_place(scene, thin):
    """The object is the painting's own: every position's best match is where it is."""
    own = replace(scene, naive=scene.painting)
    source = features(scene, thin)
    full = replace(own, region=Region(0, 0, *SIZE))
    for field in match(own.painting, full, thin, source):
        known = field[0] >= 0
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in field.shape[1:]), indexing="ij")
        assert known.any()
        assert torch.equal(field[0][known], rows[known]) and torch.equal(field[1][known], columns[known])


def test_a_carried_mapping_leads_to_the_same_places(thin):
    """At half size each position's match is where the full-size match's centre lies."""
    composite = composed(*SIZE, 88, 96, 48)
    fine = Scene.at(composite, SIZE, EXACT_MARGIN, False, mask_scale=0.1)
    coarse = Scene.at(composite, (104, 112), 16, False, mask_scale=0.05)
    mapping = match(fine.region.of(fine.naive), fine, thin, features(fine, thin))
    for field, found in zip(mapping, carried(mapping, fine, coarse)):
        assert found.shape[1:] == tuple(side // 8 for side in coarse.region.of(coarse.tight).shape[1:])
        known = (found[0] >= 0).nonzero()
        assert len(known) >= 9
        for y, x in known.tolist():
            row = (2 * (coarse.region.top // 8 + y) + 1) - fine.region.top // 8
            column = (2 * (coarse.region.left // 8 + x) + 1) - fine.region.left // 8
            assert found[:, y, x].tolist() == (field[:, row, column] // 2).tolist()


def test_a_small_objects_matches_are_its_own(thin):
    """The surroundings, which match themselves, do not outvote an object of few positions."""
    scene = Scene.at(composed(*SIZE, 96, 96, 16), SIZE, EXACT_MARGIN, False, mask_scale=0.5)
    source, guide = features(scene, thin), scene.region.of(scene.naive)
    inside = resize(scene.region.of(scene.tight), tuple(side // 8 for side in guide.shape[1:]))[0] > 0.5
    assert 1 <= inside.sum() <= 9

    def at_home(published: bool) -> int:
        field = match(guide, scene, thin, source, published).consensus[:, inside]
        here = torch.stack(inside.nonzero(as_tuple=True))
        here = here + torch.tensor((scene.region.top // 8, scene.region.left // 8))[:, None]
        return int((field == here).all(dim=0).sum())

    assert at_home(published=False) < at_home(published=True)


def test_only_positions_under_the_mask_are_matched(scene, thin):
    for field in match(scene.region.of(scene.naive), scene, thin, features(scene, thin)):
        assert 4 <= (field[0] >= 0).sum() < field[0].numel() / 2


def test_a_form_smaller_than_a_neighbourhood_keeps_its_colour(thin):
    """A white bar, two positions wide, in a black object; the painting has black and white at the same places of
    a fine grid, so that neighbours' proposals are nearly random. Their consensus loses the bar."""
    generator = torch.Generator().manual_seed(3)
    blocks = (torch.rand(1, 13, 14, generator=generator) > 0.3).float().expand(3, -1, -1) * 0.8 + 0.1
    painting = blocks.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)
    naive, mask = painting.clone(), torch.zeros(1, *SIZE)
    naive[:, 64:144, 64:160], mask[:, 64:144, 64:160] = 0.1, 1.0
    naive[:, 64:144, 104:120] = 0.9
    scene = Scene.at(Composite(painting, naive, mask), SIZE, EXACT_MARGIN, False, mask_scale=0.1)
    mapping = match(scene.region.of(scene.naive), scene, thin, features(scene, thin))
    colours = resize(scene.painting, tuple(side // 8 for side in SIZE))[0]

    def contrast(field: torch.Tensor) -> float:
        part = scene.region
        rows = slice(72 // 8 - part.top // 8, 136 // 8 - part.top // 8)
        bar, left, right = (
            colours[tuple(field[:, rows, x // 8 - part.left // 8])].mean() for x in (108, 84, 136)
        )
        return (bar - (left + right) / 2).item()

    assert contrast(mapping.faithful) > 150 > contrast(mapping.consensus)


@pytest.mark.parametrize("seed", range(4))
def test_a_grey_object_on_a_stripe_is_not_matched_to_its_hue_here_and_there(thin, seed, monkeypatch):
    """All of the painting is orange but a blue stripe, and all of one grain."""
    generator = torch.Generator().manual_seed(seed)
    lightness = 60 + 8 * torch.randn(2, 1, *SIZE, generator=generator)
    chroma = torch.tensor([20.0, 45.0]).view(2, 1, 1).repeat(1, *SIZE)
    chroma[:, :, 96:112] = torch.tensor([0.0, -40.0]).view(2, 1, 1)
    painting, grey = (lab_to_rgb(torch.cat(x)).clamp(0, 1) for x in zip(lightness, (chroma, 0 * chroma)))
    mask = torch.zeros(1, *SIZE)
    mask[:, 64:144, 64:160] = 1
    composite = Composite(painting, torch.lerp(painting, grey, mask), mask)
    scene = Scene.at(composite, SIZE, EXACT_MARGIN, False, mask_scale=0.1)
    inside = resize(mask, tuple(side // 8 for side in SIZE)) > 0.5
    blue = torch.zeros(tuple(side // 8 for side in SIZE), dtype=torch.bool)
    blue[:, 12:14] = True

    def share() -> float:
        field = match(scene.region.of(scene.naive), scene, thin, features(scene, thin)).faithful
        return blue[tuple(field[:, scene_cells(scene).of(inside)[0]])].float().mean().item()

    assert share() < 0.03
    monkeypatch.setattr(Scene, "agreeing", lambda self, hints, field: hints)
    assert share() > 0.03


@pytest.mark.parametrize("method", ["adam", "lbfgs"])
def test_only_the_loose_mask_changes(scene, thin, method):
    result = run(scene, thin, Plan(3, method=method))
    fixed = (scene.loose == 0).expand_as(result)
    assert torch.equal(result[fixed], scene.naive[fixed])
    assert not torch.equal(result, scene.naive)


def test_the_terms_fall(scene, thin):
    losses = []
    run(scene, thin, Plan(40), seen=lambda number, image, found: losses.append(float(found["terms"])))
    assert losses[-1] < 0.8 * losses[0]


class Asked:
    """A network that remembers which layers it was asked for."""

    def __init__(self, network):
        self._network, self.layers = network, []

    def __getattr__(self, name):
        return getattr(self._network, name)

    def features(self, image, wanted, tap=None):
        self.layers.append(tuple(wanted))
        return self._network.features(image, wanted, tap)


@pytest.fixture
def descents(scene, thin):
    """Two of the same scene, which ask the deep layers at every picture and at every third; and their network."""
    source = features(scene, thin)
    field = match(scene.region.of(scene.naive), scene, thin, source).consensus
    wanted = statistics(field, scene, source)
    network = Asked(thin)
    found = [_Descent(wanted, scene, network, WEIGHTS, deep_every) for deep_every in (1, 3)]
    network.layers.clear()
    return *found, network


def test_between_their_turns_deep_layers_stand_as_they_were(scene, descents):
    """At an unmoved picture what they sent down last is what they would send now."""
    every, third, network = descents
    image = scene.region.of(scene.naive)
    exact = every(image)[0]
    assert exact.abs().amax() > 0
    for _ in range(4):
        torch.testing.assert_close(third(image)[0], exact, rtol=1e-5, atol=1e-7 * exact.abs().amax().item())
    assert network.layers == [STYLE_LAYERS, STYLE_LAYERS, SHALLOW, SHALLOW, STYLE_LAYERS]


def test_between_their_turns_shallow_layers_see_the_picture(scene, descents):
    every, third, _ = descents
    image = scene.region.of(scene.naive)
    moved = (image + 20 * torch.rand(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 255)
    third(image)
    between, stale, exact = third(moved)[0], every(image)[0], every(moved)[0]
    assert not torch.allclose(between, stale) and not torch.allclose(between, exact)
    assert (between - exact).norm() < (stale - exact).norm()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_deep_layers_sent_down_is_not_asked_for_again_if_it_is_no_number(scene, descents, value):
    _, third, _ = descents
    image = scene.region.of(scene.naive)
    third(image)
    sent = third._from_deep.clone()
    sent[0, 0, 0, 0] = value
    third._keep(sent)
    assert torch.isfinite(third(image)[0]).all()


def test_content_alone_leaves_the_object(scene, thin):
    """At the naive picture the content term is at its minimum, and nothing else pulls."""
    result = run(scene, thin, Plan(3), CONTENT_ALONE)
    torch.testing.assert_close(result, scene.naive, atol=1e-3, rtol=0)


def test_content_alone_brings_the_object_back(large, thin, generator):
    """From noise its features come nearer to the pasted object's."""
    naive = large.region.of(large.naive)
    noisy = (naive + 30 * torch.randn(naive.shape, generator=generator)).clamp(0, 255)
    source = features(large, thin)
    wanted = statistics(match(naive, large, thin, source).consensus, large, source)
    result = second_pass(noisy, wanted, large, thin, CONTENT_ALONE, Plan(20), ignore)

    def form(image: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found = thin.features(image[None], (REFERENCE,))[REFERENCE][0]
        return found[:, by_cells(large.region.of(large.tight), MATCHED)[0] > 0.5].float()

    before, after = ((form(image) - form(naive)).norm() for image in (noisy, result))
    assert after < 0.5 * before


def test_variation_alone_smooths(scene, thin):
    result = run(scene, thin, Plan(10), Weights(content=0.0, style=0.0, histogram=0.0, variation=1.0))
    object_only = (slice(None), slice(90, 110), slice(98, 118))
    roughness = [(image[object_only].diff(dim=2) ** 2).mean() for image in (scene.naive, result)]
    assert roughness[1] < 0.7 * roughness[0]


def test_a_mapping_carried_to_a_larger_scale_tells_its_cells_apart(thin):
    """What is matched to itself is so at one and a half times the size too, cell by cell."""
    composite = composed(*SIZE, 88, 96, 48)
    fine = Scene.at(composite, SIZE, EXACT_MARGIN, False, mask_scale=0.1)
    large = Scene.at(composite, (312, 336), EXACT_MARGIN, False, mask_scale=0.15)
    ours, theirs = scene_cells(fine), scene_cells(large)
    itself = torch.stack(
        torch.meshgrid(
            torch.arange(ours.top, ours.bottom), torch.arange(ours.left, ours.right), indexing="ij"
        )
    )
    found = carried(Mapping(itself, itself), fine, large).faithful
    rows = torch.arange(theirs.top, theirs.bottom)[:, None].expand(found.shape[1:])
    columns = torch.arange(theirs.left, theirs.right)[None].expand(found.shape[1:])
    within = (slice(3, -3), slice(3, -3))  # cells whose centres lie in the smaller scene
    assert torch.equal(found[0][within], rows[within]) and torch.equal(found[1][within], columns[within])


@pytest.mark.parametrize("opacity", [0.45, 0.15])
def test_a_faint_objects_matches_are_its_own_too(thin, opacity):
    scene = Scene.at(composed(*SIZE, 72, 72, 80), SIZE, EXACT_MARGIN, False, mask_scale=0.1)
    faint = replace(scene, tight=opacity * scene.tight)  # it looks the same: only the mask differs
    opaque, found = (
        match(each.region.of(each.naive), each, thin, features(each, thin)).faithful
        for each in (scene, faint)
    )
    inside = resize(scene.region.of(scene.tight), tuple(opaque.shape[1:]))[0] > 0.9
    assert (opaque == found).all(dim=0)[inside].float().mean() > 0.6
