"""PatchMatch (Barnes et al. 2009): an approximate nearest-neighbour field between pictures' patches.

The sequential scan of the paper is replaced by a jump-flood propagation (every position looks at its
neighbours at distances 8, 4, 2 and 1 at once), which is what makes it a tensor program; each
position still takes a match only if it is better than its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunks import chunked
from .patches import AT_ONCE, windows

JUMPS = (8, 4, 2, 1)
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True)
class _Patches:
    """Those of the positions being matched (N of them), and those they are compared with.

    They are read from the pictures when they are compared: kept, those of an object of 2048 px take half a
    gigabyte.
    """

    query: Tensor  # (h, w, C), padded by `reach`
    at: Tensor  # (2, N) rows and columns in the query before it was padded
    source: Tensor  # (H, W, C)
    limits: tuple[int, int]  # H, W
    reach: int  # a patch goes this far from its centre

    def inside(self, centre: Tensor) -> Tensor:
        """Patch centres moved so that whole patches lie in the source."""
        row, column = (
            where.clamp(self.reach, limit - 1 - self.reach) for where, limit in zip(centre, self.limits)
        )
        return torch.stack((row, column))

    def distance(self, centre: Tensor, numbers: Tensor | slice = slice(None)) -> Tensor:
        """Summed squared differences of the patches at the positions of these `numbers`, n of them (all), to those
        around `centre` (2, n): (n,)."""
        # The query is padded by as much as a patch reaches before its centre.
        at, side = self.at[:, numbers], 2 * self.reach + 1

        def of(part: slice) -> Tensor:
            difference = windows(self.source, centre[:, part] - self.reach, side)
            difference -= windows(self.query, at[:, part], side)
            return difference.square_().sum(dim=(1, 2, 3))

        return chunked(of, centre.shape[1], AT_ONCE)


@dataclass
class _Search:
    """The best matches so far of all positions."""

    patches: _Patches
    match: Tensor  # (2, N)
    cost: Tensor  # (N,)
    on_proposal: Callable[[], None]

    def propose(self, candidate: Tensor, valid: Tensor | None = None) -> None:
        """Take `candidate` (2, N) wherever it is better than the match so far; where it is not `valid` (N,), it is
        not looked at."""
        candidate = self.patches.inside(candidate)
        if valid is None:
            cost = self.patches.distance(candidate)
        else:
            looked_at = valid.nonzero()[:, 0]
            cost = torch.full_like(self.cost, torch.inf)
            cost[looked_at] = self.patches.distance(candidate[:, looked_at], looked_at)
        better = cost < self.cost
        self.match = torch.where(better, candidate, self.match)
        self.cost = torch.where(better, cost, self.cost)
        self.on_proposal()


def patchmatch(
    query: Tensor,
    source: Tensor,
    where: Tensor,
    generator: torch.Generator,
    patch: int = 7,
    rounds: int = 4,
    on_proposal: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor]:
    """The field from `query` (C, h, w) to `source` (C, H, W), float of one range, at bool `where` (h, w).

    Patches are `patch` pixels square around each position (edges replicated in the query, whole in the source).
    Returns the field (2, h, w), -1 outside `where`, and the summed squared distances (h, w), 0 there. `generator`
    lives on the CPU, so that every device draws the same numbers. `on_proposal` is called after each time that all
    positions were offered a match (`proposals` times) and may raise to stop.
    """
    search = _begin(query, source, where, generator, patch, on_proposal)
    for _ in range(rounds):
        _propagate(search, where)
        _random_search(search, generator)
    at = search.patches.at
    field = torch.full((2, *where.shape), -1, dtype=torch.int64, device=query.device)
    field[:, at[0], at[1]] = search.match
    cost = torch.zeros(where.shape, device=query.device)
    cost[at[0], at[1]] = search.cost
    return field, cost


def proposals(limits: tuple[int, int], rounds: int) -> int:
    """How often `patchmatch` offers every position a match in a source of size `limits`."""
    return rounds * proposals_in_a_round(limits, JUMPS)


def proposals_in_a_round(limits: tuple[int, int], jumps: tuple[int, ...]) -> int:
    """Those of `DIRECTIONS` at each jump, and those of `offsets_at_random`."""
    return len(DIRECTIONS) * len(jumps) + (max(limits) // 2).bit_length()


def _begin(
    query: Tensor,
    source: Tensor,
    where: Tensor,
    generator: torch.Generator,
    patch: int,
    on_proposal: Callable[[], None],
) -> _Search:
    """Every position matched to a random place."""
    radius = patch // 2
    at = torch.stack(where.nonzero(as_tuple=True))
    padded = F.pad(query[None], (radius,) * 4, mode="replicate")[0]
    limits = tuple(source.shape[1:])
    compared = _Patches(
        padded.permute(1, 2, 0).contiguous(),
        at,
        source.permute(1, 2, 0).contiguous(),
        limits,
        radius,
    )
    match = (draw(generator, at.shape, at.device) * at.new_tensor(limits)[:, None]).long()
    match = compared.inside(match)
    return _Search(compared, match, compared.distance(match), on_proposal)


def _propagate(search: _Search, where: Tensor) -> None:
    """Try what the neighbours at each jump would propose: their match, moved back by the jump."""
    (height, width), at = where.shape, search.patches.at
    numbers = torch.full(where.shape, -1, dtype=torch.int32, device=where.device)
    numbers[at[0], at[1]] = torch.arange(len(search.cost), dtype=torch.int32, device=where.device)
    for jump in JUMPS:
        for dy, dx in ((jump * y, jump * x) for y, x in DIRECTIONS):
            y, x = at[0] + dy, at[1] + dx
            there = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            neighbour = numbers[y.clamp_(0, height - 1), x.clamp_(0, width - 1)]
            match = search.match[:, neighbour.clamp_min(0).long()]
            search.propose(torch.stack((match[0] - dy, match[1] - dx)), there & (neighbour >= 0))


def _random_search(search: _Search, generator: torch.Generator) -> None:
    """Try random places around the match."""
    for offset in offsets_at_random(generator, search.match, search.patches.limits):
        search.propose(search.match + offset)


def offsets_at_random(generator: torch.Generator, match: Tensor, limits: tuple[int, int]) -> Iterator[Tensor]:
    """Offsets like `match` (2, N), int64, from windows that halve from the whole source (H, W) to a few pixels."""
    radius = max(limits) // 2
    while radius >= 1:
        yield ((2 * draw(generator, match.shape, match.device) - 1) * radius).round().long()
        radius //= 2


def draw(generator: torch.Generator, shape: torch.Size, device: torch.device) -> Tensor:
    """Uniform numbers, 0..1."""
    return torch.rand(shape, generator=generator).to(device)
