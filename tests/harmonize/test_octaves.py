"""Adam's steps as `optimize` takes them: as long as the plan says, at each octave, slower in chroma, with momentum."""

import math

import pytest
import torch

from backend.harmonize.errors import Cancelled
from backend.harmonize.optimize import Plan, optimize

SIZE = (40, 50)
GREY, CHROMA = (1.0, 1.0, 1.0), [(1.0, -1.0, 0.0), (1.0, 1.0, -2.0)]


def masked(share: float) -> torch.Tensor:
    """A mask (1, h, w) of the first rows' pixels, `share` of all."""
    mask = torch.zeros(1, *SIZE)
    mask.view(-1)[: round(share * mask.numel())] = 1
    return mask


def moves(pulls: list, mask: torch.Tensor, plan: Plan) -> list:
    """What each iteration moves a grey picture by if its directions are these `pulls` (3, h, w), one after the other."""
    pictures, left = [torch.full((3, *SIZE), 100.0)], iter(pulls)

    def seen(number, picture, losses):
        pictures.append(picture.clone())
        if number == len(pulls):
            raise Cancelled()

    with pytest.raises(Cancelled):
        optimize(pictures[0], mask, lambda image: (next(left), {}), plan, seen)
    return [after - before for before, after in zip(pictures, pictures[1:])]


def at_pixel(colour: tuple, row: int, column: int) -> torch.Tensor:
    pull = torch.zeros(3, *SIZE)
    pull[:, row, column] = torch.tensor(colour) / math.hypot(*colour)
    return pull


@pytest.mark.parametrize("scale", [1e-6, 1e3])
@pytest.mark.parametrize("share", [0.05, 1.0])
def test_a_step_is_as_long_as_planned_whatever_the_masks_size_and_the_directions(generator, share, scale):
    """Root mean square over the pixels that move."""
    mask = masked(share)
    pull = scale * torch.randn(3, *SIZE, generator=generator)
    (move,) = moves([pull], mask, Plan(1, step=1.5, bands=1, chroma=(1.0,)))
    assert move[mask.expand_as(move) > 0].square().mean().sqrt() == pytest.approx(1.5, rel=1e-3)


def test_steps_fall_to_a_tenth_along_a_half_cosine():
    lengths = [
        move.mean().item()
        for move in moves([-torch.ones(3, *SIZE)] * 40, masked(1.0), Plan(40, step=2.0, bands=1))
    ]
    assert lengths[0] == pytest.approx(2.0, rel=1e-3) and lengths[-1] == pytest.approx(0.2, rel=0.03)
    assert lengths[20] == pytest.approx(1.1, rel=0.01)
    assert lengths[10] == pytest.approx(2 * (0.55 + 0.45 * 0.5**0.5), rel=0.01)


def test_steps_have_adams_momentum_and_its_memory_of_sizes():
    """By Kingma and Ba 2015, algorithm 1, of one number; the rate hardly falls in the first of very many steps."""
    pulls, step = [1.0, 0.0, 0.0, -2.0, 0.5, 0.5], 1.5
    mean, power, expected = 0.0, 0.0, []
    for n, pull in enumerate(pulls, start=1):
        mean, power = 0.8 * mean + 0.2 * pull, 0.99 * power + 0.01 * pull**2
        expected.append(-step * mean / (1 - 0.8**n) / (power / (1 - 0.99**n)) ** 0.5)
    flat = [torch.full((3, *SIZE), pull) for pull in pulls]
    found = torch.stack(
        [move[:, 0, 0] for move in moves(flat, masked(0.3), Plan(100_000, step=step, bands=1))]
    )
    torch.testing.assert_close(found, torch.tensor(expected)[:, None].expand(-1, 3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("colour", CHROMA)
def test_a_single_pixels_chroma_moves_less_than_its_luminance(colour):
    """Pulled as strongly, at the finest octave by the square of its pace, which counts on the way there and back."""
    pull = at_pixel(GREY, 10, 12) + at_pixel(colour, 30, 40)
    (move,) = moves([-pull], masked(1.0), Plan(1, bands=1))
    grey, chroma = move[:, 10, 12], move[:, 30, 40]
    torch.testing.assert_close(grey / grey.norm(), torch.tensor(GREY) / 3**0.5)
    torch.testing.assert_close(chroma / chroma.norm(), torch.tensor(colour) / math.hypot(*colour))
    assert (chroma.norm() / grey.norm()).item() == pytest.approx(0.25**2, rel=1e-3)


@pytest.mark.parametrize("chroma, moved", [((1.0, 0.0), 1), ((0.0, 1.0, 0.0), 36)])
def test_each_octave_has_its_own_pace(chroma, moved):
    """A single pixel's pull moves that pixel at the finest octave, and six by six at the next; the last pace serves the
    rest."""
    plan = Plan(1, bands=3, chroma=chroma)
    (move,) = moves([at_pixel(CHROMA[0], 10, 12)], masked(1.0), plan)
    assert (move.abs().amax(dim=0) > 1e-3).sum() == moved
