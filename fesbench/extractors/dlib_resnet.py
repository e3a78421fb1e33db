"""dlib's face recognition ResNet as a torch module, read from the very file that dlib reads.

The file is in dlib's own serialization: whole numbers behind a byte of sign and length, others as mantissa
and exponent, tensors as four sizes and little-endian float32. A network is written from its outermost layer
inwards: first the versions of all layers, then the input, then each layer from the input on. The layers are
those of dlib's ``dnn_face_recognition_ex.cpp``: 29 convolutions in residual blocks (King, Dlib-ml, JMLR 10,
2009). Descriptors are those of dlib to 1e-6, in a tenth of its time or less.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fesbench.errors import WeightsError
from fesbench.extractors.crops import ChipSettings

DIMENSION = 128
_FILE = ChipSettings()
"""What the file says of its input."""

CHIP = _FILE.side


@dataclass(frozen=True)
class _Layer:
    """One layer of the file: its kind without version, its parameters (flat), its whole numbers."""

    kind: str
    params: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    numbers: tuple[int, ...] = ()


class _Reader:
    """dlib's serialization, as far as this network needs it."""

    def __init__(self, content: bytes) -> None:
        self._content, self._stream = content, io.BytesIO(content)

    def take(self, count: int) -> bytes:
        found = self._stream.read(count)
        if len(found) != count:
            raise ValueError("it ends too early")
        return found

    def integer(self) -> int:
        head = self.take(1)[0]
        if head & 0x70 or not 1 <= head & 0x0F <= 8:
            raise ValueError(f"no whole number at byte {self._stream.tell() - 1}")
        value = int.from_bytes(self.take(head & 0x0F), "little")
        return -value if head & 0x80 else value

    def integers(self, count: int) -> tuple[int, ...]:
        return tuple(self.integer() for _ in range(count))

    def number(self) -> float:
        mantissa, exponent = self.integers(2)
        return mantissa * 2.0**exponent

    def flags(self, count: int) -> None:
        if set(self.take(count)) - set(b"01"):
            raise ValueError(f"no truth value before byte {self._stream.tell()}")

    def text(self) -> str:
        return self.take(self.integer()).decode("ascii")

    def tensor(self) -> npt.NDArray[np.float32]:
        if self.integer() != 2:
            raise ValueError(f"no tensor before byte {self._stream.tell()}")
        size = int(np.prod(self.integers(4)))
        return np.frombuffer(self.take(4 * size), dtype="<f4").astype(np.float32)

    def part(self) -> tuple[int, ...]:
        """Where a part of a tensor lies: its version and four sizes."""
        return self.integers(5)[1:]

    def at_end(self) -> bool:
        return not self._stream.read(1)

    def versions_until(self, text: bytes) -> None:
        """Pass over whole numbers until a string that begins with ``text``."""
        while True:
            place = self._stream.tell()
            self.integer()
            if self._content.startswith(text, self._stream.tell()):
                self._stream.seek(place)
                return


