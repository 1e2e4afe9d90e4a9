"""The whole method on small pictures: what it promises whatever the pictures are."""

import json
from dataclasses import replace
from itertools import groupby

import pytest
import torch

from backend.harmonize import pipeline, second_pass
from backend.harmonize.composite import Composite, changed
from backend.harmonize.config import Level
from backend.harmonize.errors import Cancelled
from backend.harmonize.memo import Memo
from backend.harmonize.networks import load
from backend.harmonize.optimize import Plan
from backend.harmonize.pipeline import Outcome, harmonize
from backend.harmonize.postprocess import CRISP, SOFT, synthesis_proposals, synthesize
from backend.harmonize.style_level import boldness, coarseness, estimate
from tests.harmonize.scenes import composed, one_level, short


def same(one: Outcome, other: Outcome) -> bool:
    return torch.equal(one.image, other.image) and torch.equal(one.alpha, other.alpha)


def final(composite: Composite, outcome: Outcome) -> torch.Tensor:
    return composite.painting * (1 - outcome.alpha) + outcome.image * outcome.alpha


def check(composite: Composite, outcome: Outcome) -> None:
    """What holds for every outcome."""
    size = composite.painting.shape[1:]
    assert outcome.image.shape == (3, *size) and outcome.alpha.shape == (1, *size)
    assert outcome.image.dtype == outcome.alpha.dtype == torch.float32
    assert outcome.image.min() >= 0 and outcome.image.max() <= 1
    assert outcome.alpha.min() >= 0 and outcome.alpha.max() <= 1
    outside = (outcome.alpha == 0).expand(3, -1, -1)
    assert torch.equal(outcome.image[outside], composite.painting[outside])
    assert torch.equal(final(composite, outcome)[outside], composite.painting[outside])


def stop_at(stage: str, iteration: int):
    def on_step(step):
        if (step.stage, step.iteration) == (stage, iteration):
            raise Cancelled()

    return on_step


@pytest.fixture(scope="module")
def outcome(composite, thin) -> Outcome:
    return harmonize(composite, thin, short())


def test_the_same_seed_gives_the_same_bytes(composite, thin, outcome):
    assert same(outcome, harmonize(composite, thin, short()))


def test_the_object_changes_and_the_painting_does_not(composite, outcome):
    check(composite, outcome)
    inside = composite.mask.bool().expand(3, -1, -1)
    assert (outcome.image - composite.naive).abs()[inside].mean() > 0.005


@pytest.mark.parametrize("feather", [0.0, 2.0, 9.0])
def test_alpha_fades_over_the_feather(composite, thin, feather):
    alpha = harmonize(composite, thin, short(feather=feather)).alpha[0]
    assert (alpha[:32] == 0).all() and (alpha[:, 88:] == 0).all()
    assert alpha[56, 64] == pytest.approx(1, abs=0.01)
    if feather:
        half, most = 31 + round(0.75 * feather), 34 + round(feather)
        assert alpha[32, 64] < 0.1 and alpha[half, 64] < 0.75 < alpha[most, 64]
    else:
        assert torch.equal(alpha, composite.mask[0])


def test_growing_moves_the_edge_outwards(composite, thin):
    alpha = harmonize(composite, thin, short(grow=3, feather=0.0)).alpha
    rows = alpha[0].amax(dim=1).nonzero()
    assert (rows.min(), rows.max()) == (32 - 3, 79 + 3)


SITUATIONS = {
    "in the corner": composed(64, 70, 0, 0, 20),
    "over the border": composed(64, 70, 50, 55, 40),
    "of a few pixels": composed(64, 64, 30, 30, 6),
    "almost everything": composed(64, 64, 1, 1, 62),
    "in odd sizes": composed(67, 83, 20, 31, 17),
    "in a narrow picture": composed(33, 140, 8, 60, 15),
}


@pytest.mark.parametrize("case", SITUATIONS)
def test_an_object(case, thin):
    composite = SITUATIONS[case]
    check(composite, harmonize(composite, thin, short()))


@pytest.mark.parametrize("scale", [0.5, 0.71])
def test_a_smaller_working_size_comes_back_at_full_size(thin, scale):
    composite = composed(120, 130, 30, 40, 50)
    outcome = harmonize(composite, thin, short(working_scale=scale))
    check(composite, outcome)
    assert outcome.report["working_size"] == [round(130 * scale), round(120 * scale)]
    steps = []
    harmonize(composite, thin, short(working_scale=scale, patch_synthesis=False), steps.append)
    enlarging = [step.fraction for step in steps if step.stage == "postprocess"]
    assert len(enlarging) > 10 and enlarging == sorted(set(enlarging)) and enlarging[-1] == 1


