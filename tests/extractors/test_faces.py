from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fesbench.errors import DataError, WeightsError
from fesbench.extractors.crops import dlib_chip
from fesbench.extractors.faces import ArcFace, DlibDetector, DlibFaces, FaceNet512, TorchFaces
from fesbench.weights.manager import WeightsManager
from fesbench.weights.packages import PackageSource
from fesbench.weights.table import TABLE
from tests.extractors.drawn_faces import face_images, face_landmarks

pytest.importorskip("dlib", reason="dlib is not installed")
pytest.importorskip("deepface", reason="deepface is not installed")


@pytest.fixture
def chips() -> np.ndarray:
    return np.ascontiguousarray(face_images(6, 160, seed=9)[:, :150, :150])


def test_descriptor_equals_deepface_represent(
    manager: WeightsManager, chips: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = DlibFaces(manager).describe(chips[:2])
    monkeypatch.setenv("DEEPFACE_HOME", str(manager.home / "deepface"))
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "pytorch")
    planted = manager.home / "deepface" / ".deepface" / "weights" / manager.path("dlib").name
    planted.parent.mkdir(parents=True)
    planted.symlink_to(manager.path("dlib"))
    with warnings.catch_warnings():
        from deepface import DeepFace

        for chip, mine in zip(chips, ours, strict=False):
            # deepface takes arrays as BGR.
            (answer,) = DeepFace.represent(
                np.ascontiguousarray(chip[..., ::-1]), model_name="Dlib", detector_backend="skip"
            )
            assert answer["embedding"] == pytest.approx(mine.tolist(), abs=1e-5)


def test_dark_chips_are_not_stretched(manager: WeightsManager) -> None:
    import dlib

    # a chip of zeros and ones must stay dark
    chip = (np.indices((150, 150)).sum(axis=0) % 2).astype(np.uint8)[..., None].repeat(3, axis=2)
    network = dlib.face_recognition_model_v1(str(manager.path("dlib")))
    wanted = np.array(network.compute_face_descriptor(chip))
    assert np.abs(DlibFaces(manager).describe(chip[None])[0] - wanted).max() < 1e-5


def test_descriptors_are_the_same_bits_in_any_batch(
    manager: WeightsManager, faces: tuple[np.ndarray, np.ndarray]
) -> None:
    images, landmarks = (np.concatenate([part, part]) for part in faces)
    extractor = DlibFaces(manager)
    many, valid = extractor.extract(images, landmarks)
    assert len(many) > 16
    assert valid.all()
    assert many.dtype == np.float32
    for rows in (slice(0, 1), slice(4, 7), slice(15, 20)):
        few, _ = extractor.extract(images[rows], landmarks[rows])
        assert np.array_equal(few, many[rows])


def test_rows_without_usable_landmarks_are_invalid_and_zero(
    manager: WeightsManager, faces: tuple[np.ndarray, np.ndarray]
) -> None:
    images, landmarks = faces[0][:2], faces[1][:2].copy()
    landmarks[0] = np.nan
    values, valid = DlibFaces(manager).extract(images, landmarks)
    assert valid.tolist() == [False, True]
    assert not values[0].any()
    assert values[1].any()


def test_inputs_are_refused_with_words(manager: WeightsManager) -> None:
    extractor = DlibFaces(manager)
    images = face_images(2, 64)
    with pytest.raises(DataError, match="give landmarks"):
        extractor.extract(images)
    with pytest.raises(DataError, match=r"\(2, 68, 2\), not \(1, 68, 2\)"):
        extractor.extract(images, face_landmarks(64)[None])
    with pytest.raises(DataError, match="uint8 RGB"):
        extractor.extract(images.astype(np.float32), np.stack([face_landmarks(64)] * 2))


def test_empty_input_gives_empty_output(manager: WeightsManager) -> None:
    values, valid = DlibFaces(manager).extract(
        np.zeros((0, 64, 64, 3), np.uint8), np.zeros((0, 68, 2), np.float32)
    )
    assert values.shape == (0, 128)
    assert valid.shape == (0,)


def test_detector_finds_nothing_in_noise(manager: WeightsManager) -> None:
    detector = DlibDetector(manager)
    values, valid = detector.extract(face_images(3, 64))
    assert values.shape == (3, 1)
    assert not valid.any()
    assert np.array_equal(values[:, 0] > 0, valid)


