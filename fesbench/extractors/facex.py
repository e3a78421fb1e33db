"""An outside expression judge: the MobileNetV2 of the package ``facex``, run in torch.

The package runs a TensorFlow Lite file; here its weights are read from that file and the network is wired in
torch. The file rounds most weights to bytes, and so does the port. What TensorFlow Lite rounds besides, the
inputs of each convolution while it runs, is kept in float32: its own kernels (XNNPACK, the plain and the
reference ones) disagree by up to 0.14 in a probability for that rounding, and the port lies as near to each
as they to one another. Every stage equals the interpreter's within that rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.extractors.cascade_crop import CascadeSettings, cascade_crop
from fesbench.extractors.face_network import FaceNetwork
from fesbench.extractors.settings import setting
from fesbench.extractors.tflite_file import Stored, read_tensors
from fesbench.weights.state_dict import checked_bytes, fill, unfit

_HOLDS = "facex's MobileNetV2"

_BLOCKS = (
    *((16, 24, 2), (24, 24, 1)),
    *((24, 32, 2), (32, 32, 1), (32, 32, 1)),
    *((32, 64, 2), (64, 64, 1), (64, 64, 1), (64, 64, 1)),
    *((64, 96, 1), (96, 96, 1), (96, 96, 1)),
    *((96, 160, 2), (160, 160, 1), (160, 160, 1)),
    (160, 320, 1),
)
"""Inputs, outputs and stride of each block behind the first; all widen their inputs six times."""


@dataclass(frozen=True)
class FacexSettings(CascadeSettings):
    """facex's crop: the box of OpenCV's frontal cascade as it is, upright; gray in all three channels,
    bilinear, averaged where it shrinks, beyond the image the mean of its bottom rows. What TensorFlow Lite
    rounds while it runs is kept in float32.
    """

    recipe = "facex-1"
    side: int = setting(200, "pixels of a side")
    averaged: bool = setting(True, "whether a box of more pixels than the crop is averaged, not sampled")
    full: float = setting(255.0, "pixel value that becomes 1")


class ExpressionMobileNet(nn.Module):
    """MobileNetV2 of width 1 whose last maps, 6 x 6 x 1280, go into one linear layer.

    Source: M. Sandler et al. MobileNetV2: inverted residuals and linear bottlenecks. CVPR 2018; as Keras
    wires it, norms folded into the convolutions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv1 = nn.Conv2d(3, 32, 3, stride=2)
        self.expanded_conv_depthwise = nn.Conv2d(32, 32, 3, groups=32)
        self.expanded_conv_project = nn.Conv2d(32, 16, 1)
        self.blocks = nn.ModuleList(_Block(*sizes) for sizes in _BLOCKS)
        self.Conv_1 = nn.Conv2d(320, 1280, 1)
        self.predictis = nn.Linear(6 * 6 * 1280, len(Facex.classes))

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (N, 7) of images (N, 3, 200, 200) in [0, 1]."""
        maps = F.relu6(self.Conv1(_bordered(images, 2)))
        maps = F.relu6(self.expanded_conv_depthwise(_bordered(maps, 1)))
        maps = self.expanded_conv_project(maps)
        for block in self.blocks:
            maps = block(maps)
        last = F.relu6(self.Conv_1(maps))
        # TensorFlow's order: the channels of a place stand together.
        return torch.softmax(self.predictis(last.permute(0, 2, 3, 1).flatten(1)), dim=1)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        width = 6 * inputs
        self.stride, self.residual = stride, inputs == outputs
        self.expand = nn.Conv2d(inputs, width, 1)
        self.depthwise = nn.Conv2d(width, width, 3, stride=stride, groups=width)
        self.project = nn.Conv2d(width, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        wide = F.relu6(self.expand(maps))
        made: Tensor = self.project(F.relu6(self.depthwise(_bordered(wide, self.stride))))
        return maps + made if self.residual else made


def _bordered(maps: Tensor, stride: int) -> Tensor:
    """The file's borders: on all sides; at the end alone where a step halves."""
    return F.pad(maps, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))


class Facex(FaceNetwork):
    """Probabilities of seven expressions by facex's network, on a fixed crop from known landmarks.

    facex cuts out the box of OpenCV's cascade as it is, and gives its gray values to all three channels.
    """

    name = "facex"
    summary = "facex's expression classifier, a MobileNetV2: a judge that no protocol has trained"
    weights = ("facex",)
    classes = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    dimension = len(classes)
    settings: FacexSettings = FacexSettings()

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """float32 (200, 200) in [0, 255]; see :func:`cascade_crop`."""
        return cascade_crop(image, landmarks, self.settings)

    def _build(self) -> ExpressionMobileNet:
        try:
            state = network_state(read_tensors(checked_bytes(self._manager, self.name)))
        except (ValueError, KeyError, IndexError) as error:
            raise unfit(self._manager, self.name, _HOLDS, error) from error
        made: ExpressionMobileNet = fill(ExpressionMobileNet(), state, self._manager, self.name, _HOLDS)
        return made

    def _answer(self, network: ExpressionMobileNet, crops: np.ndarray) -> np.ndarray:
        """Probabilities float32 (B, 7) in the order of :attr:`classes`."""
        gray = torch.from_numpy(crops)[:, None] / self.settings.full
        found: np.ndarray = network(gray.expand(-1, 3, -1, -1)).numpy()
        return found


def network_state(tensors: dict[str, Stored]) -> dict[str, Any]:
    """The file's tensors under this network's names, as float32."""
    state: dict[str, Tensor] = {}

    def layer(own: str, theirs: str, kernel: str, order: tuple[int, ...], bias: str) -> None:
        weight = _floats(tensors[f"{theirs}/{kernel}"])
        state[f"{own}.weight"] = torch.from_numpy(np.ascontiguousarray(weight.transpose(order)))
        state[f"{own}.bias"] = torch.from_numpy(_floats(tensors[bias]))

    def conv(own: str, theirs: str) -> None:
        layer(own, theirs, "kernel", (0, 3, 1, 2), f"{_PREFIX}{theirs}/Conv2D_bias")

    def depthwise(own: str, theirs: str) -> None:
        layer(own, theirs, "depthwise_kernel", (3, 0, 1, 2), f"{_PREFIX}{theirs}/depthwise_bias")

    conv("Conv1", "Conv1")
    depthwise("expanded_conv_depthwise", "expanded_conv_depthwise")
    conv("expanded_conv_project", "expanded_conv_project")
    for number in range(len(_BLOCKS)):
        ours, theirs = f"blocks.{number}", f"block_{number + 1}"
        conv(f"{ours}.expand", f"{theirs}_expand")
        depthwise(f"{ours}.depthwise", f"{theirs}_depthwise")
        conv(f"{ours}.project", f"{theirs}_project")
    conv("Conv_1", "Conv_1")
    layer("predictis", "predictis", "kernel/transpose", (0, 1), "predictis/MatMul_bias")
    return state


_PREFIX = "mobilenetv2_1.00_224/"


def _floats(stored: Stored) -> np.ndarray:
    """A stored tensor as float32.

    The converter writes signed bytes, symmetric about zero, under the type of unsigned ones where its kernel
    multiplies bytes; a zero point tells the others, which are turned into floats before they are used.
    """
    values = stored.values
    if values.dtype == np.uint8 and stored.zero_point == 0:
        values = values.view(np.int8)
    if stored.scale:
        return np.float32(stored.scale) * (values.astype(np.float32) - np.float32(stored.zero_point))
    return np.array(values, dtype=np.float32)
