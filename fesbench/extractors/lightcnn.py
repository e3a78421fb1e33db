"""Light CNN 29 v2, the recognizer of Li, Qi, Sun (2021), table 6.

Source: X. Wu et al., A light CNN for deep face representation with noisy labels (IEEE TIFS 13, 2018), and its
released network AlfredXiangWu/LightCNN: every convolution gives two halves, of which the larger survives
(max-feature-map); pooling is the sum of maximum and average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.extractors import crops
from fesbench.extractors.face_network import FaceNetwork
from fesbench.extractors.settings import setting
from fesbench.weights.state_dict import fill, read_state

if TYPE_CHECKING:
    import torch

_HOLDS = "Light CNN 29 v2"


@dataclass(frozen=True)
class LightCNNSettings(crops.FaceSettings):
    """The published crop: gray, eyes level, their midpoint in mid-column; bilinear, averaged where it
    shrinks, black beyond the image.
    """

    recipe = "level-1"
    size: int = setting(128, "pixels of a side")
    eye_row: float = setting(40.0, "row of the eyes")
    mouth: float = setting(48.0, "pixels from the eyes down to the mouth")
    flattest: float = setting(0.25, "least height of the mouth below the eyes, in distances of the eyes")
    luma: tuple[float, ...] = setting(
        (0.299, 0.587, 0.114), "weights of R, G, B in gray (Rec. 601, OpenCV's)"
    )
    full: float = setting(255.0, "pixel value that becomes 1")


class LightCNN(FaceNetwork):
    """256-d face embedding of a gray 128 px crop. Compare embeddings by cosine."""

    name = "lightcnn-29-v2"
    summary = "Light CNN's 256-d face embedding, on its published crop"
    weights = ("lightcnn-29-v2",)
    dimension = 256

    settings: LightCNNSettings = LightCNNSettings()

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """See :func:`gray_crop`."""
        return gray_crop(image, landmarks, self.settings)

    def _answer(self, network: Any, crops: np.ndarray) -> np.ndarray:
        import torch

        device = next(network.parameters()).device
        found: np.ndarray = network(torch.from_numpy(crops)[:, None].to(device)).cpu().numpy()
        return found

    def _build(self) -> Any:
        saved = read_state(self._manager, self.name, _HOLDS)
        return self._placed(fill(light_cnn_29_v2(), saved, self._manager, self.name, _HOLDS))


def gray_crop(
    image: np.ndarray, landmarks: np.ndarray, settings: LightCNNSettings = LightCNNSettings()
) -> np.ndarray:
    """The published crop: eyes level, the mouth at a fixed distance below them, their midpoint in mid-column.

    Args:
        image: uint8 (H, W, 3) RGB.
        landmarks: finite float (68, 2) pixels.
        settings: size and places.

    Returns:
        float32 (size, size) in [0, 1], black beyond the image.
    """
    left, right, _, mouth_left, mouth_right = crops.five_points(landmarks.astype(np.float64))
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    across = (right - left) / np.linalg.norm(right - left)
    turn = np.array([[across[0], across[1]], [-across[1], across[0]]])
    # A mouth that lies beside the eyes rather than below gives no scale; the eyes' distance bounds it.
    below = max(float((turn @ (mouth - eyes))[1]), settings.flattest * float(np.linalg.norm(right - left)))
    linear = turn * (settings.mouth / below)
    center = np.array([(settings.size - 1) / 2, settings.eye_row])
    to_crop = np.concatenate([linear, (center - linear @ eyes)[:, None]], axis=1)
    crop = crops.warp(image, to_crop, settings.size)
    return np.ascontiguousarray(crop @ np.array(settings.luma, dtype=np.float32) / np.float32(settings.full))


def light_cnn_29_v2() -> Any:
    """The network without its classifier: (N, 1, 128, 128) in [0, 1] -> (N, 256); random weights.

    ``load_state_dict`` takes the published checkpoint as it is, too.
    """
    import torch
    from torch import nn

    class MaxFeatureMap(nn.Module):
        """A convolution of twice the channels, of whose halves the larger survives."""

        def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
            super().__init__()
            self.filter = nn.Conv2d(inputs, 2 * outputs, kernel, padding=kernel // 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.maximum(*self.filter(x).chunk(2, dim=1))

    class Residual(nn.Module):
        """Two of them around a shortcut."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv1, self.conv2 = MaxFeatureMap(width, width, 3), MaxFeatureMap(width, width, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv2(self.conv1(x)) + x

    class Group(nn.Module):
        """A pointwise one, then one that changes the width."""

        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.conv_a, self.conv = MaxFeatureMap(inputs, inputs, 1), MaxFeatureMap(inputs, outputs, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.conv_a(x))

    def pool(x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(x, 2) + nn.functional.avg_pool2d(x, 2)

    def blocks(count: int, width: int) -> nn.Sequential:
        return nn.Sequential(*(Residual(width) for _ in range(count)))

    class Network(nn.Module):
        """Layers under the names of the published checkpoint."""

        def __init__(self) -> None:
            super().__init__()
            self.conv1 = MaxFeatureMap(1, 48, 5)
            self.block1, self.group1 = blocks(1, 48), Group(48, 96)
            self.block2, self.group2 = blocks(2, 96), Group(96, 192)
            self.block3, self.group3 = blocks(3, 192), Group(192, 128)
            self.block4, self.group4 = blocks(4, 128), Group(128, 128)
            self.fc = nn.Linear(8 * 8 * 128, 256)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = pool(self.conv1(x))
            x = pool(self.group1(self.block1(x)))
            x = pool(self.group2(self.block2(x)))
            x = self.group4(self.block4(self.group3(self.block3(x))))
            return self.fc(pool(x).flatten(1))

    network = Network()
    network.register_load_state_dict_pre_hook(_published)
    return network


def _published(network: Any, state: dict[str, Any], *_: object) -> None:
    """The embedding's tensors out of the published checkpoint, in place of what else it holds."""
    if "state_dict" not in state:
        return
    own = {key.removeprefix("module."): value for key, value in state["state_dict"].items()}
    state.clear()
    # The classifier of the training identities (fc2) is not part of the embedding.
    state.update({key: value for key, value in own.items() if not key.startswith("fc2.")})
