"""Readers of images, clips, tables in parquet and networks."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fesbench import judges
from fesbench.data.images import read_image
from fesbench.errors import FesbenchError
from fesbench.external.archive import checked_archive
from fesbench.external.clip_answers import read_clip
from fesbench.external.programs import open_program
from fesbench.extractors.dlib_resnet import DlibResNet
from fesbench.extractors.face_api import read_shards
from fesbench.extractors.fer import read_network
from fesbench.extractors.tflite_file import read_tensors
from fesbench.judges.expression import Judge
from fesbench.records.replicates import ReplicateRow, read_replicates, write_replicates
from fesbench.records.samples import read_samples
from fesbench.runs.convert_weights import read_authors
from fesbench.training.checkpoints import load_tensors, save_tensors
from fesbench.weights.state_dict import tensors_of
from tests.extractors.fer_file import fer_file
from tests.extractors.tflite_writer import tflite_file
from tests.fuzz.reader import Reader
from tests.fuzz.text_readers import runs
from tests.tiny_networks import Tinter

SIZE, LENGTH = 16, 4


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _picture(**how: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(_noise(SIZE, SIZE, 3)).convert(how.pop("mode", "RGB"))
    image.save(stream, **how)
    return stream.getvalue()


def _pictures(_: Path) -> list[bytes]:
    found = [_picture(format=name) for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA")]
    found += [_picture(format="PNG", mode=mode) for mode in ("P", "LA", "1", "I;16")]
    exif = Image.Exif()
    exif[274] = 6
    found.append(_picture(format="JPEG", exif=exif))
    found.append(_picture(format="TIFF", compression="tiff_lzw"))
    return found


def _clip(suffix: str, **how: Any) -> Reader:
    def seeds(_: Path) -> list[bytes]:
        stream = io.BytesIO()
        first, *others = (Image.fromarray(frame) for frame in _noise(LENGTH, SIZE, SIZE, 3))
        first.save(stream, save_all=True, append_images=others, duration=40, **how)
        return [stream.getvalue()]

    def read(path: Path) -> None:
        assert read_clip(path, path.name, LENGTH, SIZE).shape == (LENGTH, SIZE, SIZE, 3)

    return Reader(f"clip-{suffix}", f"clip.{suffix}", seeds, read)


def _video(folder: Path) -> list[bytes]:
    av = pytest.importorskip("av")

    with av.open(str(folder / "made.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = SIZE
        for frame in _noise(LENGTH, SIZE, SIZE, 3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return [(folder / "made.mp4").read_bytes()]


def _samples(_: Path) -> list[bytes]:
    return [next(runs().rglob("mr-*/0/samples.parquet")).read_bytes()]


def _replicates(folder: Path) -> list[bytes]:
    row = ReplicateRow("expression", "in", "all", "FID", "jackknife", "0a1b", 3, [1.0, 2.0, float("nan")])
    write_replicates(folder, [row])
    return [(folder / "replicates.parquet").read_bytes()]


@lru_cache(maxsize=1)
def _state() -> dict[str, torch.Tensor]:
    return Tinter().state_dict()


def _checkpoint(folder: Path) -> list[bytes]:
    save_tensors(folder / "made.safetensors", _state(), {"method": "mr", "labels": ["neutral", "fear"]})
    return [(folder / "made.safetensors").read_bytes()]


def _loaded(path: Path) -> None:
    tensors, note = load_tensors(path)
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
    assert note.get("method", "") is not None


def _pickled(**how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(
        {"state_dict": {f"module.{name}": t for name, t in _state().items()}, "epoch": 3}, stream, **how
    )
    return stream.getvalue()


@lru_cache(maxsize=1)
def _inner() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(_pickled())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _with_pickle(content: bytes) -> bytes:
    """What torch.save wrote, with another pickle in it; the checksums fit."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, held in _inner().items():
            archive.writestr(name, content if name.endswith("data.pkl") else held)
    return stream.getvalue()


def _matrix(_: Path) -> list[bytes]:
    from scipy.sparse import csr_matrix, save_npz

    stream = io.BytesIO()
    save_npz(stream, csr_matrix(np.eye(5, dtype=np.float32)))
    return [stream.getvalue()]


def _named(read: Callable[[bytes], object], *errors: type[Exception]) -> Callable[[Path], object]:
    """A reader of bytes, whose caller adds the file's name to the errors that it declares."""

    def found(path: Path) -> object:
        try:
            return read(path.read_bytes())
        except (FesbenchError, *errors) as error:
            raise FesbenchError(f"{path}: {error}") from None

    return found


def _tflite(_: Path) -> list[bytes]:
    weights = np.arange(6, dtype=np.int8).reshape(2, 3)
    return [
        tflite_file({"a": (weights, [0.5], [1]), "b": (np.ones(3, np.float32), [], []), "c": (None, [], [])})
    ]


