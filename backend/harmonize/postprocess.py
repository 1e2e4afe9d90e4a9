"""After the passes (Luan et al. 2018, section 3.4): clean chroma, then rebuild from the painting's patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .closing import variety
from .composite import Region, around, resize
from .firmness import USUAL
from .ops.color import lab_to_rgb, luminance, rgb_to_lab
from .ops.field import vote
from .ops.guided_filter import box_mean, guided_filter
from .ops.masks import gaussian_blur, gaussian_mean
from .ops.patchmatch import patchmatch, proposals
from .ops.quilting import proposals as quilt_proposals
from .ops.quilting import quilt
from .ops.tone import along, tone_curve

CHROMA_RADIUS, CHROMA_EPS = 2, 0.1**2  # paper, section 3.4
# Base and detail: what has less contrast than this many times the painting's own stays in the detail layer. So a smooth
# brush is kept from worms, and a face keeps its wrinkles; beyond the limit worms are seen on rough ones too. Against
# 0.35 times, at most 0.14, scores on 12 examples are the same within chance; faces on smooth paintings were in pieces.
BASE_RADIUS, BASE_CONTRAST, BASE_LIMITS = 2, 1.25, (0.01, 0.035)
# Deviation from the paper, which replaces each patch by its nearest neighbour and averages: where the painting has
# nothing like it neighbours disagree, and their average is grey and soft. Here pieces are laid that also fit one
# another, and pixels average their neighbours' only as `Laying` has it. COHERENCE
# grows with the painting's own variance, up to its limit: smooth paintings would become mosaics. Where the pasted
# object has form, a standard deviation of luminance (0..1) above FORM in a Gaussian window of FORM_RADIUS pixels,
# resemblance counts up to FORM_WEIGHT times more: faces would become mosaics. Against averages style is 1.274 to 1.251,
# content 0.756 to 0.763, texture 14.40 to 14.33 on 12 examples, and strokes are crisper by eye.
COHERENCE, COHERENCE_LIMIT = 1500.0, 20.0
FORM, FORM_RADIUS, FORM_WEIGHT = 0.03, 3.0, 15.0
# Deviation from the paper: where the pasted object has edges (as for form), the lightness stays the image's own, since of
# an edge that the painting has nowhere patches make a blur; half of it at DARK_EDGE where the image is darker than the
# pieces, at LIGHT_EDGE where it is lighter: painters draw forms with darks, and light lettering looks printed. Style 1.277
# to 1.278, content 0.742 to 0.765, texture 14.47 to 14.40 on 12 examples, and sharper by eye; with two thresholds instead
# of one mouths are darker. Lower ones cost texture: at 0.11 and 0.22 13.86, content 0.778, at these 14.25, 0.789.
DARK_EDGE, LIGHT_EDGE, EDGE_RADIUS = 0.09, 0.18, 1.5
# Deviation from the paper: pieces keep their strokes, which are what a guided filter of STROKE_RADIUS pixels takes away of
# less than STROKE_CONTRAST times the painting's own contrast; the rest is made to follow the image, by a guided filter in
# windows of FOLLOWED_RADIUS pixels that keeps edges from FOLLOWED_CONTRAST on. Else pieces of two tones meet in a hard line
# on a cheek that darkens softly, and figures of the painting are seen in smooth sides of the object. Style 1.233 to 1.225,
# content 0.764 to 0.777, texture 14.27 to 14.17 on 12 examples, with six settling steps instead of four.
STROKE_RADIUS, STROKE_CONTRAST = 4, 3.0
FOLLOWED_RADIUS, FOLLOWED_CONTRAST = 6, 0.03
# Pieces bring their own hues: a red block in a blue ship. Of what the image's hue around each pixel (a Gaussian of sigma
# HUE_REACH, in long sides of the painting) differs from the whole object's HUE_KEPT is given back if the painting has
# many colours; one in sepia would get tints. It is for the eye: style 1.240 to 1.234, content 0.789 to 0.792, texture 14.25
# to 14.37 on 12 examples, but without it a suit and a helmet had blocks of other hues.
HUE_REACH, HUE_KEPT = 0.017, 0.75
# Deviation from the paper: averaged pieces are softer than a crisp brush, and lines of the object sharper than a soft one.
# What is finer than a Gaussian of FINE_REACH pixels gets the painting's distribution, channel by channel of CIELAB, by a
# curve with FINE_SLOPES at least and at most. Style 1.269 to 1.237, content 0.793 to 0.792, texture 14.25 to 14.37, seam
# 1.15 to 1.14 on 12 examples; a banknote's hatching is seen on a face, a truck is as soft as its painting. With the
# standard deviation alone style is 1.242, texture 14.36; slopes of 0.5 and 1.6 cost texture (14.34 to 14.51).
FINE_REACH, FINE_SLOPES = 1.5, (0.7, 1.25)
# An artist's smoothness: ripples, what a guided filter of BASE_RADIUS takes away of less than SMOOTHED_CONTRAST times the
# painting's own contrast, are multiplied, at smoothness 0 by MOST_RIPPLES.
SMOOTHED_CONTRAST, MOST_RIPPLES = 2.0, 1.5
# Patches are compared in CIELAB, scaled so that grey differences weigh as in RGB: there brightness alone
# decides and blotches of a foreign hue come in.
MATCHING_LAB = 0.017
# Enlarging matches patches at every second position in both directions: a pixel is still covered by 9 to 16.
PATCH, STRIDE, ENLARGING_ROUNDS = 7, 2, 2


class Laying(NamedTuple):
    """How pieces are laid: in blocks down to `block` pixels, found in `rounds`. What the neighbours of a pixel would lay
    on it is averaged by a Gaussian of sigma `reach` in a window of `width`, pixels. Form and edges of the object are kept
    with `firmness`."""

    block: int
    rounds: int
    reach: float
    width: int
    firmness: float = USUAL


# SOFT is for what is painted over at a next level: laid as crisply there, pieces show in the end. Style 1.271 to 1.278,
# content 0.745 to 0.756, texture 14.45 to 14.28 on 12 examples, and a ship in the sky is of one piece.
CRISP, SOFT = Laying(2, 2, 0.8, 5), Laying(4, 2, 2.5, 9)


def denoise_chroma(image: Tensor) -> Tensor:
    """Filter a and b of CIELAB by a colour guided filter guided by the image; (3, H, W), 0..1."""
    lab = rgb_to_lab(image)
    guide = lab / 100
    chroma = guided_filter(guide, lab[1:], CHROMA_RADIUS, CHROMA_EPS)
    return lab_to_rgb(torch.cat((lab[:1], chroma))).clamp(0, 1)


def nothing() -> None:
    """The `on_proposal` of a caller that does not want to know."""


def synthesis_proposals(size: tuple[int, int], laying: Laying = CRISP) -> int:
    """How often `synthesize` calls `on_proposal` for a painting of `size` (H, W)."""
    return quilt_proposals(size, laying.rounds, laying.block)


def enlarging_proposals(size: tuple[int, int]) -> int:
    """How often `enlarge` calls `on_proposal` for a painting of `size` (H, W)."""
    return proposals(size, ENLARGING_ROUNDS)


def synthesize(
    image: Tensor,
    painting: Tensor,
    naive: Tensor,
    where: Tensor,
    seed: int,
    scale: float = 1.0,
    laying: Laying = CRISP,
    on_proposal: Callable[[], None] = nothing,
) -> Tensor:
    """`image` (3, h, w) with its base rebuilt from pieces of `painting` (3, H, W), both 0..1.

    At `where` (1, h, w) > 0 pieces of the painting are laid that resemble the image, and follow it in what is coarser
    than strokes; its own detail layer is added back, and where the object as it was pasted, `naive` like `image`, has
    edges, so is its lightness. The finest contrasts become the painting's.
    `scale` is the long side of the finest level's painting in the paper's 700 px. `on_proposal` is `quilt`'s.
    """
    wanted = where[0] > 0
    if not wanted.any():
        return image.clone()
    own = own_contrast(painting)
    # Of a smaller picture pieces are a larger part: at 350 px a balloon was hardly there (content 0.23, now 0.37).
    coherence = min(1.0, scale) ** 2 * min(COHERENCE * own**2, COHERENCE_LIMIT)
    form = 1 + laying.firmness * FORM_WEIGHT * roughness(naive, FORM, FORM_RADIUS)[0]
    laid = _laid(image, painting, form, wanted, seed, coherence, laying, on_proposal)
    contrast = base_contrast(own)
    detail = image - _base(image, contrast)
    laid = _following(image, torch.where(wanted, laid, image), max(STROKE_CONTRAST * own, BASE_LIMITS[0]))
    rebuilt = (_base(laid, contrast) + detail).clamp(0, 1)
    hue = _lost_hue(rebuilt, image, wanted, HUE_REACH * max(painting.shape[1:]))
    kept = HUE_KEPT * variety(rgb_to_lab(painting)[1:].flatten(1))
    rebuilt = _reconciled(rebuilt, image, laying.firmness**2 * _variance(naive, EDGE_RADIUS), kept * hue)
    return torch.where(wanted, _as_fine(rebuilt, painting, wanted), image)


def _laid(
    image: Tensor,
    painting: Tensor,
    weight: Tensor,
    wanted: Tensor,
    seed: int,
    coherence: float,
    laying: Laying,
    on_proposal: Callable[[], None],
) -> Tensor:
    """`image` of pieces of the `painting` that fit one another, where `wanted` (h, w); resemblance counts by `weight`,
    like it."""
    generator = torch.Generator().manual_seed(seed)
    matched, source = _matching_lab(image), _matching_lab(painting)
    field = quilt(
        matched, source, wanted, weight, generator, coherence, laying.rounds, laying.block, on_proposal
    )
    return vote(field, painting, laying.width, laying.reach)[0]


def _following(image: Tensor, laid: Tensor, contrast: float) -> Tensor:
    """`laid` with its light and shadow where the `image` has them, both (3, h, w), 0..1; strokes, which have less than
    `contrast` (0..1), stay."""
    base = guided_filter(laid, laid, STROKE_RADIUS, contrast**2)
    return laid - base + guided_filter(image, base, FOLLOWED_RADIUS, FOLLOWED_CONTRAST**2)


def _mean(picture: Tensor, weight: Tensor) -> Tensor:
    """The mean of each channel of (C, h, w), by `weight` (1, h, w), 0 if that is: (C, 1, 1)."""
    return (picture * weight).sum(dim=(1, 2), keepdim=True) / weight.sum().clamp_min(1)


def roughness(picture: Tensor, contrast: float, radius: float) -> Tensor:
    """How rough a picture (3, h, w), 0..1, is around each pixel: (1, h, w), from 0 where all is one luminance to 1.

    It is half where the standard deviation of luminance is `contrast`, in a Gaussian window of sigma `radius`, pixels.
    """
    variance = _variance(picture, radius)
    return variance / (variance + contrast**2)


def _variance(picture: Tensor, radius: float) -> Tensor:
    """That of the luminance of (3, h, w), 0..1, around each pixel, in a Gaussian window of sigma `radius`, pixels: (1, h, w)."""
    lum = luminance(picture)
    mean, square = (gaussian_blur(x, radius) for x in (lum, lum**2))
    return (square - mean**2).clamp_min(0)


def _lost_hue(rebuilt: Tensor, image: Tensor, wanted: Tensor, reach: float) -> Tensor:
    """What, where `wanted` (h, w), `rebuilt` lacks of the `image`'s hue (both (3, h, w), 0..1) around each pixel, a
    Gaussian of sigma `reach`, beyond what all of it lacks: a and b of CIELAB, (2, h, w)."""
    weight, lost = wanted[None].float(), (rgb_to_lab(image) - rgb_to_lab(rebuilt))[1:]
    return gaussian_mean(lost, weight, reach) - _mean(lost, weight)


def _reconciled(rebuilt: Tensor, image: Tensor, variance: Tensor, hue: Tensor) -> Tensor:
    """`rebuilt` (3, h, w), 0..1, with the lightness of `image`, like it, at edges, by the `variance` of luminance (1, h, w)
    around each pixel, and its chroma moved by `hue` (2, h, w)."""
    lab = rgb_to_lab(rebuilt)
    own = rgb_to_lab(image)[:1] - lab[:1]
    edges = variance / (variance + torch.where(own < 0, DARK_EDGE**2, LIGHT_EDGE**2))
    lightness = lab[:1] + own * edges
    return lab_to_rgb(torch.cat((lightness, lab[1:] + hue))).clamp(0, 1)


def _as_fine(picture: Tensor, painting: Tensor, wanted: Tensor) -> Tensor:
    """`picture` (3, h, w) whose finest contrasts, where `wanted` (h, w), are distributed as the `painting`'s, both 0..1."""
    coarse, fine = _bands(rgb_to_lab(picture), wanted[None].float())
    _, theirs = _bands(rgb_to_lab(painting), torch.ones_like(painting[:1]))
    # Of 16 bits: a processor counts such values instead of sorting them, in a twentieth of the time.
    pairs = ((own[wanted].half(), their.flatten().half()) for own, their in zip(fine, theirs))
    changed = torch.stack([along(own, tone_curve(*pair, *FINE_SLOPES)) for own, pair in zip(fine, pairs)])
    changed -= _mean(changed - fine, wanted[None].float())
    return lab_to_rgb(coarse + changed).clamp(0, 1)


