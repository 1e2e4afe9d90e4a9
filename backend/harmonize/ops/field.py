"""Nearest-neighbour fields: made consistent, carried to finer layers, turned into sets and pictures.

A field is (2, h, w) int64: for each position the row and column of its match in a source map, -1
where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .patches import AT_ONCE, windows


class Mapping(NamedTuple):
    """Two fields of one matching: where the painting's statistics come from, and what lies at each position.

    `consensus` is the paper's: outliers are rejected, whatever they matched. `faithful` keeps what the position
    itself looks like.
    """

    consensus: Tensor
    faithful: Tensor


def neighbour_proposals(field: Tensor, radius: int, limits: tuple[int, int]) -> Iterator[Tensor]:
    """What each of the (2 radius + 1)^2 neighbours proposes: fields (2, h, w), -1 where invalid.

    A neighbour at offset d whose match is m proposes m - d: where the match would be if the source
    continued as it does around the neighbour. Proposals outside `limits` (H, W) are invalid. They come
    in row-major order of d, the position's own match in the middle.
    """
    _, height, width = field.shape
    padded = F.pad(field, (radius,) * 4, value=-1)
    bound = field.new_tensor(limits).view(2, 1, 1)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            match = padded[:, radius + dy : radius + dy + height, radius + dx : radius + dx + width]
            shifted = match - match.new_tensor((dy, dx)).view(2, 1, 1)
            valid = (match[0] >= 0) & (shifted >= 0).all(dim=0) & (shifted < bound).all(dim=0)
            yield torch.where(valid, shifted, -1)


def spatially_consistent(
    field: Tensor, guide: Tensor, radius: int = 2, similarity: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Replace each match by its 5x5 neighbourhood's consensus: the proposal whose `guide` colour is
    closest on average to those of all proposals, so that outliers are rejected.

    `guide` is (3, H, W), the painting resized to the source map. Returns a field like `field`.

    Luan et al. 2018, section 3.2, algorithm 3. Deviation: with `similarity` (a field like `field` -> (h, w), how
    similar each position is to that match) it is taken off a proposal's mean squared distance. Where a
    painting is made of small things the neighbours' proposals are nearly random; their consensus is its
    average colour, and a red fire engine is matched to sand.
    """
    _, source_height, source_width = guide.shape
    proposals = torch.stack(list(neighbour_proposals(field, radius, (source_height, source_width))))
    valid = proposals[:, 0] >= 0  # (K, h, w)
    flat = (proposals[:, 0] * source_width + proposals[:, 1]).clamp_min(0)
    colours = guide.flatten(1)[:, flat]  # (3, K, h, w)
    mean = (colours * valid).sum(dim=1) / valid.sum(dim=0).clamp_min(1)
    cost = torch.full(valid.shape, torch.inf, device=guide.device)
    for k in range(len(proposals)):
        # The mean squared distance to all is that to their mean, and their variance, which is the same for each.
        squared = ((colours[:, k] - mean) ** 2).sum(dim=0)
        own = 0.0 if similarity is None else similarity(proposals[k])
        cost[k] = torch.where(valid[k], squared - own, torch.inf)
    # Ties keep the position's own match, which stands in the middle of the list.
    centre = len(proposals) // 2
    chosen = torch.where(cost[centre] <= cost.amin(dim=0), centre, cost.argmin(dim=0))
    consensus = proposals.gather(0, chosen[None, None].expand(1, 2, -1, -1))[0]
    return torch.where(field[:1] >= 0, consensus, field)