@lru_cache(maxsize=1)
def _dlib() -> bytes:
    package = find_spec("face_recognition_models")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parent / "models/dlib_face_recognition_resnet_model_v1.dat").read_bytes()


_HEAD = 30_000
_SHARD = bytes(range(12))
_SHARDS = (
    b'[{"weights": [{"name": "a", "shape": [2, 2], "dtype": "float32", "quantization": {"dtype": "uint8", '
    b'"scale": 0.5, "min": -1.0}}, {"name": "b", "shape": [2], "dtype": "float32"}]}]'
)


def _onnx(_: Path) -> list[bytes]:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    shape = ["n", 3, SIZE, SIZE]
    source, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", [source], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return [bytes(model.SerializeToString())]


_GRAPH = json.dumps(
    {
        "nodes": [{"target": "torch.ops.aten.add.Tensor", "inputs": ["a"], "metadata": {"trace": "x"}}],
        "sym_int_values": {"s0": {"as_expr": {"expr_str": "Max(s0, 2)"}}},
    }
).encode()


def _exported(graph: bytes) -> bytes:
    """What of torch.export's archive is checked before torch gets it."""
    records = {
        "archive_format": b"pt2",
        "byteorder": b"little",
        "models/model.json": graph,
        "data/weights/weight_0": bytes(12),
        "data/weights/model_weights_config.json": b'{"config": {"w": {"use_pickle": false}}}',
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in records.items():
            archive.writestr(f"net/{name}", content)
    return stream.getvalue()


def _checked(path: Path) -> bytes:
    return checked_archive(path.read_bytes(), str(path))


@lru_cache(maxsize=1)
def _judge() -> bytes:
    return next(Path(judges.__file__).parent.glob("*.safetensors")).read_bytes()


_keras = lru_cache(maxsize=1)(fer_file)


def _head(whole: Callable[[], bytes]) -> Callable[[Path], list[bytes]]:
    return lambda _: [whole()[:_HEAD]]


def _shards(manifest: bytes) -> object:
    return read_shards(manifest, _SHARD)


def _headed(whole: Callable[[], bytes]) -> Callable[[bytes], bytes]:
    """A spoiled head, and the rest of a large file as it is."""
    return lambda head: head + whole()[_HEAD:]


BINARIES = (
    Reader("image", "image.png", _pictures, read_image),
    _clip("webp", format="WEBP", lossless=True),
    _clip("gif", format="GIF"),
    Reader("clip-mp4", "clip.mp4", _video, lambda path: read_clip(path, path.name, LENGTH, SIZE)),
    Reader("samples", "samples.parquet", _samples, lambda path: read_samples(path.parent)),
    Reader("replicates", "replicates.parquet", _replicates, lambda path: read_replicates(path.parent)),
    Reader("checkpoint", "checkpoint.safetensors", _checkpoint, _loaded),
    Reader("authors-safetensors", "G.safetensors", _checkpoint, read_authors),
    Reader("authors-pth", "G.pth", lambda _: [_pickled()], read_authors),
    Reader(
        "authors-old-pth", "G.pth", lambda _: [_pickled(_use_new_zipfile_serialization=False)], read_authors
    ),
    Reader(
        "authors-pickle",
        "G.pth",
        lambda _: [next(held for name, held in _inner().items() if name.endswith("data.pkl"))],
        read_authors,
        packed=_with_pickle,
    ),
    Reader(
        "authors-matrix", "happiness/happiness_N.npz", _matrix, lambda path: read_authors(path.parents[1])
    ),
    Reader("judge", "judge.safetensors", _head(_judge), Judge.load, packed=_headed(_judge)),
    Reader("weights", "w.pth", lambda _: [_pickled()], _named(tensors_of, RuntimeError)),
    Reader("tflite", "w.tflite", _tflite, _named(read_tensors, ValueError)),
    Reader(
        "tfjs",
        "w.json",
        lambda _: [_SHARDS],
        _named(lambda b: read_shards(b, _SHARD), ValueError, KeyError, TypeError),
    ),
    Reader(
        "keras", "w.hdf5", lambda _: [_keras()[:_HEAD]], _named(read_network), share=4, packed=_headed(_keras)
    ),
    Reader("dlib", "w.dat", lambda _: [_dlib()[:_HEAD]], _named(DlibResNet), share=20, packed=_headed(_dlib)),
    Reader("onnx", "net.onnx", _onnx, open_program),
    Reader("pt2", "net.pt2", lambda _: [_exported(_GRAPH)], _checked),
    Reader("pt2-graph", "net.pt2", lambda _: [_GRAPH], _checked, tree=True, packed=_exported),
)
