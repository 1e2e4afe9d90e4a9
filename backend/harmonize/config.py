"""Everything the numerics are told besides pixels, as frozen dataclasses.

What an artist can change comes from outside (`plugin/painterly/protocol/parameters.py` declares it) and
therefore has no default here; constants of the method stand in the module that uses them, with source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from .optimize import Plan

# The paper's pictures are 700 px; the loose mask's blur is meant for that size.
REFERENCE_SIZE = 700

# Surroundings of the loose mask that are optimized along, in working pixels. Features inside the mask read as far as
# the receptive radius of relu4_1 (34 px in VGG-19), but hardly from its outer half: with 16 instead of 40 an object
# of 200 px takes about 0.75 of the time, and three examples differ by 0.02 at most in style, by 0.04 in seam.
MARGIN = 16

# Working pixels: a level that would show the object smaller leaves ruins of it, of faces above all, and is left out. With
# 100, three of 12 examples begin at full size: content 0.750 to 0.764, style 1.265 to 1.270, texture 14.12 to 14.38, and
# they are clearer by eye; but little is left to the aims for texture and style.
SMALLEST_OBJECT = 90
SMALLEST_FRAME = 64  # so does one of which the whole picture is smaller


@dataclass(frozen=True)
class Level:
    """One octave of the pyramid: `scale` relative to the working resolution, and how it is optimized."""

    scale: float
    plan: Plan


@dataclass(frozen=True)
class Config:
    """Settings of one run.

    `style_level` None estimates it from the painting; `content` and `smoothness` multiply weights of pass 2, and say how
    firmly shapes are kept (`firmness`) and how many ripples are left (`postprocess.smoothed`), usually as many as there are;
    `own_colours` is the share of the pasted object's colours that comes back in the end;
    `grow` and `feather` are in pixels of the composite; `working_scale` goes from those pixels to the
    working resolution: above 1 what is painted is larger and shrunk in the end. `first` is pass 1's level,
    `second` pass 2's from coarse to fine; `settling`, if any, is how pass 2 goes on after the last patch
    synthesis.
    `full_frame` optimizes the whole picture instead of the region around the object, which has
    `margin` working pixels of surroundings; levels at which its longest part is smaller than `smallest_object`, or the
    picture than SMALLEST_FRAME, are left out, but for those of the last one's scale or larger.
    `published` leaves out what we added: hints to the matching, the start of pass 2, content weight by level, tones
    after it. The post-process is one for all.
    """

    style_level: float | None
    content: float
    smoothness: float
    own_colours: float
    grow: int
    feather: float
    chroma_denoise: bool
    patch_synthesis: bool
    seed: int
    working_scale: float
    first: Level
    second: tuple[Level, ...]
    settling: Plan | None
    full_frame: bool
    margin: int = MARGIN
    smallest_object: int = SMALLEST_OBJECT
    published: bool = False


def fitting(config: Config, longest: int, side: int) -> tuple[Level, ...]:
    """Levels of pass 2 at which an object whose longest part is `longest` pixels, in a picture of `side` at least, is large
    enough to be painted; those of the last one's scale and larger always stay.

    A level that is too coarse gives its iterations to none: a small object costs little at full size.
    """

    def fits(level: Level) -> bool:
        scale = level.scale * config.working_scale
        return longest * scale >= config.smallest_object and side * scale >= SMALLEST_FRAME

    last = config.second[-1].scale
    return tuple(level for level in config.second if level.scale >= last or fits(level))


# What deep layers ask for changes slowly, and most of the arithmetic is theirs.
DEEP_EVERY = 3
FULL_STEPS = 50  # iterations of pass 2; with more of them the steps are smaller
# For each EACH_ROUND iterations of pass 2 there is another round at full size, up to MOST_ROUNDS.
EACH_ROUND, MOST_ROUNDS = 40, 2
# By the number of more rounds: an object whose longer side is less than this, in working pixels, has its first round
# painted larger, up to LARGER times, and the level before it too, if it gains LEAST_LARGER times at least (one of 315 px
# took 1.3 times the time for little): there small forms survive, and the last round brings strokes of the painting's own
# size. In `high` style was 1.246 to 1.258, content 0.734 to 0.751, texture 14.24 to 14.23 on
# 12 examples; in `balanced`, below 420 px, 1.257 to 1.273, 0.755 to 0.770, 14.30 to 14.32: letters, numbers and faces are
# clearer. With every round 1.5 times as large style is 1.358: strokes are too fine.
ENOUGH, LARGER, LEAST_LARGER = (0, 360, 768), 1.5, 1.2


# Deviation from the paper, which ends with patch synthesis: laid pieces leave borders and statistics that are a little
# off, and few small steps mend them: style 1.275 to 1.250, content 0.753 to 0.755, texture 14.02 to 14.39 on 12 examples.
# Larger ones gain less style for the texture (six plain steps of 1.0: 0.031 for 0.59; of 0.5: 0.021 for 0.31). So it was with
# four; two leave the texture that darker edges take (1.278, 0.780, 14.43 without any, 1.255, 0.781, 14.75 with four). By
# the number of more rounds at full size: with one, and matched twice, four instead of two are 1.245 to 1.233, 0.764 both,
# 14.11 to 14.27; six since pieces follow the image (`postprocess`), which leaves texture room. Two instead of four in
# `high`, where the object's own light takes that: 1.254 to 1.258, 0.790 to 0.791, 14.13 to 14.00.
SETTLING, SETTLING_STEPS = Plan(0, step=0.4, bands=3, deep_every=2), (2, 6, 2)
EACH_SETTLING = 7  # iterations of pass 2 for one of them


class Schedule(NamedTuple):
    """How the passes go: the parts of `Config` of the same names."""

    first: Level
    second: tuple[Level, ...]
    settling: Plan | None


def coarse_to_fine(first_iterations: int, second_iterations: int, side: float) -> Schedule:
    """Large moves at half size, where an iteration costs a quarter; the strokes at full size, of a small object the
    first larger. `side` is the longer one of the object's longest part, in working pixels.

    Deviation from the paper (one scale, L-BFGS): the bench folder's notes have the measured effect.
    """
    first = Level(0.5, Plan(first_iterations, step=2.0, bands=4))
    # More iterations at full steps dissolve faces. With steps smaller by the root of their number `high` is ahead of
    # `balanced`; in proportion, it is behind: style 1.235 and 1.257 on six examples, content 0.689 and 0.695.
    pace = min(1.0, (FULL_STEPS / max(1, second_iterations)) ** 0.5)
    coarse = Plan(second_iterations * 2 // 3, step=3.7 * pace, bands=2, deep_every=DEEP_EVERY)
    begin, *again = _rounds(second_iterations, pace)
    larger = _larger(len(again), side)
    fine = (Level(larger, begin), *(Level(1.0, plan) for plan in again))
    steps = min(SETTLING_STEPS[len(again)], second_iterations // EACH_SETTLING)
    return Schedule(first, (Level(0.5 * larger, coarse), *fine), replace(SETTLING, iterations=steps))


def _larger(again: int, side: float) -> float:
    """How many times as large as the last round the first is painted, with so many more."""
    wanted = min(LARGER, ENOUGH[again] / side)
    return wanted if wanted >= LEAST_LARGER else 1.0


def _rounds(iterations: int, pace: float) -> Iterator[Plan]:
    """Full size: of few iterations all at once, else the second half in one round more or two.

    Deviation from the paper (one descent): each round is matched anew and begins with pieces of the painting, so that it
    ends nearer to it. With one more round in `balanced` texture is 14.41 to 14.09 on 12 examples, style 1.274 to 1.266,
    content 0.749 to 0.736; with two in `high`, and the object's light evened out, texture was 14.32 to 13.94.
    """
    count = min(MOST_ROUNDS, iterations // EACH_ROUND)
    rounds = [iterations // 2 // count] * count if count else []
    yield Plan(iterations - sum(rounds), step=8.0 * pace, bands=4, deep_every=DEEP_EVERY)
    for again in rounds:
        yield Plan(again, step=8.0 * pace, bands=3, deep_every=DEEP_EVERY)


def published(first_iterations: int, second_iterations: int, side: float) -> Schedule:
    """One scale and L-BFGS for both passes, as published (Luan et al. 2018, section 4), whatever the object's `side`.

    The rates are the authors' implementation's: its optimizer's default for pass 1, a tenth for pass 2.
    """
    first, second = (
        Level(1.0, Plan(count, method="lbfgs", rate=rate))
        for count, rate in ((first_iterations, 1.0), (second_iterations, 0.1))
    )
    return Schedule(first, (second,), None)
