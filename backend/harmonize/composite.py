"""The pictures of one job: painting, naive composite and masks, at the working scale and below."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import InvalidInput
from .ops.color import rgb_to_lab
from .ops.guided_filter import wide_guided_filter
from .ops.histogram import quantiles
from .ops.masks import LOOSE_CUT, grow, loose_mask
from .ops.matching import Hints
from .ops.tone import range_fit

# Pixels that one position of a layer's feature map is wide; pools leave out what makes no whole one.
STRIDE = {"relu1_1": 1, "relu2_1": 2, "relu3_1": 4, "relu4_1": 8, "relu5_1": 16}
MATCHED = STRIDE["relu4_1"]  # of a mapping's positions
# Regions start and end on whole cells of the coarsest layer, so that a crop's features lie on the same grid as the
# painting's.
CELL = max(STRIDE.values())
SMALLEST_SIDE = 32
MASK_LEVEL = 1 / 255
PARTS = 128  # cells along the mask's long side, by which an object's separate parts are told apart


@dataclass(frozen=True)
class Composite:
    """One object in (a window of) one painting; float32, sRGB-encoded, 0..1, all of one size.

    `painting` and `naive` are (3, H, W), `mask` (1, H, W) is the tight mask of the object.
    Raises InvalidInput if they do not fit together or leave nothing to do.
    """

    painting: Tensor
    naive: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        size = tuple(self.painting.shape[-2:])
        for name, tensor, channels in (
            ("painting", self.painting, 3),
            ("pasted picture", self.naive, 3),
            ("mask", self.mask, 1),
        ):
            if tuple(tensor.shape) != (channels, *size):
                raise InvalidInput(
                    f"The {name} is {tuple(tensor.shape)} where {(channels, *size)} was expected; "
                    "painting, pasted picture and mask must be of one size."
                )
            if not torch.isfinite(tensor).all():
                raise InvalidInput(f"The {name} has values that are not numbers; repair or re-export it.")
        if min(size) < SMALLEST_SIDE:
            raise InvalidInput(
                f"The painting is {size[1]} x {size[0]} pixels; at least {SMALLEST_SIDE} on each side are needed."
            )
        if not (self.mask > LOOSE_CUT).any():  # the loose mask would leave nothing to paint
            raise InvalidInput("The mask is empty or nearly transparent; mark the pasted object.")
        if (self.mask > 1 - MASK_LEVEL).all():
            raise InvalidInput("The mask covers everything; mark only the pasted object.")


@dataclass(frozen=True)
class Region:
    """A rectangle of whole cells in a picture: rows top..bottom, columns left..right, exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    def of(self, image: Tensor) -> Tensor:
        """The part of (C, H, W) inside."""
        return image[:, self.top : self.bottom, self.left : self.right]

    def paste(self, image: Tensor, part: Tensor) -> Tensor:
        """A copy of `image` with `part` in this place."""
        whole = image.clone()
        whole[:, self.top : self.bottom, self.left : self.right] = part
        return whole


