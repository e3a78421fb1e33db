"""Perceptual distances between two images: LPIPS and DISTS, on the trunks that torchvision publishes.

LPIPS (Zhang et al., CVPR 2018), version 0.1:

    LPIPS(x, y) = sum_l mean_hw sum_c w_lc (f_lc(x) - f_lc(y))^2

with features f of unit length over the channels and learned weights w >= 0. Images are in [-1, 1], shifted
and scaled, and not resized: values belong to one size. DISTS (Ding et al., TPAMI 2022) is piq's.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.extractors.base import PairExtractor, check_pairs, fixed_chunks
from fesbench.extractors.loading import LoadedNetwork
from fesbench.extractors.settings import Settings, setting
from fesbench.weights.state_dict import fill, read_state, unfit

if TYPE_CHECKING:
    import torch

_BATCH = 8
_CHANNELS = (3, 64, 128, 256, 512, 512)
"""Of DISTS: the image itself, then VGG's five stages."""


@dataclass(frozen=True)
class PairSettings(Settings):
    """Two images, RGB in [0, 1]."""

    recipe = "pair-1"
    full: float = setting(255.0, "pixel value that becomes 1")


@dataclass(frozen=True)
class LPIPSSettings(PairSettings):
    """LPIPS version 0.1: images as they are, RGB in [-1, 1]."""

    recipe = "v0.1-1"
    taps: tuple[int, ...] = setting((1, 4, 7, 9, 11), "layers of the trunk after which images are compared")
    shift: tuple[float, ...] = setting((-0.030, -0.088, -0.188), "taken off the pixels (R, G, B)")
    scale: tuple[float, ...] = setting((0.458, 0.448, 0.450), "what they are then divided by")
    epsilon: float = setting(1e-10, "added to the length of a feature vector")


@dataclass(frozen=True)
class DISTSSettings(PairSettings):
    """piq's DISTS: RGB in [0, 1], the shorter side at most 256 px, bilinear."""

    recipe = "piq-1"
    stages: tuple[str, ...] = setting(
        ("1_2", "2_2", "3_3", "4_3", "5_3"), "activations of the trunk that are compared, beside the image"
    )


