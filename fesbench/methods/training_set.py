"""What a method sees of the data: the images and pairs of one subset of the split.

Batches are counter-based: the same (seed, step) gives the same batch, so that a training that resumes needs
to remember nothing but its step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import DataError
from fesbench.methods.batches import ImageBatch, PairBatch
from fesbench.vocabulary import ACTION_UNITS

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.methods.card import MethodCard, Problem


class TrainingSet:
    """The labelled images of some rows of a store, and the neutral -> expression pairs among them.

    A pair is a neutral and an expressive image of one subject: of one sequence where the data has sequences
    that hold both (the k-th neutral frame with the k-th peak frame), of one take elsewhere.

    Args:
        store: the aligned store.
        split_rows: int (R,), the rows of one subset of the split; rows without a label of the problem are
            left out.
        problem: gives labels and action units.
        seed: of the batches, where ``batch`` is given none.
        shuffle_labels_seed: permute the labels among the images, and among the pairs; what a method can
            still learn from such a set is nothing that depends on the label.

    Attributes:
        rows: int64 (n_images,), rows of the store.
        labels: int64 (n_images,), index into ``problem.labels``; -1 where the problem has no labels.
        pair_rows: int64 (n_pairs, 2), rows of the neutral and of the expressive image.
        pair_labels: int64 (n_pairs,), the expressive image's label.
        mean_landmark_displacement: float32 (L, 68, 2) pixels, neutral -> label, the mean of the subjects'
            means; 0 for neutral; NaN where no pair has landmarks.
        mean_action_units: float32 (L, A), the mean of the subjects' means; NaN = never coded.

    Raises:
        DataError: no row has a label of the problem.
    """

    def __init__(
        self,
        store: AlignedStore,
        split_rows: np.ndarray,
        problem: Problem,
        seed: int,
        *,
        shuffle_labels_seed: int | None = None,
    ) -> None:
        self.store, self.problem, self.seed = store, problem, seed
        manifest, rows = store.manifest, np.asarray(split_rows, dtype=np.int64)
        index = {name: code for code, name in enumerate(problem.labels)}
        named = manifest.table["expression"].to_numpy()[rows]
        labels = np.array([index.get(name, -1) for name in named], dtype=np.int64)
        # without labels to learn, every image serves (action units alone)
        kept = labels >= 0 if problem.labels else np.ones(len(rows), dtype=bool)
        self.rows, self.labels = rows[kept], labels[kept]
        if not len(self.rows):
            raise DataError(
                f"none of the {len(rows)} training images of '{store.data}' is labelled with one of "
                f"{', '.join(problem.labels) or '(no labels)'}"
            )
        people = manifest.table["identity"].to_numpy()
        self._person = np.unique(people, return_inverse=True)[1].astype(np.int64)
        columns = [ACTION_UNITS.index(unit) for unit in problem.action_units]
        self._action_units = np.ascontiguousarray(manifest.action_units[:, columns], dtype=np.float32)
        self._landmarks = np.asarray(manifest.landmarks, dtype=np.float32)
        self.pair_rows, self.pair_labels = self._find_pairs()
        if shuffle_labels_seed is not None:
            draw = np.random.default_rng(shuffle_labels_seed)
            self.labels = draw.permutation(self.labels)
            self.pair_labels = draw.permutation(self.pair_labels)
        self._label_of = np.full(len(manifest), -1, dtype=np.int64)
        self._label_of[self.rows] = self.labels
        self.mean_landmark_displacement = self._mean_displacement()
        self.mean_action_units = self._means(self.rows, self.labels, self._action_units[self.rows])
        self._orders: dict[tuple[object, ...], np.ndarray] = {}

    @property
    def n_images(self) -> int:
        """Number of labelled images."""
        return len(self.rows)

    @property
    def n_pairs(self) -> int:
        """Number of neutral -> expression pairs."""
        return len(self.pair_rows)

    def images(self, indices: np.ndarray) -> ImageBatch:
        """The images of these indices (0 ... n_images - 1)."""
        return self._gather(self.rows[indices], self.labels[indices])

    def pairs(self, indices: np.ndarray) -> PairBatch:
        """The pairs of these indices (0 ... n_pairs - 1)."""
        source, target = self.pair_rows[indices].T
        neutral = np.full(len(source), self.problem.neutral, dtype=np.int64)
        return PairBatch(self._gather(source, neutral), self._gather(target, self.pair_labels[indices]))

    def all_pairs(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Every pair of a label, for closed forms: uint8 (M, S, S, 3) sources and targets; M may be 0."""
        source, target = self.pair_rows[self.pair_labels == label].T
        return self.store.images[source], self.store.images[target]

    def batch(
        self,
        kind: Literal["image", "pair"],
        batch_size: int,
        step: int,
        seed: int | None = None,
        *,
        flip: bool = True,
        needs: Iterable[str] = (),
    ) -> ImageBatch | PairBatch:
        """The batch of a step: consecutive pieces of a new permutation an epoch.

        Args:
            kind: images or pairs.
            batch_size: B; an epoch's last piece is filled from the next epoch.
            step: >= 0.
            seed: of permutations and mirroring; default: the set's own.
            flip: mirror each image, or both images of a pair, with probability 1/2.
            needs: "action_units" or "landmarks" leave out the images that have none.

        Raises:
            DataError: there is nothing to draw from.
        """
        seed = self.seed if seed is None else seed
        pool = self._pool(kind, frozenset(needs) & {"action_units", "landmarks"})
        if not len(pool):
            what = f"image with {' and '.join(sorted(needs))}" if needs else kind
            raise DataError(f"the training subjects of '{self.store.data}' have not one {what}")
        places = step * batch_size + np.arange(batch_size)
        epochs, offsets = np.divmod(places, len(pool))
        chosen = np.array(
            [
                self._order(kind, len(pool), seed, int(epoch))[offset]
                for epoch, offset in zip(epochs, offsets, strict=True)
            ]
        )
        found = self.images(pool[chosen]) if kind == "image" else self.pairs(pool[chosen])
        if not flip:
            return found
        mask = np.random.default_rng(derive_seed(seed, kind, "flip", step)).random(batch_size) < 0.5
        return found.flip(torch.from_numpy(mask))

    def count(self, kind: Literal["image", "pair"], needs: Iterable[str] = ()) -> int:
        """Number of images or pairs that ``batch`` draws from: the length of an epoch."""
        return len(self._pool(kind, frozenset(needs) & {"action_units", "landmarks"}))

    def lacks(self, card: MethodCard) -> str | None:
        """Why a method cannot be trained on this set ("needs action_units"), or None."""
        missing = {
            "action_units": not len(self._pool("image", frozenset({"action_units"}))),
            "landmarks": not len(self._pool("image", frozenset({"landmarks"}))),
            "pairs": not self.n_pairs,
            "neutral": not bool((self.labels == self.problem.neutral).any()),
        }
        lacking = [need for need in sorted(card.needs) if missing.get(need)]
        return f"needs {' and '.join(lacking)}" if lacking else None

    def label_difference(self, labels: Sequence[int], sample: int = 32) -> float:
        """Mean absolute difference between the mean images of labels, in [-1, 1] units."""
        means = [
            image_tensor(self.store.images[self.rows[self.labels == label][:sample]]).mean(0)
            for label in labels
            if (self.labels == label).any()
        ]
        apart = [(a - b).abs().mean().item() for i, a in enumerate(means) for b in means[:i]]
        return float(np.mean(apart)) if apart else 0.0

    def _pool(self, kind: str, needs: frozenset[str]) -> np.ndarray:
        """Indices of the images (or pairs) that have everything needed."""
        key = ("pool", kind, needs)
        if key not in self._orders:
            rows = self.rows[:, None] if kind == "image" else self.pair_rows
            keep: np.ndarray = np.ones(len(rows), dtype=bool)
            if "action_units" in needs:
                coded = np.asarray(np.isfinite(self._action_units).all(axis=1))
                coded &= self._action_units.shape[1] > 0
                keep &= coded[rows].all(axis=1)
            if "landmarks" in needs:
                known = np.asarray(np.isfinite(self._landmarks).all(axis=(1, 2)))
                keep &= known[rows].all(axis=1)
            self._orders[key] = np.flatnonzero(keep)
        return self._orders[key]

    def _order(self, kind: str, n: int, seed: int, epoch: int) -> np.ndarray:
        """The permutation of one epoch; the two latest are kept."""
        key = ("order", kind, n, seed, epoch)
        if key not in self._orders:
            for old in [k for k in self._orders if k[:4] == key[:4] and k[4] != epoch - 1]:
                del self._orders[old]
            self._orders[key] = np.random.default_rng(derive_seed(seed, kind, "order", epoch)).permutation(n)
        return self._orders[key]

    def _gather(self, rows: np.ndarray, labels: np.ndarray) -> ImageBatch:
        return ImageBatch(
            image=image_tensor(self.store.images[rows]),
            label=torch.from_numpy(np.asarray(labels, dtype=np.int64)),
            action_units=torch.from_numpy(self._action_units[rows]),
            landmarks=torch.from_numpy(self._landmarks[rows]),
            identity=torch.from_numpy(self._person[rows]),
        )

    def _find_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        table = self.store.manifest.table
        people, sequences = table["identity"].to_numpy(), table["sequence"].to_numpy()
        takes, frames = table["take"].to_numpy(), table["frame"].to_numpy()
        neutral: dict[tuple[str, object], list[int]] = {}
        peaks: dict[tuple[str, object, int], list[int]] = {}
        order = np.lexsort((self.rows, frames[self.rows]))
        with_neutral = {
            (people[r], sequences[r])
            for r in self.rows[self.labels == self.problem.neutral]
            if sequences[r] != ""
        }
        for row, label in zip(self.rows[order].tolist(), self.labels[order].tolist(), strict=True):
            who, sequence = people[row], sequences[row]
            within: object = sequence if (who, sequence) in with_neutral else int(takes[row])
            if label == self.problem.neutral:
                neutral.setdefault((who, within), []).append(row)
            else:
                peaks.setdefault((who, within, label), []).append(row)
        found = [
            (neutral[who, within][rank % len(neutral[who, within])], row, label)
            for (who, within, label), rows in peaks.items()
            if (who, within) in neutral
            for rank, row in enumerate(rows)
        ]
        ordered = np.array(sorted(found, key=lambda item: item[1]), dtype=np.int64).reshape(-1, 3)
        return ordered[:, :2], ordered[:, 2]

    def _mean_displacement(self) -> np.ndarray:
        source, target = self.pair_rows.T
        shape = self._landmarks.shape[1:]
        moved = (self._landmarks[target] - self._landmarks[source]).reshape(len(target), shape[0] * 2)
        mean = self._means(target, self.pair_labels, moved).reshape(-1, *shape)
        if self.problem.neutral >= 0:
            mean[self.problem.neutral] = 0.0
        return mean

    def _means(self, rows: np.ndarray, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Per label the mean over subjects of each subject's mean; NaN values are left out."""
        found = np.full((len(self.problem.labels), values.shape[1]), np.nan, dtype=np.float32)
        for label in range(len(self.problem.labels)):
            chosen = labels == label
            person = self._person[rows[chosen]]
            each = [_mean(values[chosen][person == who]) for who in np.unique(person)]
            if each:
                found[label] = _mean(np.stack(each))
        return found


def image_tensor(images: np.ndarray) -> Tensor:
    """Uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [-1, 1]."""
    planes = np.ascontiguousarray(np.asarray(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float().div_(127.5).sub_(1.0)


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from a tuple of names and numbers; unlike ``hash``, the same in every process."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over rows of what is known; NaN in a column of which nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
