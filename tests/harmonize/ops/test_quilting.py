"""Quilting: planted pieces are found, fitting ones preferred, and nothing is better than trying everything."""

import pytest
import torch

from backend.harmonize.ops import quilting
from backend.harmonize.ops.quilting import TIERS, proposals, quilt
from tests.harmonize.scenes import everywhere, painted, seeded


def grain(generator: torch.Generator, height: int, width: int) -> torch.Tensor:
    return torch.rand(3, height, width, generator=generator)


def evenly(picture: torch.Tensor) -> torch.Tensor:
    return torch.ones(picture.shape[1:])


def shifts(field: torch.Tensor) -> torch.Tensor:
    """How far each position's match is from itself: (2, h, w)."""
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in field.shape[1:]), indexing="ij")
    return field - torch.stack((rows, columns))


def borders(field: torch.Tensor) -> float:
    """The share of neighbours, side by side, that come from different pieces."""
    return (shifts(field).diff(dim=2) != 0).any(dim=0).float().mean().item()


def misfit(field: torch.Tensor, painting: torch.Tensor) -> float:
    """Mean squared step between neighbours side by side beyond what the painting has there."""
    beside = field[:, :, :-1] + torch.tensor((0, 1)).view(2, 1, 1)
    inside = beside[1] < painting.shape[2]
    follows = painting[:, beside[0][inside], beside[1][inside]]
    laid = painting[:, field[0, :, 1:][inside], field[1, :, 1:][inside]]
    return (laid - follows).square().mean().item()


@pytest.mark.parametrize("coherence", [0.0, 1.0])
def test_a_planted_piece_is_found_exactly(generator, coherence):
    painting = grain(generator, 60, 70)
    piece = painting[:, 11:51, 9:57]
    field = quilt(piece, painting, everywhere(piece), evenly(piece), seeded(0), coherence, rounds=6)
    # Windows at the picture's edge are replicated, not planted.
    assert (shifts(field)[:, 4:-4, 4:-4] == torch.tensor((11, 9)).view(2, 1, 1)).all()


@pytest.mark.parametrize("seed", range(3))
def test_two_planted_pieces_meet_where_they_were_joined(seed):
    painting = painted(64, 96, seed)
    picture = torch.cat((painting[:, 4:44, 2:26], painting[:, 20:60, 60:84]), dim=2)
    moved = shifts(quilt(picture, painting, everywhere(picture), evenly(picture), seeded(seed), 0.1))
    assert (moved[:, 4:36, 4:22] == torch.tensor((4, 2)).view(2, 1, 1)).all()
    assert (moved[:, 4:36, 26:44] == torch.tensor((20, 36)).view(2, 1, 1)).all()


def test_without_coherence_blocks_are_nearly_as_close_as_trying_everything(generator):
    """Smooth pictures, which have better and worse places side by side."""
    tier = TIERS[-1]
    picture, painting = (
        torch.nn.functional.interpolate(grain(generator, 5, 5)[None], size, mode="bicubic")[0]
        for size in ((16, 18), (24, 26))
    )
    field = quilt(picture, painting, everywhere(picture), evenly(picture), seeded(0), 0.0, rounds=8)
    padded = torch.nn.functional.pad(picture[None], (tier.margin,) * 4, mode="replicate")[0]
    windows = painting.unfold(1, tier.window, 1).unfold(2, tier.window, 1)  # (3, H', W', 6, 6)
    found, best = [], []
    for y in range(0, 16, tier.block):
        for x in range(0, 18, tier.block):
            wanted = padded[:, y : y + tier.window, x : x + tier.window]
            distances = (windows - wanted[:, None, None]).square().mean(dim=(0, 3, 4))
            row, column = (field[:, y, x] - tier.margin).tolist()
            found.append(distances[row, column].item())
            best.append(distances.min().item())
    assert min(f - b for f, b in zip(found, best)) >= 0
    assert sum(found) <= 1.1 * sum(best)


def test_more_coherence_lays_larger_pieces_that_fit_better(generator):
    picture, painting = grain(generator, 48, 48), grain(generator, 64, 64)
    fields = [
        quilt(picture, painting, everywhere(picture), evenly(picture), seeded(3), c) for c in (0.0, 0.5, 4.0)
    ]
    pieces, fits = [borders(f) for f in fields], [misfit(f, painting) for f in fields]
    assert pieces[0] > 1.1 * pieces[1] > 1.2 * pieces[2]
    assert fits[0] > 1.1 * fits[1] > 1.2 * fits[2]


