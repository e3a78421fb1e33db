"""The stored tensors of a TensorFlow Lite file, read without TensorFlow: a reader of its flat buffers.

Tables are read by the slots of the published schema (``schema.fbs``, version 3): Model.subgraphs 2 and
.buffers 4; SubGraph.tensors 0; Tensor.shape 0, .type 1, .buffer 2, .name 3 and .quantization 4;
QuantizationParameters.scale 2 and .zero_point 3; Buffer.data 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_TYPES = {0: np.float32, 2: np.int32, 3: np.uint8, 9: np.int8}
"""TensorType -> numpy's, of those that weights have."""


@dataclass(frozen=True)
class Stored:
    """A tensor of a file: its values are ``scale * (values - zero_point)`` where ``scale`` is not 0."""

    values: np.ndarray
    scale: float = 0.0
    zero_point: int = 0


def read_tensors(raw: bytes) -> dict[str, Stored]:
    """The tensors of the first graph that have data, by name.

    Raises:
        ValueError: no TensorFlow Lite file, or a damaged one.
    """
    if raw[4:8] != b"TFL3":
        raise ValueError("no TensorFlow Lite file of version 3")
    try:
        return dict(_tensors(raw))
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"a damaged TensorFlow Lite file: {error}") from error


def _tensors(raw: bytes) -> Iterator[tuple[str, Stored]]:
    model = _Table(raw, _uint(raw, 0))
    buffers = model.tables(4)
    for tensor in model.tables(2)[0].tables(0):
        data = buffers[tensor.uint(2)].vector(0, np.uint8)
        if not len(data):
            continue
        values = data.view(_TYPES[tensor.byte(1)]).reshape(tensor.vector(0, np.int32))
        rounding = tensor.table(4)
        scale = rounding.vector(2, np.float32) if rounding else np.zeros(0)
        zero = rounding.vector(3, np.int64) if rounding else np.zeros(0)
        if len(scale) > 1:
            raise ValueError("a scale for each channel is not read here")
        name = tensor.vector(3, np.uint8).tobytes().decode()
        yield name, Stored(values, float(scale[0]) if len(scale) else 0.0, int(zero[0]) if len(zero) else 0)


@dataclass(frozen=True)
class _Table:
    """A table of a flat buffer: a list of slots says where each of its fields lies."""

    raw: bytes
    at: int

    def field(self, slot: int) -> int:
        """Where a field lies; 0 where it has its default."""
        slots = self.at - struct.unpack_from("<i", self.raw, self.at)[0]
        size = struct.unpack_from("<H", self.raw, slots)[0]
        place = 4 + 2 * slot
        offset: int = struct.unpack_from("<H", self.raw, slots + place)[0] if place < size else 0
        return self.at + offset if offset else 0

    def byte(self, slot: int) -> int:
        """A field of one byte."""
        return self.raw[at] if (at := self.field(slot)) else 0

    def uint(self, slot: int) -> int:
        """A field of four bytes."""
        return _uint(self.raw, at) if (at := self.field(slot)) else 0

    def table(self, slot: int) -> _Table | None:
        """A field that is a table."""
        return _Table(self.raw, at + _uint(self.raw, at)) if (at := self.field(slot)) else None

    def vector(self, slot: int, kind: type[np.generic]) -> np.ndarray:
        """A field that is a list of numbers; empty where it is absent."""
        if not (at := self.field(slot)):
            return np.zeros(0, kind)
        at += _uint(self.raw, at)
        return np.frombuffer(self.raw, kind, _uint(self.raw, at), at + 4)

    def tables(self, slot: int) -> list[_Table]:
        """A field that is a list of tables."""
        start = self.field(slot)
        start += _uint(self.raw, start) + 4
        count = _uint(self.raw, start - 4)
        places = range(start, start + 4 * count, 4)
        return [_Table(self.raw, place + _uint(self.raw, place)) for place in places]


def _uint(raw: bytes, at: int) -> int:
    found: int = struct.unpack_from("<I", raw, at)[0]
    return found
