"""The object in its matches' colours, in closed form: what pass 2 begins with.

Statistics of colour need no descent; what is left to it is brushwork. All of this, as what `closing` does after pass 2,
is a deviation from the paper, which begins with the naive picture and leaves colours to 1000 iterations.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .composite import MATCHED, Scene
from .firmness import USUAL, kept
from .ops.color import lab_to_rgb, rgb_to_lab
from .ops.color_transfer import color_transfer
from .ops.field import upsampled, vote
from .ops.masks import gaussian_blur

# Of what the object does not keep of the first picture, the painting's patches are this much for each style level, since
# smooth paintings show a lost form soonest, and no more than MOST_PAINTED: half of it at the usual firmness, where with 0.8
# a ship was hardly seen (content 0.475 to 0.562 on two).
PAINTED, MOST_PAINTED = 0.2, 0.9
# Pixels: over this (a Gaussian's sigma) the object's new colours fade into the painting's around it. With the
# whole loose mask recoloured, a cyan rim around a balloon spoilt its statistics: style 1.341 to 1.333 on ten.
RIM = 2.0


def recolored(picture: Tensor, field: Tensor, scene: Scene) -> Tensor:
    """`picture`, the scene's region (3, h, w) 0..255, with the object in the colours of its matches in `field`.

    The object's pixels get the mean and covariance, in CIELAB, of the painting where each was matched, as
    often as it was (unlike the Gram targets: a black object matched to few dark places stays dark).
    """
    fine, paired = matches(field, scene)
    if not paired.any():  # of an object between two cells
        return picture.clone()
    weight = scene.region.of(scene.tight)[0][paired]
    wanted = lab_of(scene.painting[:, fine[0][paired], fine[1][paired]])
    lab = rgb_to_lab(picture / 255)
    matrix, offset = color_transfer(lab[:, paired], wanted, weight)
    return faded(picture, (matrix @ lab.flatten(1) + offset).view_as(picture), scene)


def begun(field: Tensor, scene: Scene, level: float, firmness: float = USUAL) -> Tensor:
    """Where pass 2 begins: the recoloured object with a share of the painting's own patches laid over it by
    the faithful field, the larger the higher the style level (1 to 10) and the less the `firmness`; the scene's region,
    (3, h, w) 0..255.

    Descent finds strokes it is shown sooner than it invents them (compare Kolkin et al. 2022,
    https://arxiv.org/abs/2203.13215). Style 1.437 to 1.407 on six examples with 0.1 instead of 0.05 for each
    level, content 0.754 to 0.730.

    Two unlike pictures laid over each other are flatter than either: on examples of level 4 and more half of
    the lightness contrast was lost before the first iteration, so the mixture is recoloured once more.
    """
    naive, cell = scene.region.of(scene.naive), MATCHED
    start = recolored(naive, field, scene)
    height, width = (side // cell * cell for side in scene.painting.shape[1:])
    cells = F.pixel_unshuffle(scene.painting[:, :height, :width], cell)
    patches, count = vote(field, cells, 3)
    laid, there = F.pixel_shuffle(patches, cell), F.interpolate(count[None], scale_factor=cell)[0] > 0
    height, width = laid.shape[1:]
    share = (1 - kept(firmness)) * min(PAINTED * level, MOST_PAINTED)
    share = share * there * scene.region.of(scene.loose)[:, :height, :width]
    start[:, :height, :width] = torch.lerp(start[:, :height, :width], laid, share)
    return recolored(start, field, scene)


def matches(field: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
    """The field at each pixel of the region, (2, h, w), and which of the object's pixels have a match, (h, w)."""
    weight = scene.region.of(scene.tight)[0]
    fine = upsampled(field, tuple(weight.shape), tuple(scene.painting.shape[1:]), MATCHED)
    return fine, (fine[0] >= 0) & (weight > 0)


def faded(picture: Tensor, lab: Tensor, scene: Scene) -> Tensor:
    """The object's new colours (CIELAB) in `picture` (0..255), faded at its edge within the loose mask."""
    weight = gaussian_blur(scene.region.of(scene.tight), RIM) * scene.region.of(scene.loose)
    return torch.lerp(picture, lab_to_rgb(lab).clamp(0, 1) * 255, weight)


def lab_of(colours: Tensor) -> Tensor:
    """(3, N) 0..255 in CIELAB."""
    return rgb_to_lab(colours[:, :, None] / 255)[:, :, 0]