# What squared differences of lightness and chroma (CIELAB / 100) and of place (in diagonals of the painting) cost
# against a cosine similarity. Lightness weighs most: it carries the object's form. With place 3 style is 1.252
# instead of 1.274 on 12 examples, but a black helmet becomes the bush beside it.
LIGHTNESS, CHROMA, PLACE = 12.0, 2.0, 2.0
# A grey has no hue to keep: chroma counts half at this distance from grey (CIELAB units), less below, and place and
# features choose the hue. So a grey face in a golden portrait turns gold, a black ship in a blue sky blue (style
# 2.17 to 2.00). On ten examples style 1.333 to 1.342 (half at 20, lightness 4): it is for the eye.
HALF_CHROMA = 15.0
# What fills half of the window is a backdrop: light falls on it as it does on the painting there, whatever its own was.
# Lightness then costs this, and place this much times the object's share of the picture, if that is more. On the
# one example of that kind style 2.09 to 1.80, content 0.82 to 0.79.
LIGHTNESS_OF_A_BACKDROP, PLACE_OF_A_BACKDROP, BACKDROP = 0.5, 12.0, 0.5
# An object's white is the painting's white, its black at least as dark as the painting's: its lightness is compared as
# the line has it that brings its range into such a one, the share ENDS left out at both ends. Contrast changes CONTRAST
# times at most, else flat objects would become all of light and shadow. By eye: a face in dim light takes the portrait's
# gold instead of its hair's brown, white panels the sky's white instead of sand. With blacks lifted to the painting's,
# which made a black ship muddy, style 1.266 to 1.256, content 0.779 to 0.764, texture 14.19 to 14.31 on 12 examples;
# then without 1.260 to 1.258, 0.766 to 0.769, 14.30 to 14.28.
ENDS, CONTRAST = 0.02, 1.5
# What is of one colour as it was pasted is to be matched to one hue of the painting: a squared difference of chroma (CIELAB
# / 100) from what its like were matched to costs AGREED. That is foretold from the object's colours by a guided filter with
# windows of AGREED_REACH (long sides of the painting, a Gaussian's sigma) that keeps edges from contrast AGREED_EDGE on, in
# AGREED_ROUNDS: what found another hue than foretold counts half from that difference TRUST on, since a mean of two hues
# is neither. Of a backdrop only this counts, not its own hues. Style 1.267 to 1.245, content 0.766 to 0.764, texture 14.39 to
# 14.11 on 12 examples, the style that of the one backdrop (1.40 to 0.99); by eye a grey face beside a blue turban has no blue
# patch, a balloon one yellow.
AGREED, AGREED_REACH, AGREED_EDGE = 4.0, 0.2, 0.1
AGREED_ROUNDS, TRUST = 3, 0.2


@dataclass(frozen=True)
class Scene:
    """A composite at one scale, ready for the passes; pictures float32 0..255, masks 0..1.

    `loose` is where pixels may change, `region` the loose mask's bounds with the surroundings that
    the network sees: outside it nothing has a gradient, so only it is optimized.
    """

    painting: Tensor
    naive: Tensor
    tight: Tensor
    loose: Tensor
    region: Region

    @classmethod
    def at(
        cls, composite: Composite, size: tuple[int, int], margin: int, full_frame: bool, mask_scale: float
    ) -> Scene:
        """The composite resized to `size` (H, W); `margin` in its pixels around the loose mask.

        `mask_scale` is this scene's scale relative to the 700 px that the loose mask's blur is meant for.
        Raises InvalidInput if so little is seen of the object at that size that nothing is left to paint.
        """
        tight = resize(composite.mask, size).clamp(0, 1)
        loose = loose_mask(tight, mask_scale)
        if not loose.any():
            raise InvalidInput(
                f"At {size[1]} x {size[0]} pixels nothing is seen of so small and faint an object; "
                "choose a larger working resolution or make the object more opaque."
            )
        return cls(
            painting=resize(composite.painting, size).clamp(0, 1) * 255,
            naive=resize(composite.naive, size).clamp(0, 1) * 255,
            tight=tight,
            loose=loose,
            region=_whole(size) if full_frame else around(loose, margin),
        )

    def _share(self) -> float:
        """The object's share of the picture, 0..1."""
        return self.tight.mean().item()

    def filled(self) -> float:
        """How far the object is a backdrop: from 0 for a small one to 1 for what fills half of the window, which is the
        canvas's only where that is small: one of 1300 px on 3000 px counts 0.33, and by its share of the canvas 0.15,
        which looks the same."""
        return min(1.0, self._share() / BACKDROP)

    def hints(self, stride: int) -> Hints:
        """What the matching is told besides features: colour (CIELAB), the object's in the painting's light, and place, at
        the positions of the region's and the painting's feature maps, `stride` pixels wide, five channels.

        Deviation from the paper: a network tuned to edges matched a black object with red water, and a
        painting's light and palette change from place to place: what is near tells best what belongs here.
        Against no hints style 1.950 to 1.818, texture 17.37 to 16.67 on five examples (an early engine).
        """
        whole = _whole(tuple(self.painting.shape[1:]))
        own = _colour_and_place(self.region.of(self.naive), stride, self.region, whole)
        other = _colour_and_place(self.painting, stride, whole, whole)
        tight = by_cells(self.region.of(self.tight), stride)
        own[:1] = torch.lerp(own[:1], self._in_its_light(own[:1]), tight)
        squared, filled = (own[1:3] ** 2).sum(dim=0), self.filled()
        chroma = CHROMA * (1 - filled) * squared / (squared + (HALF_CHROMA / 100) ** 2)
        cost = LIGHTNESS + (LIGHTNESS_OF_A_BACKDROP - LIGHTNESS) * filled
        lightness = torch.full_like(chroma, cost)
        place = torch.full_like(chroma, max(PLACE, PLACE_OF_A_BACKDROP * self._share()))
        return Hints(own, other, torch.stack((lightness, chroma, chroma, place, place)))

    def agreeing(self, hints: Hints, field: Tensor) -> Hints:
        """`hints` that tell the matching too what chroma the object's positions of a like colour were matched to.

        `field` (2, h, w) is a first matching by `hints`, -1 where nothing is to be told. A deviation from the paper, which
        makes matches consistent in space only (`second_pass.match`).
        """
        known = (field[0] >= 0)[None]
        found = hints.other[1:3, field[0].clamp_min(0), field[1].clamp_min(0)]
        reach = AGREED_REACH * max(hints.other.shape[1:])
        trust = known.float()
        for _ in range(AGREED_ROUNDS):  # iteratively reweighted least squares, with Cauchy's weights
            agreed = wide_guided_filter(hints.own[:3], found, trust, reach, AGREED_EDGE**2)
            trust = known / (1 + ((found - agreed) ** 2).sum(dim=0) / TRUST**2)
        own, weight, price = hints.own.clone(), hints.weight.clone(), torch.where(known, AGREED, 0.0)
        weight[1:3] += price
        own[1:3] += (agreed - own[1:3]) * price / weight[1:3].clamp_min(1e-6)
        return Hints(own, hints.other, weight)

    def _in_its_light(self, lightness: Tensor) -> Tensor:
        """The object's `lightness` (L of CIELAB / 100) with its range brought into the painting's."""
        own, (darkest, lightest) = self.lightness(), lightness_range(self.painting)
        gain, offset = range_fit(own, (min(own[0], darkest), lightest), 1 / CONTRAST, CONTRAST)
        return gain * lightness + offset

    def lightness(self) -> tuple[float, float]:
        """The `lightness_range` of the object as it was pasted."""
        tight = self.region.of(self.tight)[0]
        return lightness_range(self.region.of(self.naive)[:, tight >= tight.max() / 2])

    def to(self, device: torch.device) -> Scene:
        """The same scene with its tensors on `device`."""
        painting, naive = self.painting.to(device), self.naive.to(device)
        return Scene(painting, naive, self.tight.to(device), self.loose.to(device), self.region)


