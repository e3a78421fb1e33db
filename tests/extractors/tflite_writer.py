"""Writes a TensorFlow Lite file that has tensors and no operators, by the slots of the published schema."""

from __future__ import annotations

import numpy as np

CODES = {np.dtype(np.float32): 0, np.dtype(np.int32): 2, np.dtype(np.uint8): 3, np.dtype(np.int8): 9}
Tensor = tuple[np.ndarray | None, list[float], list[int]]
"""Values (None: no data), scales and zero points."""


def tflite_file(tensors: dict[str, Tensor]) -> bytes:
    """The bytes of a file of version 3."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)

    def table(slots: int, **fields: tuple[int, int]) -> int:
        builder.StartObject(slots)
        for slot, offset in fields.values():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return int(builder.EndObject())

    def listed(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    buffers, made = [table(3)], []
    for name, (values, scales, zeros) in tensors.items():
        if values is not None:
            content = np.frombuffer(values.tobytes(), np.uint8)
            buffers.append(table(3, data=(0, builder.CreateNumpyVector(content))))
        rounding = 0
        if scales:
            scale = builder.CreateNumpyVector(np.array(scales, np.float32))
            zero = builder.CreateNumpyVector(np.array(zeros, np.int64))
            rounding = table(7, scale=(2, scale), zero_point=(3, zero))
        shape = builder.CreateNumpyVector(np.array([1] if values is None else values.shape, np.int32))
        text = builder.CreateString(name)
        builder.StartObject(8)
        builder.PrependUOffsetTRelativeSlot(0, shape, 0)
        builder.PrependInt8Slot(1, 0 if values is None else CODES[values.dtype], 0)
        builder.PrependUint32Slot(2, 0 if values is None else len(buffers) - 1, 0)
        builder.PrependUOffsetTRelativeSlot(3, text, 0)
        builder.PrependUOffsetTRelativeSlot(4, rounding, 0)
        made.append(int(builder.EndObject()))
    graph = table(5, tensors=(0, listed(made)))
    graphs, stored = listed([graph]), listed(buffers)
    builder.StartObject(8)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.PrependUOffsetTRelativeSlot(4, stored, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())
