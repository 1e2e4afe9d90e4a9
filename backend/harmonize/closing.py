"""The object's colours and tones after pass 2, in closed form: what the histogram terms ask for and few steps do not
reach, evened out to what the pasted object tells of light and hue.

All of this is a deviation from the paper, like what `recolor` does before pass 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .composite import Scene, lightness_range
from .firmness import USUAL, kept
from .ops.color import rgb_to_lab
from .ops.field import Mapping, matched_set
from .ops.guided_filter import wide_guided_filter
from .ops.histogram import quantiles
from .ops.masks import gaussian_blur, gaussian_mean
from .ops.palette import in_palette
from .ops.tone import along, range_fit, tone_curve
from .recolor import faded, lab_of, matches, recolored

# A network tuned to edges is a poor judge of hues, and statistics do not care where a hue is: of a black ship in a blue
# sky the middle was red, a truck's cab red here and olive there. What was of one colour as it was pasted is to be of one
# hue: chroma evens out to what the pasted colours foretell of it, by a guided filter with windows of EVEN_REACH that
# keeps edges from contrast EVEN_EDGE (CIELAB / 100) on. What is finer than STROKES stays. Both reaches are in long sides
# of the painting, a Gaussian's sigma. Style 1.273 to 1.270, content 0.770, texture 14.32 to 14.24 on 12 examples.
EVEN_REACH, EVEN_EDGE, STROKES = 0.06, 0.05, 0.003
# Where the pasted object is colourful too, and its matches are, it evens out half of the way only at chroma COLOURFUL of
# the object (CIELAB units), else style of a balloon in a collage is 1.28 instead of 1.06. What has a standard deviation of
# chroma up to FEW_COLOURS has no colours to lose, from MANY_COLOURS on all.
COLOURFUL, FEW_COLOURS, MANY_COLOURS = 25.0, 12.0, 24.0
# What `toned` may make of a contrast. More would lift the grain of flat areas (2 instead of 1.5: texture 14.42 to 14.62,
# style the same); with less than the least, what was matched to one flat spot would be flat.
LEAST_CONTRAST, MOST_CONTRAST = 0.3, 1.5
# Lightness evens out like hues, LIGHT_EVENED of what is `kept` over LIGHT_REACH (long sides of the painting): pass 2
# leaves lumps as large as the painting's figures on a flat side of the object. Style 1.268 to 1.272, content 0.726 to
# 0.743, texture 14.44 to 14.45 on 12 examples, and forms are clearer by eye.
LIGHT_REACH, LIGHT_EVENED = 0.007, 0.8
# Statistics do not care where light is either, and few matches are as dark as a black ship: it came out as grey as a
# light one. What is `kept`, half, of the object's own lightness comes back, over OWN_REACH, its range brought into what the
# painting has of it. Style 1.241 to 1.252, content 0.780 to 0.803, texture 14.21 to 14.36, seam 1.17 to 1.15 on 12
# examples; a helmet is black, a phone is seen on its table, a clock's numbers are clear. EXPOSURE of what it is darker or
# lighter on the whole is the photograph's and not the object's: a face taken in too little light was dark beside a painted
# one (with all of it a black ship comes out grey); style 1.279 to 1.271. A backdrop, which is lit as the painting is, moves
# BACKDROPS_LIGHT of the way back to what pass 2 left: a room was nearly black. On the one example of that kind style is 0.91
# to 1.09, content 0.72 to 0.77.
EXPOSURE, BACKDROPS_LIGHT = 0.5, 0.5
# Thin dark lines, a machine's joints, a dial, the slit of an eye, are hardly in any statistic, and averaged pieces blur
# them. As much as is `kept`, half, of the finest lightness, which a Gaussian of LINE_REACH (long sides of the painting)
# takes away, is the pasted object's own as far as that is a dark line, half of it at LINE (CIELAB units), in up to
# MOST_CONTRAST times its contrast where the painting has a larger range. Light ones, lettering, look printed; a backdrop
# keeps those that were painted. Style 1.244 to 1.267, content 0.806 to 0.814, texture 14.26 to 14.27 on 12 examples; six
# more iterations of pass 2 give half of the style back. By eye a dial's numbers are clear, eyes look at one, a truck has
# its stripe.
LINE_REACH, LINE = 0.004, 8.0
# Evening out and light take contrast away, pieces do so again: pictures were flatter than the published ones on ten of 11
# examples. The standard deviation of tones is given back, and LAID times it, within the painting's range. By eye a face has
# light and shadow, a truck's panels are white. Plainly 1.15 times the contrast, style 1.299 to 1.287, content 0.793 to
# 0.808, texture 14.24 to 15.12 on 11 examples; it is paid by fewer edges (`postprocess.DARK_EDGE`).
LAID = 1.15
# A red truck was matched to brown places of a painting that has reds. Hues move to the object's own as the painting has
# them: half of the way at chroma OWN_HUE where it was painted in nearly its hue, an angle whose cosine is SAME, and at
# OTHER_HUE where in another, OTHER (at 25 in both a face is grey in a golden portrait, at 40 green among leaves); less by
# a Gaussian of sigma FOREIGN (CIELAB units, both) the further the painting is from having them; and, as far as the matches
# are colourful, less where chroma, in Gaussian windows of BUSY_REACH, has a standard deviation above QUIET, and not at all
# from BUSY on: else style of a balloon in a collage is 1.47 instead of 1.15. Of the painting, blurred by PALETTE_BLUR,
# PALETTE samples are taken; for a colour of the object, to PALETTE_STEP in CIELAB, it has what the nearest PALETTE_SHARE of
# them are (reaches in long sides of the painting). It is for the eye: style 1.264 to 1.269, content and texture the same
# within 0.02 on 12 examples.
OWN_HUE, OTHER_HUE, SAME, OTHER = 40.0, 8.0, math.cos(math.radians(20)), math.cos(math.radians(45))
BUSY_REACH, QUIET, BUSY = 0.006, 4.0, 12.0
FOREIGN, PALETTE, PALETTE_BLUR, PALETTE_STEP, PALETTE_SHARE = 21.0, 2048, 0.002, 3.0, 1 / 80
# The object's own colours come back in windows of this (long sides of the painting, a Gaussian's sigma): by eye on three
# pictures, in those of 0.06 one garment came out in two reds, 0.02 is the same and slower; a plain blur over 0.004 took
# strokes along and was no clearer.
OWN_REACH = 0.03
# The object's range of lightness as it was pasted and the painting's: each darkest and lightest, L of CIELAB / 100.
Ranges = tuple[tuple[float, float], tuple[float, float]]


def toned(picture: Tensor, mapping: Mapping, scene: Scene, firmness: float = USUAL) -> Tensor:
    """`picture`, pass 2's result (the scene's region, (3, h, w) 0..255), with the tones of its matched set.

    The set is the positions of the painting that either of the mapping's fields matched, each counted once. The
    object's lightness gets the set's histogram, its chroma the set's mean and standard deviation, both evened out; then
    light and lines, the more of them the higher the `firmness`, and hues that the painting has are the object's own, and
    lost contrast is given back. It is what the histogram terms ask for and few steps do not reach: style 1.311 to 1.258,
    content 0.691 to 0.679, texture 14.64 to 14.35 on 12 examples against the set's mean and contrast of lightness alone,
    before light, lines and hues. Of the consensus' set alone style is 1.268, content 0.696; of the faithful one's 1.285
    and 0.711; of both 1.266 and 0.705.
    """
    size = tuple(scene.painting.shape[1:])
    (agreed, _), (own_places, paired) = (
        matches(field, scene) for field in mapping
    )  # both match the same pixels
    if not paired.any():
        return picture.clone()
    agreed_set, own_set = (matched_set(torch.where(paired, at, -1), size) for at in (agreed, own_places))
    wanted, lab = lab_of(scene.painting[:, agreed_set | own_set]), rgb_to_lab(picture / 255)
    tones = quantiles(wanted[:1])[0]
    lightness = along(lab[0], tone_curve(lab[0][paired], tones, LEAST_CONTRAST, MOST_CONTRAST))
    recoloured = recolored(scene.region.of(scene.naive), mapping.faithful, scene)
    pasted, palette = _pasted(scene), _palette(scene)
    ranges, share = (scene.lightness(), lightness_range(palette)), kept(firmness)
    lightness += share * _evened_light(lightness, recoloured, paired, scene)
    lightness = torch.lerp(lightness, lab[0], BACKDROPS_LIGHT * scene.filled())
    lightness += share * _own_light(lightness, pasted, paired, ranges, scene)
    lightness += share * _dark_lines(lightness, pasted, ranges, scene)
    lightness = _contrasted(lightness, tones, paired, ranges[1], scene)
    many = variety(wanted[1:])
    chroma = _spread(_evened_out(lab[1:], many, pasted, scene), paired, wanted[1:])
    chroma = _found_hues(chroma, many, pasted, palette, scene)
    return faded(picture, torch.cat((lightness[None], chroma)), scene)


def with_own_colours(picture: Tensor, scene: Scene, share: float) -> Tensor:
    """`picture`, the scene's region (3, h, w) 0..255, with the object's colours moved by `share` (0..1) to those it was
    pasted with; the strokes stay.

    Not in the paper: an artist's choice where the painting has no such colour, as Gatys et al. 2016 have it for all of a
    picture ("Preserving Color in Neural Artistic Style Transfer", https://arxiv.org/abs/1606.05897). What the object lost
    is taken as what its pasted colours foretell of the loss, all of CIELAB: strokes are in neither, so they are not undone.
    """
    lab, pasted = rgb_to_lab(picture / 255), _pasted(scene)
    return faded(picture, lab + share * _foretold(pasted - lab, OWN_REACH, pasted, scene), scene)


def variety(chroma: Tensor) -> Tensor:
    """How many colours there are in `chroma` (2, N), a and b of CIELAB: 0-d, from 0 for few to 1 for many."""
    spread = chroma.std(dim=1, correction=0).norm()
    return ((spread - FEW_COLOURS) / (MANY_COLOURS - FEW_COLOURS)).clamp(0, 1)


def _evened_out(chroma: Tensor, many: Tensor, pasted: Tensor, scene: Scene) -> Tensor:
    """`chroma` (2, h, w), a and b of CIELAB, evened out where the `pasted` object was of one colour; less where that was
    colourful, as far as its matches are, whose `variety` is `many` (0-d)."""
    side, change = max(scene.painting.shape[1:]), _foretold(chroma, EVEN_REACH, pasted, scene) - chroma
    colourful = many * (pasted[1:] ** 2).sum(dim=0, keepdim=True)
    share = COLOURFUL**2 / (COLOURFUL**2 + colourful)
    return chroma + share * gaussian_mean(change, scene.region.of(scene.tight), STROKES * side)


def _spread(chroma: Tensor, paired: Tensor, wanted: Tensor) -> Tensor:
    """`chroma` (2, h, w) with the mean and, as far as contrasts may change, the standard deviation that the `wanted`
    colours (2, N) have, at the `paired` (h, w) pixels."""
    (own_mean, own_std), (mean, std) = (_mean_and_std(colours) for colours in (chroma[:, paired], wanted))
    ratio = (std / own_std.clamp_min(1e-3)).clamp(LEAST_CONTRAST, MOST_CONTRAST)
    return (chroma - own_mean) * ratio + mean


def _evened_light(lightness: Tensor, recoloured: Tensor, paired: Tensor, scene: Scene) -> Tensor:
    """What `lightness` (h, w) lacks for each pixel's surroundings to be as light as in the `recoloured` object
    ((3, h, w) 0..255), whose lightness first gets the same distribution over the `paired` (h, w) pixels: places
    change, tones do not."""
    own = rgb_to_lab(recoloured / 255)[0]
    even = along(own, tone_curve(own[paired], lightness[paired], LEAST_CONTRAST, MOST_CONTRAST))
    reach = LIGHT_REACH * max(scene.painting.shape[1:])
    return LIGHT_EVENED * gaussian_mean((even - lightness)[None], scene.region.of(scene.tight), reach)[0]


def _own_light(lightness: Tensor, pasted: Tensor, paired: Tensor, ranges: Ranges, scene: Scene) -> Tensor:
    """What `lightness` (h, w) lacks of the `pasted` object's, brought into what the painting has of its range and, at the
    `paired` (h, w) pixels, EXPOSURE nearer to how light it is on the whole; less of it of a backdrop."""
    own, (darkest, lightest) = ranges
    wanted = tuple(min(max(end, darkest), lightest) for end in own)
    gain, offset = range_fit(own, wanted, LEAST_CONTRAST, 1.0)
    lost = gain * pasted[0] + 100 * offset - lightness
    lost -= EXPOSURE * lost[paired].mean()
    return (1 - scene.filled()) * _foretold(lost[None], OWN_REACH, pasted, scene)[0]


def _dark_lines(lightness: Tensor, pasted: Tensor, ranges: Ranges, scene: Scene) -> Tensor:
    """What `lightness` (h, w) lacks of the `pasted` object's dark lines, in the contrast that the painting's range allows;
    less of it of a backdrop."""
    gain, _ = range_fit(*ranges, LEAST_CONTRAST, MOST_CONTRAST)
    inside, reach = scene.region.of(scene.tight), LINE_REACH * max(scene.painting.shape[1:])
    own, painted = (x - gaussian_mean(x, inside, reach) for x in (pasted[:1], lightness[None]))
    dark = (own < 0) * own**2 / (own**2 + LINE**2)
    return (1 - scene.filled()) * (dark * (gain * own - painted))[0]


def _contrasted(
    lightness: Tensor, tones: Tensor, paired: Tensor, painted: tuple[float, float], scene: Scene
) -> Tensor:
    """`lightness` (h, w) with what evening out and light took of the contrast of the `tones` (1-d), and with what pieces
    will take, at the `paired` (h, w) pixels, within the range `painted` (L of CIELAB / 100); less of it of a backdrop."""
    own = lightness[paired]
    lost = tones.std(correction=0) / own.std(correction=0).clamp_min(1e-3)
    gain = (LAID * lost.clamp_min(1)).clamp_max(MOST_CONTRAST)
    stretched = lightness + (1 - scene.filled()) * (gain - 1) * (lightness - own.mean())
    darkest, lightest = (100 * end for end in painted)
    return stretched.maximum(lightness.clamp_max(darkest)).minimum(lightness.clamp_min(lightest))


def _foretold(wanted: Tensor, reach: float, pasted: Tensor, scene: Scene) -> Tensor:
    """`wanted` (C, h, w) as far as the `pasted` colours foretell it, in windows of `reach` (long sides of the painting)."""
    inside, side = scene.region.of(scene.tight), max(scene.painting.shape[1:])
    return wide_guided_filter(pasted / 100, wanted, inside, reach * side, EVEN_EDGE**2)


def _pasted(scene: Scene) -> Tensor:
    """The object as it was pasted: the scene's region, (3, h, w) CIELAB."""
    return rgb_to_lab(scene.region.of(scene.naive) / 255)


def _palette(scene: Scene) -> Tensor:
    """Colours of the painting without its grain: (3, N), 0..255."""
    sparse = max(1, math.isqrt(scene.painting[0].numel() // PALETTE))
    blurred = gaussian_blur(scene.painting, PALETTE_BLUR * max(scene.painting.shape[1:]))
    return blurred[:, ::sparse, ::sparse].flatten(1)


def _found_hues(chroma: Tensor, many: Tensor, pasted: Tensor, palette: Tensor, scene: Scene) -> Tensor:
    """`chroma` (2, h, w) moved to the `pasted` object's own hues, as the `palette` has them, where it is colourful; less
    where it is busy, as far as the matches are colourful, whose `variety` is `many` (0-d)."""
    inside, side = scene.region.of(scene.tight), max(scene.painting.shape[1:])
    found = _of_palette(pasted, inside, lab_of(palette))
    colourful, foreign = ((x**2).sum(dim=0, keepdim=True) for x in (pasted[1:], found - pasted[1:]))
    around, busy = _around(chroma, inside, BUSY_REACH * side)
    share = 1 - many * ((busy - QUIET) / (BUSY - QUIET)).clamp(0, 1)
    half = _half_way(around, pasted[1:])
    share *= colourful / (colourful + half**2) * torch.exp(-foreign / (2 * FOREIGN**2))
    return chroma + _foretold(share * (found - chroma), OWN_REACH, pasted, scene)


def _half_way(around: Tensor, pasted: Tensor) -> Tensor:
    """The chroma, (1, h, w), at which an object of the chroma `pasted` takes half of its own hue where it was painted in
    the chroma `around` each pixel (both (2, h, w), a and b of CIELAB)."""
    alike = torch.cosine_similarity(around, pasted, dim=0)[None]
    other, own = (alike.new_tensor(chroma) for chroma in (OTHER_HUE, OWN_HUE))
    return torch.lerp(other, own, ((alike - OTHER) / (SAME - OTHER)).clamp(0, 1))


def _around(chroma: Tensor, inside: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """The mean (2, h, w) and the standard deviation (1, h, w) of `chroma` (2, h, w) around each pixel, of what is `inside`
    (1, h, w)."""
    mean, square = (gaussian_mean(x, inside, reach) for x in (chroma, chroma**2))
    return mean, (square - mean**2).clamp_min(0).sum(dim=0, keepdim=True).sqrt()


def _of_palette(pasted: Tensor, inside: Tensor, palette: Tensor) -> Tensor:
    """What chroma (2, h, w) the `palette` (3, N) has for the colours of `pasted` (3, h, w), both CIELAB, where there
    is anything `inside` (1, h, w). Colours that are nearly alike, of one cube of PALETTE_STEP, get the same."""
    asked, found = inside[0] > 0, pasted.clone()
    # Three numbers of 8 bits in one: not every device can tell unique columns.
    cube = (pasted[:, asked] / PALETTE_STEP).round().long() + 128
    codes, which = (cube[0] << 16 | cube[1] << 8 | cube[2]).unique(return_inverse=True)
    colours = PALETTE_STEP * (torch.stack((codes >> 16, codes >> 8 & 255, codes & 255)) - 128)
    nearest = in_palette(colours, palette, math.ceil(PALETTE_SHARE * palette.shape[1]))
    found[:, asked] = nearest[:, which]
    return found[1:]


def _mean_and_std(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel of (C, N), both (C, 1, 1)."""
    return tuple(x[:, None, None] for x in (colours.mean(dim=1), colours.std(dim=1, correction=0)))