def upsampled(field: Tensor, size: tuple[int, int], limits: tuple[int, int], factor: int) -> Tensor:
    """The same mapping on maps `factor` times finer: a fine position keeps its place within the cell.

    `size` (h, w) and `limits` (H, W) are the fine query and source maps' sizes, which pooling may have
    rounded; positions beyond the coarse map take its last cell.
    """
    device = field.device
    y = torch.arange(size[0], device=device)
    x = torch.arange(size[1], device=device)
    cell_y = (y // factor).clamp_max(field.shape[1] - 1)
    cell_x = (x // factor).clamp_max(field.shape[2] - 1)
    coarse = field[:, cell_y][:, :, cell_x]
    inside = torch.stack(
        ((y - cell_y * factor)[:, None].expand(size), (x - cell_x * factor)[None].expand(size))
    )
    fine = coarse * factor + inside
    bound = fine.new_tensor(limits).view(2, 1, 1) - 1
    return torch.where(coarse[:1] >= 0, torch.minimum(fine, bound), -1)


def matched_set(field: Tensor, shape: tuple[int, int], grow: int = 1) -> Tensor:
    """Which positions of the source (H, W) are matched at all, grown by `grow`: bool (H, W).

    Each counts once however often it was chosen, which removes the repetition that plain nearest
    neighbours give (Luan et al. 2018, section 3.2).
    """
    chosen = field[:, field[0] >= 0]
    found = torch.zeros(shape, device=field.device)
    found[chosen[0], chosen[1]] = 1
    if grow:
        found = F.max_pool2d(found[None, None], 2 * grow + 1, stride=1, padding=grow)[0, 0]
    return found > 0


def vote(
    field: Tensor, source: Tensor, patch: int, reach: float = torch.inf, every: int = 1
) -> tuple[Tensor, Tensor]:
    """The picture that overlapping source patches give: each position's patch is laid around it and
    all that cover a pixel are averaged.

    `source` (C, H, W) float on the field's source grid. A patch weighs as a Gaussian of its centre's distance from
    the pixel, of `reach` pixels. Returns the mean (C, h, w), and the sum of weights over each pixel (1, h, w),
    which is the number of patches where all weigh the same; the mean is 0 where that is 0. Of a field in which only each
    `every`-th position both ways, from the first on, has a match, only these are looked at.
    """
    (_, height, width), radius = field.shape, patch // 2
    match, limits = field[:, ::every, ::every], tuple(source.shape[1:])
    source, corner = _with_room(source, match, radius)
    picture = source.permute(1, 2, 0).contiguous()
    # With room for what is laid beyond the edges.
    room = (height + 2 * radius + every, width + 2 * radius + every)
    total, count = source.new_zeros(*room, len(source)), source.new_zeros(*room)
    columns = match.shape[2]
    rows = max(1, AT_ONCE // columns)
    for top in range(0, match.shape[1], rows):
        band = match[:, top : top + rows]
        laid = windows(picture, corner[:, top : top + rows].flatten(1), patch)
        laid = laid.view(-1, columns, *laid.shape[1:])
        weights = _weights(band, limits, patch, reach)
        # The same pixel of all patches at once: no two of these fall on the same one. From the last to the first, so that
        # a pixel's sum goes over its neighbours in reading order, however the bands are cut.
        for dy, dx in product(reversed(range(patch)), repeat=2):
            first, last = (every * row + dy for row in (top, top + band.shape[1]))
            here = slice(first, last, every), slice(dx, every * columns + dx, every)
            total[here] += laid[:, :, dy, dx] * weights[dy, dx, :, :, None]
            count[here] += weights[dy, dx]
    inner = slice(radius, radius + height), slice(radius, radius + width)
    total, count = total[inner].permute(2, 0, 1), count[inner][None]
    return (total / torch.where(count > 0, count, 1.0)).contiguous(), count.contiguous()


def _weights(match: Tensor, limits: tuple[int, int], patch: int, reach: float) -> Tensor:
    """What each pixel of the patches around these matches, (2, h, w), weighs: 0 where the source, of size `limits`, has no
    such pixel or there is no match. (patch, patch, h, w)."""
    steps = torch.arange(patch, device=match.device) - patch // 2
    near = torch.exp(-(steps[:, None] ** 2 + steps**2) / (2 * reach**2))
    row, column = match[:, None] + steps.view(-1, 1, 1)
    rows, columns = ((place >= 0) & (place < limit) for place, limit in zip((row, column), limits))
    return near[:, :, None, None] * (rows[:, None] & columns & (match[0] >= 0))


def _with_room(source: Tensor, match: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """A source, (C, H, W), in which the patches around all of these matches, (2, h, w), lie, and their first corners there:
    itself if that is so, since it may be large. A match that is none has any patch."""
    last = match.new_tensor(source.shape[1:]).view(2, 1, 1) - 1 - radius
    hanging = (match >= 0) & ((match < radius) | (match > last))
    if min(source.shape[1:]) > 2 * radius and not hanging.any():
        return source, (match - radius).clamp_min(0)
    return F.pad(source, (radius,) * 4), match.clamp_min(0)
