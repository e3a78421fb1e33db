from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.errors import DataError, WeightsError
from fesbench.extractors.landmarks import DlibLandmarks
from fesbench.weights.manager import WeightsManager

dlib = pytest.importorskip("dlib")


@pytest.fixture
def found(tmp_path: Path) -> DlibLandmarks:
    return DlibLandmarks(WeightsManager(tmp_path))


@pytest.fixture(scope="module")
def avatars() -> tuple[np.ndarray, np.ndarray]:
    """Two faces of 128 px with their landmarks."""
    from fesbench.data.avatars.rendering import AvatarSpec, render

    batch = render([AvatarSpec(3), AvatarSpec(4, expression="happiness")], 128)
    return batch.images, batch.landmarks


def test_landmarks_lie_near_the_true_ones(
    avatars: tuple[np.ndarray, np.ndarray], found: DlibLandmarks
) -> None:
    images, true = avatars
    values, valid = found.extract(images)
    assert values.shape == (2, 136)
    assert values.dtype == np.float32
    assert valid.all()
    eyes = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    error = np.linalg.norm(values.reshape(2, 68, 2) - true, axis=2).mean(axis=1) / eyes
    assert (error < 0.12).all()


def test_no_face_is_not_valid_and_the_largest_of_two_is_taken(
    avatars: tuple[np.ndarray, np.ndarray], found: DlibLandmarks
) -> None:
    images, _ = avatars
    alone, _ = found.extract(images[:1])
    values, valid = found.extract(np.full((1, 128, 128, 3), 90, np.uint8))
    assert (valid.tolist(), float(np.abs(values).sum())) == ([False], 0.0)
    wide = np.full((1, 256, 384, 3), 90, np.uint8)
    large = np.kron(images[0], np.ones((2, 2, 1), np.uint8))
    wide[0, :, :256], wide[0, 64:192, 256:] = large, images[1]
    values, valid = found.extract(wide)
    assert valid.all()
    assert np.abs(values.reshape(68, 2) / 2 - alone.reshape(68, 2)).mean() < 3


def test_it_does_not_depend_on_the_batch_and_needs_no_landmarks(
    avatars: tuple[np.ndarray, np.ndarray], found: DlibLandmarks
) -> None:
    images, _ = avatars
    both = found.extract(images)[0]
    assert np.array_equal(found.extract(images[1:])[0][0], both[1])
    assert found.extract(images[:0])[0].shape == (0, 136)
    with pytest.raises(DataError, match="takes uint8"):
        found.extract(images.astype(np.float32))
    found.close()
    assert np.array_equal(found.extract(images)[0], both)


def test_the_signature_names_the_predictors_file(found: DlibLandmarks) -> None:
    assert found.available() is None
    assert found.signature.startswith("dlib-landmarks:fbdc2cb8:")


def test_a_wrong_predictor_is_never_loaded(
    avatars: tuple[np.ndarray, np.ndarray], found: DlibLandmarks, tmp_path: Path
) -> None:
    wrong = tmp_path / "weights" / "shape_predictor_68_face_landmarks.dat"
    wrong.parent.mkdir()
    wrong.write_bytes(b"not a predictor")
    assert (found.available() or "").startswith("weights: dlib-landmarks (fesbench weights pull")
    with pytest.raises(WeightsError, match="expected fbdc2cb80eb9"):
        found.extract(avatars[0])
