"""Small worlds for the numerics: few threads, a thin network, a composite that is made in an instant."""

import pytest
import torch

from backend.harmonize.composite import Composite
from backend.harmonize.networks import Network

VGG16_CONVS = (2, 2, 3, 3, 1)
THIN = (6, 8, 10, 12, 12)  # channels by block, where a real VGG has 64 to 512


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The pictures are too small to share out, and other work may run beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


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


@pytest.fixture(scope="session")
def thin() -> Network:
    """A calibrated VGG-16 with random weights and 6 to 12 channels: every code path at a hundredth of the cost."""
    return Network("thin", random_weights(0), "RGB")


def painted(height: int, width: int, seed: int) -> torch.Tensor:
    """A picture of soft blobs with a fine grain: (3, height, width), 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, max(2, height // 12), max(2, width // 12), generator=generator)
    blobs = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0]
    return (0.8 * blobs + 0.2 * torch.rand(3, height, width, generator=generator)).clamp(0, 1)


def composed(height: int, width: int, top: int, left: int, side: int, seed: int = 3) -> Composite:
    """A square object of another picture pasted at (top, left)."""
    painting, other = painted(height, width, seed), painted(height, width, seed + 1).flip(0)
    mask = torch.zeros(1, height, width)
    mask[:, top : top + side, left : left + side] = 1
    return Composite(painting, torch.lerp(painting, other, mask), mask)


@pytest.fixture(scope="session")
def composite() -> Composite:
    return composed(80, 96, 24, 30, 32)
