"""What a metric reads: one group of requests, their images, features and rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from fesbench.data.views import RowsOf, in_blocks
from fesbench.errors import DataError
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, CLIP_MEMBERS, JUDGE, MEMBERS
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.records.judges import Judges


Which = Literal[
    "generated", "target", "source", "gallery", "reference", "training", "target-shifted", "driver"
]


Rows = npt.NDArray[np.int64]


Floats = npt.NDArray[np.float64]


T = TypeVar("T")


class FeatureSet(Protocol):
    """Features as the extractors give them: values (N, D) float32, valid (N,) bool, signature."""

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """(N, D) features."""

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the image could be read (a face was found)."""

    @property
    def signature(self) -> str:
        """Weights, input size, resize filter and range of the extractor."""


@dataclass(frozen=True)
class FoundFeatures:
    """Features made of others: of those with a face, or of fewer judges; see `FeatureSet`."""

    values: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    signature: str


class PairValues(Protocol):
    """Gives a pair extractor's values, (P, 1), of pairs (P, 2) of rows of two sets of images."""

    def __call__(self, extractor: str, first: Which, second: Which, pairs: Rows) -> FeatureSet:
        """Values of the pairs."""


@dataclass
class Clips:
    """The frames of the clips of N requests.

    Attributes:
        length: T, frames of each clip.
        frames: N * T rows, row n * T + t being frame t of request n; its ``target`` and landmarks "target"
            are those of the real clip at the same time, "driver" those of the driver's, and its features know
            a set "target-shifted", the target frames moved by a pixel.
        intensity: (N, T) float64 in [0, 1], of the expression in the real clip; NaN where there is none.
    """

    length: int
    frames: MetricInputs
    intensity: Floats

    def rows(self, rows: Rows) -> Rows:
        """The frames of requests: (len(rows) * T,)."""
        return (rows[:, None] * self.length + np.arange(self.length)).reshape(-1)


