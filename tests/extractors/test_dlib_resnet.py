"""dlib's network in torch against dlib itself, on the same chips and out of the same file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.data.avatars import STYLES, AvatarSpec, render
from fesbench.errors import WeightsError
from fesbench.extractors.crops import dlib_chip
from fesbench.extractors.dlib_resnet import CHIP, DIMENSION, DlibResNet, read_layers


def weights() -> Path:
    # never imported: the package needs pkg_resources, which is gone
    package = find_spec("face_recognition_models")
    if package is None or package.origin is None:
        pytest.skip("package face-recognition-models is not installed")
    return Path(package.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"


@pytest.fixture(scope="module")
def content() -> bytes:
    return weights().read_bytes()


@pytest.fixture(scope="module")
def network(content: bytes) -> DlibResNet:
    return DlibResNet(content)


@pytest.fixture(scope="module")
def chips() -> np.ndarray:
    """Faces of five styles, and what is no face."""
    pytest.importorskip("dlib")
    specs = [
        AvatarSpec(who, expression=expression, style=style)
        for style in STYLES
        for who, expression in ((1, "neutral"), (2, "happiness"), (3, "fear"))
    ]
    batch = render(specs, size=128)
    faces = [dlib_chip(image, points) for image, points in zip(batch.images, batch.landmarks, strict=True)]
    noise = np.random.default_rng(0).integers(0, 256, (2, CHIP, CHIP, 3), dtype=np.uint8)
    return np.concatenate([np.stack(faces), noise, np.zeros((1, CHIP, CHIP, 3), np.uint8)])


def describe(network: DlibResNet, chips: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(chips).permute(0, 3, 1, 2)).numpy()


def test_descriptors_are_dlibs(network: DlibResNet, chips: np.ndarray) -> None:
    import dlib

    model = dlib.face_recognition_model_v1(str(weights()))
    wanted = np.array([np.array(model.compute_face_descriptor(np.ascontiguousarray(c))) for c in chips])
    found = describe(network, chips)
    assert found.shape == (len(chips), DIMENSION)
    assert np.abs(found - wanted).max() < 1e-5
    assert np.linalg.norm(found - wanted, axis=1).max() < 1e-4
    # the comparison would notice a wrong network: two faces differ by far more
    assert np.linalg.norm(wanted[0] - wanted[1]) > 0.1


def test_it_has_the_parameters_of_the_file(network: DlibResNet, content: bytes) -> None:
    layers = read_layers(content)
    assert [layer.kind for layer in layers].count("con") == 29
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_607_488
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content[:1000], "ends too early"),
        (lambda content: content + b"x", "more follows"),
        (lambda content: b"\x01\x01" + b"\x01\x04abcd" + content[20:], "its loss is 'abcd'"),
        (lambda content: b"", "ends too early"),
        (lambda content: b"PK\x03\x04" * 100, "no whole number"),
        (lambda content: content.replace(b"affine_", b"infine_", 1), "a layer 'infine_'"),
    ],
)
def test_another_file_is_refused(content: bytes, spoil, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        read_layers(spoil(content))
