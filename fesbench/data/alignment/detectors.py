"""Finding the one face of an image where a data set gives no landmarks.

Three detectors, each of which dlib's 68-point predictor follows, because the rest of fesbench wants 68:

- ``dlib``: its HOG detector.
- ``opencv``: the Haar cascade ``haarcascade_frontalface_default.xml`` (Viola, Jones, CVPR 2001).
- ``mtcnn``: Zhang, Zhang, Li, Qiao, IEEE Signal Processing Letters 23(10), 2016, as facenet-pytorch has it;
  its own five points go with the 68. A face counts from a probability of 0.9.

The predictor was trained in the boxes of dlib's own detector, so the boxes of the others are moved and scaled
onto those by the mean difference on 24 avatars and a photograph (standard deviation 0.03 and 0.06 of the
side).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fesbench.data.alignment.faces import REMEDY, find_landmarks, landmarks_in_square, several
from fesbench.data.alignment.recipes import FaceError
from fesbench.errors import DataError, UnknownNameError

_HAAR = "haarcascade_frontalface_default.xml"
_HAAR_DOWN, _HAAR_SCALE = 0.11, 0.91
_MTCNN_DOWN, _MTCNN_SCALE = 0.087, 0.857
_SURE = 0.9
_MTCNN_LEAST = 20
"""MTCNN looks for faces of this many pixels or more."""


@dataclass(frozen=True)
class Face:
    """A face that was found.

    Attributes:
        landmarks: float32 (68, 2), pixels, iBUG order.
        five: float64 (5, 2), the detector's own eye centers, nose tip and mouth corners; None = it has none.
    """

    landmarks: np.ndarray
    five: np.ndarray | None = None


def find_face(image: np.ndarray, detector: str) -> Face:
    """The one face in an image.

    Args:
        image: uint8 (H, W, 3) RGB.
        detector: "dlib", "opencv" or "mtcnn".

    Raises:
        FaceError: no face, or several.
        DataError: a package that the detector needs is not installed.
        UnknownNameError: no such detector.
    """
    finders = {"dlib": lambda image: Face(find_landmarks(image)), "opencv": _by_haar, "mtcnn": _by_mtcnn}
    if detector not in finders:
        raise UnknownNameError("detector", detector, finders)
    return finders[detector](image)


@functools.lru_cache(maxsize=1)
def _cascade() -> Any:
    try:
        import cv2
    except ImportError:
        raise DataError(f"the detector 'opencv' needs OpenCV; {REMEDY}") from None
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
    cascade = cv2.CascadeClassifier(f"{folder}{_HAAR}") if hasattr(cv2, "CascadeClassifier") else None
    if cascade is None or cascade.empty():
        raise DataError(
            f"this OpenCV ({cv2.__version__}) carries no Haar cascades; "
            "pip install 'opencv-contrib-python-headless>=4.10,<5'"
        )
    return cascade


def _by_haar(image: np.ndarray) -> Face:
    cascade = _cascade()
    import cv2

    least = max(24, min(image.shape[:2]) // 6)
    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    boxes = cascade.detectMultiScale(gray, 1.1, 5, minSize=(least, least))
    if len(boxes) != 1:
        raise several(len(boxes)) if len(boxes) else FaceError("no-face")
    left, top, side, _ = (float(value) for value in boxes[0])
    center = (left + side / 2, top + side / 2 + _HAAR_DOWN * side)
    return Face(landmarks_in_square(image, center, _HAAR_SCALE * side))


@functools.lru_cache(maxsize=1)
def _mtcnn() -> Any:
    try:
        from facenet_pytorch.models.mtcnn import MTCNN
    except ImportError:
        raise DataError(
            "the detector 'mtcnn' needs facenet-pytorch; pip install facenet-pytorch==2.5.3 "
            "(later versions pin an old torch)"
        ) from None
    return MTCNN(min_face_size=_MTCNN_LEAST, keep_all=True)


def _by_mtcnn(image: np.ndarray) -> Face:
    network = _mtcnn()
    if min(image.shape[:2]) < _MTCNN_LEAST:
        raise FaceError("no-face")
    with _one_thread():
        try:
            boxes, probabilities, points = network.detect(np.ascontiguousarray(image), landmarks=True)
        except RuntimeError as error:
            # facenet-pytorch concatenates the candidates of a stage, of which there may be none
            if "non-empty list" not in str(error):
                raise
            boxes = None
    sure = [] if boxes is None else [k for k, value in enumerate(probabilities) if value >= _SURE]
    if len(sure) != 1:
        raise several(len(sure)) if sure else FaceError("no-face")
    left, top, right, below = (float(value) for value in boxes[sure[0]])
    side = below - top
    center = ((left + right) / 2, (top + below) / 2 + _MTCNN_DOWN * side)
    landmarks = landmarks_in_square(image, center, _MTCNN_SCALE * side)
    return Face(landmarks, np.asarray(points[sure[0]], np.float64))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums depend on the number of threads in their last bits; recipes are the same to the byte."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
