"""Which images, pairs and clips a training set has, without their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fesbench.methods.clips import Clip, find_clips
from fesbench.methods.pairs import find_pairs, occasions
from fesbench.methods.pools import Apart, Clips, Each, Partnered, Pool
from fesbench.methods.sampling import Partners, Rows, derive_seed
from fesbench.vocabulary import PEAK

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.methods.card import Data, Problem


@dataclass(frozen=True)
class Choice:
    """What a pool is made from; see `fesbench.methods.training_set.TrainingSet.batch`."""

    kind: Data
    needs: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    source_labels: tuple[str, ...] = ()
    intensities: bool = False
    length: int = 16


class Samples:
    """The labelled rows of a store, apart by peak and below it, and what can be made of them.

    Args:
        table: of the store.
        problem: gives the labels.
        rows: int64 (R,); those without a label of the problem are left out, where it has labels.
        unlabelled: int64 (U,), images of another domain, whose labels are never read.
        known: by need, bool (len(table),): which images have it.
        shuffle_labels_seed: permute the labels among images, among pairs and among clips.

    Attributes:
        peak: neutral images, and expressions at their peak; without labels to learn, every image.
        weak: expressions below their peak.
        unlabelled: images of the other domain, with label -1.
        pairs: rows (n, 2) of neutral and peak, with the peak's label.
        identity: int64 (len(table),), a code by subject.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        problem: Problem,
        rows: np.ndarray,
        *,
        unlabelled: np.ndarray,
        known: dict[str, np.ndarray],
        shuffle_labels_seed: int | None,
    ) -> None:
        self._table, self._problem, self._known = table, problem, known
        self._shuffle_seed = shuffle_labels_seed
        index = {name: code for code, name in enumerate(problem.labels)}
        named = table["expression"].to_numpy()[rows]
        labels = np.array([index.get(name, -1) for name in named], dtype=np.int64)
        kept = labels >= 0 if problem.labels else np.ones(len(rows), dtype=bool)
        weak = (labels != problem.neutral) & (table["intensity"].to_numpy()[rows] < PEAK)
        weak &= labels >= 0
        self._peak_as_is = Rows(rows, labels)[kept & ~weak]
        self._weak_as_is = Rows(rows, labels)[weak]
        pairs = find_pairs(table, self._peak_as_is, problem.neutral)
        self.peak, self.pairs, self.weak = self._peak_as_is, pairs, self._weak_as_is
        if shuffle_labels_seed is not None:
            draw = np.random.default_rng(shuffle_labels_seed)
            self.peak, self.pairs, self.weak = (some.shuffled(draw) for some in (self.peak, pairs, self.weak))
        self.unlabelled = Rows(unlabelled, np.full(len(unlabelled), -1, dtype=np.int64))
        self.identity = np.unique(table["identity"].to_numpy(), return_inverse=True)[1].astype(np.int64)
        self._label_of = np.full(len(table), -1, dtype=np.int64)
        for some in (self.weak, self.peak):
            self._label_of[some.rows] = some.labels
        self._pools: dict[Choice, Pool] = {}

    def pool(self, choice: Choice) -> Pool:
        """What an epoch of a choice goes through; made once."""
        if choice not in self._pools:
            self._pools[choice] = self._make_pool(choice)
        return self._pools[choice]

    def _make_pool(self, choice: Choice) -> Pool:
        def kept(some: Rows, labels: tuple[str, ...]) -> Rows:
            keep = np.ones(len(some), dtype=bool)
            for need in choice.needs:
                known = self._known[need][some.rows]
                keep &= known if known.ndim == 1 else known.all(axis=1)
            if labels:
                keep &= np.isin(
                    some.labels, [k for k, name in enumerate(self._problem.labels) if name in labels]
                )
            return some[keep]

        kind = choice.kind
        if kind == "clip":
            alone = (Rows(clip.rows[None], np.array([clip.label])) for clip in self.clips)
            found = [
                clip for clip, some in zip(self.clips, alone, strict=True) if len(kept(some, choice.labels))
            ]
            return Clips(tuple(found), choice.length)
        if kind == "pair":
            pairs = kept(self.pairs + self._weak_pairs if choice.intensities else self.pairs, choice.labels)
            neutral = np.full(len(pairs), self._problem.neutral, dtype=np.int64)
            return Each((Rows(pairs.rows[:, 0], neutral), Rows(pairs.rows[:, 1], pairs.labels)))
        images = self.peak + self.weak if choice.intensities else self.peak
        targets, unlabelled = kept(images, choice.labels), kept(self.unlabelled, ())
        if kind in ("image", "unlabelled"):
            return Each((targets if kind == "image" else unlabelled,))
        sources = kept(images, choice.source_labels)
        if kind in ("unpaired", "cross-domain"):
            return Apart(sources, targets if kind == "unpaired" else unlabelled)
        return self._partnered(sources, targets, kind)

    def _partnered(self, sources: Rows, targets: Rows, kind: Data) -> Partnered:
        """Two images of one subject, or two of its labels at one time, or two subjects with one label."""

        def places(some: Rows) -> tuple[np.ndarray, np.ndarray]:
            identity = self.identity[some.rows]
            if kind == "driver-pair":
                return some.labels, identity
            if kind == "take-pair":
                return self._occasion[some.rows], some.labels + 1
            return identity, some.rows

        width = max(len(self._table), len(self._problem.labels) + 1)
        partners = Partners(sources.rows, *places(sources), width=width)
        met = targets[partners.count(*places(targets)) > 0]
        return Partnered(met, *places(met), partners, self._label_of)

    @cached_property
    def _occasion(self) -> np.ndarray:
        """int64 (len(table),), the same for images of one subject in one sequence or take."""
        images = self._peak_as_is + self._weak_as_is
        codes: dict[object, int] = {}
        found = np.full(len(self._table), -1, dtype=np.int64)
        found[images.rows] = [
            codes.setdefault(shared, len(codes))
            for shared in occasions(self._table, images, self._problem.neutral)
        ]
        return found

    @cached_property
    def _weak_pairs(self) -> Rows:
        neutral = self._peak_as_is[self._peak_as_is.labels == self._problem.neutral]
        found = find_pairs(self._table, neutral + self._weak_as_is, self._problem.neutral)
        return found if self._shuffle_seed is None else found.shuffled(self._draw("weak pairs"))

    @cached_property
    def clips(self) -> list[Clip]:
        """Every sequence from neutral to its peak."""
        found = find_clips(self._table, self._peak_as_is + self._weak_as_is, self._problem.neutral)
        if self._shuffle_seed is None:
            return found
        labels = self._draw("clips").permutation([clip.label for clip in found])
        return [replace(clip, label=int(label)) for clip, label in zip(found, labels, strict=True)]

    def _draw(self, name: str) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self._shuffle_seed, name))
