"""Image quilting: a picture laid anew from pieces of a painting that resemble it and fit one another.

Efros & Freeman 2001, as a labelling of shifts (Pritch et al. 2009): each block of the picture gets the shift to the
place in the painting that it shows. Shifts are searched as in PatchMatch (Barnes et al. 2009), by propagation and
at random, from large blocks to small: a block is split where its parts find something better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .chunks import chunked
from .patches import AT_ONCE, pixels, windows
from .patchmatch import DIRECTIONS, draw, offsets_at_random, proposals_in_a_round

JUMPS = (4, 2, 1, 1)  # blocks
START_ROUNDS = 3  # of the largest blocks each for itself: until there are good ones, nothing can fit


class Tier(NamedTuple):
    """Blocks of one size, in pixels. They are compared with what is around them, at every `step`-th pixel."""

    block: int
    window: int
    step: int

    @property
    def margin(self) -> int:
        """How far the window goes beyond its block; one pixel at least, for the borders."""
        return (self.window - self.block) // 2


TIERS = (Tier(16, 24, 3), Tier(8, 14, 2), Tier(4, 8, 1), Tier(2, 6, 1))


def quilt(
    picture: Tensor,
    painting: Tensor,
    where: Tensor,
    weight: Tensor,
    generator: torch.Generator,
    coherence: float,
    rounds: int = 2,
    finest: int = TIERS[-1].block,
    on_proposal: Callable[[], None] = lambda: None,
) -> Tensor:
    """The field (2, h, w), int64, from `picture` (C, h, w) to `painting` (C, H, W), float of one range, at bool
    `where` (h, w); -1 elsewhere.

    Minimized is the squared difference of blocks and their surroundings, times `weight` (h, w), plus `coherence` times
    that between what two neighbours lay along their common border. Blocks are no smaller than `finest`, pixels. The
    painting's sides are at least as long as the smallest window. `generator` lives on the CPU, so that every device
    draws the same numbers. `on_proposal` is called each time that all blocks were offered a shift (`proposals` times)
    and may raise to stop.
    """
    if not where.any():
        return torch.full((2, *where.shape), -1, device=where.device)
    blocks = None
    for tier in _fitting(tuple(painting.shape[1:]), finest):
        coarser, blocks = blocks, _Blocks(picture, painting, where, weight, tier, on_proposal)
        if coarser is None:
            blocks.draw_shifts(generator)
            blocks.improve(generator, START_ROUNDS)
        else:
            blocks.inherit(coarser)
        blocks.coherence = coherence
        blocks.improve(generator, rounds)
    return torch.where(where, blocks.field(), -1)


def proposals(limits: tuple[int, int], rounds: int, finest: int = TIERS[-1].block) -> int:
    """How often `quilt` calls `on_proposal` for a painting of size `limits` (H, W)."""
    return (len(_fitting(limits, finest)) * rounds + START_ROUNDS) * proposals_in_a_round(limits, JUMPS)


def _fitting(limits: tuple[int, int], finest: int) -> tuple[Tier, ...]:
    """The tiers down to `finest` whose windows a painting of this size (H, W) can hold; the last of all if none can."""
    found = tuple(tier for tier in TIERS if tier.block >= finest and tier.window <= min(limits))
    return found or TIERS[-1:]


class _Blocks:
    """The N blocks of one tier that are wanted, and the shift of each."""

    def __init__(
        self,
        picture: Tensor,
        painting: Tensor,
        where: Tensor,
        weight: Tensor,
        tier: Tier,
        on_proposal: Callable[[], None],
    ) -> None:
        self.tier, self.coherence, self.on_proposal = tier, 0.0, on_proposal
        self.size, self.limits, device = tuple(where.shape), tuple(painting.shape[1:]), picture.device
        down, right = (-side % tier.block for side in self.size)  # what fills up the last blocks
        wanted = F.max_pool2d(F.pad(where[None].float(), (0, right, 0, down)), tier.block)[0] > 0
        self.cells = torch.stack(wanted.nonzero(as_tuple=True))  # (2, N), in blocks
        self.at = self.cells * tier.block  # (2, N), their first pixels
        self.odd = self.cells.sum(dim=0) % 2 == 1
        numbers = torch.full(tuple(wanted.shape), -1, device=device)
        numbers[self.cells[0], self.cells[1]] = torch.arange(self.cells.shape[1], device=device)
        self.numbers = F.pad(numbers, (max(JUMPS),) * 4, value=-1)
        weights = F.avg_pool2d(F.pad(weight[None], (0, right, 0, down), mode="replicate"), tier.block)[0]
        self.weight = tier.block * weights[self.cells[0], self.cells[1]]  # (N,)
        margin = tier.margin
        query = F.pad(picture, (margin, margin + right, margin, margin + down), mode="replicate")
        self.query, self.source = (x.permute(1, 2, 0).contiguous() for x in (query, painting))
        self.steps = torch.tensor(DIRECTIONS, device=device).T[:, :, None]  # (2, 4, 1), to the neighbours
        self.borders = torch.stack([self._border(*step) for step in DIRECTIONS], dim=1).to(
            device
        )  # (2, 4, K)

    def draw_shifts(self, generator: torch.Generator) -> None:
        """Begin anywhere."""
        places = draw(generator, self.at.shape, self.at.device) * self.at.new_tensor(self.limits)[:, None]
        self.begin(places.long() - self.at)

    def inherit(self, coarser: _Blocks) -> None:
        """Begin with the shifts of the larger blocks in which these lie."""
        parents = coarser.number(self.at // coarser.tier.block)
        self.begin(coarser.shift[:, parents])

    def begin(self, shift: Tensor) -> None:
        everyone = torch.arange(self.at.shape[1], device=self.at.device)
        self.shift = self.inside(shift)
        self.difference = self.resemblance(self.shift, everyone)

    def improve(self, generator: torch.Generator, rounds: int) -> None:
        """In each round the shifts of neighbours at each jump, then random ones ever nearer to the block's own."""
        for _ in range(rounds):
            for jump in JUMPS:
                for direction in DIRECTIONS:
                    there = self.number(self.cells + jump * self.cells.new_tensor(direction)[:, None])
                    self.propose(self.shift[:, there.clamp_min(0)], there >= 0)
            for offset in offsets_at_random(generator, self.shift, self.limits):
                self.propose(self.shift + offset)

    def propose(self, shift: Tensor, valid: Tensor | bool = True) -> None:
        """Take `shift` (2, N) wherever that is better; where it is not `valid` (N,), it is not looked at.

        Odd and even cells of the chessboard in turn: a block's neighbours hold still while it chooses.
        """
        shift = self.inside(shift)
        news = (shift != self.shift).any(dim=0) & valid
        for turn in (self.odd, ~self.odd):
            numbers = (news & turn).nonzero()[:, 0]
            offered, own = shift[:, numbers], self.shift[:, numbers]
            difference = self.resemblance(offered, numbers)
            gain = self.weight[numbers] * (self.difference[numbers] - difference)
            new, old = self.misfit(torch.cat((offered, own), dim=1), numbers.repeat(2)).chunk(2)
            better = gain > self.coherence * (new - old)
            self.shift[:, numbers] = torch.where(better, offered, own)
            self.difference[numbers] = torch.where(better, difference, self.difference[numbers])
        self.on_proposal()

    def inside(self, shift: Tensor) -> Tensor:
        """Shifts (2, N) changed so that whole windows lie in the painting."""
        margin, place = self.tier.margin, self.at + shift
        last = [limit - self.tier.window + margin for limit in self.limits]
        return torch.stack([p.clamp(margin, end) for p, end in zip(place, last)]) - self.at

    def resemblance(self, shift: Tensor, numbers: Tensor) -> Tensor:
        """Mean squared difference of the windows of these blocks (n,) from those at `shift` (2, n): (n,)."""
        at = self.at[:, numbers]
        place, window = at + shift - self.tier.margin, self.tier[1:]

        def of(part: slice) -> Tensor:
            difference = windows(self.source, place[:, part], *window)
            difference -= windows(self.query, at[:, part], *window)
            return difference.square_().mean(dim=(1, 2, 3))

        return chunked(of, len(numbers), AT_ONCE)

    def misfit(self, shift: Tensor, numbers: Tensor) -> Tensor:
        """Mean squared difference along their borders of what these blocks (n,) would lay at `shift` (2, n) from
        what their neighbours lay, summed over four neighbours: (n,)."""

        def of(part: slice) -> Tensor:
            number, own = numbers[part], shift[:, None, part]
            there = self.number(self.cells[:, None, number] + self.steps)  # (4, n)
            theirs = self.shift[:, there.clamp_min(0)]
            apart = (there >= 0) & (theirs != own).any(dim=0)
            side, which = apart.nonzero(as_tuple=True)
            at, borders = self.at[:, number[which]], self.borders[:, side]
            difference = pixels(self.source, at + own[:, 0, which], borders)
            difference -= pixels(self.source, at + theirs[:, side, which], borders)
            found = torch.zeros(apart.shape, device=shift.device)
            found[side, which] = difference.square_().mean(dim=(1, 2))
            return found.sum(dim=0)

        return (
            chunked(of, len(numbers), AT_ONCE) if self.coherence else torch.zeros_like(self.weight[numbers])
        )

    def number(self, cells: Tensor) -> Tensor:
        """The numbers of the blocks at `cells` (2, n), -1 where none is wanted: (n,)."""
        pad = max(JUMPS)
        return self.numbers[cells[0] + pad, cells[1] + pad]

    def field(self) -> Tensor:
        """Of each pixel the place that it shows: (2, h, w)."""
        height, width = self.size
        rows, columns = (torch.arange(n, device=self.at.device) for n in self.size)
        cells = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
        there = self.number(cells // self.tier.block)
        return (cells + self.shift[:, there.clamp_min(0)]).view(2, height, width)

    def _border(self, dy: int, dx: int) -> Tensor:
        """The pixels (2, K) on both sides of the border to the neighbour at that step, from the block's first one."""
        block = self.tier.block
        across = torch.tensor((-1, 0) if dy + dx < 0 else (block - 1, block))
        along = torch.arange(0, block, max(1, block // 4))
        pixels = torch.cartesian_prod(across, along).T
        return pixels if dy else pixels.flip(0)
