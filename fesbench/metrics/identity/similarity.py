"""Is it still the same subject? FSS, TAR at a false accept rate, and Rank-1 on face embeddings.

FSS compares an output with its own source, so a method that changes nothing leads it. TAR and Rank-1
compare an output (probe) with one neutral image of every subject (gallery), which the protocol takes from
another take or sequence, so that no output meets the image it was made from. A face that is not found
counts as similarity 0, as a rejection, and as a failed rank.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.base import (
    Measurement,
    Metric,
    MetricCard,
    from_interval,
    mean_measurement,
    refusal,
    renamed,
)
from fesbench.metrics.common import faces_and_sources, same_extractor, unit_rows
from fesbench.metrics.identity.verification_math import enough_pairs, make_pairs, rank1, tar_interval
from fesbench.metrics.inputs import Floats, MetricInputs, Rows, checked_rows

EMBEDDING = "dlib"
GALLERY = "one-neutral-per-person"
"""The gallery's rule in signatures; which image it is, the protocol's hash beside it fixes."""


class FaceSimilarity(Metric):
    """FSS: mean cosine of the L2-normalized embeddings of source and output."""

    def __init__(self, extractor: str = EMBEDDING) -> None:
        card = MetricCard(
            name="FSS",
            title="face similarity score",
            direction="higher",
            low=-1.0,
            high=1.0,
            unit="",
            extractor=EMBEDDING,
            needs=frozenset({"source"}),
            source="RegGAN (arXiv 2603.15648), as a cosine",
            per_sample=True,
        )
        self.card = card if extractor == EMBEDDING else renamed(card, extractor)

    def settings(self) -> dict[str, str]:
        """Similarity and what a missing face counts as."""
        return {"sim": "cosine", "pair": "source-output", "missing": "0"}

    def with_extractor(self, extractor: str) -> FaceSimilarity:
        """FSS on another face model."""
        return FaceSimilarity(extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean cosine; a pair without both faces has cosine 0 and is counted as not valid."""
        rows = checked_rows(inputs, rows)
        output, source, valid, made = faces_and_sources(inputs, self.card.extractor, rows)
        cosine = (output * source).sum(axis=1).clip(-1, 1)
        values, n_valid = np.where(valid, cosine, 0.0), int(valid.sum())
        signature = self.signature(inputs, n_valid, len(rows), extractor=made, reference="source")
        return mean_measurement(self, inputs, rows, values, n_valid=n_valid, signature=signature)


class _Gallery(Metric):
    """A metric of probes against the gallery."""

    def __init__(self, card: MetricCard, extractor: str) -> None:
        self.card = card if extractor == card.extractor else renamed(card, extractor)

    def _matrix(self, inputs: MetricInputs, rows: Rows) -> tuple[Floats, npt.NDArray[np.bool_], str]:
        """(rows, G) similarity, pairs with both faces found; extractor signature."""
        probe = inputs.feature_set(self.card.extractor, "generated")
        gallery = inputs.feature_set(self.card.extractor, "gallery")
        same_extractor(probe, gallery)
        similarity = np.clip(unit_rows(probe.values[rows]) @ unit_rows(gallery.values).T, -1, 1)
        found = probe.valid[rows][:, None] & gallery.valid[None, :]
        return similarity, found, probe.signature


class Verification(_Gallery):
    """TAR at a fixed FAR: share of genuine pairs beyond the conservative threshold of the impostors."""

    def __init__(self, far: float, extractor: str = EMBEDDING) -> None:
        if not 0 < far < 1:
            raise DataError(f"a false accept rate lies between 0 and 1, not {far}")
        self.far = far
        card = MetricCard(
            name=f"TAR@FAR={far * 100:g}%",
            title=f"true accept rate at a false accept rate of {far * 100:g} %",
            direction="higher",
            low=0.0,
            high=1.0,
            unit="fraction",
            extractor=EMBEDDING,
            needs=frozenset({"gallery"}),
            source="Li, Qi, Sun (2021), table 6; thresholds as in metrics of ISO/IEC 19795-1",
            per_sample=False,
        )
        super().__init__(card, extractor)

    def settings(self) -> dict[str, str]:
        """Level, gallery rule, impostor rule, treatment of ties and of missing faces."""
        return {
            "far": f"{self.far:g}",
            "gallery": GALLERY,
            "impostor": "output-vs-others-gallery",
            "ties": "accepted-impostors",
            "missing": "rejected",
        }

    def with_extractor(self, extractor: str) -> Verification:
        """TAR on another face model."""
        return Verification(self.far, extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """TAR over the rows, or a reason when there are fewer than 10 / FAR impostor pairs."""
        rows = checked_rows(inputs, rows)
        similarity, found, extractor = self._matrix(inputs, rows)
        clusters, gallery = inputs.clusters[rows], inputs.gallery_identity
        n_valid = _valid_probes(found, clusters, gallery)
        signature = self.signature(
            inputs, n_valid, len(rows), extractor=extractor, reference=f"gallery:{len(gallery)}"
        )
        pairs = make_pairs(similarity, found, clusters, gallery)
        if not len(pairs.genuine):
            reason = "the gallery holds no image of the probes' identities"
            return refusal(self, None, rows, n_valid, signature, reason)
        if not enough_pairs(len(pairs.impostor), self.far):
            reason = f"needs {round(10 / self.far)} impostor pairs, has {len(pairs.impostor)}"
            return refusal(self, None, rows, n_valid, signature, reason)
        return from_interval(
            self, tar_interval(pairs, self.far, seed=inputs.seed), None, rows, n_valid, signature
        )


class Rank1(_Gallery):
    """Closed-set identification: the most similar gallery image is the right subject's; ties fail."""

    def __init__(self, extractor: str = EMBEDDING) -> None:
        card = MetricCard(
            name="Rank-1",
            title="rank-1 identification rate",
            direction="higher",
            low=0.0,
            high=1.0,
            unit="fraction",
            extractor=EMBEDDING,
            needs=frozenset({"gallery"}),
            source="Li, Qi, Sun (2021), table 6",
            per_sample=True,
        )
        super().__init__(card, extractor)

    def settings(self) -> dict[str, str]:
        """Gallery rule, treatment of ties and of missing faces."""
        return {"gallery": GALLERY, "ties": "wrong", "missing": "wrong"}

    def with_extractor(self, extractor: str) -> Rank1:
        """Rank-1 on another face model."""
        return Rank1(extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean over the probes; the interval holds the gallery fixed and resamples the probes' identities."""
        rows = checked_rows(inputs, rows)
        similarity, found, extractor = self._matrix(inputs, rows)
        clusters, gallery = inputs.clusters[rows], inputs.gallery_identity
        n_valid = _valid_probes(found, clusters, gallery)
        signature = self.signature(
            inputs, n_valid, len(rows), extractor=extractor, reference=f"gallery:{len(gallery)}"
        )
        values = rank1(similarity, found, clusters, gallery)
        if not np.isfinite(values).any():
            reason = "the gallery holds no image of the probes' identities, or no other subject"
            return refusal(self, values, rows, n_valid, signature, reason)
        return mean_measurement(
            self, inputs, rows, values, n_valid=n_valid, signature=signature, bounds=(0.0, 1.0)
        )


def _valid_probes(
    found: npt.NDArray[np.bool_],
    clusters: npt.NDArray[np.int64],
    gallery: npt.NDArray[np.int64],
) -> int:
    """Probes that have at least one genuine pair with both faces found."""
    return int((found & (clusters[:, None] == gallery[None, :])).any(axis=1).sum())