class _TorchPairs(LoadedNetwork, PairExtractor):
    """A comparison by a network, in batches of one size, on the GPU where there is one.

    Its weights are those of the comparison and those of its trunk.
    """

    smallest = 32
    settings: PairSettings = PairSettings()
    packages = (("torchvision", "torchvision (pip install torchvision)"),)

    @abstractmethod
    def _compare(self) -> Any:
        """The network: two stacks float32 (P, 3, H, W) in [0, 1] -> (P,)."""

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Distances float32 (P,); see :meth:`PairExtractor.compare`."""
        import torch

        check_pairs(self, first, second)
        values = np.zeros(len(first), dtype=np.float32)
        network = self._load()
        device = next(network.parameters()).device
        # TF32 would round the distances to three digits on a GPU.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            pairs = zip(fixed_chunks(first, _BATCH), fixed_chunks(second, _BATCH), strict=True)
            for (rows, left), (_, right) in pairs:
                found = network(*(self._unit(side).to(device) for side in (left, right)))
                values[rows] = found.flatten().float().cpu().numpy()[: rows.stop - rows.start]
        return values

    def _build(self) -> Any:
        return self._placed(self._compare())

    def _unit(self, images: np.ndarray) -> torch.Tensor:
        """Uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [0, 1]."""
        import torch

        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / self.settings.full

    def _trunk(self, name: str) -> Any:
        """The convolutions of a torchvision classifier, from its published file."""
        import torch
        from torchvision import models

        holds, prefix = f"torchvision's {name}", "features."
        state = read_state(self._manager, name, holds)
        if not isinstance(state, dict):
            raise unfit(self._manager, name, holds, "it is no table of tensors")
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        # Nothing is allocated for the classifier, most of the network's parameters and unused here.
        with torch.device("meta"):
            trunk = getattr(models, name)(weights=None).features
        return fill(trunk, own, self._manager, name, holds)


class LPIPSDistance(_TorchPairs):
    """LPIPS 0.1 on AlexNet."""

    name = "lpips-alex"
    summary = "LPIPS 0.1 on AlexNet, the reference"
    weights = ("lpips-alex", "alexnet")
    pairs = True
    net = "alex"
    settings: LPIPSSettings = LPIPSSettings()

    def _compare(self) -> Any:
        import torch

        holds = f"the linear layers of LPIPS 0.1 ({self.net})"
        state = read_state(self._manager, self.name, holds)
        keys = [f"lin{level}.model.1.weight" for level in range(5)]
        if not isinstance(state, dict) or sorted(state) != keys:
            raise unfit(self._manager, self.name, holds, f"its keys are not {keys[0]} to {keys[-1]}")
        # Layers of torchvision's ``features`` after whose ReLU the images are compared.
        trunk, own = self._trunk(self.weights[1]), self.settings

        class Network(torch.nn.Module):
            """LPIPS by its definition."""

            shift: torch.Tensor
            scale: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                self.trunk = trunk[: own.taps[-1] + 1]
                self.linear = torch.nn.ParameterList([state[key] for key in keys]).requires_grad_(False)
                self.register_buffer("shift", torch.tensor(own.shift).view(1, 3, 1, 1))
                self.register_buffer("scale", torch.tensor(own.scale).view(1, 3, 1, 1))

            def features(self, unit: torch.Tensor) -> list[torch.Tensor]:
                x, found = (2 * unit - 1 - self.shift) / self.scale, []
                for number, layer in enumerate(self.trunk):
                    x = layer(x)
                    if number in own.taps:
                        # The next layer may work in place; the division makes a tensor of its own.
                        found.append(x / (x.square().sum(1, keepdim=True).sqrt() + own.epsilon))
                return found

            def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
                stages = zip(self.features(first), self.features(second), self.linear, strict=True)
                return sum(((a - b).square() * w).sum(1).mean((1, 2)) for a, b, w in stages)  # type: ignore[return-value]

        return Network().eval()


class LPIPSVGGDistance(LPIPSDistance):
    """LPIPS 0.1 on VGG-16."""

    name = "lpips-vgg"
    summary = "LPIPS 0.1 on VGG-16"
    weights = ("lpips-vgg", "vgg16")
    pairs = True
    net = "vgg"
    settings = LPIPSSettings(taps=(3, 8, 15, 22, 29))


class DISTSDistance(_TorchPairs):
    """DISTS on VGG-16: structure and texture similarity, 0 for equal images.

    piq shrinks images whose shorter side is above 256 px to it; others keep their size.
    """

    name = "dists"
    summary = "DISTS on VGG-16, by piq"
    weights = ("piq-dists", "vgg16")
    pairs = True
    settings: DISTSSettings = DISTSSettings()

    def _compare(self) -> Any:
        import torch
        from piq import DISTS
        from piq.perceptual import VGG16_LAYERS, ContentLoss

        holds = "the weights of DISTS"
        state = read_state(self._manager, "piq-dists", holds)
        width = sum(_CHANNELS)
        if not isinstance(state, dict) or any(
            key not in state or tuple(state[key].shape[:2]) != (1, width) for key in ("alpha", "beta")
        ):
            raise unfit(
                self._manager, "piq-dists", holds, f"alpha and beta of {width} channels are not there"
            )
        weights = [
            part for key in ("alpha", "beta") for part in torch.split(state[key], list(_CHANNELS), dim=1)
        ]
        # DISTS' own constructor fetches both files itself, unchecked: only its parent's is run.
        network = DISTS.__new__(DISTS)
        ContentLoss.__init__(
            network,
            self._trunk("vgg16"),
            layers=[VGG16_LAYERS[f"relu{stage}"] for stage in self.settings.stages],
            weights=weights,
            replace_pooling=True,
            reduction="none",
            normalize_features=False,
            allow_layers_weights_mismatch=True,
        )
        return network.eval()
