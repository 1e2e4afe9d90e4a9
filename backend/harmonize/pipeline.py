"""The whole method: two passes over a pyramid, post-process, composite. Read this first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from . import postprocess
from .closing import toned, with_own_colours
from .composite import SMALLEST_SIDE, Composite, Scene, changed, grown, longest_side, near, resize
from .config import REFERENCE_SIZE, Config, Level, fitting
from .errors import Cancelled
from .firmness import firmness
from .first_pass import STYLE_LAYERS as FIRST_LAYERS
from .first_pass import first_pass
from .memo import Memo, digest
from .networks import Network
from .ops.field import Mapping
from .ops.masks import loose_mask, loose_reach, shown, shown_reach
from .optimize import OnIteration, Plan
from .progress import Progress, Stage
from .recolor import begun
from .second_pass import STYLE_LAYERS as SECOND_LAYERS
from .second_pass import Statistics, carried, match, second_pass, statistics
from .step import OnStep, ignore
from .style_level import (
    ROUGHNESS,
    Weights,
    boldness,
    coarseness,
    content_weight,
    estimate,
    weights,
    with_histograms,
)

ALPHA_CUT = 1 / 512  # a weight that rounds to nothing in 8 bits is nothing
# In full-resolution iterations over equally many pixels: offering every position a match, in patch synthesis and when
# enlarging, and all that follows.
SYNTHESIS_COST, ENLARGING_COST, LAST_COST = 0.016, 0.05, 0.5


@dataclass(frozen=True)
class Outcome:
    """What comes out, on the CPU, the size of the composite; float32, sRGB 0..1.

    The final picture is painting * (1 - alpha) + image * alpha; `alpha` (1, H, W) is exactly 0 outside the
    feathered mask. `report` is plain data about how it was made.
    """

    image: Tensor  # (3, H, W)
    alpha: Tensor
    report: dict[str, Any] = field(default_factory=dict)


def harmonize(
    composite: Composite,
    network: Network,
    config: Config,
    on_step: OnStep = ignore,
    memo: Memo | None = None,
) -> Outcome:
    """The composite with its object painted by the painting's hand.

    Computes on the network's device. One call's arguments determine its result, on a processor to the bit; `memo`
    only saves time. `on_step` is called after each iteration and may raise `Cancelled`, which then carries the best
    picture so far.
    """
    run = _Run(composite, network, config, on_step, memo or Memo())
    try:
        return run.through()
    except Cancelled as stopped:
        stopped.best = run.so_far()
        raise


class _Run:
    """One job on its way through the stages; what `_paint` was told last is the latest working picture."""

    def __init__(self, composite: Composite, network: Network, config: Config, on_step: OnStep, memo: Memo):
        self._composite = grown(composite, config.grow)
        self._network, self._config, self._memo = network, config, memo
        mask = self._composite.mask
        self._levels = fitting(config, longest_side(mask), min(mask.shape[1:]))
        scenes = {level.scale: self._scene(level) for level in self._levels}
        self._scenes = [scenes[level.scale] for level in self._levels]
        self._first_scene = self._scene(config.first)
        self._painting_key = digest(composite.painting)
        own, asked = estimate(composite.painting), config.style_level
        self.style_level = own if asked is None else asked
        self._firmness = firmness(config.content, 1.0 if config.published else self.style_level / own)
        self._progress = Progress(self._stages(), on_step)
        self._part, self._scene_of_part = None, self._first_scene

    def through(self) -> Outcome:
        self._paint(self._memo.get(self._painted_key(), self._painted), self._scenes[-1])
        outcome = self._outcome(self._enlarged(texture=True))
        self._progress.tick(_enlarging(len(self._scenes)) + 1, 1)
        return Outcome(outcome.image, outcome.alpha, self._report())

    def so_far(self) -> Outcome | None:
        """The latest picture as an outcome without post-process, or None."""
        return None if self._part is None else self._outcome(self._enlarged(texture=False))

    # -- stages ------------------------------------------------------------------------------------

    def _painted(self) -> Tensor:
        """The last level's region, (3, h, w) 0..255, as it is when all passes are through."""
        mapping = carried(self._mapping(), self._scenes[-1], self._scenes[0])
        wanted = self._wanted(mapping, self._scenes[0])
        self._second(0, wanted, self._begun(mapping))
        for index, scene in enumerate(self._scenes[1:], start=1):
            start = self._carried_on(scene)
            mapping = self._matched(start, scene)
            wanted = self._wanted(mapping, scene)
            self._second(index, wanted, start)
        return self._closed(mapping, wanted)

    def _painted_key(self) -> tuple:
        """What `_painted` depends on: what comes after it can be tried out without painting anew."""
        scenes = (self._first_scene, *self._scenes)
        objects = digest(*(scene.region.of(x) for scene in scenes for x in (scene.naive, scene.tight)))
        settings = replace(self._config, own_colours=0.0, feather=0.0)
        return "painted", self._key(scenes[-1]), objects, tuple(scene.region for scene in scenes), settings

    def _first(self) -> Tensor:
        """Pass 1's whole picture; kept, since it does not depend on style level or other weights."""
        scene, plan = self._first_scene, self._config.first.plan

        def make() -> Tensor:
            source = self._source(scene, FIRST_LAYERS)
            published = self._config.published
            picture = first_pass(scene, self._network, source, plan, self._on(0, scene), published)
            return scene.region.paste(scene.naive, picture)

        return self._memo.get(("first", *self._first_key()), make)

    def _mapping(self) -> Mapping:
        """The first mapping: matched at the last level's scale, where small objects are seen."""
        scene = self._scenes[-1]

        def make() -> Mapping:
            return self._matched(scene.region.of(changed(self._first(), self._first_scene, scene)), scene)

        return self._memo.get(("mapping", self._key(scene), scene.region, *self._first_key()), make)

    def _matched(self, guide: Tensor, scene: Scene) -> Mapping:
        """Of pass 1's picture, or of what a finer level begins with.

        The latter is a deviation from the paper, whose mapping comes from pass 1 alone: that picture is nearer to the
        painting. Style 1.261 to 1.253, content 0.786 to 0.782, texture 14.42 to 14.23 on 12 examples.
        """
        source = self._source(scene, SECOND_LAYERS)
        return match(guide, scene, self._network, source, self._config.published)

    def _first_key(self) -> tuple:
        """What pass 1's picture, and with it the mapping, depends on."""
        scene, settings = self._first_scene, self._config
        objects = digest(scene.naive, scene.tight)
        return self._key(scene), objects, settings.first.plan, scene.region, settings.published

    def _begun(self, mapping: Mapping) -> Tensor:
        """Where the first level begins: the object in the painting's colours and patches (as published: the naive
        picture); its region, (3, h, w) 0..255."""
        scene = self._scenes[0]
        if self._config.published:
            return scene.region.of(scene.naive)
        return begun(mapping.faithful, scene, self.style_level, self._firmness)

    def _carried_on(self, scene: Scene) -> Tensor:
        """Where a finer level begins: the level before's picture, rebuilt from patches; like `_begun`'s."""
        size = tuple(scene.painting.shape[1:])
        repainted = coarseness(self.style_level, self._mask_scale(size), self._firmness)
        return scene.region.of(changed(self._whole(self._part), self._scene_of_part, scene, repainted))

    def _wanted(self, mapping: Mapping, scene: Scene) -> dict[str, Statistics]:
        """What pass 2 moves features to. The painting's, of a large canvas half a gigabyte, are named nowhere here."""
        return statistics(mapping.consensus, scene, self._source(scene, SECOND_LAYERS))

    def _second(self, index: int, wanted: dict[str, Statistics], start: Tensor) -> None:
        """Pass 2 at one level, from `start`; what it paints becomes the picture."""
        scene = self._scenes[index]
        painted = self._descended(wanted, scene, start, self._levels[index].plan, _descent(index))
        if index < len(self._scenes) - 1:
            painted = self._synthesized(index, painted)
        self._paint(painted, scene)

    def _descended(
        self, wanted: dict[str, Statistics], scene: Scene, start: Tensor, plan: Plan, stage: int
    ) -> Tensor:
        """`start`, a scene's region, moved towards the `wanted` statistics by `plan`, as stage number `stage`."""
        self._paint(start, scene)
        if not self._config.published:
            plan = replace(plan, step=plan.step * boldness(self.style_level))
        told = self._on(stage, scene)
        return second_pass(start, wanted, scene, self._network, self._weights(), plan, told)

    def _synthesized(self, index: int, part: Tensor) -> Tensor:
        """The region of level number `index` (3, h, w), 0..255, rebuilt from the painting's pieces, if that is wanted.

        Deviation from the paper, which does so at the end: a finer level begins with the painting's own strokes too.
        Texture 14.41 to 14.21 on 12 examples, content 0.778 to 0.783, style 1.267 both.
        """
        if not self._config.patch_synthesis:
            return part
        scene, told = self._scenes[index], self._counting(_synthesis(index))
        naive, loose = scene.region.of(scene.naive) / 255, scene.region.of(scene.loose)
        seed, finest = self._config.seed, self._mask_scale(tuple(self._scenes[-1].painting.shape[1:]))
        return 255 * postprocess.synthesize(
            part / 255, scene.painting / 255, naive, loose, seed, finest, self._laying(index), told
        )

    def _laying(self, index: int) -> postprocess.Laying:
        """Deviation from the paper, as `_synthesized`: pieces that a next level paints over are averaged widely."""
        laying = postprocess.CRISP if index == len(self._scenes) - 1 else postprocess.SOFT
        return laying._replace(firmness=self._firmness)

    def _settling(self) -> Plan:
        """How the picture goes on after the last patch synthesis; without pieces there is nothing to settle."""
        wanted = self._config.settling if self._config.patch_synthesis else None
        return wanted or Plan(0)

    def _weights(self) -> Weights:
        settings, level = self._config, self.style_level
        content = settings.content * (1 if settings.published else content_weight(level))
        roughness = 1.0 if settings.published else ROUGHNESS
        found = weights(self._painting(), level, content, settings.smoothness, roughness)
        return found if settings.published else with_histograms(found, SECOND_LAYERS)

    def _painting(self) -> Tensor:
        """The painting, 0..1, as large as it is painted at, or the composite's own if that is smaller: a softly scanned
        canvas is rougher when it is shrunk."""
        working = self._scenes[-1].painting
        return working / 255 if self._smaller(tuple(working.shape[1:])) else self._composite.painting

    def _closed(self, mapping: Mapping, wanted: dict[str, Statistics]) -> Tensor:
        """The last level's picture with closing tones, clean chroma, the painting's pieces, and settled; its region."""
        scene, settings = self._scenes[-1], self._config
        part = self._part
        if not settings.published:
            part = toned(part, mapping, scene, self._firmness)
        if settings.chroma_denoise:
            part = 255 * postprocess.denoise_chroma(part / 255)
        part = self._synthesized(len(self._scenes) - 1, part)
        settling = self._settling()
        if settling.iterations:
            part = self._descended(wanted, scene, part, settling, _descent(len(self._scenes)))
        painting, loose = scene.painting / 255, scene.region.of(scene.loose)
        return 255 * postprocess.smoothed(part / 255, painting, loose, settings.smoothness)

    # -- parts -------------------------------------------------------------------------------------

    def _paint(self, part: Tensor, scene: Scene) -> None:
        """`part`, the scene's region (3, h, w), 0..255, becomes the working picture."""
        self._part, self._scene_of_part = part, scene

    def _whole(self, part: Tensor) -> Tensor:
        """The working picture (3, H, W), 0..255, with `part` where the latest was painted."""
        return self._scene_of_part.region.paste(self._scene_of_part.painting, part)

    def _shown(self) -> Tensor:
        """The working picture, 0..1, with as much of the object's own colours as it is to have in the end."""
        share, part = self._config.own_colours, self._part
        return self._whole(with_own_colours(part, self._scene_of_part, share) if share else part) / 255

    def _enlarged(self, texture: bool) -> Tensor:
        """What is shown, at the composite's size, 0..1; if it is smaller, with the painting's fine `texture`."""
        painting = self._composite.painting
        size, picture = tuple(painting.shape[1:]), self._shown()
        if tuple(picture.shape[1:]) == size:
            return picture
        if not texture or not self._smaller(tuple(picture.shape[1:])):
            return resize(picture, size).clamp(0, 1)
        scale = self._mask_scale(size)
        loose = near(self._composite.mask, loose_reach(scale), lambda mask: loose_mask(mask, scale))
        device = picture.device
        told = self._counting(_enlarging(len(self._scenes)))
        painting, loose = painting.to(device), loose.to(device)
        return postprocess.enlarge(picture, painting, loose, self._config.seed, on_proposal=told)

    def _smaller(self, size: tuple[int, int]) -> bool:
        """Whether a working picture of this size lacks the composite's finest texture."""
        return max(size) < max(self._composite.painting.shape[1:])

    def _outcome(self, image: Tensor) -> Outcome:
        image = image.cpu().float()
        torch.where(self._alpha > 0, image, self._composite.painting, out=image)
        return Outcome(image, self._alpha, self._report())

    @cached_property
    def _alpha(self) -> Tensor:
        """Feathered with the tight mask, leaning inwards: a cut-out's rim carries its old background."""
        width, mask = self._config.feather, self._composite.mask
        reach = loose_reach(self._mask_scale(tuple(mask.shape[1:])))
        alpha = near(mask, shown_reach(width, reach), lambda mask: shown(mask, width, reach))
        return torch.where(alpha < ALPHA_CUT, 0.0, alpha)

    def _scene(self, level: Level) -> Scene:
        height, width = self._composite.mask.shape[1:]
        # At less than the smallest side a long panorama's height would be nothing at the deepest layer.
        scale = max(level.scale * self._config.working_scale, SMALLEST_SIDE / min(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        scene = Scene.at(
            self._composite, size, self._config.margin, self._config.full_frame, self._mask_scale(size)
        )
        return scene.to(self._network.device)

    def _mask_scale(self, size: tuple[int, int]) -> float:
        return max(size) / REFERENCE_SIZE

    def _source(self, scene: Scene, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """The painting's features, kept for the next run with other settings or another object."""

        def make() -> dict[str, Tensor]:
            return self._network.features_by_bands(scene.painting[None], layers)

        return self._memo.get(("features", layers, self._key(scene)), make)

    def _key(self, scene: Scene) -> tuple:
        """What the painting's features depend on, to the bit: threads share out a convolution's sums."""
        way = (*self._network.way, torch.get_num_threads())
        return *way, self._painting_key, tuple(scene.painting.shape)

    def _on(self, stage: int, scene: Scene) -> OnIteration:
        def on_iteration(iteration: int, image: Tensor, losses: dict[str, Tensor]) -> None:
            self._paint(image, scene)
            self._progress.tick(stage, iteration, losses, self._preview)

        return on_iteration

    def _counting(self, stage: int) -> Callable[[], None]:
        """Tells each call as the next iteration of stage number `stage`."""
        count = itertools.count(1)
        return lambda: self._progress.tick(stage, next(count), preview=self._preview)

    def _preview(self) -> Tensor:
        return self._outcome(self._enlarged(texture=False)).image

    def _stages(self) -> list[Stage]:
        """Pass 1, each level with its patch synthesis, settling, enlarging, and the rest; what is not needed has no
        iterations."""
        full, settings = _pixels(self._scenes[-1]), self._config
        stages = [
            Stage("first pass", settings.first.plan.iterations, 1.3 * _pixels(self._first_scene) / full)
        ]
        for index, (level, scene) in enumerate(zip(self._levels, self._scenes)):
            cost, size, laying = _pixels(scene) / full, tuple(scene.painting.shape[1:]), self._laying(index)
            offers = postprocess.synthesis_proposals(size, laying) if settings.patch_synthesis else 0
            stages.append(Stage("second pass", level.plan.iterations, cost))
            stages.append(Stage("patch synthesis", offers, SYNTHESIS_COST * cost))
        size, working = (tuple(p.shape[1:]) for p in (self._composite.painting, self._scenes[-1].painting))
        offers = postprocess.enlarging_proposals(size) if self._smaller(working) else 0
        larger = math.prod(size) / math.prod(working)
        return [
            *stages,
            Stage("second pass", self._settling().iterations, 1.0),
            Stage("postprocess", offers, ENLARGING_COST * larger),
            Stage("postprocess", 1, LAST_COST * larger),
        ]

    def _report(self) -> dict[str, Any]:
        progress, region = self._progress, self._scenes[-1].region
        return {
            "network": self._network.name,
            "device": str(self._network.device),
            "precision": str(self._network.dtype).removeprefix("torch."),
            "style_level": round(self.style_level, 3),
            "seconds": {name: round(value, 3) for name, value in progress.seconds.items()},
            "iterations": dict(progress.iterations),
            "losses": dict(progress.losses),
            "working_size": list(reversed(self._scenes[-1].painting.shape[1:])),
            "region": [region.left, region.top, region.right, region.bottom],
        }


def _descent(level: int) -> int:
    """The number of the stage that is pass 2 at level number `level`; after the last level, that it settles in."""
    return 1 + 2 * level


def _synthesis(level: int) -> int:
    """The number of the stage in which that level's picture is rebuilt from patches."""
    return _descent(level) + 1


def _enlarging(levels: int) -> int:
    """The number of the stage that is enlarging, after that many levels; one more is all that follows."""
    return _descent(levels) + 1


def _pixels(scene: Scene) -> float:
    part = scene.region.of(scene.loose)
    return float(math.prod(part.shape[1:]))
