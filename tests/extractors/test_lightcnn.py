"""Light CNN 29 v2: its size, its crop, and its forward pass written out on the checkpoint's tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fesbench.errors import DataError, WeightsError
from fesbench.extractors import face_network
from fesbench.extractors.lightcnn import LightCNN, gray_crop, light_cnn_29_v2
from tests.extractors.drawn_faces import face_images, face_landmarks
from tests.extractors.random_weights import manager_with, serialized

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """The published layout: every key under ``module.``, and the classifier of the training identities."""
    torch.manual_seed(0)
    own = {f"module.{key}": value for key, value in light_cnn_29_v2().state_dict().items()}
    return own | {"module.fc2.weight": torch.randn(7, 256)}


@pytest.fixture(scope="module")
def content(state: State) -> bytes:
    return serialized({"epoch": 1, "arch": "LightCNN", "state_dict": state, "prec1": 0.0})


@pytest.fixture
def extractor(tmp_path: Path, content: bytes) -> LightCNN:
    return LightCNN(manager_with(tmp_path, lightcnn_29_v2=content), device="cpu")


def test_the_network_has_the_published_number_of_parameters() -> None:
    def conv(inputs: int, outputs: int, kernel: int) -> int:
        return (inputs * kernel * kernel + 1) * 2 * outputs

    def residual(width: int) -> int:
        return 2 * conv(width, width, 3)

    def group(inputs: int, outputs: int) -> int:
        return conv(inputs, inputs, 1) + conv(inputs, outputs, 3)

    expected = conv(1, 48, 5)
    expected += residual(48) + group(48, 96)
    expected += 2 * residual(96) + group(96, 192)
    expected += 3 * residual(192) + group(192, 128)
    expected += 4 * residual(128) + group(128, 128)
    expected += (8 * 8 * 128 + 1) * 256
    network = light_cnn_29_v2()
    assert sum(value.numel() for value in network.parameters()) == expected == 10_475_872


def literal(state: State, crops: np.ndarray) -> np.ndarray:
    """The released network, layer by layer."""
    w = {key.removeprefix("module."): value for key, value in state.items()}

    def mfm(x: torch.Tensor, name: str, padding: int) -> torch.Tensor:
        out = F.conv2d(x, w[f"{name}.filter.weight"], w[f"{name}.filter.bias"], padding=padding)
        one, two = torch.split(out, out.shape[1] // 2, 1)
        return torch.max(one, two)

    def stage(x: torch.Tensor, number: int) -> torch.Tensor:
        for block in range(number):
            name = f"block{number}.{block}"
            x = mfm(mfm(x, f"{name}.conv1", 1), f"{name}.conv2", 1) + x
        return mfm(mfm(x, f"group{number}.conv_a", 0), f"group{number}.conv", 1)

    def pool(x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)

    x = pool(mfm(torch.from_numpy(crops)[:, None], "conv1", 2))
    x = pool(stage(x, 1))
    x = pool(stage(x, 2))
    x = pool(stage(stage(x, 3), 4))
    return (x.reshape(len(x), -1) @ w["fc.weight"].T + w["fc.bias"]).numpy()


def test_embeddings_are_those_of_the_released_network(
    extractor: LightCNN, state: State, faces: tuple[np.ndarray, np.ndarray], monkeypatch: Any
) -> None:
    monkeypatch.setattr(face_network, "_BATCH", 2)
    images, landmarks = faces[0][:3], faces[1][:3].copy()
    landmarks[1] = np.nan
    values, valid = extractor.extract(images, landmarks)
    crops = np.stack([gray_crop(images[i], landmarks[i]) for i in (0, 2)])
    with torch.inference_mode():
        expected = literal(state, crops)
    assert valid.tolist() == [True, False, True]
    assert values.shape == (3, 256)
    assert not values[1].any()
    assert values[[0, 2]] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert extractor.extract(images[2:], landmarks[2:])[0] == pytest.approx(values[2:], abs=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.4, -0.7])
def test_the_crop_puts_eyes_and_mouth_where_the_training_had_them(angle: float) -> None:
    size = 200
    landmarks = face_landmarks(size, angle=angle, shift=(3, -5)).astype(np.float64)
    eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
    mouth = (landmarks[48] + landmarks[54]) / 2
    spots = [*eyes, mouth]
    places = []
    yy, xx = np.mgrid[:size, :size]
    for x, y in spots:
        spot = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 4.0**2))
        crop = gray_crop(np.repeat(spot[..., None], 3, axis=2).astype(np.uint8), landmarks)
        weight = crop / crop.sum()
        places.append([float((weight * np.mgrid[:128, :128][axis]).sum()) for axis in (1, 0)])
    (lx, ly), (rx, ry), (_, my) = places
    assert ly == pytest.approx(40, abs=0.3)
    assert ry == pytest.approx(40, abs=0.3)
    assert (lx + rx) / 2 == pytest.approx(63.5, abs=0.3)
    assert my == pytest.approx(88, abs=0.3)
    assert lx < rx


def test_the_crop_is_opencvs_gray_in_zero_to_one() -> None:
    import cv2

    image = np.zeros((100, 100, 3), dtype=np.uint8) + np.array([200, 30, 90], dtype=np.uint8)
    crop = gray_crop(image, face_landmarks(100))
    assert crop.dtype == np.float32
    assert crop.shape == (128, 128)
    expected = cv2.cvtColor(image[:1, :1], cv2.COLOR_RGB2GRAY)[0, 0] / 255
    assert crop[64, 64] == pytest.approx(expected, abs=0.5 / 255)


def test_a_mouth_beside_the_eyes_gives_a_bounded_crop() -> None:
    landmarks = face_landmarks(100)
    landmarks[48:68, 1] = 20.0
    assert np.isfinite(gray_crop(face_images(1, 96)[0], landmarks)).all()


@pytest.mark.parametrize("fault", ["no state_dict", "another network", "a list", "text"])
def test_a_checkpoint_of_another_kind_is_named(tmp_path: Path, fault: str) -> None:
    given: Any = {
        "no state_dict": {"weights": torch.zeros(1)},
        "another network": {"state_dict": {"module.conv1.weight": torch.zeros(1)}},
        "a list": [torch.zeros(1)],
        "text": b"text",
    }[fault]
    extractor = LightCNN(manager_with(tmp_path, lightcnn_29_v2=given))
    with pytest.raises(WeightsError, match="does not hold Light CNN 29 v2"):
        extractor.extract(face_images(1, 64), face_landmarks(64)[None])


def test_landmarks_are_required(extractor: LightCNN) -> None:
    with pytest.raises(DataError, match="crops by known landmarks"):
        extractor.extract(face_images(1, 64))


def test_absent_weights_say_where_a_person_finds_them(manager: Any) -> None:
    reason = LightCNN(manager).available()
    assert reason is not None
    assert reason.startswith("weights: lightcnn-29-v2 (download LightCNN_29Layers_V2_checkpoint.pth.tar from")
