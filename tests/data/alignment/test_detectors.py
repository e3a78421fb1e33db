"""The detectors on an avatar and on the photograph that scikit-image carries."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fesbench.data.alignment import detectors as detect
from fesbench.data.alignment import faces
from fesbench.data.alignment.detectors import find_face
from fesbench.data.alignment.recipes import DETECTORS, FaceError
from fesbench.data.alignment.templates import five_points
from fesbench.errors import DataError, UnknownNameError

pytest.importorskip("dlib")
pytest.importorskip("cv2")
pytest.importorskip("facenet_pytorch")


@pytest.fixture(scope="module")
def avatar() -> tuple[np.ndarray, np.ndarray]:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    batch = render([AvatarSpec(1)], 256)
    return batch.images[0], batch.landmarks[0]


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return data.astronaut()


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_finds_the_avatar_where_it_is(
    detector: str, avatar: tuple[np.ndarray, np.ndarray]
) -> None:
    image, truth = avatar
    face = find_face(image, detector)
    assert face.landmarks.dtype == np.float32
    eyes = np.linalg.norm(truth[45] - truth[36])
    assert np.abs(face.landmarks[17:] - truth[17:]).mean() < 0.1 * eyes
    assert (face.five is not None) == (detector == "mtcnn")


def test_the_detectors_agree_on_a_photograph(photograph: np.ndarray) -> None:
    found = {name: find_face(photograph, name) for name in DETECTORS}
    for face in found.values():
        # the predictor sees other boxes and finds the same points to within a pixel or so
        assert np.abs(face.landmarks - found["dlib"].landmarks).mean() < 1.5
    five = found["mtcnn"].five
    assert five is not None
    assert np.abs(five - five_points(found["dlib"].landmarks)).max() < 4


@pytest.mark.parametrize("detector", DETECTORS)
def test_no_face_and_several_faces(detector: str, avatar: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(FaceError) as caught:
        find_face(np.full((128, 128, 3), 128, np.uint8), detector)
    assert caught.value.key == "no-face"
    with pytest.raises(FaceError, match=r"several faces found \(2\)") as caught:
        find_face(np.concatenate([avatar[0], avatar[0]], axis=1), detector)
    assert caught.value.key == "several-faces"


def test_an_image_too_small_for_mtcnn() -> None:
    with pytest.raises(FaceError) as caught:
        find_face(np.zeros((12, 30, 3), np.uint8), "mtcnn")
    assert caught.value.key == "no-face"


def test_mtcnn_is_the_same_under_other_thread_counts(photograph: np.ndarray) -> None:
    import torch

    threads = torch.get_num_threads()
    first = find_face(photograph, "mtcnn").five
    torch.set_num_threads(2)
    try:
        second = find_face(photograph, "mtcnn").five
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert first is not None
    assert second is not None
    assert first.tobytes() == second.tobytes()


def test_an_unknown_detector() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean opencv"):
        find_face(np.zeros((32, 32, 3), np.uint8), "opencvv")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in ("cv2", "dlib", "facenet_pytorch"):
            raise ImportError(name)
        return real(name, *rest, **more)

    detect._cascade.cache_clear()
    detect._mtcnn.cache_clear()
    faces._tools.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("no_package")
def test_a_package_that_is_not_there_is_told_with_the_command() -> None:
    with pytest.raises(DataError, match=r"pip install facenet-pytorch==2\.5\.3"):
        find_face(np.zeros((64, 64, 3), np.uint8), "mtcnn")
    with pytest.raises(DataError, match=r"needs OpenCV; install fesbench with its extra 'faces'"):
        find_face(np.zeros((64, 64, 3), np.uint8), "opencv")
    with pytest.raises(DataError, match=r"dlib is missing; install fesbench with its extra 'faces'"):
        find_face(np.zeros((64, 64, 3), np.uint8), "dlib")


def test_a_predictor_that_is_not_dlibs_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fesbench.data.alignment.faces import PREDICTOR, PREDICTOR_SHA256, predictor_file
    from fesbench.weights.table import TABLE

    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path))
    assert TABLE["dlib-landmarks"].sha256 == PREDICTOR_SHA256
    assert predictor_file().name == PREDICTOR
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / PREDICTOR).write_bytes(b"another file")
    with pytest.raises(DataError, match="weights pull dlib-landmarks"):
        predictor_file()
