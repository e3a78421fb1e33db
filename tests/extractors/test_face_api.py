from __future__ import annotations

import json
from pathlib import Path

import face_api_reference
import numpy as np
import pytest
import torch

from fesbench.errors import WeightsError
from fesbench.extractors.face_api import (
    ExpressionNet,
    FaceApi,
    FaceApiSettings,
    network_state,
    read_shards,
    square_crop,
)
from fesbench.extractors.registry import extractor
from fesbench.weights.manager import WeightsManager
from tests.extractors.drawn_faces import face_landmarks
from tests.extractors.outside_judges import answers, inputs, pulled
from tests.extractors.random_weights import manager_with

INPUT = FaceApiSettings().side


@pytest.fixture(scope="module")
def files() -> tuple[bytes, bytes]:
    return face_api_reference.made_files()


def judge(home: Path, manifest: bytes, shard: bytes) -> FaceApi:
    return FaceApi(manager_with(home, face_api=shard, face_api_manifest=manifest))


def test_port_equals_a_literal_reading_in_numpy(files: tuple[bytes, bytes]) -> None:
    weights = face_api_reference.weights(*files)
    images = inputs(INPUT, 3)[:3]
    wanted = np.stack([face_api_reference.run(weights, image) for image in images])
    network = ExpressionNet()
    network.load_state_dict(network_state(read_shards(*files)))
    with torch.inference_mode():
        found = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - wanted).max() < 5e-6
    # The reference must be able to tell images and classes apart, or the comparison says nothing.
    assert np.ptp(wanted, axis=0).max() > 0.01
    assert np.ptp(wanted, axis=1).min() > 0.05


def test_port_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in ExpressionNet().parameters()) == 323_687


def test_published_weights_answer_as_the_package_itself_does() -> None:
    made = FaceApi(pulled("face-api", "face-api-manifest"))
    found = made.describe(inputs(INPUT, 3))
    assert np.abs(found - np.array(answers()["face-api"])).max() < 5e-6
    assert len(set(found.argmax(axis=1).tolist())) >= 3


def test_probabilities_do_not_depend_on_the_batch(
    tmp_path: Path, files: tuple[bytes, bytes], faces: tuple[np.ndarray, np.ndarray]
) -> None:
    images, landmarks = (np.concatenate([part, part[:8]]) for part in faces)
    landmarks[3] = np.nan
    made = judge(tmp_path, *files)
    values, valid = made.extract(images, landmarks)
    assert values.shape == (20, 7)
    assert values.dtype == np.float32
    assert valid.tolist() == [row != 3 for row in range(20)]
    assert (values[3] == 0).all()
    np.testing.assert_allclose(values[valid].sum(axis=1), 1, atol=1e-5)
    one = np.concatenate([made.extract(images[i : i + 1], landmarks[i : i + 1])[0] for i in (0, 7, 19)])
    np.testing.assert_array_equal(values[[0, 7, 19]], one)


def test_classes_are_the_projects_names_in_face_apis_order() -> None:
    # face-api: neutral, happy, sad, angry, fearful, disgusted, surprised.
    assert FaceApi.classes == ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")


def test_signature_names_the_weights_and_the_crop(tmp_path: Path) -> None:
    made = extractor("face-api", manager=WeightsManager(tmp_path))
    assert made.signature == "face-api:9a9840f2:5b349c17:face-api-1"
    assert "fesbench weights pull face-api" in str(made.available())


def test_damaged_files_are_refused(tmp_path: Path, files: tuple[bytes, bytes]) -> None:
    manifest, shard = files
    other = json.loads(manifest)
    other[0]["weights"][0]["shape"] = [3, 3, 3, 31]
    damages = {
        "cut shard": (manifest, shard[:-1]),
        "long shard": (manifest, shard + b"0"),
        "no manifest": (b"[{}]", shard),
        "no JSON": (b"PK", shard),
        "another shape": (json.dumps(other).encode(), shard[: -3 * 3 * 3]),
    }
    face = np.zeros((1, 64, 64, 3), np.uint8), face_landmarks(64)[None]
    for name, (text, content) in damages.items():
        with pytest.raises(WeightsError, match="does not hold face-api's expression net"):
            judge(tmp_path / name, text, content).extract(*face)


def test_crop_is_the_padded_box_in_a_black_square() -> None:
    image = np.full((100, 120, 3), (200, 100, 50), np.uint8)
    landmarks = np.tile(np.array([60.0, 50.0]), (68, 1))
    landmarks[0], landmarks[1] = (40.0, 30.0), (70.0, 70.0)
    # 30 x 40 pixels, 33 x 44 with the padding: the height fills the crop, the width 84 of its 112 columns.
    crop = square_crop(image, landmarks)
    assert crop.shape == (INPUT, INPUT, 3)
    assert (crop[:, :14] == 0).all()
    assert (crop[:, -14:] == 0).all()
    np.testing.assert_allclose(crop[:, 14:-14], np.broadcast_to((200, 100, 50), (112, 84, 3)), atol=1e-3)


def test_crop_places_pixels_and_ends_at_the_image() -> None:
    ramp = np.broadcast_to(np.arange(112, dtype=np.uint8)[None, :, None], (112, 112, 3))
    landmarks = np.tile(np.array([50.0, 50.0]), (68, 1))
    # Its padded box is the whole image: the crop is the image itself.
    landmarks[0], landmarks[1] = (-0.5 + 112 / 12, 0.0), (111.5 - 112 / 12, 111.0)
    np.testing.assert_allclose(square_crop(np.ascontiguousarray(ramp), landmarks), ramp, atol=2e-3)
    # A face at the left edge: the box is cut there, and its middle stands in the crop's middle.
    landmarks[:] = 0.0, 50.0
    landmarks[0], landmarks[1] = (-28.0, 0.0), (28.0, 111.0)
    crop = square_crop(np.ascontiguousarray(ramp), landmarks)
    seen = np.flatnonzero(crop[56].sum(axis=1) > 0)
    assert abs((seen[0] + seen[-1]) / 2 - 55.5) <= 1
    assert crop[56, seen[-1], 0] == pytest.approx(28 + 0.1 * 56, abs=1)