@pytest.mark.parametrize(
    "changes", [{"chroma_denoise": False}, {"patch_synthesis": False}, {"full_frame": True}]
)
def test_each_switch_does_something(composite, thin, outcome, changes):
    other = harmonize(composite, thin, short(**changes))
    check(composite, other)
    assert not torch.equal(other.image, outcome.image)


def starts(monkeypatch) -> list:
    """What pass 2 begins with at each level of the runs to come, and the scene; it only darkens."""
    begun = []

    def second_pass(start, wanted, scene, *rest):
        begun.append((start, scene))
        return start - 20

    monkeypatch.setattr(pipeline, "second_pass", second_pass)
    return begun


TWO_LEVELS = (Level(0.8, Plan(0)), Level(1.0, Plan(0)))


@pytest.mark.parametrize("level, reference, repainted", [(1.0, 140, 0), (10.0, 140, 1), (10.0, 300, 0)])
def test_a_broad_brush_begins_the_fine_level_without_the_objects_finest_detail(
    composite, thin, level, reference, repainted, monkeypatch
):
    """The painting is 144 px, which stands for 700 px, or for less than half of them."""
    monkeypatch.setattr(pipeline, "REFERENCE_SIZE", reference)
    begun = starts(monkeypatch)
    harmonize(composite, thin, short(style_level=level, second=TWO_LEVELS, patch_synthesis=False))
    (coarse, coarser), (fine, scene) = begun
    picture = coarser.region.paste(coarser.painting, coarse - 20)
    assert torch.equal(fine, scene.region.of(changed(picture, coarser, scene, repainted)))
    assert not torch.equal(fine, scene.region.of(changed(picture, coarser, scene, 1 - repainted)))


def test_the_fine_level_begins_with_the_coarse_picture_rebuilt_from_patches(composite, thin, monkeypatch):
    begun, own = starts(monkeypatch), estimate(composite.painting)
    harmonize(composite, thin, short(second=TWO_LEVELS, seed=3, style_level=own))
    (coarse, coarser), (fine, scene) = begun
    region, painting = coarser.region, coarser.painting
    naive, loose = region.of(coarser.naive) / 255, region.of(coarser.loose)
    wanted = (coarse - 20) / 255
    rebuilt = 255 * synthesize(wanted, painting / 255, naive, loose, seed=3, scale=144 / 700, laying=SOFT)
    assert (rebuilt - (coarse - 20)).abs().mean() > 1
    repainted = coarseness(own, 144 / 700)
    picture = region.paste(painting, rebuilt)
    assert torch.equal(fine, scene.region.of(changed(picture, coarser, scene, repainted)))


def test_the_fine_level_is_matched_anew_by_what_it_begins_with(composite, thin, monkeypatch):
    """And its tones come from this mapping."""
    guides, mappings, toned_by = [], [], []

    def match(guide, *rest):
        guides.append(guide)
        mappings.append(second_pass.match(guide, *rest))
        return mappings[-1]

    def toned(picture, mapping, *rest):
        toned_by.append(mapping)
        return picture

    monkeypatch.setattr(pipeline, "match", match)
    monkeypatch.setattr(pipeline, "toned", toned)
    begun = starts(monkeypatch)
    harmonize(composite, thin, short(second=TWO_LEVELS))
    assert torch.equal(guides[1], begun[1][0]) and not torch.equal(guides[0], guides[1])
    assert toned_by == [mappings[1]]


def test_the_finished_picture_is_the_toned_one(composite, thin, monkeypatch):
    monkeypatch.setattr(pipeline, "toned", lambda picture, *rest: torch.full_like(picture, 51.0))
    outcome = harmonize(composite, thin, short(chroma_denoise=False, patch_synthesis=False))
    inside = outcome.image[:, outcome.alpha[0] > 0]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.2))


@pytest.mark.parametrize("level", [1.0, 9.0])
def test_smooth_paintings_are_painted_in_smaller_steps(composite, thin, level, monkeypatch):
    plans = []

    def second_pass(start, wanted, scene, network, weights, plan, on_iteration):
        plans.append(plan)
        return start

    monkeypatch.setattr(pipeline, "second_pass", second_pass)
    harmonize(composite, thin, short(style_level=level, second=(Level(1.0, Plan(2, step=3.0)),)))
    assert [plan.step for plan in plans] == [3.0 * boldness(level)]
    assert boldness(1.0) < 0.7 * boldness(9.0)


