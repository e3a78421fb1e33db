"""An outside expression judge: the expression net of face-api, run in torch.

It was trained on images from the web and has never seen a protocol's subjects. The weights are read from the
npm package's own manifest, which says how each tensor was rounded to bytes. Probabilities differ by at most
1e-6 from those of the package's own code (tensorflow.js on a CPU), as a literal reading in numpy does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.extractors import crops
from fesbench.extractors.face_network import FaceNetwork
from fesbench.extractors.settings import setting
from fesbench.weights.state_dict import checked_bytes, fill, unfit

_WIDTHS = (3, 32, 64, 128, 256)
_MANIFEST = "face-api-manifest"
_HOLDS = "face-api's expression net"


@dataclass(frozen=True)
class FaceApiSettings(crops.FaceSettings):
    """face-api's crop: the box around the landmarks, widened, within the image, in a black square, RGB;
    bilinear, averaged where it shrinks. The box is not rounded to whole pixels.
    """

    recipe = "face-api-1"
    side: int = setting(112, "pixels of a side")
    padding: float = setting(0.2, "share of the box's width and height that is added, in all")
    mean: tuple[float, ...] = setting((122.782, 117.001, 104.298), "taken off the pixels (R, G, B)")
    full: float = setting(255.0, "what the pixels are then divided by")


class ExpressionNet(nn.Module):
    """Four blocks of a halving convolution and three whose outputs are added up, a mean, a linear layer.

    Source: ``src/faceFeatureExtractor`` and ``src/faceExpressionNet`` of npm's @vladmandic/face-api 1.7.15.
    """

    def __init__(self, settings: FaceApiSettings = FaceApiSettings()) -> None:
        super().__init__()
        self._settings = settings
        for number, (inputs, outputs) in enumerate(pairwise(_WIDTHS)):
            self.add_module(f"dense{number}", _Block(inputs, outputs, first=number == 0))
        self.fc = nn.Linear(_WIDTHS[-1], len(FaceApi.classes))

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (N, 7) of RGB images (N, 3, 112, 112) in [0, 255]."""
        own = self._settings
        maps = (images - images.new_tensor(own.mean)[:, None, None]) / own.full
        for number in range(4):
            maps = self.get_submodule(f"dense{number}")(maps)
        return torch.softmax(self.fc(maps.mean(dim=(2, 3))), dim=1)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, outputs, 3, stride=2) if first else _Separable(inputs, outputs, 2)
        self.conv1, self.conv2, self.conv3 = (_Separable(outputs, outputs, 1) for _ in range(3))

    def forward(self, maps: Tensor) -> Tensor:
        # TensorFlow's "same" puts the one border of a halving step at the end.
        total = F.relu(self.conv0(F.pad(maps, (0, 1, 0, 1))))
        for conv in (self.conv1, self.conv2, self.conv3):
            total = total + conv(F.pad(F.relu(total), (1, 1, 1, 1)))
        return F.relu(total)


class _Separable(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride=stride, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.pointwise(self.depthwise(maps))
        return found


class FaceApi(FaceNetwork):
    """Probabilities of seven expressions by face-api's net, on its own crop from known landmarks."""

    name = "face-api"
    summary = (
        "face-api's expression net, trained on images from the web: a judge that no protocol has trained"
    )
    weights = ("face-api", "face-api-manifest")
    classes = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    dimension = len(classes)
    settings: FaceApiSettings = FaceApiSettings()

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """See :func:`square_crop`."""
        return square_crop(image, landmarks, self.settings)

    def _build(self) -> ExpressionNet:
        manifest, raw = (checked_bytes(self._manager, name) for name in (_MANIFEST, self.name))
        try:
            state = network_state(read_shards(manifest, raw))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise unfit(self._manager, self.name, _HOLDS, error) from error
        made: ExpressionNet = fill(ExpressionNet(self.settings), state, self._manager, self.name, _HOLDS)
        return made

    def _answer(self, network: ExpressionNet, crops: np.ndarray) -> np.ndarray:
        """Probabilities float32 (B, 7) in the order of :attr:`classes`."""
        found: np.ndarray = network(torch.from_numpy(crops).permute(0, 3, 1, 2)).numpy()
        return found


def square_crop(
    image: np.ndarray, landmarks: np.ndarray, settings: FaceApiSettings = FaceApiSettings()
) -> np.ndarray:
    """What face-api cuts out by landmarks: their box, wider by 20 %, within the image, in a black square.

    face-api rounds the box down to whole pixels; here it is not rounded, so that it moves with the landmarks.

    Args:
        image: uint8 (H, W, 3) RGB.
        landmarks: finite float (68, 2) pixels.
        settings: padding and pixels of a side.

    Returns:
        float32 (side, side, 3) in [0, 255], black beside the box.
    """
    pixels = settings.side
    height, width = image.shape[:2]
    low, high = landmarks.min(axis=0).astype(np.float64), landmarks.max(axis=0).astype(np.float64)
    margin = settings.padding / 2 * (high - low)
    # From pixel centers to edges and back: pixel i covers [i - 0.5, i + 0.5].
    low = np.maximum(low - margin, -0.5)
    high = np.minimum(high + margin, (width - 0.5, height - 0.5))
    scale = pixels / float((high - low).max())
    shift = (pixels - 1) / 2 - scale * (low + high) / 2
    crop = crops.warp(image, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), pixels)
    across, down = (np.abs(np.arange(pixels) - (pixels - 1) / 2) <= scale * side / 2 for side in high - low)
    return np.ascontiguousarray(crop * (down[:, None] & across)[..., None])


def read_shards(manifest: bytes, raw: bytes) -> dict[str, np.ndarray]:
    """Tensors by name out of tensorflow.js' weights manifest and the bytes of its one shard.

    A rounded tensor is ``byte * scale + min``.

    Raises:
        ValueError, KeyError, TypeError: the two do not fit.
    """
    tensors, at = {}, 0
    try:
        groups = json.loads(manifest)
    except RecursionError:
        raise ValueError("a manifest without end") from None
    for group in groups:
        for entry in group["weights"]:
            rounded = entry.get("quantization")
            kind = np.dtype(rounded["dtype"] if rounded else entry["dtype"])
            try:
                values = np.frombuffer(raw, kind, int(np.prod(entry["shape"])), at)
            except OverflowError:
                raise ValueError(f"a tensor cannot be of shape {entry['shape']}") from None
            at += values.nbytes
            if rounded:
                values = values * np.float64(rounded["scale"]) + rounded["min"]
            tensors[entry["name"]] = values.astype(np.float32).reshape(entry["shape"])
    if at != len(raw):
        raise ValueError(f"the manifest lists {at} bytes, the shard has {len(raw)}")
    return tensors


def network_state(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """face-api's tensors under this network's names and orders of axes."""
    renamed = {
        "filters": ("weight", (3, 2, 0, 1)),
        "depthwise_filter": ("depthwise.weight", (2, 3, 0, 1)),
        "pointwise_filter": ("pointwise.weight", (3, 2, 0, 1)),
        "weights": ("weight", (1, 0)),
    }
    state = {}
    for name, values in tensors.items():
        *path, last = name.split("/")
        plain = "/".join((*path, "filters")) in tensors or path == ["fc"]
        own, order = renamed.get(last, ("bias" if plain else "pointwise.bias", (0,)))
        state[".".join((*path, own))] = torch.from_numpy(np.ascontiguousarray(values.transpose(order)))
    return state
