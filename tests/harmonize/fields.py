"""What objects in small scenes are matched to, and the tones that gives them."""

import torch

from backend.harmonize import closing
from backend.harmonize.composite import Scene
from backend.harmonize.firmness import USUAL
from backend.harmonize.ops.field import Mapping

SIZE = (208, 224)


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


def toned(picture: torch.Tensor, field: torch.Tensor, scene: Scene, firmness: float = USUAL) -> torch.Tensor:
    """By a mapping of which both fields are the same."""
    return closing.toned(picture, Mapping(field, field), scene, firmness)
