"""Pass 2, high-quality refinement (Luan et al. 2018, section 3.2): one mapping, consistent across
space and scales, its statistics taken over the set of matched positions.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from .composite import MATCHED, STRIDE, Scene, by_cells
from .networks import Network
from .ops.color import rgb_to_lab
from .ops.content import content_gradient
from .ops.field import Mapping, matched_set, spatially_consistent, upsampled
from .ops.gram import gram, gram_gradient
from .ops.histogram import histogram_gradient, quantiles
from .ops.masks import asked, down_the_network
from .ops.matching import Matcher
from .ops.taps import Term, tap, unit
from .ops.variation import total_variation_gradient
from .optimize import OnIteration, Plan, optimize
from .style_level import Weights

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
REFERENCE = "relu4_1"
SHALLOW = STYLE_LAYERS[:2]  # a quarter of the arithmetic up to REFERENCE
NEGLIGIBLE = (
    1e-4  # of the style's weight: what a flat painting's histograms have, less than a billionth, is none
)
# Against a position's own similarity, the price of a proposal's mean squared distance in CIELAB / 100 from its
# neighbours'. At 1 the matches are hardly smoother than none made consistent, at 16 small forms are lost (style,
# content on six examples: 1.421, 0.681; 1.360, 0.644; 4: 1.398, 0.685; the consensus: 1.328, 0.610).
DISAGREEMENT = 4.0


def match(
    guide: Tensor, scene: Scene, network: Network, source: dict[str, Tensor], published: bool = False
) -> Mapping:
    """The consistent mapping at the reference layer from `guide` (the region, (3, h, w) 0..255: pass 1's
    result, or what a finer level begins with) to the scene's painting: fields (2, h/8, w/8).

    Deviations, left out with `published`: the matching is told colours and places (`Scene.hints`), and a second time
    what hues those of a like colour found (`Scene.agreeing`); the object's positions are made consistent among
    themselves, since on an object of few positions the surroundings, which match themselves, otherwise outvote it (style
    1.98 against 1.83 on the smallest of five examples); and the paper's consensus serves the statistics only, while
    colours and patches at a position come from a field that weighs it against what the position itself looks like.
    """
    masks = down_the_network(scene.region.of(scene.loose), network.structure, (REFERENCE,))
    where = asked(masks[REFERENCE])
    with torch.no_grad():
        query = network.features(guide[None], (REFERENCE,))[REFERENCE][0]
    reference = source[REFERENCE][0]
    painting = by_cells(scene.painting, MATCHED)
    features = _normalized(query), _normalized(reference)
    if published:
        consensus = spatially_consistent(Matcher(*features, where).nearest(), painting)
        return Mapping(consensus, consensus)
    inside = by_cells(scene.region.of(scene.tight), MATCHED)[0]
    inside = inside > inside.max().clamp_max(1) / 2  # of faint and thin objects too
    hints = scene.hints(MATCHED)
    hints = scene.agreeing(hints, Matcher(*features, where & inside, hints=hints).nearest())
    matcher = Matcher(*features, where, hints=hints)
    field = matcher.nearest()
    consensus, objects = spatially_consistent(field, painting), torch.where(inside, field, -1)
    agreed = spatially_consistent(objects, painting)
    consensus = torch.where(agreed >= 0, agreed, consensus)
    colours = rgb_to_lab(painting.clamp(0, 255) / 255) * (DISAGREEMENT**0.5 / 100)
    own = spatially_consistent(objects, colours, similarity=matcher.similarity)
    return Mapping(consensus, torch.where(own >= 0, own, consensus))


def carried(mapping: Mapping, fine: Scene, coarse: Scene) -> Mapping:
    """`match`'s mapping of the scene `fine` for the same composite at a coarser scale, or at a larger one (`config.LARGER`).

    Each of the `coarse` region's positions takes the match of the fine position at its centre, and its place within that.
    Deviation from the paper, which has one scale: pass 1's result is matched at the finest scale and that mapping
    carried to the coarsest, where matching it there lost small objects (style 1.72 against 1.67 on five
    examples).
    """
    sizes = [tuple(scene.painting.shape[1:]) for scene in (fine, coarse)]
    ratios = [large / small for large, small in zip(*sizes)]
    ours, theirs = coarse.region, fine.region
    height, width = mapping.consensus.shape[1:]
    device = mapping.consensus.device
    rows, down = _cells_at(range(ours.top, ours.bottom, MATCHED), ratios[0], theirs.top, height)
    columns, along = _cells_at(range(ours.left, ours.right, MATCHED), ratios[1], theirs.left, width)
    rows, columns = rows.to(device), columns.to(device)
    within = torch.stack(torch.meshgrid(down, along, indexing="ij")).to(device)
    scale = torch.tensor(ratios, device=device).view(2, 1, 1)
    last = torch.tensor([side // MATCHED - 1 for side in sizes[1]], device=device).view(2, 1, 1)

    def carry(field: Tensor) -> Tensor:
        taken = field[:, rows][:, :, columns]
        places = torch.minimum(((taken + within) / scale).floor().long(), last)
        return torch.where(taken[:1] >= 0, places, -1)

    return Mapping(*map(carry, mapping))


def _cells_at(starts: range, ratio: float, origin: int, count: int) -> tuple[Tensor, Tensor]:
    """The cells, `count` of them from `origin` on, at the centres of cells of another scale that begin at `starts`,
    and where in them the centres lie, 0..1 float32.

    Pixels; `ratio` is our scale's to the other. A last cell that is not whole is none.
    """
    whole = torch.tensor([start for start in starts if start + MATCHED <= starts.stop], dtype=torch.float64)
    centres = ((whole + MATCHED / 2) * ratio - origin) / MATCHED
    cells = centres.floor().clamp(0, count - 1)
    return cells.long(), (centres - cells).clamp(0, 1).float()


class Statistics(NamedTuple):
    """What a layer's features of the object are to become: of C channels, float32."""

    gram: Tensor  # (C, C)
    quantiles: Tensor  # (C, BINS + 1)


