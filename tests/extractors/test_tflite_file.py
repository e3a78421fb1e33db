from __future__ import annotations

import numpy as np
import pytest

from fesbench.extractors.tflite_file import read_tensors

pytest.importorskip("flatbuffers", reason="the onnx extra is not installed")

from tests.extractors.tflite_writer import tflite_file

FLOATS = np.array([[1.5, -2.25, 3.0]], np.float32)
BYTES = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)


@pytest.fixture(scope="module")
def raw() -> bytes:
    return tflite_file(
        {
            "input": (None, [], []),
            "a/kernel": (FLOATS, [], []),
            "b/kernel": (BYTES, [0.25], [141]),
            "c/shape": (np.array([7, -1], np.int32), [], []),
        }
    )


def test_tensors_are_read_with_shape_type_and_rounding(raw: bytes) -> None:
    found = read_tensors(raw)
    assert list(found) == ["a/kernel", "b/kernel", "c/shape"]
    np.testing.assert_array_equal(found["a/kernel"].values, FLOATS)
    assert found["a/kernel"].scale == 0
    np.testing.assert_array_equal(found["b/kernel"].values, BYTES)
    assert (found["b/kernel"].scale, found["b/kernel"].zero_point) == (0.25, 141)
    assert found["b/kernel"].values.dtype == np.uint8
    assert found["c/shape"].values.tolist() == [7, -1]


def test_another_file_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no TensorFlow Lite file"):
        read_tensors(b"PK\x03\x04 and more")
    with pytest.raises(ValueError, match="a scale for each channel"):
        read_tensors(tflite_file({"a": (BYTES, [0.5, 0.25], [0, 0])}))


def test_no_damage_is_read_in_silence(raw: bytes) -> None:
    """Every cut is named or leaves what was read as it is: never another error, never other numbers."""
    whole = read_tensors(raw)
    refused = 0
    for length in range(8, len(raw), 7):
        try:
            found = read_tensors(raw[:length])
        except ValueError:
            refused += 1
            continue
        for name, stored in found.items():
            np.testing.assert_array_equal(stored.values, whole[name].values)
    assert refused > 10


def test_the_reader_agrees_with_the_published_schemas_own(raw: bytes) -> None:
    tflite = pytest.importorskip("tflite", reason="the package tflite is not installed")
    graph = tflite.Model.GetRootAs(raw, 0).Subgraphs(0)
    assert [graph.Tensors(i).Name().decode() for i in range(1, 4)] == list(read_tensors(raw))
    assert graph.Tensors(2).Quantization().ZeroPoint(0) == 141
