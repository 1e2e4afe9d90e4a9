"""Small worlds for the numerics: few threads, a thin network, a composite that is made in an instant."""

import pytest
import torch

from backend.harmonize import closing
from backend.harmonize.composite import Composite, Scene
from backend.harmonize.networks import Network
from tests.harmonize.fields import SIZE
from tests.harmonize.scenes import composed, random_weights


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The pictures are too small to share out, and other work may run beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def same_luck():
    """Whatever a test draws without naming a generator is the same in every run."""
    torch.manual_seed(0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture(scope="session")
def thin() -> Network:
    """A calibrated VGG-16 with random weights and 6 to 12 channels: every path of the code at a hundredth
    of the cost."""
    return Network("thin", random_weights(0), "RGB").to(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session")
def composite() -> Composite:
    return composed(112, 144, 32, 40, 48)


@pytest.fixture(scope="session")
def large() -> Scene:
    """An object that is more than its fading rim."""
    return Scene.at(composed(*SIZE, 64, 72, 72), SIZE, 60, False, mask_scale=0.1)


@pytest.fixture
def unlit(monkeypatch):
    """Light and shadow come from the matches alone."""
    monkeypatch.setattr(closing, "_own_light", lambda lightness, *rest: torch.zeros_like(lightness))
    monkeypatch.setattr(closing, "BACKDROPS_LIGHT", 0.0)
    monkeypatch.setattr(closing, "_contrasted", lambda lightness, *rest: lightness)
