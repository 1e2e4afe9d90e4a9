"""What the tests here paint on: soft pictures, pasted squares, thin networks, settings of a short run."""

import torch
import torch.nn.functional as F

from backend.harmonize.composite import Composite, Scene
from backend.harmonize.config import Config, Level
from backend.harmonize.optimize import Plan

VGG16_CONVS = (2, 2, 3, 3, 1)
THIN = (6, 8, 10, 12, 12)  # channels by block, where a real VGG has 64 to 512


def random_weights(seed: int, gain: float = 1.0) -> dict:
    """Weights of a VGG-16 with few channels, drawn as He et al. 2015 have it, times `gain`."""
    generator = torch.Generator().manual_seed(seed)
    weights, channels = {}, 3
    for block, (count, out) in enumerate(zip(VGG16_CONVS, THIN), start=1):
        for i in range(1, count + 1):
            kernel = torch.randn(out, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
            weights[f"conv{block}_{i}"] = (gain * kernel, 0.1 * torch.randn(out, generator=generator))
            channels = out
    return weights


def painted(height: int, width: int, seed: int) -> torch.Tensor:
    """A picture of soft blobs with a fine grain: (3, height, width), 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, max(2, height // 12), max(2, width // 12), generator=generator)
    blobs = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0]
    return (0.8 * blobs + 0.2 * torch.rand(3, height, width, generator=generator)).clamp(0, 1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def everywhere(picture: torch.Tensor) -> torch.Tensor:
    return torch.ones(picture.shape[1:], dtype=torch.bool)


def composed(height: int, width: int, top: int, left: int, side: int, seed: int = 3) -> Composite:
    """A square object of another picture pasted at (top, left)."""
    painting, other = painted(height, width, seed), painted(height, width, seed + 1).flip(0)
    mask = torch.zeros(1, height, width)
    mask[:, top : top + side, left : left + side] = 1
    return Composite(painting, torch.lerp(painting, other, mask), mask)


def core(scene: Scene) -> torch.Tensor:
    """The object without its rim: bool (h, w) in the region."""
    outside = 1 - scene.region.of(scene.tight)
    return F.max_pool2d(outside[None], 17, stride=1, padding=8)[0, 0] == 0


def short(**changes) -> Config:
    """A run of a few iterations on two levels at full working scale."""
    settings = dict(
        style_level=5.0,
        content=1.0,
        smoothness=1.0,
        own_colours=0.0,
        grow=0,
        feather=2.0,
        chroma_denoise=True,
        patch_synthesis=True,
        seed=0,
        working_scale=1.0,
        first=Level(1.0, Plan(3)),
        second=(Level(0.8, Plan(3)), Level(1.0, Plan(2))),
        settling=None,
        full_frame=False,
        margin=24,
        smallest_object=32,
    )
    return Config(**{**settings, **changes})


def one_level(iterations: int, method: str = "adam") -> tuple:
    return (Level(1.0, Plan(iterations, method=method)),)
