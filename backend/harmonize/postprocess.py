"""After the passes (Luan et al. 2018, section 3.4): clean chroma, then rebuild from the painting's patches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .composite import Region, around, resize
from .ops.color import lab_to_rgb, luminance, rgb_to_lab
from .ops.field import closest_vote, vote
from .ops.guided_filter import box_mean, guided_filter
from .ops.masks import gaussian_blur
from .ops.patchmatch import patchmatch, proposals

CHROMA_RADIUS, CHROMA_EPS = 2, 0.1**2  # paper, section 3.4
PATCH = 7
# Base and detail: what has less contrast than this many times the painting's own stays in the detail layer. So a
# rough brush keeps its strokes and a smooth one is kept from worms: style 1.375 to 1.364, texture 14.29 to 14.38
# on 12 examples against the same contrast for all (0.22, their average then).
BASE_RADIUS, BASE_CONTRAST, BASE_LIMITS = 2, 2.0, (0.08, 0.4)
# Deviation from the paper: where the pasted object has edges, this share of the lightness stays the image's own, since
# of an edge that the painting has nowhere patches make a blur. An edge is a standard deviation of luminance (0..1)
# above EDGE, in a Gaussian window of EDGE_RADIUS pixels. So elsewhere more can be the painting's: a base contrast of 2
# instead of 4.4, a tolerance of 0.06 instead of 0.04; all of it style 1.277 to 1.278, content 0.742 to 0.765, texture
# 14.47 to 14.40, seam 1.26 to 1.28 on 12 examples.
EDGE_SHARE, EDGE, EDGE_RADIUS = 0.6, 0.08, 1.5
# Deviation from the paper, whose detail layer is the image's own: where the pasted object itself is flat, pass 2
# invents its detail, and it looks like worms; the painting's patches have real one. Flat is a standard deviation
# of luminance (0..1) below FLAT, in a Gaussian window of FLAT_RADIUS pixels. Texture 14.38 to 14.19 on 12 examples,
# style 1.282 to 1.279, content 0.709 to 0.712; at twice FLAT 13.99, 1.294 and 0.714.
FLAT, FLAT_RADIUS = 0.02, 4.0
# Deviation from the paper, which averages overlapping patches: a pixel listens to those that fit it best.
# Averages are grey and soft: style 1.74 against 1.62 on four examples, with tolerance 0.02.
TOLERANCE, REACH = 0.06, 2.0
# Patches are compared in CIELAB, scaled so that grey differences weigh as in RGB: there brightness alone
# decides and blotches of a foreign hue come in.
MATCHING_LAB = 0.017
# Of unlike patches the flattest differ least from anything: a flat patch pays this share of the contrast it lacks.
# Half of it: style 1.405 to 1.388, texture 14.40 to 14.96 on 12 examples.
FLATNESS = 0.25
# Every second position in both directions is matched: a pixel is still covered by 9 to 16 patches.
STRIDE = 2
SYNTHESIS_ROUNDS, ENLARGING_ROUNDS = 4, 2


def denoise_chroma(image: Tensor) -> Tensor:
    """Filter a and b of CIELAB by a colour guided filter guided by the image; (3, H, W), 0..1."""
    lab = rgb_to_lab(image)
    guide = lab / 100
    chroma = guided_filter(guide, lab[1:], CHROMA_RADIUS, CHROMA_EPS)
    return lab_to_rgb(torch.cat((lab[:1], chroma))).clamp(0, 1)


def nothing() -> None:
    """The `on_proposal` of a caller that does not want to know."""


def synthesis_proposals(size: tuple[int, int]) -> int:
    """How often `synthesize` calls `on_proposal` for a painting of `size` (H, W)."""
    return proposals(size, SYNTHESIS_ROUNDS)


def enlarging_proposals(size: tuple[int, int]) -> int:
    """How often `enlarge` calls `on_proposal` for a painting of `size` (H, W)."""
    return proposals(size, ENLARGING_ROUNDS)


def synthesize(
    image: Tensor,
    painting: Tensor,
    naive: Tensor,
    where: Tensor,
    seed: int,
    rounds: int = SYNTHESIS_ROUNDS,
    on_proposal: Callable[[], None] = nothing,
) -> Tensor:
    """`image` (3, h, w) with its base rebuilt from patches of `painting` (3, H, W), both 0..1.

    Every 7x7 patch at `where` (1, h, w) > 0 is replaced by its nearest patch of the painting; the
    image's own detail layer is added back, because overlapping patches blur, but where the object as it was
    pasted, `naive` like `image`, is flat; where that has edges, so is a share of its lightness. `on_proposal` is
    `patchmatch`'s.
    """
    wanted = where[0] > 0
    matched, source = _matching_lab(image), _matching_lab(painting)
    field, cost = _field(matched, source, wanted, seed, rounds, FLATNESS, on_proposal)
    rebuilt, count = closest_vote(field, painting, PATCH, cost / (3 * PATCH**2), TOLERANCE, REACH)
    covered = (count > 0) & wanted
    rebuilt = torch.where(covered, rebuilt, image)
    contrast = base_contrast(painting)
    base = _base(rebuilt, contrast)
    flat = flatness(naive, FLAT, FLAT_RADIUS)
    detail = torch.lerp(image - _base(image, contrast), rebuilt - base, flat)
    edges = 1 - flatness(naive, EDGE, EDGE_RADIUS)
    painted = _lightness_of(image, (base + detail).clamp(0, 1), EDGE_SHARE * edges)
    return torch.where(wanted, painted, image)


def flatness(picture: Tensor, contrast: float, radius: float) -> Tensor:
    """How flat a picture (3, h, w), 0..1, is around each pixel: (1, h, w), from 1 where all is one luminance to 0.

    Half flat is a standard deviation of luminance of `contrast` in a Gaussian window of sigma `radius`, pixels.
    """
    lum = luminance(picture)
    mean, square = (gaussian_blur(x, radius) for x in (lum, lum**2))
    return 1 / (1 + (square - mean**2).clamp_min(0) / contrast**2)


def _lightness_of(other: Tensor, image: Tensor, share: Tensor) -> Tensor:
    """`image` (3, h, w), 0..1, with a `share` (1, h, w) of the lightness (CIELAB) of the `other`, its own chroma."""
    lab = rgb_to_lab(image)
    lightness = torch.lerp(lab[:1], rgb_to_lab(other)[:1], share)
    return lab_to_rgb(torch.cat((lightness, lab[1:]))).clamp(0, 1)


def base_contrast(painting: Tensor) -> float:
    """The contrast (0..1) beyond which an edge belongs to the base of this painting (3, H, W), 0..1: from the mean
    standard deviation in windows of the guided filter's radius."""
    mean, square = (box_mean(x, BASE_RADIUS) for x in (painting, painting**2))
    own = (square - mean**2).clamp_min(0).mean(dim=0).sqrt().mean().item()
    return min(max(BASE_CONTRAST * own, BASE_LIMITS[0]), BASE_LIMITS[1])


