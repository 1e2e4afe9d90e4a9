"""Pass 1: it moves statistics towards the painting, and the crop around the object equals the full frame."""

from dataclasses import replace

import pytest
import torch

from backend.harmonize.composite import Scene
from backend.harmonize.first_pass import CONTENT_LAYER, CONTENT_WEIGHT, STYLE_LAYERS, first_pass
from backend.harmonize.networks import load
from backend.harmonize.ops.masks import down_the_network
from backend.harmonize.optimize import Plan
from tests.harmonize.scenes import composed

# relu5_1 of a VGG-16 sees 66 pixels to each side, and the mask carried along fades over as many again.
EXACT_MARGIN = 2 * 66


def ignore(number, image, losses):
    pass


def run(scene: Scene, network, plan: Plan, published: bool = False) -> torch.Tensor:
    with torch.no_grad():
        source = network.features(scene.painting[None], STYLE_LAYERS)
    return scene.region.paste(scene.naive, first_pass(scene, network, source, plan, ignore, published))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.at(composed(352, 368, 160, 168, 20), (352, 368), EXACT_MARGIN, False, mask_scale=0.1)


def test_the_crop_equals_the_full_frame_to_float_rounding(scene, thin):
    """Not bit for bit: a convolution sums in another order when the picture has another size."""
    full = replace(scene, region=replace(scene.region, top=0, left=0, bottom=352, right=368))
    assert scene.region != full.region
    plan = Plan(4)
    cropped, whole = run(scene, thin, plan), run(full, thin, plan)
    moved = (whole - scene.naive).abs().max()
    assert moved > 3
    assert (cropped - whole).abs().max() < 1e-3 * moved


@pytest.mark.parametrize("method", ["adam", "lbfgs"])
def test_only_the_loose_mask_changes(scene, thin, method):
    result = run(scene, thin, Plan(3, method=method))
    fixed = (scene.loose == 0).expand_as(result)
    assert torch.equal(result[fixed], scene.naive[fixed])
    assert not torch.equal(result, scene.naive)


def test_losses_fall(thin):
    scene = Scene.at(composed(96, 96, 32, 32, 32), (96, 96), 32, False, mask_scale=0.2)
    losses = []
    with torch.no_grad():
        source = thin.features(scene.painting[None], STYLE_LAYERS)
    first_pass(
        scene, thin, source, Plan(30), lambda n, i, found: losses.append(float(found["gradient terms"]))
    )
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("side", [6, 24])
def test_in_float16_it_goes_the_same_way(side):
    """On its way to the pixels the gradient of a small object is beyond what float16 can hold."""
    composite = composed(96, 96, 40, 40, side)
    scene = Scene.at(composite, (96, 96), 32, False, mask_scale=0.1)
    packaged, moved = load("packaged"), []
    for dtype in (torch.float32, torch.float16):
        result = run(scene, packaged.to(torch.device("cpu"), dtype), Plan(1))
        moved.append((result - scene.naive).flatten())
    assert moved[0].abs().max() > 1
    assert torch.cosine_similarity(*moved, dim=0) > 0.9


def test_published_content_is_the_mean_over_the_whole_frame(thin, monkeypatch):
    """Of an object on a twentieth of the frame it counts about a twentieth of ours."""
    scene = Scene.at(composed(96, 96, 32, 32, 24), (96, 96), 32, True, mask_scale=0.1)
    monkeypatch.setattr(Scene, "hints", lambda *_: None)
    share = down_the_network(scene.loose, thin.structure, (CONTENT_LAYER,))[CONTENT_LAYER].mean().item()
    assert 0.03 < share < 0.15

    def painted(content: float, published: bool) -> torch.Tensor:
        monkeypatch.setattr("backend.harmonize.first_pass.CONTENT_WEIGHT", content)
        return run(scene, thin, Plan(3), published)

    heavy = 1e6 * CONTENT_WEIGHT  # so that it is seen beside style
    expected = painted(heavy, published=False)
    assert (painted(heavy, published=True) - expected).abs().max() > 1
    torch.testing.assert_close(painted(heavy / share, published=True), expected, atol=0.05, rtol=0)
