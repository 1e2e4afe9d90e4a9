"""Fields: consistent across space, carried across scales, counted as a set, voted into pictures."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.harmonize.ops import field as field_module
from backend.harmonize.ops import patches
from backend.harmonize.ops.field import (
    matched_set,
    neighbour_proposals,
    spatially_consistent,
    upsampled,
    vote,
)
from tests.oracles import field as oracle


def translation(size: tuple, dy: int, dx: int) -> torch.Tensor:
    """The field (2, h, w) that moves everything by (dy, dx)."""
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    return torch.stack((rows + dy, columns + dx))


def random_field(size: tuple, limits: tuple, unmatched: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    field = torch.stack([torch.randint(0, limit, size, generator=generator) for limit in limits])
    field[:, torch.rand(size, generator=generator) < unmatched] = -1
    return field


def test_proposals_are_the_neighbours_matches_moved_back():
    field = random_field((5, 6), (7, 8), 0.3, seed=0)
    listed = list(neighbour_proposals(field, 2, (7, 8)))
    assert len(listed) == 25
    for y in range(5):
        for x in range(6):
            found = [tuple(p[:, y, x].tolist()) for p in listed if p[0, y, x] >= 0]
            assert found == oracle.proposals(field.numpy(), y, x, 2, (7, 8))


def test_a_planted_outlier_is_rejected(generator):
    guide = torch.rand(3, 20, 20, generator=generator) * 255
    field = translation((9, 9), 4, 6)
    truth = field.clone()
    field[:, 4, 4] = torch.tensor([0, 0])
    assert torch.equal(spatially_consistent(field, guide), truth)


def test_a_consistent_field_stays(generator):
    guide = torch.rand(3, 20, 20, generator=generator) * 255
    field = translation((9, 9), 4, 6)
    field[:, :2] = -1
    assert torch.equal(spatially_consistent(field, guide), field)


def test_where_colours_do_not_tell_the_own_match_stays():
    field = random_field((6, 6), (9, 9), 0.2, seed=1)
    assert torch.equal(spatially_consistent(field, torch.full((3, 9, 9), 77.0)), field)


def test_among_equally_good_proposals_the_own_match_stays():
    """Two colours: every proposal of the commoner colour costs the same, and not nothing."""
    guide = torch.zeros(3, 12, 12)
    guide[:, :, 8:] = 200.0
    field = random_field((6, 6), (12, 8), 0.0, seed=2)
    field[:, 3, 3] = torch.tensor([5, 10])
    refined = spatially_consistent(field, guide)
    dark = torch.ones(6, 6, dtype=torch.bool)
    dark[3, 3] = False
    assert torch.equal(refined[:, dark], field[:, dark])
    assert refined[1, 3, 3] < 8


@pytest.mark.parametrize("seed", range(3))
def test_consensus_has_the_least_cost_of_all(seed, generator):
    guide = torch.rand(3, 7, 8, generator=generator) * 255
    field = random_field((6, 6), (7, 8), 0.2, seed)
    refined = spatially_consistent(field, guide)
    for y in range(6):
        for x in range(6):
            if field[0, y, x] < 0:
                assert refined[:, y, x].tolist() == [-1, -1]
                continue
            costs = oracle.consensus_costs(field.numpy(), guide.numpy(), y, x, radius=2)
            assert costs[tuple(refined[:, y, x].tolist())] == pytest.approx(min(costs.values()), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_similarity_is_weighed_against_the_consensus(seed, generator):
    guide = torch.rand(3, 7, 8, generator=generator)
    worth = torch.rand(6, 6, 7, 8, generator=generator)  # of each match for each position
    field = random_field((6, 6), (7, 8), 0.2, seed)
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")
    refined = spatially_consistent(
        field, guide, similarity=lambda match: worth[rows, columns, match[0], match[1]]
    )
    assert not torch.equal(refined, spatially_consistent(field, guide))
    for y in range(6):
        for x in range(6):
            if field[0, y, x] >= 0:
                agreed = oracle.consensus_costs(field.numpy(), guide.numpy(), y, x, radius=2)
                costs = {match: cost - worth[y, x][match].item() for match, cost in agreed.items()}
                assert costs[tuple(refined[:, y, x].tolist())] == pytest.approx(min(costs.values()), rel=1e-5)


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 99))
def test_upsampling_keeps_place_and_limits(power, more_rows, more_columns, seed):
    factor = 2**power
    coarse, coarse_limits = (4, 5), (6, 7)
    # Pooling rounds down, so the fine maps may have up to factor - 1 rows more.
    more = (more_rows % factor, more_columns % factor)
    size = (coarse[0] * factor + more[0], coarse[1] * factor + more[1])
    limits = (coarse_limits[0] * factor + more[1], coarse_limits[1] * factor + more[0])
    field = random_field(coarse, coarse_limits, 0.2, seed)
    fine = upsampled(field, size, limits, factor)
    assert fine.tolist() == oracle.upsampled(field.numpy(), size, limits, factor).tolist()
    known = fine[0] >= 0
    assert (fine[0][known] < limits[0]).all() and (fine[1][known] < limits[1]).all()


def test_upsampling_a_translation_moves_by_the_factor():
    fine = upsampled(translation((4, 5), 2, 3), (16, 20), (40, 40), 4)
    assert torch.equal(fine, translation((16, 20), 8, 12))


def test_upsampling_by_one_changes_nothing():
    field = random_field((5, 5), (6, 6), 0.3, seed=4)
    assert torch.equal(upsampled(field, (5, 5), (6, 6), 1), field)


def test_the_matched_set_counts_once_and_grows_by_one():
    field = torch.full((2, 4, 4), -1)
    field[:, 0, :3] = torch.tensor([[5], [6]])  # one place, chosen three times
    alone = matched_set(field, (9, 9), grow=0)
    assert alone.sum() == 1 and alone[5, 6]
    grown = matched_set(field, (9, 9))
    assert grown.sum() == 9 and grown[4:7, 5:8].all()


@given(st.integers(0, 99), st.integers(0, 2))
def test_the_matched_set_equals_the_loop(seed, grow):
    field = random_field((5, 6), (8, 7), 0.4, seed)
    assert (
        matched_set(field, (8, 7), grow).tolist() == oracle.matched_set(field.numpy(), (8, 7), grow).tolist()
    )


def test_voting_a_translation_gives_the_shifted_picture_exactly(generator):
    # 1/256 steps: sums of up to 49 of them are exact in float32, and so are their means.
    source = torch.randint(0, 256, (3, 20, 22), generator=generator) / 256
    picture, count = vote(translation((12, 13), 5, 7), source, patch=7)
    assert torch.equal(picture, source[:, 5:17, 7:20])
    assert count.min() == 16 and count.max() == 49


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("patch, reach", [(1, torch.inf), (3, torch.inf), (7, torch.inf), (5, 1.25)])
def test_voting_equals_the_loop(generator, patch, reach, inside):
    """Patches that hang over the painting's edges, or only `inside` ones."""
    source = torch.rand(3, 9, 10, generator=generator)
    field = random_field((7, 6), (9, 10), 0.3, seed=5)
    if inside:
        rows, columns = (field[i].clamp(patch // 2, n - 1 - patch // 2) for i, n in enumerate((9, 10)))
        field = torch.where(field[:1] >= 0, torch.stack((rows, columns)), -1)
    picture, weight = vote(field, source, patch, reach)
    expected, expected_weight = oracle.vote(field.numpy(), source.numpy(), patch, reach)
    torch.testing.assert_close(weight, torch.from_numpy(expected_weight).float())
    torch.testing.assert_close(picture, torch.from_numpy(expected).float())


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_laying_patches_band_by_band_changes_nothing(generator, monkeypatch, rows):
    source, field = torch.rand(3, 9, 10, generator=generator), random_field((13, 6), (9, 10), 0.3, seed=5)
    whole = vote(field, source, 7, 2.0)
    monkeypatch.setattr(field_module, "AT_ONCE", rows * 6)
    banded = vote(field, source, 7, 2.0)
    assert all(torch.equal(a, b) for a, b in zip(whole, banded))


@pytest.mark.parametrize("every, rows", [(2, 13), (2, 1), (2, 3), (3, 2)])
def test_of_a_sparse_field_only_what_has_a_match_is_asked(generator, monkeypatch, every, rows):
    """Whatever band it begins in, it gives what asking all gives."""
    source, dense = torch.rand(3, 9, 10, generator=generator), random_field((13, 8), (9, 10), 0.2, seed=5)
    field = torch.full_like(dense, -1)
    field[:, ::every, ::every] = dense[:, ::every, ::every]
    whole = vote(field, source, 5, 2.0)
    monkeypatch.setattr(field_module, "AT_ONCE", rows * 8)
    asked = []

    def windows(picture, corner, *rest):
        asked.append(corner.shape[1])
        return patches.windows(picture, corner, *rest)

    monkeypatch.setattr(field_module, "windows", windows)
    sparse = vote(field, source, 5, 2.0, every)
    assert all(torch.equal(a, b) for a, b in zip(whole, sparse))
    assert sum(asked) == dense[0, ::every, ::every].numel()


def test_voting_says_where_it_knows_nothing():
    for side in (8, 2):
        picture, count = vote(torch.full((2, 4, 4), -1), torch.rand(3, side, side), patch=3)
        assert (picture == 0).all() and (count == 0).all()