def test_what_weighs_more_stays_closer_to_the_picture(generator):
    """The left half of a picture weighs much: its pieces are smaller, and more like it."""
    picture, painting = grain(generator, 48, 64), grain(generator, 64, 64)
    weight = evenly(picture)
    weight[:, :32] = 50
    field = quilt(picture, painting, everywhere(picture), weight, seeded(3), 4.0)
    error = (painting[:, field[0], field[1]] - picture).square().mean(dim=0)
    assert error[:, :28].mean() < 0.8 * error[:, 36:].mean()
    assert borders(field[:, :, :28]) > 1.5 * borders(field[:, :, 36:])


def test_neighbours_do_not_swap_what_suits_them_only_together(generator):
    """Each of two blocks is offered the other's shift: the one that chooses first takes it, and the other stays."""
    picture, painting = grain(generator, 2, 4), grain(generator, 40, 40)
    asked = (everywhere(picture), evenly(picture), TIERS[-1], lambda: None)
    blocks = quilting._Blocks(picture, painting, *asked)
    blocks.draw_shifts(generator)
    blocks.coherence = 1000.0
    before = blocks.shift.clone()
    blocks.propose(before.flip(1))
    assert (before[:, 0] != before[:, 1]).any() and torch.equal(blocks.shift[:, 0], blocks.shift[:, 1])


@pytest.mark.parametrize("finest", [2, 4, 8])
def test_the_last_blocks_are_as_fine_as_asked(generator, finest):
    picture, painting = grain(generator, 32, 32), grain(generator, 64, 64)
    asked = (everywhere(picture), evenly(picture), seeded(3), 0.0)
    moved = shifts(quilt(picture, painting, *asked, finest=finest))
    blocks = (
        moved.unfold(1, finest, finest).unfold(2, finest, finest).flatten(3)
    )  # (2, rows, columns, pixels)
    assert (blocks == blocks[..., :1]).all()
    whole = moved.unfold(1, 2 * finest, 2 * finest).unfold(2, 2 * finest, 2 * finest).flatten(3)
    assert not (whole == whole[..., :1]).all()


def test_only_what_is_asked_and_only_inside_the_painting(generator):
    picture, painting = grain(generator, 21, 27), grain(generator, 26, 23)
    where = torch.rand(21, 27, generator=generator) > 0.7
    field = quilt(picture, painting, where, evenly(picture), seeded(1), 1.0)
    assert (field[:, ~where] == -1).all()
    row, column = field[:, where]
    assert row.min() >= 0 and row.max() < 26 and column.min() >= 0 and column.max() < 23


@pytest.mark.parametrize("size", [(6, 6), (7, 30), (15, 9)])
def test_a_tiny_painting_serves_too(generator, size):
    picture, painting = grain(generator, 9, 11), grain(generator, *size)
    field = quilt(picture, painting, everywhere(picture), evenly(picture), seeded(1), 1.0)
    assert (field >= 0).all() and (field < torch.tensor(size).view(2, 1, 1)).all()


def test_where_nothing_is_asked_nothing_is_laid(generator):
    picture, nowhere = grain(generator, 9, 11), torch.zeros(9, 11, dtype=torch.bool)
    assert (quilt(picture, grain(generator, 40, 40), nowhere, evenly(picture), seeded(0), 1.0) == -1).all()


def test_the_same_seed_gives_the_same_field(generator):
    picture, painting = grain(generator, 20, 20), grain(generator, 30, 30)
    first, again, other = (
        quilt(picture, painting, everywhere(picture), evenly(picture), seeded(s), 1.0) for s in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("limits, finest", [((37, 50), 2), ((37, 50), 8), ((12, 90), 2), ((7, 90), 4)])
def test_each_proposal_is_told_and_may_stop_it(generator, limits, finest):
    picture, painting = grain(generator, 20, 20), grain(generator, *limits)
    told, asked = [], (everywhere(picture), evenly(picture))
    quilt(picture, painting, *asked, seeded(0), 1.0, 3, finest, on_proposal=lambda: told.append(1))
    assert len(told) == proposals(limits, 3, finest)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quilt(picture, painting, *asked, seeded(0), 1.0, on_proposal=stop)
