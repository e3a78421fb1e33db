"""dlib's face detector and its predictor of 68 landmarks."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.alignment.recipes import FaceError
from fesbench.errors import DataError
from fesbench.files import fesbench_home

REMEDY = "install fesbench with its extra 'faces' (pip install 'fesbench[faces]')"


PREDICTOR = "shape_predictor_68_face_landmarks.dat"
PREDICTOR_SHA256 = "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"


def predictor_file() -> Path:
    """dlib's 68-point predictor, checked: as ``fesbench weights pull dlib-landmarks`` has put it, or as the
    package ``face-recognition-models`` carries it.

    The package is found without being imported: its import needs a ``pkg_resources`` that is gone.

    Raises:
        DataError: there is none, or its sha256 is not the right one.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    places = [fesbench_home() / "weights" / PREDICTOR]
    if spec is not None and spec.origin is not None:
        places.append(Path(spec.origin).parent / "models" / PREDICTOR)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DataError(f"this data has images without landmarks and dlib's models are missing; {REMEDY}")
    with found.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != PREDICTOR_SHA256:
        raise DataError(
            f"{found} is not dlib's predictor (sha256 {digest[:12]}, expected {PREDICTOR_SHA256[:12]}); "
            "remove it and get it again with: fesbench weights pull dlib-landmarks"
        )
    return found


@functools.lru_cache(maxsize=1)
def _tools() -> tuple[Any, Any]:
    try:
        import dlib
    except ImportError:
        raise DataError(f"this data has images without landmarks and dlib is missing; {REMEDY}") from None
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(predictor_file()))


def find_landmarks(image: np.ndarray) -> np.ndarray:
    """The landmarks of the one face in an image: float32 (68, 2), pixels, iBUG order.

    dlib's HOG detector sees faces from 80 pixels up; where it finds none the image is tried once more at
    twice the size.

    Args:
        image: uint8 (H, W, 3) RGB.

    Raises:
        FaceError: no face, or several.
        DataError: dlib is not installed.
    """
    detector, _ = _tools()
    image = np.ascontiguousarray(image)
    boxes = detector(image, 0) or detector(image, 1)
    if len(boxes) != 1:
        raise several(len(boxes)) if len(boxes) else FaceError("no-face")
    return _predict(image, boxes[0])


def landmarks_in_square(image: np.ndarray, center: tuple[float, float], side: float) -> np.ndarray:
    """Landmarks of a face that something else has found: float32 (68, 2), pixels.

    Args:
        image: uint8 (H, W, 3) RGB.
        center: (x, y) of the square that dlib's own detector would give, pixels.
        side: of that square, pixels.

    Raises:
        DataError: dlib is not installed.
    """
    _tools()
    import dlib

    left, top = (round(value - side / 2) for value in center)
    box = dlib.rectangle(left, top, left + round(side) - 1, top + round(side) - 1)
    return _predict(np.ascontiguousarray(image), box)


def several(count: int) -> FaceError:
    """The error that says how many faces there are."""
    return FaceError("several-faces", f"several faces found ({count})")


def _predict(image: np.ndarray, box: Any) -> np.ndarray:
    shape = _tools()[1](image, box)
    return np.array([(point.x, point.y) for point in shape.parts()], np.float32)
