"""The sets of images that metrics read, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.context import RunContext
from fesbench.data.views import RowsOf
from fesbench.extractors.registry import DISCRIMINATOR, JUDGE, REGRESSOR, clip_names, pair_names
from fesbench.metrics.selection import DETECTOR, protocol_metrics
from fesbench.protocol.references import neutral_rows
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.extractors.base import Extractor, Features
    from fesbench.metrics.inputs import MetricInputs

RESAMPLING_SEED = 0

ImageSet = tuple[Any, np.ndarray, np.ndarray]
"""Images, or None for those of the rows; rows of the store by whose landmarks they are cropped; subjects."""


def metric_inputs(
    context: RunContext,
    requests: pd.DataFrame,
    images: Any,
    *,
    identities: Sequence[str],
    gallery: np.ndarray,
    training: np.ndarray,
    reference: np.ndarray,
    reference_name: str,
    discriminator: Extractor | None = None,
    more: Mapping[str, ImageSet] | None = None,
) -> MetricInputs:
    """What the metrics of one task in one domain read.

    Args:
        context: what the cells share.
        requests: N rows of the request table.
        images: generated for them, uint8 (N, S, S, 3), an array or `LazyRows`.
        identities: names of the store's subjects; a subject's code is its place.
        gallery, training, reference: rows of the store.
        reference_name: of the reference images, as signatures have it.
        discriminator: the method's own class head, where it has one.
        more: further sets, or others in place of these.
    """
    import pandas as pd

    from fesbench.metrics.inputs import MetricInputs

    store = context.store
    table, landmarks, units = store.manifest.table, store.manifest.landmarks, store.manifest.action_units
    # a string a subject, not one an image
    known, code = np.array(identities, dtype=object), pd.Index(identities)
    shown, asked = (code.get_indexer(rows["identity"]) for rows in (table, requests))
    expressions = table["expression"].to_numpy()
    source_rows, target_rows, drivers = (requests[k].to_numpy() for k in ("source", "target", "driver"))
    target: Any = RowsOf(store.images, target_rows) if (target_rows >= 0).any() else None
    source: Any = RowsOf(store.images, source_rows)
    sets = ImageSets(
        context,
        discriminator,
        {
            "generated": (images, source_rows, known[asked]),
            "target": (target, target_rows, known[asked]),
            "source": (source, source_rows, known[asked]),
            "gallery": (None, gallery, known[shown[gallery]]),
            "reference": (None, reference, known[shown[reference]]),
            "training": (None, training, known[shown[training]]),
            **(more or {}),
        },
    )
    single = (requests["second_expression"] == "").to_numpy()
    face_kept, face_rule = _faces(context, sets, source_rows)
    return MetricInputs(
        requests=requests,
        generated=images,
        target=target,
        source=source,
        clusters=asked,
        seed=RESAMPLING_SEED,
        protocol=context.signature,
        features=sets.features,
        pair_values=sets.pair_values,
        labels=np.where(single, _labels(requests["target_expression"].to_numpy()), -1),
        gallery_identity=shown[gallery],
        reference_name=reference_name,
        reference_identity=shown[reference],
        reference_labels=_labels(expressions[reference]),
        judge_classes=context.judge_classes,
        columns=_columns(context, discriminator),
        training_labels=_labels(expressions[training]),
        training_identity=shown[training],
        alignment=f"{store.alignment}+crop-by-source-landmarks",
        landmarks={
            "source": known_rows(landmarks, source_rows),
            "target": known_rows(landmarks, target_rows),
            "driver": known_rows(landmarks, drivers),
            "driver-neutral": known_rows(landmarks, neutral_rows(table, drivers)),
        },
        action_units={"source": known_rows(units, source_rows), "target": known_rows(units, target_rows)},
        face_kept=face_kept,
        face_rule=face_rule,
        judges=context.judges,
        clip_judges=context.clip_judges,
    )


def _faces(context: RunContext, sets: ImageSets, source_rows: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Which outputs kept the face of their source, and by whose word; None without a detector.

    Where there is no source, or no face is found in it (a statue, 28 px), nothing could be lost.
    """
    detector = context.extractor(DETECTOR)
    if detector.available() is not None:
        return None, ""
    found, given = sets.features(DETECTOR, "generated"), sets.features(DETECTOR, "source")
    return found.valid | ~given.valid | (source_rows < 0), found.signature


def _columns(context: RunContext, discriminator: Extractor | None) -> dict[str, tuple[str, ...]]:
    """What the values of the protocol's extractors are, where they have names."""
    metrics = protocol_metrics(context.protocol).values()
    named = {DISCRIMINATOR: () if discriminator is None else discriminator.classes}
    without = {"", JUDGE, DISCRIMINATOR, *pair_names(), *clip_names()}
    for extractor in {m.card.extractor for m in metrics} - without:
        if extractor != REGRESSOR or context.regressor is not None:
            named[extractor] = context.columns(extractor)
    return named


@dataclass(frozen=True)
class ImageSets:
    """The sets of images that metrics read, each as (images or None, rows of the store, subjects)."""

    context: RunContext
    discriminator: Extractor | None
    sets: Mapping[str, ImageSet]

    def features(self, name: str, which: str) -> Features:
        """An extractor's features of one set."""
        _, rows, who = self.sets[which]
        if name == DISCRIMINATOR and self.discriminator is not None:
            return self.context.cache.get(self.discriminator, self._stack(which))
        points = known_rows(self.context.store.manifest.landmarks, rows)
        return self.context.features(name, self._stack(which), points, who)

    def pair_values(self, extractor: str, first: str, second: str, pairs: np.ndarray) -> Features:
        """A pair extractor's values between two sets."""
        return self.context.pair_values(extractor, self._stack(first), self._stack(second), pairs)

    def _stack(self, which: str) -> Any:
        found, rows, _ = self.sets[which]
        return RowsOf(self.context.store.images, rows) if found is None else found


def _labels(expressions: np.ndarray) -> np.ndarray:
    """Names of expressions as indices into EXPRESSIONS, -1 for others: (N,) -> int64 (N,)."""
    index = {name: code for code, name in enumerate(EXPRESSIONS)}
    return np.array([index.get(name, -1) for name in expressions], dtype=np.int64)


def known_rows(values: np.ndarray, rows: np.ndarray) -> Any:
    """The rows of a table of the manifest, looked up when they are read; NaN where there is no row."""
    return RowsOf(values, rows, np.nan)