def enlarge(
    image: Tensor,
    painting: Tensor,
    where: Tensor,
    seed: int,
    rounds: int = ENLARGING_ROUNDS,
    on_proposal: Callable[[], None] = nothing,
) -> Tensor:
    """`image` (3, h, w), painted at the working scale, laid over `painting` (3, H, W) at `where` (1, H, W) > 0, with
    the painting's fine texture.

    Where a patch of the enlarged image resembles a patch of the equally blurred painting, the
    painting's own fine detail there is added (as in image analogies, Hertzmann et al. 2001). Not in
    the paper, whose pictures are 700 px.
    """
    if not (where > 0).any():
        return painting.clone()
    region = around(where, PATCH // 2)
    part = _textured(image, painting, region, region.of(where)[0] > 0, seed, rounds, on_proposal)
    result = painting.clone()
    region.of(result).copy_(part)
    return result


def _textured(
    image: Tensor,
    painting: Tensor,
    region: Region,
    wanted: Tensor,
    seed: int,
    rounds: int,
    on_proposal: Callable[[], None],
) -> Tensor:
    """`enlarge`'s picture in `region`. Of a canvas of 4096 px each picture is 200 MB: here are as few as can be."""
    size = tuple(painting.shape[1:])
    part = region.of(resize(image, size)).clamp(0, 1)
    blurred = resize(resize(painting, tuple(image.shape[1:])), size).clamp(0, 1)
    blurred = blurred[None].contiguous(memory_format=torch.channels_last)[0]  # as PatchMatch reads it
    field, _ = _field(part, blurred, wanted, seed, rounds, 0.0, on_proposal)
    lost = blurred.neg_().add_(painting)
    detail, count = vote(field, lost, PATCH)
    part += torch.where(count > 0, detail, 0.0)
    return torch.where(wanted, part.clamp_(0, 1), region.of(painting))


def _field(
    image: Tensor,
    painting: Tensor,
    wanted: Tensor,
    seed: int,
    rounds: int,
    flatness: float,
    on_proposal: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """The field at every second wanted position, and what `patchmatch` says its patches cost."""
    sparse = torch.zeros_like(wanted)
    sparse[::STRIDE, ::STRIDE] = wanted[::STRIDE, ::STRIDE]
    if not sparse.any():
        sparse = wanted
    generator = torch.Generator().manual_seed(seed)
    return patchmatch(
        image,
        painting,
        sparse,
        generator,
        patch=PATCH,
        rounds=rounds,
        flatness=flatness,
        on_proposal=on_proposal,
    )


def _matching_lab(image: Tensor) -> Tensor:
    return rgb_to_lab(image) * MATCHING_LAB


def _base(image: Tensor, contrast: float) -> Tensor:
    return guided_filter(image, image, BASE_RADIUS, contrast**2)