@pytest.mark.parametrize("height, width, scale", [(32, 400, 0.1), (400, 32, 0.1), (48, 200, 0.05)])
def test_of_a_long_panorama_enough_is_left_for_the_deepest_layer(thin, height, width, scale):
    composite = composed(height, width, 4, 8, 20)
    outcome = harmonize(composite, thin, short(working_scale=scale))
    check(composite, outcome)
    assert min(outcome.report["working_size"]) == 32


def test_no_iterations_at_all(composite, thin):
    first, second = one_level(0)[0], one_level(0)
    check(composite, harmonize(composite, thin, short(first=first, second=second)))


def test_a_preview_can_be_had_of_every_step_also_without_iterations(composite, thin):
    previews = []
    none = (Level(0.5, Plan(0)), Level(1.0, Plan(0)))
    harmonize(
        composite, thin, short(second=none), lambda step: previews.append(step.preview and step.preview())
    )
    assert all(preview is None or preview.shape == composite.painting.shape for preview in previews)
    assert sum(preview is not None for preview in previews) > 10


def test_the_published_schedule(composite, thin):
    first, second = one_level(2, "lbfgs")[0], one_level(2, "lbfgs")
    settings = short(first=first, second=second, full_frame=True, published=True)
    outcome = harmonize(composite, thin, settings)
    check(composite, outcome)
    assert outcome.report["region"] == [0, 0, 144, 112]


def crop_and_full(composite: Composite, network, margin: int, iterations: int = 3) -> tuple:
    """The mean and the largest difference, of 255, that optimizing the full frame makes.

    Through both passes, chroma and composite; patch synthesis draws random numbers for the region, so it
    is left out. Never bit for bit: a convolution sums in another order when its picture has another size.
    """
    few = short(
        first=one_level(iterations)[0], second=one_level(iterations), patch_synthesis=False, margin=margin
    )
    crop, full = (harmonize(composite, network, replace(few, full_frame=full)) for full in (False, True))
    assert crop.report["region"] != full.report["region"]
    assert torch.equal(crop.alpha, full.alpha)
    difference = 255 * (crop.image - full.image).abs()
    return difference[(crop.alpha > 0).expand(3, -1, -1)].mean().item(), difference.max().item()


def test_optimizing_the_crop_equals_optimizing_the_full_frame(thin):
    """With all that relu5_1 sees around the object, and the mask carried along with it."""
    mean, largest = crop_and_full(composed(352, 368, 160, 168, 20), thin, margin=132)
    assert mean < 1e-2 and largest < 1


def test_it_does_so_with_the_packaged_network():
    """With what relu4_1 sees; pass 1's deepest layer is only there to choose matches."""
    mean, largest = crop_and_full(composed(192, 208, 88, 96, 16), load("packaged"), margin=72, iterations=2)
    assert mean < 1e-2 and largest < 1


def test_too_small_a_crop_would_be_seen(thin):
    mean, _ = crop_and_full(composed(208, 224, 88, 96, 16), thin, margin=0)
    assert mean > 0.5


def test_steps_tell_how_far_it_is(composite, thin):
    steps = []
    harmonize(composite, thin, short(), steps.append)
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and fractions[0] > 0
    stages = [(stage, len(list(group))) for stage, group in groupby(steps, key=lambda step: step.stage)]
    offers = [synthesis_proposals((90, 115), SOFT), synthesis_proposals((112, 144), CRISP)]
    assert offers[0] < offers[1]
    assert stages == [
        ("first pass", 3),
        ("second pass", 3),
        ("patch synthesis", offers[0]),
        ("second pass", 2),
        ("patch synthesis", offers[1]),
        ("postprocess", 1),
    ]
    assert steps[0].seconds_left is None and all(step.seconds_left >= 0 for step in steps[1:])
    last = [step for step in steps if step.losses]
    assert {step.stage for step in last} == {"first pass", "second pass"}
    assert all(value == value for step in last for value in step.losses.values())


def test_previews_show_the_object_being_painted(composite, thin):
    previews = []
    harmonize(composite, thin, short(), lambda step: step.preview and previews.append(step.preview()))
    assert len(previews) > 8
    above = slice(0, 24)
    for preview in previews:
        assert preview.shape == composite.painting.shape and preview.dtype == torch.float32
        assert preview.min() >= 0 and preview.max() <= 1
        assert torch.equal(preview[:, above], composite.painting[:, above])
    assert not torch.equal(previews[0], previews[-1])