def _bands(lab: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """What a Gaussian of FINE_REACH leaves of a picture (3, h, w) `inside` (1, h, w), and what it takes away."""
    coarse = gaussian_mean(lab, inside, FINE_REACH)
    return coarse, lab - coarse


def base_contrast(own: float) -> float:
    """The contrast (0..1) beyond which an edge belongs to the base, for a painting that has its `own_contrast`, 0..1."""
    return min(max(BASE_CONTRAST * own, BASE_LIMITS[0]), BASE_LIMITS[1])


def own_contrast(painting: Tensor) -> float:
    """The mean standard deviation (0..1) of a painting (3, H, W), 0..1, in windows of the guided filter's radius."""
    mean, square = (box_mean(x, BASE_RADIUS) for x in (painting, painting**2))
    return (square - mean**2).clamp_min(0).mean(dim=0).sqrt().mean().item()


def smoothed(picture: Tensor, painting: Tensor, where: Tensor, smoothness: float) -> Tensor:
    """`picture` (3, h, w) with its finest ripples multiplied at `where` (1, h, w), by less than 1 where the artist's
    `smoothness` (0..10) is above 1 and by more where it is below; edges stay, which have more contrast than the
    `painting` (3, H, W) on the whole, all 0..1.

    Deviation from the paper, whose means is total variation alone: that is a weight of pass 2 of which rough paintings
    have none to multiply, and patch synthesis comes after it. At 1 nothing changes; at 3 texture is 12.61 to 11.56 on four
    examples, style 0.957 to 0.979.
    """
    if smoothness == 1:
        return picture
    ripples = picture - _base(picture, max(SMOOTHED_CONTRAST * own_contrast(painting), BASE_LIMITS[0]))
    gain = MOST_RIPPLES / (1 + (MOST_RIPPLES - 1) * smoothness)
    return (picture + (gain - 1) * where * ripples).clamp(0, 1)


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
    field, every = _field(part, blurred, wanted, seed, rounds, on_proposal)
    lost = blurred.neg_().add_(painting)
    detail, count = vote(field, lost, PATCH, every=every)
    part += torch.where(count > 0, detail, 0.0)
    return torch.where(wanted, part.clamp_(0, 1), region.of(painting))


def _field(
    image: Tensor, painting: Tensor, wanted: Tensor, seed: int, rounds: int, on_proposal: Callable[[], None]
) -> tuple[Tensor, int]:
    """The field at every so many of the wanted positions both ways, and at how many: STRIDE if there are such."""
    every = STRIDE if wanted[::STRIDE, ::STRIDE].any() else 1
    sparse = torch.zeros_like(wanted)
    sparse[::every, ::every] = wanted[::every, ::every]
    generator = torch.Generator().manual_seed(seed)
    field, _ = patchmatch(
        image, painting, sparse, generator, patch=PATCH, rounds=rounds, on_proposal=on_proposal
    )
    return field, every


def _matching_lab(image: Tensor) -> Tensor:
    """What pieces are compared by, (3, h, w), of a picture like it, 0..1."""
    return rgb_to_lab(image) * MATCHING_LAB


def _base(image: Tensor, contrast: float) -> Tensor:
    return guided_filter(image, image, BASE_RADIUS, contrast**2)