def test_detector_finds_a_photograph(manager: WeightsManager) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    from PIL import Image

    # NASA's portrait of Eileen Collins, public domain, from scikit-image's wheel.
    face = Image.fromarray(data.astronaut()).crop((150, 0, 300, 150))
    at_128 = np.asarray(face.resize((128, 128), Image.Resampling.LANCZOS))
    at_64 = np.asarray(face.resize((64, 64), Image.Resampling.LANCZOS))
    detector = DlibDetector(manager)
    assert detector.detected(at_128[None]).tolist() == [True]
    assert detector.detected(at_64[None]).tolist() == [True]


def test_chip_of_a_photograph_is_recognized_across_sizes(manager: WeightsManager) -> None:
    dlib = pytest.importorskip("dlib")
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    from PIL import Image

    face = Image.fromarray(data.astronaut()).crop((120, 0, 320, 200))
    large = np.asarray(face.resize((256, 256), Image.Resampling.LANCZOS))
    small = np.asarray(face.resize((128, 128), Image.Resampling.LANCZOS))
    predictor = dlib.shape_predictor(str(manager.path("dlib-landmarks")))
    box = dlib.get_frontal_face_detector()(large, 0)[0]
    points = np.array([(p.x, p.y) for p in predictor(large, box).parts()], dtype=np.float32)
    client = DlibFaces(manager)
    halved = (points + 0.5) / 2 - 0.5
    values = client.describe(np.stack([dlib_chip(large, points), dlib_chip(small, halved)]))
    # 0.6 is dlib's threshold for one subject; the same photograph at half the size must be far below.
    assert np.linalg.norm(values[0] - values[1]) < 0.2


@pytest.fixture
def arcface(tmp_path: Path) -> TorchFaces:
    """ArcFace with seeded random weights, brought in as a file without a known sha256."""
    import torch
    from deepface.models.facial_recognition.pytorch.ArcFace import base_model

    torch.manual_seed(0)
    network = base_model()
    file = tmp_path / "arcface_weights.pth"
    torch.save(network.state_dict(), file)
    manager = WeightsManager(tmp_path / "home")
    assert "weights: arcface" in str(ArcFace(manager).available())
    assert manager.add(file).pinned
    return ArcFace(manager)


def test_torch_model_is_the_same_in_any_batch_and_marks_invalid_rows(
    arcface: TorchFaces, faces: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fesbench.extractors.face_network._BATCH", 4)
    images, landmarks = faces[0][:4], faces[1][:4].copy()
    landmarks[2] = np.nan
    values, valid = arcface.extract(images, landmarks)
    assert arcface.available() is None
    assert valid.tolist() == [True, True, False, True]
    assert values.shape == (4, 512)
    assert not values[2].any()
    assert np.isfinite(values).all()
    alone, _ = arcface.extract(images[3:], landmarks[3:])
    assert np.array_equal(alone[0], values[3])
    assert np.abs(values[0] - values[1]).max() > 0


def test_signatures_name_weights_and_crop(manager: WeightsManager, tmp_path: Path) -> None:
    faces = FaceNet512(manager)
    assert faces.signature == "facenet512:unpinned:aligned-1+size=160+zoom=0.85"
    file = tmp_path / "facenet512_weights.pth"
    file.write_bytes(b"PK weights")
    digest = manager.add(file).sha256
    assert digest is not None
    assert faces.signature == f"facenet512:pinned-{digest[:8]}:aligned-1+size=160+zoom=0.85"
    assert DlibFaces(manager).signature == "dlib:55533b28:chip-1"


def test_a_file_that_the_model_cannot_read_is_a_clear_error(
    manager: WeightsManager, tmp_path: Path, faces: tuple[np.ndarray, np.ndarray]
) -> None:
    file = tmp_path / "arcface_weights.pth"
    file.write_bytes(b"PK weights")
    manager.add(file)
    with pytest.raises(
        WeightsError, match=r"deepface cannot load arcface_weights\.pth for its model ArcFace"
    ):
        ArcFace(manager).extract(faces[0][:1], faces[1][:1])


def test_planted_dlib_file_is_refused(tmp_path: Path, chips: np.ndarray) -> None:
    known = TABLE["dlib"]
    manager = WeightsManager(tmp_path / "home", {"dlib": known})
    manager.folder.mkdir(parents=True)
    (manager.folder / known.file).write_bytes(b"planted")
    faces = DlibFaces(manager)
    assert faces.available() is not None
    with pytest.raises(WeightsError, match="sha256"):
        faces.describe(chips[:1])


def test_missing_weights_name_the_command(tmp_path: Path, chips: np.ndarray) -> None:
    entry = TABLE["dlib"]
    gone = replace(entry, package=PackageSource("no-such", "1", "no_such_package/x"))
    faces = DlibFaces(WeightsManager(tmp_path, {"dlib": gone}))
    assert faces.available() == "weights: dlib (fesbench weights pull dlib)"