@dataclass
class MetricInputs:
    """One group of requests of one cell: one task in one domain.

    Attributes:
        requests: (N rows) the request table; ``target`` < 0 marks a request without a target image.
        generated: (N, S, S, 3) uint8; this, target and source may be `LazyRows`, decoded where they are read.
        target: Same shape, or None where no target images exist.
        source: Same shape, the images the method was given.
        clusters: (N,) int identity code, stable across cells.
        seed: Of all resampling.
        protocol: Such as "avatars@1+size=64:8c1f2a3b".
        features: (extractor, which) -> features of that set of images; generated, target and source have N
            rows, "training" those of the subjects who were trained on.
        labels: (N,) int index of the requested expression into EXPRESSIONS, -1 where it has no single label.
        gallery_identity: (G,) int identity code of each gallery image; none of them is from the take or
            sequence that a request's source is from.
        reference_name: Name of the reference set, such as "test-real".
        reference_identity: (M,) int identity code, for the jackknife; None: no shared identities.
        reference_labels: (M,) int label, so that one expression is held against its own reference; None:
            pooled.
        judge_classes: Expression names in the order of the judge's outputs.
        columns: extractor -> what the columns of its features are, such as "anger" of an external judge or
            "AU12" of the action-unit regressor.
        alignment: Of the images, such as "dlib68-128-gray".
        pair_values: (extractor, which, which, pairs) -> one value a pair of rows of two sets, such as LPIPS;
            None: no pair extractors at hand.
        landmarks: "source", "target", "driver", "driver-neutral" -> (N, 68, 2) float32 pixels that the data
            set or its alignment knows, an array or `LazyRows`; NaN where it does not.
        action_units: "source", "target" -> (N, len(ACTION_UNITS)) float32 in [0, 1], likewise; NaN where not
            coded.
        training_labels: (T,) int label of each training image, -1 for none; None: not at hand.
        training_identity: (T,) int identity code of each training image.
        face_kept: (N,) bool, false where a detector finds a face in the source and none in the output; None:
            nobody looked.
        face_rule: the detector's signature.
        judges: the panel behind the features of "judge"; "judge-members" has its members' one behind another;
            None: one judge, of whose error nothing is known.
        clip_judges: the same of "clip-judge" and "clip-judge-features".
        clips: every frame, where clips are asked for; ``generated`` and ``target`` are then the last ones.
            None for images.
    """

    requests: pd.DataFrame
    generated: npt.NDArray[np.uint8]
    target: npt.NDArray[np.uint8] | None
    source: npt.NDArray[np.uint8]
    clusters: npt.NDArray[np.int64]
    seed: int
    protocol: str
    features: Callable[[str, Which], FeatureSet]
    labels: npt.NDArray[np.int64]
    gallery_identity: npt.NDArray[np.int64]
    reference_name: str
    reference_identity: npt.NDArray[np.int64] | None = None
    reference_labels: npt.NDArray[np.int64] | None = None
    judge_classes: tuple[str, ...] = EXPRESSIONS
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alignment: str = ""
    pair_values: PairValues | None = None
    landmarks: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    action_units: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    training_labels: npt.NDArray[np.int64] | None = None
    training_identity: npt.NDArray[np.int64] | None = None
    face_kept: npt.NDArray[np.bool_] | None = None
    face_rule: str = ""
    judges: Judges | None = None
    clip_judges: Judges | None = None
    clips: Clips | None = None
    _memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.requests)

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Compute once per evidence what several measurements share."""
        if key not in self._memo:
            self._memo[key] = compute()
        found: T = self._memo[key]
        return found

    def feature_set(self, extractor: str, which: Which) -> FeatureSet:
        """Features of one set of images, checked once.

        Raises:
            DataError: wrong number of rows, or a value that is not finite under a valid row.
        """
        return self.memo(("features", extractor, which), lambda: self._checked(extractor, which))

    def faces(self, extractor: str) -> FeatureSet:
        """Features of the outputs, of which one that lost its source's face is not valid.

        A recognizer or judge answers on noise as well: it gets a crop where the source's face was.
        """
        found = self.feature_set(extractor, "generated")
        if self.face_kept is None:
            return found
        return FoundFeatures(found.values, found.valid & self.face_kept, found.signature)

    def without_judge(self, member: int) -> MetricInputs:
        """The same evidence, judged by the panel without one of its members."""
        return self.memo(("without-judge", member), lambda: self._without_judge(member))

    def _without_judge(self, member: int) -> MetricInputs:
        if self.judges is None and self.clip_judges is None:
            raise DataError("one judge alone cannot be left out")
        panels = {JUDGE: self.judges, CLIP_JUDGE: self.clip_judges, CLIP_FEATURES: self.clip_judges}

        def features(extractor: str, which: Which) -> FeatureSet:
            whole, panel = self.feature_set(extractor, which), panels.get(extractor)
            if panel is None:
                return whole
            if extractor == CLIP_FEATURES:
                values = whole.values.reshape(len(whole.values), panel.members, -1)
                left = np.delete(values, member, 1).reshape(len(values), -1)
                return FoundFeatures(left, whole.valid, whole.signature)
            each = self.feature_set(MEMBERS if extractor == JUDGE else CLIP_MEMBERS, which)
            answers = each.values.reshape(len(each.values), panel.members, whole.values.shape[1])
            return FoundFeatures(np.delete(answers, member, 1).mean(axis=1), whole.valid, whole.signature)

        clips = self.clips
        if clips is not None and clips.frames.judges is not None:
            clips = replace(clips, frames=clips.frames.without_judge(member))
        return replace(self, features=features, judges=None, clip_judges=None, clips=clips, _memo={})

    def answered_by(self, answers: Callable[[str], FeatureSet]) -> MetricInputs:
        """The same requests as if other images had been made, known by their features alone.

        Args:
            answers: extractor -> features (N, D) of what was made; nobody looks whether faces were kept.
        """

        def features(extractor: str, which: Which) -> FeatureSet:
            return answers(extractor) if which == "generated" else self.features(extractor, which)

        return replace(self, features=features, face_kept=None, face_rule="", _memo={})

    def pair_set(self, extractor: str, first: Which, second: Which, pairs: Rows) -> FeatureSet:
        """A pair extractor's values of pairs of rows, (P, 1), checked; asked for once.

        Raises:
            DataError: no pair extractors at hand, a wrong number of values, or one that is not finite.
        """
        key = ("pairs", extractor, first, second, pairs.tobytes())
        return self.memo(key, lambda: self._checked_pairs(extractor, first, second, pairs))

    def _checked_pairs(self, extractor: str, first: Which, second: Which, pairs: Rows) -> FeatureSet:
        if self.pair_values is None:
            raise DataError(f"{extractor} compares pairs of images, and this evidence has no pair values")
        found = self.pair_values(extractor, first, second, pairs)
        if found.values.shape != (len(pairs), 1):
            raise DataError(
                f"{extractor} values of {len(pairs)} pairs have shape {found.values.shape}, "
                f"expected {len(pairs)} rows"
            )
        if not np.isfinite(found.values).all():
            raise DataError(f"{extractor} gave values that are not finite")
        return found

    def _checked(self, extractor: str, which: Which) -> FeatureSet:
        found = self.features(extractor, which)
        expected = len(self.gallery_identity) if which == "gallery" else len(self)
        values, valid = found.values, found.valid
        if (
            values.ndim != 2
            or valid.shape != values.shape[:1]
            or (which not in ("reference", "training") and len(values) != expected)
        ):
            raise DataError(
                f"{extractor} features of the {which} images have shapes {values.shape} and {valid.shape}, "
                f"expected {expected} rows"
            )
        known = RowsOf(values, np.flatnonzero(valid))
        if not all(np.isfinite(known[rows]).all() for rows in in_blocks(np.arange(len(known)))):
            raise DataError(f"{extractor} features of the {which} images hold values that are not finite")
        return found


def checked_rows(inputs: MetricInputs, rows: npt.ArrayLike) -> Rows:
    """Rows as indices.

    Raises:
        DataError: an index outside the evidence, or one given twice.
    """
    found = np.asarray(rows, dtype=np.int64)
    if found.ndim != 1 or len(np.unique(found)) != len(found):
        raise DataError("rows to measure must be a list of different indices")
    if len(found) and (found.min() < 0 or found.max() >= len(inputs)):
        raise DataError(f"rows to measure must lie in 0..{len(inputs) - 1}")
    return found
