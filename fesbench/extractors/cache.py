"""Features on disk, filed by content: the sha256 of an image's decoded pixels, never a name that was typed.

A killed process loses at most the chunk in the making; see `fesbench.extractors.feature_file`.

Images are read a chunk at a time, and features come as one array, beyond 16 MB as a memory map of a
file beside the cache: memory does not grow with the number of images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.views import BLOCK, Places, RowsOf, release
from fesbench.errors import DataError
from fesbench.extractors.base import (
    ClipExtractor,
    DerivedExtractor,
    Extractor,
    Features,
    Network,
    PairExtractor,
    check_inputs,
)
from fesbench.extractors.content import DIGEST, Keys, content_keys
from fesbench.extractors.feature_file import MOST, FeatureFile
from fesbench.extractors.table import FeatureTable, Row, float_rows

_CHUNK = 64
"""Images between two commits; a kill loses no more, 2.5 s of the slowest extractor."""


class FeatureCache:
    """Features of images, computed once an extractor and content.

    Args:
        path: of the file.
        known: another one, of which features are read that this file does not have.
    """

    def __init__(self, path: Path, known: FeatureCache | None = None) -> None:
        self.file: FeatureFile = FeatureFile(path, None if known is None else known.file)

    def get(
        self,
        extractor: Extractor,
        images: Any,
        landmarks: np.ndarray | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Features:
        """Features of images, from the cache where it has them.

        Args:
            extractor: who computes what is missing.
            images: uint8 (N, H, W, 3); of a memory map, or of `LazyRows`, a chunk is read at a time.
            landmarks: float (N, 68, 2) pixels, an array or `LazyRows`; used, and part of the key, where the
                extractor needs them.
            on_progress: called with (done, in all).

        Raises:
            DataError: images or landmarks that the extractor cannot read.
        """
        if isinstance(extractor, DerivedExtractor):
            found = self.get(extractor.base, images, landmarks, on_progress)
            return Features(self._derived(extractor, found.values), found.valid, extractor.signature)
        used = landmarks if extractor.needs_landmarks else None
        check_inputs(extractor.name, images, used, needs_landmarks=extractor.needs_landmarks)

        def compute(part: Places) -> tuple[np.ndarray, np.ndarray]:
            return extractor.extract(np.asarray(images[part]), None if used is None else used[part])

        if not len(images):
            values, valid = compute(np.arange(0))
            return Features(values, valid, extractor.signature)
        return self._collect(extractor, content_keys(images, used), compute, on_progress)

    def get_pairs(
        self,
        extractor: PairExtractor,
        first: Any,
        second: Any,
        pairs: np.ndarray,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Features:
        """Values of pairs of images, filed by the contents of both, whichever comes first.

        Args:
            extractor: who computes what is missing.
            first: uint8 (N, H, W, 3), an array or `LazyRows`.
            second: uint8 (M, H, W, 3).
            pairs: int (P, 2), a row of each.
            on_progress: called with (done, in all).

        Returns:
            values float32 (P, 1); every pair is valid.

        Raises:
            DataError: images that the extractor cannot read.
        """
        if not len(pairs):
            return Features(np.zeros((0, 1), np.float32), np.zeros(0, dtype=bool), extractor.signature)
        ends = []
        for images, rows in ((first, pairs[:, 0]), (second, pairs[:, 1])):
            used, place = np.unique(rows, return_inverse=True)
            ends.append(content_keys(RowsOf(images, used))[place])
        both = [b"".join(sorted((a.tobytes(), b.tobytes()))) for a, b in zip(*ends, strict=True)]
        keys = np.frombuffer(b"".join(both), dtype=f"V{2 * DIGEST}")

        def compute(part: Places) -> tuple[np.ndarray, np.ndarray]:
            found = extractor.compare(first[pairs[part, 0]], second[pairs[part, 1]])
            return found[:, None], np.ones(len(part), dtype=bool)

        return self._collect(extractor, keys, compute, on_progress)

    def get_clips(self, extractor: ClipExtractor, frames: Any, length: int) -> Features:
        """Features of clips, filed by the contents of all frames.

        Args:
            extractor: who computes what is missing.
            frames: uint8 (N * T, H, W, 3), a clip's frames one behind another, an array or `LazyRows`.
            length: T.

        Returns:
            values float32 (N, D); every clip is valid.

        Raises:
            DataError: clips that the extractor cannot read.
        """
        places = np.arange(len(frames)).reshape(-1, length)
        if not len(places):
            return Features(np.zeros((0, 1), np.float32), np.zeros(0, dtype=bool), extractor.signature)
        each = content_keys(frames)[places]
        keys = b"".join(hashlib.sha256(clip.tobytes()).digest() for clip in each)

        def compute(part: Places) -> tuple[np.ndarray, np.ndarray]:
            clips = np.asarray(frames[places[part].reshape(-1)])
            found = extractor.extract(clips.reshape(len(part), length, *clips.shape[1:]))
            return found, np.ones(len(part), dtype=bool)

        return self._collect(extractor, np.frombuffer(keys, dtype=f"V{DIGEST}"), compute, None)

    def _collect(
        self,
        network: Network,
        keys: Keys,
        compute: Callable[[Places], tuple[np.ndarray, np.ndarray]],
        on_progress: Callable[[int, int], None] | None,
    ) -> Features:
        """Values by key, computed and kept where the file has none; ``compute`` gets places in ``keys``."""
        _, first, place = np.unique(keys, return_index=True, return_inverse=True)
        # Equal images are computed once, where they come first.
        owner = first[place]
        own = np.sort(first)
        table = FeatureTable(len(keys), self.file.path.parent)
        absent = []
        for start in range(0, len(own), MOST):
            asked = own[start : start + MOST]
            rows = self.file.read(network.cache_key, [keys[i].tobytes() for i in asked])
            for i in asked:
                row = rows.get(keys[i].tobytes())
                if row is None:
                    absent.append(i)
                else:
                    table.put(i, row)
            table.release()
        missing = np.array(absent, dtype=np.int64)
        done = len(keys) - len(missing)
        if on_progress is not None:
            on_progress(done, len(keys))
        for start in range(0, len(missing), _CHUNK):
            part = missing[start : start + _CHUNK]
            values, valid = compute(part)
            fresh = {
                keys[i].tobytes(): _as_row(values[k], bool(valid[k]), network.name)
                for k, i in enumerate(part)
            }
            self.file.write(network.cache_key, fresh)
            for i, row in zip(part, fresh.values(), strict=True):
                table.put(i, row)
            table.release()
            done += len(part)
            if on_progress is not None:
                on_progress(done, len(keys))
        for i in np.flatnonzero(owner != np.arange(len(keys))).tolist():
            table.put(i, (bool(table.valid[owner[i]]), table.values[owner[i]]))
        return Features(table.values, table.valid, network.signature)

    def _derived(self, extractor: DerivedExtractor, values: np.ndarray) -> np.ndarray:
        """A function of features, of those on the disk a chunk at a time."""
        if not isinstance(values, np.memmap):
            return extractor.derive(values)
        found: np.ndarray | None = None
        for start in range(0, len(values), BLOCK):
            derived = extractor.derive(values[start : start + BLOCK])
            if found is None:
                found = float_rows(len(values), derived.shape[1], self.file.path.parent)
            found[start : start + BLOCK] = derived
            for used in (found, values):
                release(used)
        assert found is not None  # a map has rows
        return found


def _as_row(values: np.ndarray, valid: bool, name: str) -> Row:
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(f"extractor '{name}' gave a feature that is not a vector of finite numbers")
    return valid, np.asarray(values, dtype=np.float32)