def statistics(field: Tensor, scene: Scene, source: dict[str, Tensor]) -> dict[str, Statistics]:
    """Those of the set of positions that `field`, `match`'s consensus, matched, at each of STYLE_LAYERS.

    `source` holds the painting's features (1, C, H, W) at these; nothing of them is kept.
    """
    pixels = scene.region.of(scene.loose).shape[1:]

    def of(layer: str) -> Statistics:
        features = source[layer][0]
        size, stride = tuple(features.shape[1:]), STRIDE[layer]
        fine = upsampled(field, tuple(side // stride for side in pixels), size, MATCHED // stride)
        chosen = features[:, matched_set(fine, size)]  # (C, M), each position once
        return Statistics(gram(chosen, torch.ones(chosen.shape[1], device=chosen.device)), quantiles(chosen))

    return {layer: of(layer) for layer in STYLE_LAYERS}


def second_pass(
    start: Tensor,
    wanted: dict[str, Statistics],
    scene: Scene,
    network: Network,
    weights: Weights,
    plan: Plan,
    on_iteration: OnIteration,
) -> Tensor:
    """The object painted with the `wanted` statistics of its matches: the scene's region, (3, h, w) 0..255."""
    direction = _Descent(wanted, scene, network, weights, plan.deep_every)
    return optimize(start, scene.region.of(scene.loose), direction, plan, on_iteration)


class _Descent:
    """The direction at a picture: the terms' normalized gradients, each injected at its own layer.

    Deviation from the paper: the layers beyond SHALLOW, which hold most of the network's arithmetic, are asked at
    every `deep_every`th picture only; at those between, what they last sent down to SHALLOW stands in for them. At 2,
    with steps a seventh larger: 0.74 of the time, style 1.520 to 1.515, content 0.708 to 0.728, texture 14.58 to
    14.74 on six examples. At 3 instead of 2: style 1.260 to 1.266, content 0.780 to 0.779, texture 14.19 both on 12.
    """

    def __init__(
        self,
        wanted: dict[str, Statistics],
        scene: Scene,
        network: Network,
        weights: Weights,
        deep_every: int,
    ):
        self._network, self._mask = network, scene.region.of(scene.loose)
        self._variation, self._every = weights.variation, deep_every
        self._asked, self._from_deep = 0, None
        self._positions: dict[str, Tensor] = {}
        self._terms: dict[str, list[tuple[float, Term]]] = {}
        masks = down_the_network(self._mask, network.structure, STYLE_LAYERS)
        for layer in STYLE_LAYERS:
            mask = masks[layer].flatten()
            self._positions[layer] = (mask > 0).nonzero()[:, 0]
            self._terms[layer] = _style_terms(layer, wanted[layer], mask[mask > 0], weights)
        mask = masks[REFERENCE].flatten()
        with torch.no_grad():
            content = network.features(scene.region.of(scene.naive)[None], (REFERENCE,))[REFERENCE][0]
        target = content.flatten(1)[:, mask > 0].float()
        kept = partial(content_gradient, target=target, weight=mask[mask > 0])
        self._terms[REFERENCE].append((weights.content, kept))

    def __call__(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """At `image` (3, h, w) 0..255: the direction of ascent, like it, and losses."""
        deep = self._asked % self._every == 0
        self._asked += 1
        leaf, record = image.detach().requires_grad_(), []
        with torch.enable_grad():
            layers = STYLE_LAYERS if deep else SHALLOW
            found = self._network.features(leaf[None], layers, partial(self._tapped, record))
            if deep:
                found[SHALLOW[-1]].register_hook(self._keep)
            last = found[layers[-1]]
            last.backward(torch.zeros_like(last) if deep else self._from_deep)
        variation, loss = total_variation_gradient(image)
        losses = {"terms": torch.stack(record).sum(), "variation": loss}
        return (leaf.grad + self._variation * unit(variation * self._mask)) * self._mask, losses

    def _tapped(self, record: list[Tensor], layer: str, features: Tensor) -> Tensor:
        return tap(features, self._positions[layer], self._terms[layer], True, record)

    def _keep(self, gradient: Tensor) -> None:
        """What is not finite is not asked for again: it would undo each step until the deep layers' next turn."""
        self._from_deep = torch.where(torch.isfinite(gradient).all(), gradient, torch.zeros_like(gradient))


def _style_terms(
    layer: str, wanted: Statistics, weight: Tensor, weights: Weights
) -> list[tuple[float, Term]]:
    """The Gram and histogram terms of one layer; `weight` (N,) its mask at the tapped positions."""
    terms = [(weights.style, partial(gram_gradient, weight=weight, target=wanted.gram))]
    if layer in weights.histogram_layers and weights.histogram > NEGLIGIBLE * weights.style:
        histogram = partial(histogram_gradient, weight=weight, target=wanted.quantiles)
        terms.append((weights.histogram, histogram))
    return terms


def _normalized(features: Tensor) -> Tensor:
    """Each position's channel vector at unit length, so that strong responses do not outvote the patch."""
    x = features.float()
    return x / x.norm(dim=0, keepdim=True).clamp_min(1e-6)
