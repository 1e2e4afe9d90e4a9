"""What objects in small scenes are matched to."""

import torch

from backend.harmonize.composite import Scene
from tests.harmonize.scenes import composed

SIZE = (208, 224)


def large_scene() -> Scene:
    """An object that is more than its fading rim."""
    return Scene.at(composed(*SIZE, 64, 72, 72), SIZE, 60, False, mask_scale=0.1)


def cells(scene: Scene) -> tuple[int, int]:
    part = scene.region
    return (part.bottom - part.top) // 8, (part.right - part.left) // 8


def everywhere(scene: Scene, row: int, column: int) -> torch.Tensor:
    """Each cell of the region matched to the same cell of the painting."""
    return torch.tensor([row, column]).view(2, 1, 1).expand(2, *cells(scene)).clone()


def anywhere(scene: Scene) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    limits = torch.tensor([side // 8 for side in scene.painting.shape[1:]]).view(2, 1, 1)
    return (torch.rand((2, *cells(scene)), generator=generator) * limits).long()