def test_watching_changes_nothing(composite, thin, outcome):
    assert same(outcome, harmonize(composite, thin, short(), lambda step: step.preview and step.preview()))


@pytest.mark.parametrize(
    "stage, iteration",
    [("first pass", 1), ("second pass", 1), ("second pass", 2), ("patch synthesis", 90), ("postprocess", 1)],
)
def test_cancelling_carries_the_best_so_far(composite, thin, stage, iteration):
    with pytest.raises(Cancelled) as caught:
        harmonize(composite, thin, short(), stop_at(stage, iteration))
    check(composite, caught.value.best)
    inside = composite.mask.bool().expand(3, -1, -1)
    assert not torch.equal(caught.value.best.image[inside], composite.painting[inside])
    assert sum(caught.value.best.report["iterations"].values()) >= iteration


def test_another_error_passes_as_it_is(composite, thin):
    def broken(step):
        raise KeyError("not ours")

    with pytest.raises(KeyError, match="not ours"):
        harmonize(composite, thin, short(), broken)


def stages_of(composite, network, config, memo) -> tuple:
    stages = []
    outcome = harmonize(composite, network, config, lambda step: stages.append(step.stage), memo)
    return outcome, stages


def test_other_weights_do_not_run_the_first_pass_again(composite, thin):
    memo = Memo()
    harmonize(composite, thin, short(), memo=memo)
    other = short(style_level=2.0, content=3.0, smoothness=0.5)
    outcome, stages = stages_of(composite, thin, other, memo)
    assert "first pass" not in stages and stages.count("second pass") == 5
    assert same(outcome, harmonize(composite, thin, other))


def test_what_the_first_pass_depends_on_runs_it_again(composite, thin):
    memo = Memo()
    harmonize(composite, thin, short(), memo=memo)
    other = composed(112, 144, 32, 40, 48, seed=8)
    cases = [
        (composite, short(grow=2)),
        (composite, short(first=Level(1.0, Plan(2)))),
        (composite, short(full_frame=True)),
        (Composite(composite.painting, other.naive, composite.mask), short()),
        (other, short()),
    ]
    for altered, config in cases:
        outcome, stages = stages_of(altered, thin, config, memo)
        assert "first pass" in stages
        assert same(outcome, harmonize(altered, thin, config))


def test_a_cancelled_first_pass_is_not_kept(composite, thin, outcome):
    memo = Memo()
    with pytest.raises(Cancelled):
        harmonize(composite, thin, short(), stop_at("first pass", 2), memo)
    again, stages = stages_of(composite, thin, short(), memo)
    assert stages.count("first pass") == 3 and same(again, outcome)


def test_the_inputs_are_not_written_to(thin):
    composite = composed(64, 72, 20, 20, 24)
    before = [tensor.clone() for tensor in vars(composite).values()]
    harmonize(composite, thin, short())
    assert all(torch.equal(a, b) for a, b in zip(before, vars(composite).values()))


def test_the_report_is_plain_and_says_what_was_done(outcome):
    report = json.loads(json.dumps(outcome.report))
    assert report == outcome.report
    assert report["network"] == "thin" and report["device"] == "cpu" and report["precision"] == "float32"
    assert report["style_level"] == 5 and report["working_size"] == [144, 112]
    assert report["iterations"].pop("patch synthesis") > 100
    assert report["iterations"] == {"first pass": 3, "second pass": 5, "postprocess": 1}
    assert set(report["seconds"]) >= {"first pass", "second pass", "patch synthesis", "postprocess"}


def test_the_style_level_is_estimated_when_not_given(composite, thin):
    report = harmonize(composite, thin, short(style_level=None)).report
    assert 1 <= report["style_level"] <= 10


@pytest.mark.parametrize("precision, levels", [("bfloat16", 7), ("float16", 2)])
def test_half_precision_comes_out_finite_and_close(composite, thin, precision, levels):
    half = thin.to(torch.device("cpu"), getattr(torch, precision))
    few = short(patch_synthesis=False, style_level=None)
    outcome, exact = (harmonize(composite, network, few) for network in (half, thin))
    check(composite, outcome)
    assert outcome.report["precision"] == precision
    assert 255 * (outcome.image - exact.image).abs()[composite.mask.expand(3, -1, -1) > 0].mean() < levels
