"""Patch matching finds what was planted, and what trying everything finds."""

import numpy as np
import pytest
import torch

from backend.harmonize.ops import matching
from backend.harmonize.ops.matching import Hints, Matcher, nearest_neighbours
from tests.oracles.matching import cosines


def everywhere(features: torch.Tensor) -> torch.Tensor:
    return torch.ones(features.shape[1:], dtype=torch.bool)


def test_a_planted_patch_is_found(generator):
    source = torch.rand(8, 20, 24, generator=generator)
    query = torch.rand(8, 12, 14, generator=generator)
    query[:, 4:7, 6:9] = 3.5 * source[:, 10:13, 17:20]  # the cosine does not see the factor
    field = nearest_neighbours(query, source, everywhere(query))
    assert field[:, 5, 7].tolist() == [11, 18]


def test_a_cropped_map_finds_its_place(generator):
    source = torch.randn(8, 20, 24, generator=generator)
    field = nearest_neighbours(source[:, 3:15, 7:20], source, everywhere(source[:, 3:15, 7:20]))
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(13), indexing="ij")
    inner = slice(1, -1)  # at its edge the crop sees zeros
    assert torch.equal(field[0, inner, inner], rows[inner, inner] + 3)
    assert torch.equal(field[1, inner, inner], columns[inner, inner] + 7)


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_equals_trying_everything(generator, patch):
    query = torch.rand(4, 7, 8, generator=generator)
    source = torch.rand(4, 9, 6, generator=generator)
    field = nearest_neighbours(query, source, everywhere(query), patch)
    for y in range(7):
        for x in range(8):
            similarity = cosines(query.numpy(), source.numpy(), y, x, patch)
            assert tuple(field[:, y, x]) == np.unravel_index(similarity.argmax(), similarity.shape)


def test_only_asked_positions_are_matched(generator):
    query, source = torch.rand(3, 6, 5, generator=generator), torch.rand(3, 8, 8, generator=generator)
    where = torch.rand(6, 5, generator=generator) > 0.5
    field = nearest_neighbours(query, source, where)
    assert torch.equal(field[0] >= 0, where)
    assert (field[:, ~where] == -1).all()
    assert torch.equal(field[:, where], nearest_neighbours(query, source, everywhere(query))[:, where])


def test_asking_nothing_gives_nothing(generator):
    query = torch.rand(3, 6, 5, generator=generator)
    field = nearest_neighbours(query, query, torch.zeros(6, 5, dtype=torch.bool))
    assert field.shape == (2, 6, 5) and (field == -1).all()


def test_the_size_of_the_blocks_changes_nothing(generator, monkeypatch):
    query, source = torch.rand(4, 9, 9, generator=generator), torch.rand(4, 9, 9, generator=generator)
    whole = nearest_neighbours(query, source, everywhere(query))
    monkeypatch.setattr(matching, "AT_ONCE", 1)
    monkeypatch.setattr(matching, "SOURCE_AT_ONCE", 1)  # one row at a time
    assert torch.equal(nearest_neighbours(query, source, everywhere(query)), whole)


def test_hints_cost_their_weighted_squared_difference(generator):
    """What trying everything finds, each query position with weights of its own."""
    query, source = torch.rand(4, 5, 6, generator=generator), torch.rand(4, 7, 6, generator=generator)
    own, other = torch.rand(2, 5, 6, generator=generator), torch.rand(2, 7, 6, generator=generator)
    weight = torch.rand(2, 5, 6, generator=generator) * 3
    field = nearest_neighbours(query, source, everywhere(query), hints=Hints(own, other, weight))
    plain = nearest_neighbours(query, source, everywhere(query))
    assert not torch.equal(field, plain)
    for y in range(5):
        for x in range(6):
            difference = (own[:, y, x, None, None] - other) ** 2 * weight[:, y, x, None, None]
            worth = cosines(query.numpy(), source.numpy(), y, x, 3) - difference.sum(dim=0).numpy()
            assert tuple(field[:, y, x]) == np.unravel_index(worth.argmax(), worth.shape)


@pytest.mark.parametrize("hinted", [False, True])
def test_similarity_is_that_of_trying_it(generator, hinted, monkeypatch):
    query, source = torch.rand(4, 5, 6, generator=generator), torch.rand(4, 7, 6, generator=generator)
    own, other = torch.rand(2, 5, 6, generator=generator), torch.rand(2, 7, 6, generator=generator)
    weight = torch.rand(2, 5, 6, generator=generator) * 3 * hinted
    where = torch.rand(5, 6, generator=generator) > 0.3
    field = torch.stack([torch.randint(0, n, (5, 6), generator=generator) for n in (7, 6)])
    field[:, 1] = -1
    matcher = Matcher(query, source, where, hints=Hints(own, other, weight) if hinted else None)
    monkeypatch.setattr(matching, "AT_ONCE", 3)  # some rows at a time
    found = matcher.similarity(field)
    for y in range(5):
        for x in range(6):
            row, column = field[:, y, x].tolist()
            if not where[y, x] or row < 0:
                assert found[y, x] == -torch.inf
                continue
            difference = (own[:, y, x] - other[:, row, column]) ** 2 * weight[:, y, x]
            worth = cosines(query.numpy(), source.numpy(), y, x, 3)[row, column] - difference.sum().item()
            assert found[y, x] == pytest.approx(worth, rel=1e-4, abs=1e-5)


def test_nothing_is_more_similar_than_the_nearest(generator):
    query, source = torch.rand(4, 5, 6, generator=generator), torch.rand(4, 7, 6, generator=generator)
    matcher = Matcher(query, source, everywhere(query))
    best = matcher.similarity(matcher.nearest())
    for row in range(7):
        for column in range(6):
            same = torch.tensor([row, column]).view(2, 1, 1).expand(2, 5, 6)
            assert (matcher.similarity(same) <= best + 1e-6).all()