def lightness_range(colours: Tensor) -> tuple[float, float]:
    """Of colours (3, ...) 0..255: the least and greatest lightness (L of CIELAB / 100) but for ENDS."""
    lightness = rgb_to_lab(colours.reshape(3, -1, 1) / 255)[0, :, 0] / 100
    ranks = quantiles(lightness[None], round(1 / ENDS))[0]
    return ranks[1].item(), ranks[-2].item()


def _colour_and_place(picture: Tensor, stride: int, part: Region, whole: Region) -> Tensor:
    """Of a picture (3, H, W) 0..255 that shows `part` of the `whole` painting, at positions `stride` wide: CIELAB / 100,
    row and column in diagonals of the whole; (5, h, w) float32."""
    lab = rgb_to_lab(by_cells(picture, stride).clamp(0, 255) / 255) / 100
    rows, columns = (
        (torch.arange(count, device=lab.device) + 0.5) * stride + first
        for count, first in zip(lab.shape[1:], (part.top, part.left))
    )
    place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    return torch.cat((lab, place / math.hypot(whole.bottom, whole.right)))


def changed(picture: Tensor, seen: Scene, scene: Scene, repainted: float = 0.0) -> Tensor:
    """The naive picture at `scene`'s scale with the change made so far in `picture` (whole, 0..255), which was painted
    of the same composite as it is `seen` at another: (3, H, W) 0..255.

    The change is enlarged, not the picture, so that the object keeps its own detail too fine for `picture`; of
    this the share `repainted` (0..1) is taken away.
    """
    size = tuple(scene.naive.shape[1:])
    own = torch.lerp(scene.naive, resize(seen.naive, size), repainted)
    return torch.lerp(scene.painting, (own + resize(picture - seen.naive, size)).clamp(0, 255), scene.loose)


