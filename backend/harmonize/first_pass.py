"""Pass 1, coarse harmonization (Luan et al. 2018, section 3.1): each layer matched on its own.

One scale, robust rather than fine: its picture only serves pass 2's matching.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from .composite import STRIDE, Scene
from .networks import Network
from .ops.content import content_gradient
from .ops.gram import gram, gram_gradient
from .ops.masks import asked, down_the_network
from .ops.matching import nearest_neighbours
from .ops.taps import Term, tap
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
    published: bool = False,
) -> Tensor:
    """The naive picture with the painting's coarse style: the scene's region, (3, h, w) 0..255.

    `source` holds the painting's features (1, C, H, W) at STYLE_LAYERS.
    Deviations, left out with `published`: the matching is told colours and places (`Scene.hints`), and content is the
    mean over what the mask weighs, as style is; the authors' is the mean over the whole frame, so that there a small
    object keeps less of its form.
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
        hints = None if published else scene.hints(STRIDE[layer])
        field = nearest_neighbours(own, other, where, hints=hints)
        matched = other[:, field[0][where], field[1][where]]
        target = gram(matched, masks[layer][0][where])
        terms[layer] = [(STYLE_WEIGHT, partial(gram_gradient, weight=weight, target=target))]
        if layer == CONTENT_LAYER:
            kept = own.flatten(1)[:, positions[layer]].float()
            share = masks[layer].mean().item() if published else 1.0
            terms[layer].append(
                (CONTENT_WEIGHT * share, partial(content_gradient, target=kept, weight=weight))
            )

    scale = _gradient_scale(features, positions, terms)
    scaled = {layer: [(weight * scale, term) for weight, term in of] for layer, of in terms.items()}

    def direction(image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        record: list[Tensor] = []
        leaf = image.detach().requires_grad_()
        with torch.enable_grad():
            found = network.features(
                leaf[None], STYLE_LAYERS, lambda name, x: tap(x, positions[name], scaled[name], False, record)
            )
            deepest = found[STYLE_LAYERS[-1]]
            deepest.backward(torch.zeros_like(deepest))
        variation, loss = total_variation_gradient(image)
        losses = {"gradient terms": torch.stack(record).sum(), "variation": loss}
        return (leaf.grad / scale + VARIATION_WEIGHT * variation) * mask, losses

    return optimize(naive, mask, direction, plan, on_iteration)


def _gradient_scale(
    features: dict[str, Tensor], positions: dict[str, Tensor], terms: dict[str, list[tuple[float, Term]]]
) -> float:
    """The power of two by which the largest of the terms' gradients has at the start an L2 norm of about 1.

    Of an object of 16 px they grow to 3e6 on their way to the pixels, where float16 ends at 65504 ("loss scaling",
    Micikevicius et al. 2018, section 3.2). In float32 it changes no bit.
    """

    def largest(layer: str) -> float:
        rows = features[layer][0].flatten(1)[:, positions[layer]]
        return max(weight * term(rows)[0].norm().item() for weight, term in terms[layer])

    norm = max(largest(layer) for layer in terms)
    return 2.0 ** -math.frexp(norm)[1] if 0 < norm < math.inf else 1.0
