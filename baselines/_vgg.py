"""The first layers of published classifiers, for losses on what they see; see ``Method.build_helper``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

_WIDTHS = (64, 128, 256, 512, 512)
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1]: red, green, blue."""


class FirstLayers(nn.Module):
    """A part of a published network, which takes its own tensors out of the whole one's file."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As of every module, but for tensors of later layers, which are left where they are."""
        own = self.state_dict()
        return super().load_state_dict({k: v for k, v in state_dict.items() if k in own}, strict, assign)


class VGG19(FirstLayers):
    """torchvision's VGG-19 up to a convolution of its first two stages.

    Args:
        last: the convolution whose answer is wanted, before its rectifier: "conv1_1" to "conv2_2".
    """

    def __init__(self, last: str = "conv1_2") -> None:
        super().__init__()
        self.features = nn.Sequential()
        channels, names = 3, {"conv1_1": 1, "conv1_2": 2, "conv2_1": 3, "conv2_2": 4}
        for number in range(names[last]):
            if number == 2:
                self.features.append(nn.MaxPool2d(2))
            width = _WIDTHS[number // 2]
            self.features.append(nn.Conv2d(channels, width, 3, padding=1))
            if number + 1 < names[last]:
                self.features.append(nn.ReLU())
            channels = width

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> the last convolution's answer."""
        mean, spread = (image.new_tensor(v)[:, None, None] for v in (_MEAN, _SPREAD))
        found: Tensor = self.features(((image + 1) / 2 - mean) / spread)
        return found


class VGG19Levels(FirstLayers):
    """torchvision's VGG-19 up to the first convolution of its fifth stage."""

    LEVELS: ClassVar[tuple[int, ...]] = (11, 20, 29)
    """Layers whose answers are given: relu3_1, relu4_1, relu5_1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, number in zip(_WIDTHS, (2, 2, 4, 4, 1), strict=True):
            layers += [nn.MaxPool2d(2)] if layers else []
            for _ in range(number):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] -> maps of 256, 512 and 512 channels."""
        mean, spread = (image.new_tensor(v)[:, None, None] for v in (_MEAN, _SPREAD))
        x, found = ((image + 1) / 2 - mean) / spread, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.LEVELS:
                found.append(x)
        return found


class VGGFace(FirstLayers):
    """VGG-Face (Parkhi et al., BMVC 2015) up to conv5_2, by the names of deepface's file."""

    SIDE = 224
    MEAN = (129.1863, 104.7624, 93.5940)
    """Of red, green and blue in [0, 255]."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for stage, width in enumerate(_WIDTHS, start=1):
            for number in range(1, 4 if 3 <= stage < 5 else 3):
                self.add_module(f"conv{stage}_{number}", nn.Conv2d(channels, width, 3, padding=1))
                channels = width

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1], resized to 224 -> conv1_2, 2_2 ... 5_2 before their rectifiers."""
        side = (self.SIDE, self.SIDE)
        x = F.interpolate(image, size=side, mode="bilinear", align_corners=False)
        x, found = (x + 1) * 127.5 - x.new_tensor(self.MEAN)[:, None, None], []
        for name, convolution in self.named_children():
            stage, number = name.removeprefix("conv").split("_")
            if number == "1" and stage != "1":
                x = F.max_pool2d(x, 2)
            x = convolution(x)
            if number == "2":
                found.append(x)
            x = F.relu(x)
        return found
