"""What a method sees of the data: the images, pairs and clips of one subset of the split.

Batches are counter-based: the same (seed, step) gives the same batch, so that a training that resumes needs
to remember nothing but its step. Pixels are read from the store's memory map, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import DataError
from fesbench.methods.batches import ClipBatch, ImageBatch, PairBatch
from fesbench.methods.clips import MeanMotion, mean_motion
from fesbench.methods.pools import Pool
from fesbench.methods.samples import Choice, Samples
from fesbench.methods.sampling import Orders, Rows, derive_seed
from fesbench.vocabulary import ACTION_UNITS

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.methods.card import Data, MethodCard, Need, Phase, Problem


class TrainingSet:
    """The labelled images of some rows of a store, and the neutral -> expression pairs among them.

    A pair is a neutral and an expressive image of one subject: of one sequence where the data has sequences
    that hold both (the k-th neutral frame with the k-th peak frame), of one take elsewhere.

    Args:
        store: the aligned store.
        split_rows: int (R,), the rows of one subset of the split; rows without a label of the problem are
            left out, and those below their expression's peak serve only where they are asked for.
        problem: gives labels and action units.
        seed: of the batches, where ``batch`` is given none.
        unlabelled_rows: int (U,), images of another domain, whose labels are never read.
        shuffle_labels_seed: permute the labels among the images, among the pairs and among the clips; what a
            method can still learn from such a set is nothing that depends on the label.

    Attributes:
        rows: int64 (n_images,), rows of the store: neutral images, and expressions at their peak.
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
        unlabelled_rows: Sequence[int] | np.ndarray = (),
        shuffle_labels_seed: int | None = None,
    ) -> None:
        self.store, self.problem, self.seed = store, problem, seed
        manifest, rows = store.manifest, np.asarray(split_rows, dtype=np.int64)
        columns = [ACTION_UNITS.index(unit) for unit in problem.action_units]
        self._action_units = np.ascontiguousarray(manifest.action_units[:, columns], dtype=np.float32)
        self._landmarks = np.asarray(manifest.landmarks, dtype=np.float32)
        self._intensity = manifest.table["intensity"].to_numpy(dtype=np.float32)
        self._frame = manifest.table["frame"].to_numpy(dtype=np.int64)
        self._samples = Samples(
            manifest.table,
            problem,
            rows,
            unlabelled=np.asarray(unlabelled_rows, dtype=np.int64),
            known={
                "action_units": np.asarray(np.isfinite(self._action_units).all(axis=1) & bool(columns)),
                "landmarks": np.asarray(np.isfinite(self._landmarks).all(axis=(1, 2))),
            },
            shuffle_labels_seed=shuffle_labels_seed,
        )
        self.rows, self.labels = self._samples.peak.rows, self._samples.peak.labels
        self.pair_rows, self.pair_labels = self._samples.pairs.rows, self._samples.pairs.labels
        if not len(self.rows):
            raise DataError(
                f"none of the {len(rows)} training images of '{store.data}' is labelled with one of "
                f"{', '.join(problem.labels) or '(no labels)'}"
            )
        self.mean_landmark_displacement = self._mean_displacement()
        self.mean_action_units = self._means(self.rows, self.labels, self._action_units[self.rows])
        self._orders = Orders()
        self._motions: dict[int, MeanMotion] = {}

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
        return self._images(self._samples.peak[indices])

    def pairs(self, indices: np.ndarray) -> PairBatch:
        """The pairs of these indices (0 ... n_pairs - 1)."""
        pairs = self._samples.pairs[indices]
        neutral = np.full(len(pairs), self.problem.neutral, dtype=np.int64)
        source, target = Rows(pairs.rows[:, 0], neutral), Rows(pairs.rows[:, 1], pairs.labels)
        return PairBatch(self._images(source), self._images(target))

    def all_pairs(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Every pair of a label, for closed forms: uint8 (M, S, S, 3) sources and targets; M may be 0."""
        source, target = self.pair_rows[self.pair_labels == label].T
        return self.store.images[source], self.store.images[target]

    def step_batch(
        self, phase: Phase, step: int, seed: int | None = None, *, needs: Iterable[str] = ()
    ) -> ImageBatch | PairBatch | ClipBatch:
        """The batch of a step of a phase, as the phase asks for it; see `batch`."""
        return self.batch(
            phase.data,
            phase.batch_size,
            step,
            seed,
            needs=needs,
            labels=phase.labels,
            source_labels=phase.source_labels,
            intensities=phase.intensities,
            length=phase.length,
        )

    def batch(
        self,
        kind: Data,
        batch_size: int,
        step: int,
        seed: int | None = None,
        *,
        flip: bool = True,
        needs: Iterable[str] = (),
        labels: Sequence[str] = (),
        source_labels: Sequence[str] = (),
        intensities: bool = False,
        length: int = 16,
    ) -> ImageBatch | PairBatch | ClipBatch:
        """The batch of a step: consecutive pieces of a new permutation an epoch.

        The kinds are

        - "image": labelled images; "unlabelled": images of the other domain, all with label -1;
        - "pair": neutral source and expressive target of one subject in one sequence or take;
        - "any-pair": two images of one subject, of whatever labels;
        - "take-pair": two labels of one subject in one sequence or take, in either order;
        - "driver-pair": two subjects with the same label;
        - "unpaired": a source and a target that have nothing to do with each other, for two sets of labels;
        - "cross-domain": a labelled source and an unlabelled target, as little related;
        - "clip": ``length`` frames from neutral to the peak, at equal steps of time.

        An epoch passes once over the images, pairs, clips or targets; of "any-pair", "take-pair" and
        "driver-pair" each target meets a source drawn anew, of "unpaired" and "cross-domain" the larger set
        makes the epoch.

        Args:
            kind: what a sample is.
            batch_size: B; an epoch's last piece is filled from the next epoch.
            step: >= 0.
            seed: of permutations and mirroring; default: the set's own.
            flip: mirror each image or clip, or both images of a pair, with probability 1/2.
            needs: "action_units" or "landmarks" leave out the images that have none.
            labels: names of the labels that images, clips and targets may have; () = all.
            source_labels: the same of sources, but of "pair".
            intensities: also below an expression's peak; clips show it on the way in any case.
            length: frames of a clip.

        Raises:
            DataError: there is nothing to draw from.
        """
        seed = self.seed if seed is None else seed
        checked = frozenset(needs) & {"action_units", "landmarks"}
        choice = Choice(kind, checked, tuple(labels), tuple(source_labels), intensities, length)
        pool = self._samples.pool(choice)
        if not len(pool):
            parts = [f"{kind} with {' and '.join(sorted(checked))}" if checked else kind]
            parts += [f"of {', '.join(labels)}"] if labels else []
            parts += [f"from {', '.join(source_labels)}"] if source_labels else []
            raise DataError(f"the training subjects of '{self.store.data}' have not one {' '.join(parts)}")
        drawn = pool.draw(self._orders, kind, seed, step, batch_size)
        found: ImageBatch | PairBatch | ClipBatch
        if kind == "clip":
            found = ClipBatch(**self._tensors(drawn[0]))
        else:
            images = [self._images(some) for some in drawn]
            found = images[0] if len(images) == 1 else PairBatch(*images)
        if not flip:
            return found
        mask = np.random.default_rng(derive_seed(seed, kind, "flip", step)).random(batch_size) < 0.5
        return found.flip(torch.from_numpy(mask))

    def examples(self, phase: Phase, needs: Iterable[str] = ()) -> int:
        """Images, pairs or clips that the batches of a phase draw from: the length of an epoch."""
        checked = frozenset(needs) & {"action_units", "landmarks"}
        choice = Choice(phase.data, checked, phase.labels, phase.source_labels, phase.intensities)
        return len(self._samples.pool(choice))

    def lacks(self, card: MethodCard) -> str | None:
        """Why a method cannot be trained on this set ("needs action_units"), or None."""

        def pool(kind: Data, *needs: str) -> Pool:
            return self._samples.pool(Choice(kind, frozenset(needs)))

        has: dict[Need, Callable[[], int]] = {
            "labels": lambda: bool((self.labels >= 0).any()),
            "action_units": lambda: len(pool("image", "action_units")),
            "landmarks": lambda: len(pool("image", "landmarks")),
            "pairs": lambda: self.n_pairs,
            "any-pairs": lambda: len(pool("any-pair")),
            "take-pairs": lambda: len(pool("take-pair")),
            "neutral": lambda: 0 <= self.problem.neutral in self.labels,
            "sequences": lambda: len(pool("clip")),
            "intensities": lambda: len(self._samples.weak),
            "unlabelled": lambda: len(pool("unlabelled")),
        }
        lacking = [need for need in sorted(card.needs) if not has[need]()]
        return f"needs {' and '.join(lacking)}" if lacking else None

    def mean_motion(self, length: int) -> MeanMotion:
        """How each label develops over a clip of that many frames; computed once a length."""
        if length not in self._motions:
            self._motions[length] = mean_motion(
                self._samples.clips,
                length,
                landmarks=self._landmarks,
                intensity=self._intensity,
                identity=self._samples.identity,
                labels=len(self.problem.labels),
                neutral=self.problem.neutral,
            )
        return self._motions[length]

    def label_difference(self, labels: Sequence[int], sample: int = 32) -> float:
        """Mean absolute difference between the mean images of labels, in [-1, 1] units."""
        means = [
            image_tensor(self.store.images[self.rows[self.labels == label][:sample]]).mean(0)
            for label in labels
            if (self.labels == label).any()
        ]
        apart = [(a - b).abs().mean().item() for i, a in enumerate(means) for b in means[:i]]
        return float(np.mean(apart)) if apart else 0.0

    def _images(self, some: Rows) -> ImageBatch:
        tensors = self._tensors(some)
        return ImageBatch(image=tensors.pop("video"), **tensors)

    def _tensors(self, some: Rows) -> dict[str, Tensor]:
        """The fields of a batch of clips; of single images where rows are (n,), whose video is theirs."""
        rows = some.rows
        images = image_tensor(self.store.images[rows.reshape(-1)])
        values = {
            "label": some.labels,
            "action_units": self._action_units[rows],
            "landmarks": self._landmarks[rows],
            "identity": self._samples.identity[rows if rows.ndim == 1 else rows[:, 0]],
            "intensity": self._intensity[rows],
            "frame": self._frame[rows],
        }
        tensors = {name: torch.from_numpy(value) for name, value in values.items()}
        return {"video": images.reshape(*rows.shape, *images.shape[1:]), **tensors}

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
            identity = self._samples.identity[rows[chosen]]
            each = [_mean(values[chosen][identity == code]) for code in np.unique(identity)]
            if each:
                found[label] = _mean(np.stack(each))
        return found


def image_tensor(images: np.ndarray) -> Tensor:
    """Uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [-1, 1]."""
    planes = np.ascontiguousarray(np.asarray(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float().div_(127.5).sub_(1.0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over rows of what is known; NaN in a column of which nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