def read_layers(content: bytes) -> list[_Layer]:
    """The layers of the file from the input on.

    Raises:
        WeightsError: it is not dlib's face recognition network.
    """
    reader = _Reader(content)
    try:
        layers = _layers(reader)
    except (ValueError, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise WeightsError(f"this is not dlib's face recognition network: {error}") from None
    return layers


def _layers(reader: _Reader) -> list[_Layer]:
    reader.integer()
    if not (loss := reader.text()).startswith("loss_metric_"):
        raise ValueError(f"its loss is '{loss}'")
    reader.number(), reader.number()  # margin and distance threshold of the training
    reader.versions_until(b"input_rgb_image_sized")
    reader.text()
    mean = tuple(reader.number() for _ in range(3))
    if not np.allclose(mean, _FILE.mean, atol=1e-4) or reader.integers(2) != (_FILE.side, _FILE.side):
        raise ValueError(f"its input is not {_FILE.side} pixels with the mean {_FILE.mean}")
    layers: list[_Layer] = []
    while not layers or layers[-1].kind != "fc":
        layers.append(_layer(reader))
        reader.flags(3)
        for _ in range(3):
            reader.tensor()
        if len(layers) == 1:
            reader.integer()
    if not reader.at_end():
        raise ValueError("more follows behind its last layer")
    return layers


def _layer(reader: _Reader) -> _Layer:
    name = reader.text()
    kind = name.rstrip("0123456789").rstrip("_")
    if kind == "con":
        params, numbers = reader.tensor(), reader.integers(7)
        shape = reader.part()
        reader.part()
        for _ in range(4):
            reader.number()
        return _Layer(kind, params, (*shape, *numbers[3:]))
    if kind == "affine":
        params = reader.tensor()
        reader.part(), reader.part(), reader.integer()
        return _Layer(kind, params)
    if kind in ("max_pool", "avg_pool"):
        return _Layer(kind, numbers=reader.integers(6))
    if kind in ("relu", "add_prev"):
        return _Layer(kind)
    if kind == "fc":
        reader.integers(2)
        params, shape = reader.tensor(), reader.part()
        reader.part(), reader.integer()
        for _ in range(4):
            reader.number()
        return _Layer(kind, params, shape)
    raise ValueError(f"it has a layer '{name}'")


class DlibResNet(nn.Module):
    """The network: uint8 or float (N, 150, 150, 3) RGB chips in [0, 255] -> float32 (N, 128).

    Each convolution carries the affine layer behind it. A block adds its input; where it halves the size, the
    input is averaged over 2 x 2 and its missing channels are zero, as dlib adds tensors of two sizes.
    """

    mean: Tensor

    def __init__(self, content: bytes, settings: ChipSettings = _FILE) -> None:
        super().__init__()
        layers = read_layers(content)
        convolutions, self._halves = [], []
        for number, layer in enumerate(layers):
            if layer.kind == "con":
                convolutions.append(_with_affine(layer, layers[number + 1]))
            if layer.kind == "add_prev":
                self._halves.append(layers[number - 1].kind == "avg_pool")
        if len(convolutions) != 1 + 2 * len(self._halves):
            raise WeightsError("this is not dlib's face recognition network: its blocks are others")
        self.convolutions = nn.ModuleList(convolutions)
        last = layers[-1]
        self.embedding = nn.Parameter(torch.from_numpy(last.params.reshape(last.numbers[:2])))
        self.register_buffer("mean", torch.tensor(settings.mean).view(1, 3, 1, 1), persistent=False)
        self._scale = settings.scale
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, chips: Tensor) -> Tensor:
        """Descriptors of chips (N, 3, 150, 150) in [0, 255]: (N, 128)."""
        x = ((chips.float() - self.mean) / self._scale).contiguous(memory_format=torch.channels_last)
        first, *rest = self.convolutions
        x = F.max_pool2d(F.relu(first(x)), 3, 2)
        for halves, one, two in zip(self._halves, rest[::2], rest[1::2], strict=True):
            made = two(F.relu(one(x)))
            x = F.relu(_sum(made, F.avg_pool2d(x, 2, 2)) if halves else made + x)
        return x.mean(dim=(2, 3)) @ self.embedding


def _sum(first: Tensor, second: Tensor) -> Tensor:
    """The sum of two tensors of other sizes, as dlib adds them: what one lacks counts as zero."""
    sizes = [max(a, b) for a, b in zip(first.shape[1:], second.shape[1:], strict=True)]
    padded = [
        F.pad(
            x, [n for have, want in zip(x.shape[:0:-1], sizes[::-1], strict=True) for n in (0, want - have)]
        )
        for x in (first, second)
    ]
    return padded[0] + padded[1]


def _with_affine(layer: _Layer, affine: _Layer) -> nn.Conv2d:
    """A convolution that scales and shifts as the affine layer behind it does."""
    filters, channels, rows, columns, stride, _, padding, _ = layer.numbers
    weight = torch.from_numpy(layer.params[: filters * channels * rows * columns])
    bias = torch.from_numpy(layer.params[filters * channels * rows * columns :])
    gamma, beta = torch.from_numpy(affine.params).view(2, filters)
    made = nn.Conv2d(channels, filters, (rows, columns), stride, padding)
    made.weight = nn.Parameter(weight.view(filters, channels, rows, columns) * gamma.view(-1, 1, 1, 1))
    made.bias = nn.Parameter(bias * gamma + beta)
    return made