def grown(composite: Composite, by: int) -> Composite:
    """The composite with its tight mask grown by `by` pixels. Raises InvalidInput if it then covers everything."""
    if not by:
        return composite
    mask = grow(composite.mask, by)
    if (mask > 1 - MASK_LEVEL).all():
        raise InvalidInput(f"Grown by {by} pixels the mask covers everything; make Grow smaller.")
    return Composite(composite.painting, composite.naive, mask)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) resampled to `size`: antialiased bicubic when shrinking, bicubic when enlarging."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image[None], size=size, mode="bicubic", antialias=True, align_corners=False)[0]


def by_cells(image: Tensor, stride: int) -> Tensor:
    """(C, H, W) at the positions of a feature map, `stride` pixels wide: (C, H // stride, W // stride).

    Shrunk as a whole to that size, colours would lie up to a position beside the features that they belong to.
    """
    height, width = (side // stride for side in image.shape[1:])
    return resize(image[:, : height * stride, : width * stride], (height, width))


def _whole(size: tuple[int, int]) -> Region:
    return Region(0, 0, *size)


def extent(mask: Tensor) -> Region:
    """The bounds of the object in a composite's `mask` (1, H, W); what is not above LOOSE_CUT is dirt somewhere."""
    return bounds(mask > LOOSE_CUT)


def longest_side(mask: Tensor) -> int:
    """The longer side, in pixels, of the longest of the object's separate parts in a composite's `mask` (1, H, W): two
    small things far apart are no large one. Parts are told apart by square cells, PARTS of them along the mask."""
    cell = math.ceil(max(mask.shape[1:]) / PARTS)
    found = extent(mask)  # of a large canvas the object is a small part
    first = (found.top // cell * cell, found.left // cell * cell)
    where = Region(*first, found.bottom, found.right).of(mask) > LOOSE_CUT
    height, width = where.shape[1:]
    cells = F.max_pool2d(where.float(), cell, ceil_mode=True)
    part, before = cells * torch.arange(1.0, cells.numel() + 1).view_as(cells), cells
    while not torch.equal(part, before):  # the highest number of each part spreads through it
        part, before = F.max_pool2d(part, 3, stride=1, padding=1) * cells, part
    longest = max((part == number for number in part.unique() if number), key=_longer_side)
    return _longer_side(
        where & longest.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, :height, :width]
    )


def _longer_side(where: Tensor) -> int:
    """Of the bounds of a bool map (1, H, W), which holds at one place at least."""
    found = bounds(where)
    return max(found.bottom - found.top, found.right - found.left)


def around(mask: Tensor, margin: int) -> Region:
    """The bounds of `mask` (1, H, W) > 0 with `margin` pixels around them, on whole cells, of which one at least is in
    it in both directions: of less the deepest layer has nothing."""
    found, (height, width) = bounds(mask > 0), mask.shape[1:]
    top, bottom = _cells(found.top, found.bottom, margin, height)
    left, right = _cells(found.left, found.right, margin, width)
    return Region(top, left, bottom, right)


def near(mask: Tensor, reach: int, work: Callable[[Tensor], Tensor]) -> Tensor:
    """`work(mask)` of a mask (1, H, W), computed only around what is in it: exact if no pixel of the result depends
    on others further than `reach` pixels away, and 0 comes of zeros. On a canvas of 4096 px a mask is 67 MB."""
    result, region = torch.zeros_like(mask), around(mask, reach)
    region.of(result).copy_(work(region.of(mask)))
    return result


def bounds(where: Tensor) -> Region:
    """Of a bool map (1, H, W), which holds at one place at least."""
    rows, columns = (where[0].any(dim=dim).nonzero()[:, 0] for dim in (1, 0))
    return Region(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _cells(first: int, last: int, margin: int, limit: int) -> tuple[int, int]:
    start = min((first - margin) // CELL, limit // CELL - 1)  # a broken last cell is none
    return max(0, start * CELL), min(limit, -(-(last + margin) // CELL) * CELL)
