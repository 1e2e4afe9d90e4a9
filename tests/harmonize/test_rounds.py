"""Several levels of one size: a picture is matched and painted anew in rounds, and settles at the end."""

import pytest
import torch

from backend.harmonize import pipeline
from backend.harmonize.composite import resize
from backend.harmonize.config import SMALLEST_OBJECT, Level, fitting
from backend.harmonize.ops.masks import gaussian_mean
from backend.harmonize.optimize import Plan
from backend.harmonize.pipeline import harmonize
from backend.harmonize.style_level import boldness
from tests.harmonize.scenes import composed, short

ROUNDS = (Level(0.8, Plan(1)), Level(1.0, Plan(3)), Level(1.0, Plan(2)))


@pytest.fixture
def painted(monkeypatch) -> list:
    """Of each descent of pass 2: its scene, the picture it begins with and the one it ends with."""
    found, own = [], pipeline.second_pass

    def second_pass(start, wanted, scene, *rest):
        picture = own(start, wanted, scene, *rest)
        found.append((scene, start, picture))
        return picture

    monkeypatch.setattr(pipeline, "second_pass", second_pass)
    return found


def test_a_round_begins_with_the_picture_of_the_one_before(thin, painted):
    composite = composed(144, 144, 40, 48, 48)
    outcome = harmonize(composite, thin, short(second=ROUNDS, patch_synthesis=False))
    (_, _, _), (scene, _, ended), (again, began, _) = painted
    assert again is scene  # one scene for both: of a large canvas each is hundreds of megabytes
    loose = scene.region.of(scene.loose) > 0
    torch.testing.assert_close(began, torch.where(loose, ended, began), atol=1e-3, rtol=0)
    assert outcome.report["iterations"]["second pass"] == 6


def test_a_round_begins_with_pieces_of_the_painting(thin, painted):
    composite = composed(144, 144, 40, 48, 48)
    harmonize(composite, thin, short(second=ROUNDS))
    (_, _, ended), (_, began, _) = painted[1:]
    assert (began - ended).abs().mean() > 0.5


def test_after_the_last_pieces_the_picture_settles_in_small_steps(thin, painted, monkeypatch):
    composite, laid, plans = composed(144, 144, 40, 48, 48), [], []
    synthesize, descend = pipeline.postprocess.synthesize, pipeline.second_pass
    monkeypatch.setattr(
        pipeline.postprocess, "synthesize", lambda *given: laid.append(synthesize(*given)) or laid[-1]
    )
    monkeypatch.setattr(pipeline, "second_pass", lambda *given: plans.append(given[5]) or descend(*given))
    settling = Plan(4, step=0.5)
    outcome = harmonize(composite, thin, short(second=ROUNDS, settling=settling, style_level=2.0))
    (scene, began, ended), plan = painted[-1], plans[-1]
    assert len(painted) == 4 and scene is painted[-2][0]
    torch.testing.assert_close(began, 255 * laid[-1])
    assert (plan.iterations, plan.step) == (4, settling.step * boldness(2.0)) and boldness(2.0) < 1
    seen = scene.region.of(outcome.alpha).expand(3, -1, -1) > 0
    torch.testing.assert_close(scene.region.of(outcome.image)[seen], ended[seen] / 255)
    assert 0 < (ended - began).abs().max() < 4 * 4 * settling.step
    assert outcome.report["iterations"]["second pass"] == 10


def test_without_pieces_there_is_nothing_to_settle(thin, painted):
    composite = composed(144, 144, 40, 48, 48)
    harmonize(composite, thin, short(second=ROUNDS, settling=Plan(4), patch_synthesis=False))
    assert len(painted) == 3


def test_of_a_small_object_the_coarse_level_is_left_out_but_no_round(thin, painted):
    composite = composed(144, 144, 60, 60, 30)
    harmonize(composite, thin, short(second=ROUNDS, patch_synthesis=False))
    assert [tuple(scene.painting.shape[1:]) for scene, _, _ in painted] == [(144, 144)] * 2


@pytest.mark.parametrize("side", [48, 20])  # 20: too small for the coarse level
def test_a_round_may_be_painted_larger_than_the_last(thin, painted, side):
    composite = composed(144, 120, 40, 48, side)
    larger = (Level(0.8, Plan(1)), Level(1.5, Plan(2)), Level(1.0, Plan(2)))
    outcome = harmonize(composite, thin, short(second=larger, patch_synthesis=False))
    sizes = [tuple(scene.painting.shape[1:]) for scene, _, _ in painted]
    assert sizes == [(115, 96), (216, 180), (144, 120)][-2 if side == 20 else -3 :]
    assert outcome.report["working_size"] == [120, 144] and outcome.image.shape == (3, 144, 120)
    (large, _, ended), (scene, began, _) = painted[-2:]
    shrunk = scene.region.of(resize(large.region.paste(large.painting, ended), (144, 120)))
    naive, inside = scene.region.of(scene.naive), scene.region.of(scene.tight)

    def apart(one, other):
        """In the object, but for grain that enlarging and shrinking do not keep."""
        return gaussian_mean(one - other, inside, 3.0)[:, inside[0] > 0.99].abs().mean()

    assert apart(began, shrunk) < 0.2 * apart(began, naive)


@pytest.mark.parametrize("side, working_scale, levels", [(190, 1.0, 2), (170, 1.0, 1), (190, 0.9, 1)])
def test_an_object_of_less_than_ninety_pixels_is_not_painted_at_half_size(side, working_scale, levels):
    two = (Level(0.5, Plan(1)), Level(1.0, Plan(1)))
    config = short(second=two, working_scale=working_scale, smallest_object=SMALLEST_OBJECT)
    assert fitting(config, longest=side, side=280) == two[-levels:]
