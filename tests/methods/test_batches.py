"""Batches stay what they were, to the bit: a trained method is a function of them."""

from __future__ import annotations

import hashlib

import numpy as np

from fesbench.methods.batches import ImageBatch
from fesbench.methods.card import Problem
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import FakeStore, fake_store


def _store(**options) -> FakeStore:
    """Whole numbers alone, so that no processor rounds them otherwise."""
    store = fake_store(5, 64, **options)
    draw = np.random.default_rng(7)
    store.images[:] = draw.integers(0, 256, store.images.shape, dtype=np.uint8)
    store.manifest.landmarks[:] = draw.integers(0, 64, store.manifest.landmarks.shape)
    store.manifest.action_units[3] = np.nan
    store.manifest.landmarks[5, 0] = np.nan
    return store


def _digest(*batches: ImageBatch) -> str:
    found = hashlib.sha256()
    for batch in batches:
        for name in ("image", "label", "action_units", "landmarks", "identity"):
            value = getattr(batch, name)
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + value.numpy().tobytes())
    return found.hexdigest()[:16]


def test_image_and_pair_batches_are_what_they_always_were() -> None:
    found = {}
    for name, options in {"takes": {"takes": 2}, "sequences": {"sequences": True}}.items():
        store = _store(**options)
        view = TrainingSet(store, np.arange(5, len(store.images)), Problem(64, EXPRESSIONS, (1, 6, 12), 0), 3)
        for seed in (None, 9):
            steps = (0, 1, 6, 31)
            images = [view.batch("image", 7, step, seed) for step in steps]
            pairs = [view.batch("pair", 7, step, seed, needs={"landmarks", "labels"}) for step in steps]
            coded = [view.batch("image", 7, step, seed, flip=False, needs={"action_units"}) for step in steps]
            found[name, seed] = (
                _digest(*images),
                _digest(*[side for pair in pairs for side in (pair.source, pair.target)]),
                _digest(*coded),
            )
    assert found == {
        ("takes", None): ("be0756d483e838c0", "e99c2d531f65eb7f", "4204f7a9ffaa8a4f"),
        ("takes", 9): ("d668848c39fe3536", "6ad4cf9ecef4e468", "0dbd506f2e33e16b"),
        ("sequences", None): ("deb87560a287cb94", "f7248c6f9bc0ae2d", "a09c6f142c34d892"),
        ("sequences", 9): ("eda06e7b8dbc1f72", "14831aae98681e89", "4c54072874bd7766"),
    }
