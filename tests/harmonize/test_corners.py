"""The corners where a first version broke: tiny objects, faint masks, spoilt weight files, a wild direction."""

import pickle

import pytest
import torch
from torchvision.models import vgg

from backend.harmonize.composite import Composite
from backend.harmonize.errors import InvalidInput, WeightsUnavailable
from backend.harmonize.networks import Network, load
from backend.harmonize.optimize import Plan, optimize
from backend.harmonize.pipeline import harmonize
from tests.harmonize.scenes import composed, one_level, random_weights, short


@pytest.fixture(scope="module")
def thin():
    return Network("thin", random_weights(0), "RGB").to(torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("side", [1, 4])
def test_an_object_smaller_than_a_cell_is_painted(thin, side):
    config = short(first=one_level(1)[0], second=one_level(1), patch_synthesis=False)
    outcome = harmonize(composed(352, 350, 150, 150, side), thin, config)
    assert torch.isfinite(outcome.image).all() and outcome.alpha.max() > 0


@pytest.mark.parametrize("edge", [(slice(-3, None), slice(None)), (slice(None), slice(-3, None))])
@pytest.mark.parametrize("margin", [0, 1])
def test_an_object_within_a_last_cell_that_is_not_whole_is_painted(thin, margin, edge):
    """Of its 8 rows or columns the deepest layer has none."""
    whole, mask = composed(104, 104, 30, 30, 40), torch.zeros(1, 104, 104)
    mask[(0, *edge)] = 1
    config = short(first=one_level(1)[0], second=one_level(1), patch_synthesis=False, margin=margin)
    outcome = harmonize(Composite(whole.painting, whole.naive.flip(2), mask), thin, config)
    assert torch.isfinite(outcome.image).all() and outcome.alpha.max() > 0


def test_a_mask_too_faint_to_paint_is_refused(thin):
    whole = composed(96, 96, 30, 30, 40)
    with pytest.raises(InvalidInput, match="nearly transparent"):
        Composite(whole.painting, whole.naive, 0.05 * whole.mask)


@pytest.mark.parametrize("method", ["adam", "lbfgs"])
@pytest.mark.parametrize("value", [1e6, 1e30, float("nan"), float("inf")])
def test_one_wild_direction_does_not_stop_the_descent(method, value):
    start, calls = torch.full((3, 24, 28), 100.0), []
    goal = start + 20

    def direction(image):
        calls.append(1)
        ascent = image - goal
        if len(calls) == 3:
            ascent[0] = value
        return ascent, {}

    result = optimize(start, torch.ones(1, 24, 28), direction, Plan(200, method=method), lambda *_: None)
    assert (result - goal).abs().mean() < 3


def not_finite(path):
    layers = vgg.make_layers(vgg.cfgs["D"], False).state_dict()
    state = {f"features.{name}": value for name, value in layers.items()}
    state["features.0.weight"] = state["features.0.weight"] * float("nan")
    torch.save(state, path)


SPOILT = {
    "garbage": lambda path: path.write_bytes(b"garbage"),
    "a proxy's page": lambda path: path.write_bytes(b"<html>no</html>"),
    "zeros": lambda path: path.write_bytes(b"\0" * 4096),
    "a pickled list": lambda path: path.write_bytes(pickle.dumps([1, 2])),
    "a list": lambda path: torch.save([1, 2], path),
    "numbers": lambda path: torch.save({"features.0.weight": 1, "features.0.bias": 2}, path),
    "not finite": not_finite,
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_weight_file_is_told(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub/checkpoints/vgg16_features-amdegroot-88682ab5.pth"
    path.parent.mkdir(parents=True)
    SPOILT[kind](path)
    with pytest.raises(WeightsUnavailable):
        load("vgg16")
    assert capsys.readouterr().out == ""
