"""Colours and tones in closed form, from where the object was matched: before pass 2 and after it.

Statistics of colour need no descent; what is left to it is brushwork. All of this is a deviation from the
paper, which begins with the naive picture and leaves colours to 1000 iterations.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .composite import Scene
from .ops.color import lab_to_rgb, rgb_to_lab
from .ops.color_transfer import color_transfer
from .ops.field import Mapping, matched_set, upsampled, vote
from .ops.guided_filter import wide_guided_filter
from .ops.histogram import quantiles
from .ops.masks import gaussian_blur, gaussian_mean
from .ops.tone import along, tone_curve

# Cells of each layer in one of the reference layer, relu4_1.
FACTOR = {"relu1_1": 8, "relu2_1": 4, "relu3_1": 2, "relu4_1": 1}
# Of the first picture the painting's patches are this much for each style level, since smooth paintings show a
# lost form soonest, and no more than MOST_PAINTED: with 0.8 a ship was hardly seen (content 0.475 to 0.562 on two).
PAINTED, MOST_PAINTED = 0.1, 0.45
# Pixels: over this (a Gaussian's sigma) the object's new colours fade into the painting's around it. With the
# whole loose mask recoloured, a cyan rim around a balloon spoilt its statistics: style 1.341 to 1.333 on ten.
RIM = 2.0
# A network tuned to edges is a poor judge of hues, and statistics do not care where a hue is: of a black ship in a blue
# sky the middle was red, a truck's cab red here and olive there. What was of one colour as it was pasted is to be of one
# hue: chroma evens out to what the pasted colours foretell of it, by a guided filter with windows of EVEN_REACH that
# keeps edges from contrast EVEN_EDGE (CIELAB / 100) on. What is finer than STROKES stays. Both reaches are in long sides
# of the painting, a Gaussian's sigma. Against hues evened out to the recoloured object's over 0.006 to 0.02, as they were
# after the set's chroma was given, style is 1.273 to 1.270, content 0.770, texture 14.32 to 14.24 on 12 examples, and by
# eye the ship is of one hue and the cab nearly, white panels have no cream rims, a grey ship has a warm and a cold side.
EVEN_REACH, EVEN_EDGE, STROKES = 0.06, 0.05, 0.003
# Where the pasted object is colourful too, and its matches are, it evens out half of the way only at chroma EVEN_CHROMA of
# the object (CIELAB units), else style of a balloon in a collage is 1.28 instead of 1.06. What has a standard deviation of
# chroma up to FEW_COLOURS has no colours to lose, from MANY_COLOURS on all.
EVEN_CHROMA, FEW_COLOURS, MANY_COLOURS = 25.0, 12.0, 24.0
# What `toned` may make of a contrast. More would lift the grain of flat areas (2 instead of 1.5: style 1.261 to 1.260 on
# 12 examples, texture 14.42 to 14.62; 1.3: 1.271, 14.24); with less than the least, what was matched to one flat spot
# would be flat (0 instead of 0.3: content 0.693 to 0.696, style 1.255 to 1.252).
LEAST_CONTRAST, MOST_CONTRAST = 0.3, 1.5
# Lightness evens out like hues, LIGHT_EVENED of it over LIGHT_REACH (long sides of the painting): pass 2 leaves lumps as
# large as the painting's figures on a flat side of the object. Style 1.268 to 1.272, content 0.726 to 0.743, texture
# 14.44 to 14.45 on 12 examples (0.7 of it over 0.011: 1.277, 0.743, 14.47), and forms are clearer by eye.
LIGHT_REACH, LIGHT_EVENED = 0.007, 0.4
# The object's own colours come back in windows of this (long sides of the painting, a Gaussian's sigma): by eye on three
# pictures, in those of 0.06 one garment came out in two reds, 0.02 is the same and slower; a plain blur over 0.004 took
# strokes along and was no clearer.
OWN_REACH = 0.03


def recolored(picture: Tensor, field: Tensor, scene: Scene) -> Tensor:
    """`picture`, the scene's region (3, h, w) 0..255, with the object in the colours of its matches in `field`.

    The object's pixels get the mean and covariance, in CIELAB, of the painting where each was matched, as
    often as it was (unlike the Gram targets: a black object matched to few dark places stays dark).
    """
    fine, paired = _matches(field, scene)
    if not paired.any():  # of an object between two cells
        return picture.clone()
    return _transferred(picture, fine, paired, scene)


def _transferred(picture: Tensor, fine: Tensor, paired: Tensor, scene: Scene) -> Tensor:
    """`recolored`, by the matches that `_matches` found."""
    weight = scene.region.of(scene.tight)[0][paired]
    matches = _lab(scene.painting[:, fine[0][paired], fine[1][paired]])
    lab = rgb_to_lab(picture / 255)
    matrix, offset = color_transfer(lab[:, paired], matches, weight)
    return _faded(picture, (matrix @ lab.flatten(1) + offset).view_as(picture), scene)


def toned(picture: Tensor, mapping: Mapping, scene: Scene) -> Tensor:
    """`picture`, pass 2's result (the scene's region, (3, h, w) 0..255), with the tones of its matched set.

    The set is the positions of the painting that either of the mapping's fields matched, each counted once. The
    object's chroma gets the set's mean and standard deviation, its lightness the histogram of the matches as often as
    they were matched, both evened out. It is what the histogram terms ask for and few steps do not reach: style 1.311
    to 1.258, content 0.691 to 0.679, texture 14.64 to 14.35 on 12 examples against the set's mean and contrast of
    lightness alone. Of the consensus' set alone style is 1.268, content 0.696; of the faithful one's 1.285 and 0.711; of
    both 1.266 and 0.705.

    A large dark side is matched to few dark places: each counted once, they do not make it as dark. Counted often, and
    before settling, style is 1.264 to 1.275, texture 14.33 to 14.02, content the same on 12 examples; a ship in the sky
    is darker. Chroma counted so spoils a yellow balloon (style 0.93 to 1.17). What fills the canvas has its lightness
    from the set too, the light of the painting there: on the one example of that kind style is 1.48 instead of 1.60.
    """
    size = tuple(scene.painting.shape[1:])
    (agreed, _), (own_places, paired) = (
        _matches(field, scene) for field in mapping
    )  # both match the same pixels
    if not paired.any():
        return picture.clone()
    agreed_set, own_set = (matched_set(torch.where(paired, at, -1), size) for at in (agreed, own_places))
    chosen = agreed_set | own_set
    wanted, lab = _lab(scene.painting[:, chosen]), rgb_to_lab(picture / 255)
    often = torch.cat([scene.painting[:, at[0][paired], at[1][paired]] for at in (agreed, own_places)], dim=1)
    once, repeated = (quantiles(colours[:1])[0] for colours in (wanted, _lab(often)))
    tones = torch.lerp(repeated, once, scene.filled())
    lightness = along(lab[0], tone_curve(lab[0][paired], tones, LEAST_CONTRAST, MOST_CONTRAST))
    recoloured = _transferred(scene.region.of(scene.naive), own_places, paired, scene)
    lightness += _evened_light(lightness, recoloured, paired, scene)
    chroma = _spread(_evened_out(lab[1:], variety(wanted[1:]), scene), paired, wanted[1:])
    return _faded(picture, torch.cat((lightness[None], chroma)), scene)


def with_own_colours(picture: Tensor, scene: Scene, share: float) -> Tensor:
    """`picture`, the scene's region (3, h, w) 0..255, with the object's colours moved by `share` (0..1) to those it was
    pasted with; the strokes stay.

    Not in the paper: an artist's choice where the painting has no such colour, as Gatys et al. 2016 have it for all of a
    picture ("Preserving Color in Neural Artistic Style Transfer", https://arxiv.org/abs/1606.05897). What the object lost
    is taken as what its pasted colours foretell of the loss, all of CIELAB: strokes are in neither, so they are not undone.
    """
    naive, lab = (rgb_to_lab(x / 255) for x in (scene.region.of(scene.naive), picture))
    reach = OWN_REACH * max(scene.painting.shape[1:])
    lost = wide_guided_filter(naive / 100, naive - lab, scene.region.of(scene.tight), reach, EVEN_EDGE**2)
    return _faded(picture, lab + share * lost, scene)


def variety(chroma: Tensor) -> Tensor:
    """How many colours there are in `chroma` (2, N), a and b of CIELAB: 0-d, from 0 for few to 1 for many."""
    spread = chroma.std(dim=1, correction=0).norm()
    return ((spread - FEW_COLOURS) / (MANY_COLOURS - FEW_COLOURS)).clamp(0, 1)


def _evened_out(chroma: Tensor, many: Tensor, scene: Scene) -> Tensor:
    """`chroma` (2, h, w), a and b of CIELAB, evened out where the pasted object was of one colour; less where that was
    colourful, as far as its matches are, whose `variety` is `many` (0-d)."""
    naive, inside = rgb_to_lab(scene.region.of(scene.naive) / 255), scene.region.of(scene.tight)
    side = max(scene.painting.shape[1:])
    even = wide_guided_filter(naive / 100, chroma, inside, EVEN_REACH * side, EVEN_EDGE**2)
    colourful = many * (naive[1:] ** 2).sum(dim=0, keepdim=True)
    share = EVEN_CHROMA**2 / (EVEN_CHROMA**2 + colourful)
    return chroma + share * gaussian_mean(even - chroma, inside, STROKES * side)


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


def _lab(colours: Tensor) -> Tensor:
    """(3, N) 0..255 in CIELAB."""
    return rgb_to_lab(colours[:, :, None] / 255)[:, :, 0]


def _mean_and_std(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel of (C, N), both (C, 1, 1)."""
    return tuple(x[:, None, None] for x in (colours.mean(dim=1), colours.std(dim=1, correction=0)))


def begun(field: Tensor, scene: Scene, level: float) -> Tensor:
    """Where pass 2 begins: the recoloured object with a share of the painting's own patches laid over it by
    the faithful field, the larger the higher the style level (1 to 10); the scene's region, (3, h, w) 0..255.

    Descent finds strokes it is shown sooner than it invents them (compare Kolkin et al. 2022,
    https://arxiv.org/abs/2203.13215). Style 1.437 to 1.407 on six examples with 0.1 instead of 0.05 for each
    level, content 0.754 to 0.730.

    Two unlike pictures laid over each other are flatter than either: on examples of level 4 and more half of
    the lightness contrast was lost before the first iteration, so the mixture is recoloured once more.
    """
    naive, cell = scene.region.of(scene.naive), FACTOR["relu1_1"]
    start = recolored(naive, field, scene)
    height, width = (side // cell * cell for side in scene.painting.shape[1:])
    cells = F.pixel_unshuffle(scene.painting[:, :height, :width], cell)
    patches, count = vote(field, cells, 3)
    laid, there = F.pixel_shuffle(patches, cell), F.interpolate(count[None], scale_factor=cell)[0] > 0
    height, width = laid.shape[1:]
    share = min(PAINTED * level, MOST_PAINTED) * there * scene.region.of(scene.loose)[:, :height, :width]
    start[:, :height, :width] = torch.lerp(start[:, :height, :width], laid, share)
    return recolored(start, field, scene)


def _matches(field: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
    """The field at each pixel of the region, (2, h, w), and which of the object's pixels have a match, (h, w)."""
    weight = scene.region.of(scene.tight)[0]
    fine = upsampled(field, tuple(weight.shape), tuple(scene.painting.shape[1:]), FACTOR["relu1_1"])
    return fine, (fine[0] >= 0) & (weight > 0)


def _faded(picture: Tensor, lab: Tensor, scene: Scene) -> Tensor:
    """The object's new colours (CIELAB) in `picture` (0..255), faded at its edge within the loose mask."""
    weight = gaussian_blur(scene.region.of(scene.tight), RIM) * scene.region.of(scene.loose)
    return torch.lerp(picture, lab_to_rgb(lab).clamp(0, 1) * 255, weight)
