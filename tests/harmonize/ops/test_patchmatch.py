"""PatchMatch against trying every patch."""

import numpy as np
import pytest
import torch

from backend.harmonize.ops.patchmatch import patchmatch, proposals
from tests.harmonize.scenes import everywhere, seeded
from tests.oracles.patchmatch import best_distances

PATCH = 7


def soft(generator: torch.Generator, height: int, width: int) -> torch.Tensor:
    """A picture with structure at several scales, as pictures have: (3, height, width), 0..1."""
    picture = torch.zeros(3, height, width)
    for side in (3, 6, 12):
        grain = torch.rand(1, 3, side, side, generator=generator)
        picture += torch.nn.functional.interpolate(grain, (height, width), mode="bicubic")[0] / 3
    return picture.clamp(0, 1)


def distance(query: torch.Tensor, source: torch.Tensor, field: torch.Tensor, y: int, x: int) -> float:
    radius = PATCH // 2
    padded = np.pad(query.numpy(), ((0, 0), (radius, radius), (radius, radius)), mode="edge")
    row, column = (int(value) - radius for value in field[:, y, x])
    there = source.numpy()[:, row : row + PATCH, column : column + PATCH]
    return float(((padded[:, y : y + PATCH, x : x + PATCH] - there) ** 2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_close_to_trying_everything(generator, seed):
    query, source = soft(generator, 14, 14), soft(generator, 22, 24)
    field, cost = patchmatch(query, source, everywhere(query), seeded(seed), rounds=8)
    best = best_distances(query.numpy(), source.numpy(), PATCH)
    found = cost.numpy()
    assert (found >= best - 1e-4).all()
    assert found.mean() <= 1.02 * best.mean()
    assert (found <= best * 1.001 + 1e-4).mean() > 0.7


def test_the_distances_are_those_of_the_field(generator):
    query, source = soft(generator, 12, 13), soft(generator, 20, 18)
    field, cost = patchmatch(query, source, everywhere(query), seeded(0), rounds=1)
    for y, x in ((0, 0), (5, 6), (11, 12), (3, 12)):
        assert cost[y, x].item() == pytest.approx(distance(query, source, field, y, x), rel=1e-4, abs=1e-5)


def test_a_planted_piece_is_found_exactly(generator):
    source = torch.rand(3, 48, 52, generator=generator)
    query = source[:, 11:35, 9:37]
    field, cost = patchmatch(query, source, everywhere(query), seeded(0), rounds=8)
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(28), indexing="ij")
    inner = slice(3, -3)  # patches at the query's edge are replicated, not planted
    assert torch.equal(field[0, inner, inner], rows[inner, inner] + 11)
    assert torch.equal(field[1, inner, inner], columns[inner, inner] + 9)
    assert cost[inner, inner].abs().max() == 0


def test_the_same_seed_gives_the_same_field(generator):
    query, source = soft(generator, 20, 20), soft(generator, 30, 30)
    first, again, other = (
        patchmatch(query, source, everywhere(query), seeded(s), rounds=1)[0] for s in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_more_rounds_are_never_worse(generator):
    query, source = soft(generator, 20, 20), soft(generator, 40, 40)
    costs = [patchmatch(query, source, everywhere(query), seeded(2), rounds=r)[1] for r in (0, 1, 4)]
    assert (costs[1] <= costs[0]).all() and (costs[2] <= costs[1]).all()


def test_only_asked_positions_and_only_whole_patches(generator):
    query, source = soft(generator, 16, 18), soft(generator, 20, 21)
    where = torch.rand(16, 18, generator=generator) > 0.5
    field, cost = patchmatch(query, source, where, seeded(1))
    assert (field[:, ~where] == -1).all() and (cost[~where] == 0).all()
    row, column = field[:, where]
    assert row.min() >= 3 and row.max() <= 16 and column.min() >= 3 and column.max() <= 17


def test_each_proposal_is_told_and_may_stop_it(generator):
    query, source = soft(generator, 20, 20), soft(generator, 37, 50)
    told = []
    patchmatch(query, source, everywhere(query), seeded(0), rounds=3, on_proposal=lambda: told.append(1))
    assert len(told) == proposals((37, 50), 3)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        patchmatch(query, source, everywhere(query), seeded(0), rounds=3, on_proposal=stop)
