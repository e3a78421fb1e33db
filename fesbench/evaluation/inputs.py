"""The sets of images that metrics read, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fesbench.context.context import RunContext
from fesbench.extractors.registry import DISCRIMINATOR
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.extractors.base import Extractor, Features


@dataclass(frozen=True)
class _Pictures:
    """The sets of images that metrics read, each as (images or None, rows of the store, subjects)."""

    context: RunContext
    discriminator: Extractor | None
    sets: Mapping[str, tuple[np.ndarray | None, np.ndarray, np.ndarray]]

    def features(self, name: str, which: str) -> Features:
        """An extractor's features of one set."""
        _, rows, who = self.sets[which]
        if name == DISCRIMINATOR and self.discriminator is not None:
            return self.context.cache.get(self.discriminator, self._stack(which))
        points = _known(self.context.store.manifest.landmarks, rows)
        return self.context.features(name, self._stack(which), points, who)

    def pair_values(self, extractor: str, first: str, second: str, pairs: np.ndarray) -> Features:
        """A pair extractor's values between two sets."""
        return self.context.pair_values(extractor, self._stack(first), self._stack(second), pairs)

    def _stack(self, which: str) -> np.ndarray:
        found, rows, _ = self.sets[which]
        return self.context.store.images[rows] if found is None else found


def _labels(expressions: np.ndarray) -> np.ndarray:
    """Names of expressions as indices into EXPRESSIONS, -1 for others: (N,) -> int64 (N,)."""
    index = {name: code for code, name in enumerate(EXPRESSIONS)}
    return np.array([index.get(name, -1) for name in expressions], dtype=np.int64)


def _known(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of a table of the manifest; NaN where there is no row."""
    found = np.array(values[np.maximum(rows, 0)], dtype=np.float32)
    found[rows < 0] = np.nan
    return found


def _stack(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The images of rows of the store; black where there is no row."""
    found = images[np.maximum(rows, 0)]
    found[rows < 0] = 0
    return found
