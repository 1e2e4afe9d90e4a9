"""Pass 1, coarse harmonization (Luan et al. 2018, section 3.1): each layer matched on its own.

One scale, robust rather than fine: its picture only serves pass 2's matching.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from .composite import Scene
from .networks import Network
from .ops.content import content_gradient
from .ops.gram import gram, gram_gradient
from .ops.masks import asked, down_the_network
from .ops.matching import nearest_neighbours
from .ops.taps import tap
from .ops.variation import total_variation_gradient
from .optimize import OnIteration, Plan, optimize

STYLE_LAYERS = ("relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_1"
CONTENT_WEIGHT = 5.0
STYLE_WEIGHT = 100.0
VARIATION_WEIGHT = 1e-3


def first_pass(
    scene: Scene,
    network: Network,
    source: dict[str, Tensor],
    plan: Plan,
    on_iteration: OnIteration,
    hinted: bool = True,
) -> Tensor:
    """The naive picture with the painting's coarse style: the scene's region, (3, h, w) 0..255.

    `source` holds the painting's features (1, C, H, W) at STYLE_LAYERS; `hinted` tells the
    matching colours and places (`Scene.hints`).
    """
    naive, mask = scene.region.of(scene.naive), scene.region.of(scene.loose)
    masks = down_the_network(mask, network.structure, STYLE_LAYERS)
    with torch.no_grad():
        features = network.features(naive[None], STYLE_LAYERS)
    positions, terms = {}, {}
    for layer in STYLE_LAYERS:
        positions[layer] = (masks[layer].flatten() > 0).nonzero()[:, 0]
        weight = masks[layer].flatten()[positions[layer]]
        where = asked(masks[layer])
        own, other = features[layer][0], source[layer][0]
        hints = scene.hints(tuple(own.shape[1:]), tuple(other.shape[1:])) if hinted else None
        field = nearest_neighbours(own, other, where, hints=hints)
        matched = other[:, field[0][where], field[1][where]]
        target = gram(matched, masks[layer][0][where])
        terms[layer] = [(STYLE_WEIGHT, partial(gram_gradient, weight=weight, target=target))]
        if layer == CONTENT_LAYER:
            kept = own.flatten(1)[:, positions[layer]].float()
            terms[layer].append((CONTENT_WEIGHT, partial(content_gradient, target=kept, weight=weight)))

    def direction(image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        record: list[Tensor] = []
        leaf = image.detach().requires_grad_()
        with torch.enable_grad():
            found = network.features(
                leaf[None], STYLE_LAYERS, lambda name, x: tap(x, positions[name], terms[name], False, record)
            )
            deepest = found[STYLE_LAYERS[-1]]
            deepest.backward(torch.zeros_like(deepest))
        variation, loss = total_variation_gradient(image)
        losses = {"gradient terms": torch.stack(record).sum(), "variation": loss}
        return (leaf.grad + VARIATION_WEIGHT * variation) * mask, losses

    return optimize(naive, mask, direction, plan, on_iteration)
