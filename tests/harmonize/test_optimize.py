"""The guarded loop: it descends, stays in range, and comes back from directions that are none."""

import pytest
import torch

from backend.harmonize import optimize as module
from backend.harmonize.errors import Cancelled
from backend.harmonize.optimize import LARGEST_STEP, Plan, optimize

SHAPE = (3, 24, 28)
METHODS = ["adam", "lbfgs"]


def towards(goal: torch.Tensor, scale: float = 1.0):
    """The direction of half the squared distance to `goal`."""

    def direction(image: torch.Tensor):
        return scale * (image - goal), {"distance": ((image - goal) ** 2).mean()}

    return direction


def disturbed(direction, every: int, value: float):
    """The same direction, but all of one colour is `value` at every `every`-th call."""
    calls = []

    def sometimes(image: torch.Tensor):
        calls.append(None)
        ascent, losses = direction(image)
        if len(calls) % every == 0:
            ascent = ascent.clone()
            ascent[0] = value
        return ascent, losses

    return sometimes


class Watch:
    """Remembers each iteration's picture."""

    def __init__(self):
        self.pictures, self.numbers, self.losses = [], [], []

    def __call__(self, number, picture, losses):
        self.numbers.append(number)
        self.pictures.append(picture.clone())
        self.losses.append(losses)

    def in_range(self) -> bool:
        return all(torch.isfinite(p).all() and p.min() >= 0 and p.max() <= 255 for p in self.pictures)

    def largest_step(self, start: torch.Tensor) -> float:
        return max((b - a).abs().max().item() for a, b in zip([start, *self.pictures], self.pictures))


@pytest.fixture
def start() -> torch.Tensor:
    return torch.full(SHAPE, 100.0)


@pytest.fixture
def mask() -> torch.Tensor:
    mask = torch.zeros(1, *SHAPE[1:])
    mask[:, 4:20, 4:24] = 1
    return mask


def error(image: torch.Tensor, goal: torch.Tensor, mask: torch.Tensor) -> float:
    return ((image - goal).abs() * mask).sum().item() / (3 * mask.sum().item())


@pytest.mark.parametrize("method", METHODS)
def test_descends_and_leaves_the_rest_exactly(start, mask, method, generator):
    start = start + torch.rand(SHAPE, generator=generator)
    goal = start + 20
    watch = Watch()
    result = optimize(start, mask, towards(goal), Plan(60, method=method), watch)
    assert error(result, goal, mask) < 3
    outside = (mask == 0).expand(SHAPE)
    assert torch.equal(result[outside], start[outside])
    assert watch.numbers == list(range(1, 61))
    assert torch.equal(watch.pictures[-1], result)
    assert watch.losses[0]["distance"] > watch.losses[-1]["distance"]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_twice(start, mask, method):
    goal = start.flip(0) * 1.2
    runs = [optimize(start, mask, towards(goal), Plan(8, method=method), Watch()) for _ in range(2)]
    assert torch.equal(*runs)


@pytest.mark.parametrize("goal", [-500.0, 900.0])
@pytest.mark.parametrize("method", METHODS)
def test_pixels_stay_in_range(start, mask, method, goal):
    watch = Watch()
    optimize(start, mask, towards(torch.full(SHAPE, goal)), Plan(80, method=method), watch)
    assert watch.in_range()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("method", METHODS)
def test_recovers_from_a_direction_that_is_none(start, mask, method, value):
    goal, watch = start + 20, Watch()
    result = optimize(start, mask, disturbed(towards(goal), 7, value), Plan(80, method=method), watch)
    assert watch.in_range()
    assert error(result, goal, mask) < 5


@pytest.mark.parametrize("method", METHODS)
def test_nothing_but_nonsense_changes_nothing(start, mask, method):
    watch = Watch()
    result = optimize(start, mask, disturbed(towards(start), 1, torch.nan), Plan(5, method=method), watch)
    assert torch.equal(result, start)
    assert len(watch.numbers) == 5


@pytest.mark.parametrize("method", METHODS)
def test_a_direction_that_is_suddenly_large_for_good_is_followed(start, mask, method):
    """It depends on the picture alone: asked for again there, it is as large again."""

    def steeper(image: torch.Tensor):
        scale = 1e4 if (image * mask).mean() > (110 * mask).mean() else 1.0
        return towards(start + 40, scale)(image)

    result = optimize(start, mask, steeper, Plan(80, method=method, rate=0.5), Watch())
    assert error(result, start + 40, mask) < 5


