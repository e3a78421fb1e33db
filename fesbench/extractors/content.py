"""What an image is filed under: its pixels, and its landmarks where they decide what is seen of it."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

DIGEST = hashlib.sha256().digest_size

Keys = npt.NDArray[np.void]
"""(N,) of `DIGEST` bytes each."""


def content_key(image: np.ndarray, landmarks: np.ndarray | None = None) -> bytes:
    """The sha256 of an image's shape and decoded RGB bytes, and of its landmarks where they decide the crop.

    Args:
        image: uint8 (H, W, 3).
        landmarks: float (68, 2) pixels, or None.
    """
    digest = hashlib.sha256(struct.pack("<3I", *image.shape))
    digest.update(np.ascontiguousarray(image).tobytes())
    if landmarks is not None:
        digest.update(b"landmarks")
        digest.update(np.ascontiguousarray(landmarks, dtype="<f4").tobytes())
    return digest.digest()


def content_keys(images: Any, landmarks: np.ndarray | None = None) -> Keys:
    """`content_key` of every image of an array or `LazyRows`."""
    found = np.zeros((len(images), DIGEST), dtype=np.uint8)
    for i, image in enumerate(images):
        found[i] = np.frombuffer(
            content_key(image, None if landmarks is None else landmarks[i]), dtype=np.uint8
        )
    return found.view(f"V{DIGEST}")[:, 0]
