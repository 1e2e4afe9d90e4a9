"""How strongly a painting's brush speaks: its style level, and the loss weights that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from .composite import resize
from .firmness import USUAL
from .ops.color import luminance
from .ops.masks import gaussian_blur

# Content weight at level 1; it grows with the square root of the level. The paper's is 1 at any level, for
# VGG-19, a thousand small steps and the naive picture as start. Against a histogram weight of up to 100
# and in few large steps the object dissolves: with 8 instead of 1 content rose from 0.64 to 0.71 on two
# examples of level 3 to 4, while smooth paintings (level 1) stayed too photographic with it.
CONTENT = 2.0
# Our paintings count as so many times as rough, so that only smooth ones are smoothed: as published, nine of 12 examples
# have ten times the style's weight of total variation and no histograms.
ROUGHNESS = 6.0
BOLD_FROM = 4.5  # level
COARSE_FROM = 2.5  # level
HISTOGRAM_LAYERS = ("relu1_1", "relu4_1")  # paper, section 3.2
# Of the paper's weight, for each layer when all four style layers have a histogram term.
HISTOGRAM_SHARE = 0.5


@dataclass(frozen=True)
class Weights:
    """Weights of pass 2's normalized gradients (Luan et al. 2018, section 3.3, table 1)."""

    content: float
    style: float
    histogram: float
    variation: float
    histogram_layers: tuple[str, ...] = HISTOGRAM_LAYERS


def noise(painting: Tensor) -> float:
    """Median of the squared difference to the right and lower neighbour; painting (3, H, W) in 0..1.

    As in the authors' implementation: of the mean of the two, of each channel's pixel by itself.
    """
    across = (painting[:, :-1, 1:] - painting[:, :-1, :-1]) ** 2
    down = (painting[:, 1:, :-1] - painting[:, :-1, :-1]) ** 2
    return ((across + down) / 2).flatten().median().item()


def content_weight(level: float) -> float:
    """Our content weight at a style level, where the paper's is 1."""
    return CONTENT * math.sqrt(level)


def boldness(level: float) -> float:
    """How large pass 2's steps are at a style level, 0..1 of the largest.

    Smooth paintings (level 1 to 2) come out smooth only in small steps: worms and wrinkles that large ones leave
    are seen there, and windows and mouths drown. Style 1.324 to 1.374, content 0.777 to 0.803 on four of them,
    and all four look better. Growing evenly up to level 4.5 instead of as the power of 0.8 up to 3: style 1.248 to 1.244,
    content 0.805 to 0.806, texture 14.34 to 14.26 on 12 examples; faces are a little smoother.
    """
    return min(1.0, level / BOLD_FROM)


def coarseness(level: float, scale: float, firmness: float = USUAL) -> float:
    """How much of the object's finest detail a brush of this style level paints over, 0..1, in a painting of `scale`
    times 700 px; at half of that the finest detail is no finer than a stroke. The more the less the `firmness`.

    Where strokes are broad, what is finer than they stays a photograph: letters, and a ship's panel lines under the
    strokes of a starry night. Painted over, and with less surroundings: style 1.152 to 1.136, content 0.658 to 0.698,
    texture 17.69 to 17.81 on five examples of level 3 and more. Fine brushes need it: on an engraving of level 2.6,
    where 0.8 of it went, style rose from 0.98 to 1.28.
    """
    usual = min(1.0, max(0.0, level - COARSE_FROM)) * min(1.0, max(0.0, 4 * scale - 2))
    return usual**firmness if usual else 0.0


def weights(
    painting: Tensor, level: float, content: float = 1.0, smoothness: float = 1.0, roughness: float = 1.0
) -> Weights:
    """Loss weights for a painting (3, H, W) in 0..1 of style level `level` (about 1 to 10).

    `content` and `smoothness` multiply the content and total variation weights, `roughness` the painting's `noise`.
    """
    v = 10 / (1 + math.exp(min(1e4 * roughness * noise(painting) - 25, 700)))
    return Weights(
        content=content,
        style=level,
        histogram=(10 - v) * level,
        variation=v * level * smoothness,
    )


def with_histograms(weights: Weights, layers: tuple[str, ...]) -> Weights:
    """`weights` with a histogram term at each of `layers`, which together weigh what the paper's two do.

    Deviation from the paper: tones come sooner when every style layer asks for them. Style 1.365 to 1.353 on
    12 examples, content 0.723 to 0.704, texture 14.28 to 14.38, median seam 1.24 to 1.22.
    """
    return replace(weights, histogram=weights.histogram * HISTOGRAM_SHARE, histogram_layers=layers)


# Ridge regression of log(level) on three statistics, fitted to the 12 levels that the authors published.
# Mean error by leave-one-out 1.46; 1.68 when the choice of these three among 16 statistics is left out
# as well; always answering 5 errs by 2.57.
_INTERCEPT, _TEXTURE, _BRIGHTNESS, _CONTRAST = 8.364, 1.042, -2.242, -7.245
LOWEST, HIGHEST = 1.0, 10.0
STANDARD_SIZE = 700  # px, long side: the statistics' scale


def estimate(painting: Tensor) -> float:
    """The style level (1 to 10) of a painting (3, H, W) in 0..1, from its fine texture, brightness and contrast.

    The authors' classifier was never released. Rough surfaces speak for a visible hand; brightness and
    contrast separate paintings that are rough from those that are merely bright and detailed.
    """
    height, width = painting.shape[1:]
    shrink = min(1.0, STANDARD_SIZE / max(height, width))
    lum = luminance(resize(painting, (max(2, round(height * shrink)), max(2, round(width * shrink)))))
    band = (gaussian_blur(lum, 1) - gaussian_blur(lum, 2)).abs().median().clamp_min(1e-5)
    value = _INTERCEPT + _TEXTURE * band.log() + _BRIGHTNESS * lum.mean() + _CONTRAST * lum.std()
    return float(value.exp().clamp(LOWEST, HIGHEST))