@pytest.mark.parametrize("none", [(110, 255), (109, 110)], ids=["a wall", "a gap"])
@pytest.mark.parametrize("method", METHODS)
def test_where_there_is_no_direction_it_goes_back_and_on_in_smaller_steps(start, mask, method, none):
    """That depends on the picture alone: there it would be asked in vain for ever."""

    def broken(image: torch.Tensor):
        ascent, losses = towards(start + 40)(image)
        mean = (image * mask).sum() / (3 * mask.sum())
        return torch.where((mean > none[0]) & (mean < none[1]), torch.nan, ascent), losses

    watch = Watch()
    result = optimize(start, mask, broken, Plan(120, method=method, rate=0.5, bands=1), watch)
    assert watch.in_range()
    assert error(result, start + (10 if none[1] == 255 else 40), mask) < 2


@pytest.mark.parametrize("value", [1e6, -1e12, 1e30])
@pytest.mark.parametrize("method", METHODS)
def test_a_huge_direction_moves_no_further_than_a_step(start, mask, method, value):
    watch = Watch()
    plan = Plan(30, method=method, bands=1)
    optimize(start, mask, disturbed(towards(start + 20), 7, value), plan, watch)
    assert watch.in_range()
    assert watch.largest_step(start) <= LARGEST_STEP + 1e-3


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (1.0, -1.0, 0.0), (1.0, 1.0, -2.0)])
@pytest.mark.parametrize("side", [1, 8])
@pytest.mark.parametrize("bands", [1, 2, 4])
def test_all_of_adams_step_on_a_few_pixels_moves_them_about_a_step(start, mask, bands, side, colour):
    """Planned twice as large as may be: a mean over the mask, and next to nothing is pulled."""
    pull, watch = torch.zeros(SHAPE), Watch()
    pull[:, 12 : 12 + side, 14 : 14 + side] = torch.tensor(colour).view(3, 1, 1)
    plan = Plan(3, bands=bands, step=2 * LARGEST_STEP)
    optimize(start, mask, lambda image: (-pull, {}), plan, watch)
    assert watch.largest_step(start) <= 1.1 * LARGEST_STEP


def test_lbfgs_on_a_direction_that_is_no_gradient_does_not_run_away(start, mask, generator):
    """A whirl: the ascent is always across the way to the goal, so curvature says nothing."""
    goal, watch = start + 5, Watch()

    def whirl(image: torch.Tensor):
        off = image - goal
        return torch.stack((-off[1], off[0], off[2])) * 1e3, {}

    optimize(start, mask, whirl, Plan(200, method="lbfgs"), watch)
    assert watch.in_range()
    assert watch.largest_step(start) <= LARGEST_STEP + 1e-3


def test_lbfgs_learns_curvature_along_the_step_that_was_gone(start, mask, monkeypatch):
    """In a bowl it wishes for all of the way at once, and again for all that is left once that was cut: by the step as
    it was wished the bowl would be flatter, and the way 60 instead of 24."""
    goal, shares = start + 40, []
    cut = module._Lbfgs.cut

    def bowl(image: torch.Tensor):
        return 50.0 * (image - goal) * mask, {}

    def told(self, share: torch.Tensor):
        shares.append(share.item())
        cut(self, share)

    monkeypatch.setattr(module._Lbfgs, "cut", told)
    optimize(start, mask, bowl, Plan(3, method="lbfgs", rate=1.0), Watch())
    assert shares == pytest.approx([1, LARGEST_STEP / 40, LARGEST_STEP / 24], rel=0.01)


def test_bands_move_large_areas_faster_than_pixels(start, mask):
    """One colour pulled by little: with bands the whole area follows sooner."""
    goal = start + 60
    alone, together = (
        error(optimize(start, mask, towards(goal), Plan(20, bands=bands), Watch()), goal, mask)
        for bands in (1, 4)
    )
    assert together < 0.8 * alone


def test_raising_stops_at_once(start, mask):
    seen = []

    def stop(number, picture, losses):
        seen.append(number)
        if number == 3:
            raise Cancelled()

    with pytest.raises(Cancelled):
        optimize(start, mask, towards(start + 9), Plan(10), stop)
    assert seen == [1, 2, 3]


def test_no_iterations_give_the_start(start, mask):
    assert torch.equal(optimize(start, mask, towards(start + 9), Plan(0), Watch()), start)


def test_adam_reads_nothing_from_the_device(start, mask, monkeypatch):
    """A number that Python reads stalls a graphics card until all that was queued is done."""

    def read(*_):
        raise AssertionError("a tensor was read on the host")

    for name in ("__bool__", "__float__", "__int__", "item", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, read)
    optimize(start, mask, towards(start + 20), Plan(6), lambda number, picture, losses: None)
    monkeypatch.undo()
    with pytest.raises(AssertionError, match="on the host"):
        monkeypatch.setattr(torch.Tensor, "item", read)
        start.sum().item()
