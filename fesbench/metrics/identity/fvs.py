"""FVS, the face verification score: share of outputs that a recognizer accepts as their source's subject.

    FVS = 1/N sum_i 1[ d(e(x_i), e(G(x_i, t_i))) <= tau ]

The formula behind US-GAN's figures is not published; here tau is fixed beforehand and printed. ``FVS`` takes
the recognizer's own published threshold (deepface's; for dlib Euclidean 0.6), at which most methods saturate.
``FVS@FAR=0.1%`` takes the threshold that lets one in a thousand real impostor pairs of the protocol's own
images pass. A method that returns its input has 1 in both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError, UsageError
from fesbench.metrics.base import Measurement, Metric, MetricCard, mean_measurement, refusal, renamed
from fesbench.metrics.common import same_extractor, unit_rows
from fesbench.metrics.identity.verification_math import enough_pairs, threshold
from fesbench.metrics.inputs import FeatureSet, Floats, MetricInputs, Rows, checked_rows

Mask = npt.NDArray[np.bool_]

EMBEDDING = "dlib"
THRESHOLDS = {
    "dlib": ("euclidean", 0.6),
    "arcface": ("cosine", 0.68),
    "facenet512": ("cosine", 0.30),
    "vgg-face": ("cosine", 0.68),
}
"""Distance and largest accepted value; deepface 0.0.103, and dlib's own for dlib."""


class _Acceptance(Metric):
    """Share of requests whose output is accepted as its source's subject; no face is a rejection."""

    def _features(self, inputs: MetricInputs) -> tuple[FeatureSet, FeatureSet]:
        output = inputs.feature_set(self.card.extractor, "generated")
        source = inputs.feature_set(self.card.extractor, "source")
        same_extractor(output, source)
        return output, source

    def _accepted(
        self, inputs: MetricInputs, rows: Rows, accepted: Mask, valid: Mask, reference: str
    ) -> Measurement:
        n_valid = int(valid.sum())
        signature = self.signature(
            inputs, n_valid, len(rows), extractor=self._features(inputs)[0].signature, reference=reference
        )
        values = (accepted & valid).astype(np.float64)
        return mean_measurement(
            self, inputs, rows, values, n_valid=n_valid, signature=signature, bounds=(0.0, 1.0)
        )


class FaceVerification(_Acceptance):
    """FVS at the recognizer's published threshold."""

    def __init__(self, extractor: str = EMBEDDING) -> None:
        if extractor not in THRESHOLDS:
            raise UsageError(
                f"no threshold of '{extractor}' is published, so FVS has none for it; use FVS@FAR=0.1%, or "
                f"one of {', '.join(THRESHOLDS)}"
            )
        card = _card("FVS", "face verification score at the recognizer's threshold")
        self.card = card if extractor == EMBEDDING else renamed(card, extractor)

    def settings(self) -> dict[str, str]:
        """Distance, threshold, pairs, treatment of missing faces."""
        distance, tau = THRESHOLDS[self.card.extractor]
        return {"dist": distance, "tau": f"{tau:g}", "pair": "source-output", "missing": "rejected"}

    def with_extractor(self, extractor: str) -> FaceVerification:
        """FVS on another face model, at that model's threshold."""
        return FaceVerification(extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Share over the rows."""
        rows = checked_rows(inputs, rows)
        output, source = self._features(inputs)
        kind, tau = THRESHOLDS[self.card.extractor]
        a, b = output.values[rows].astype(np.float64), source.values[rows].astype(np.float64)
        valid = output.valid[rows] & source.valid[rows]
        a[~valid] = b[~valid] = 0.0
        if kind == "cosine":
            distance = 1 - (unit_rows(a) * unit_rows(b)).sum(axis=1)
        else:
            distance = np.linalg.norm(a - b, axis=1)
        return self._accepted(inputs, rows, distance <= tau, valid, "source")


class FaceVerificationAtFar(_Acceptance):
    """FVS at the cosine that a given share of real impostor pairs exceeds."""

    def __init__(self, far: float, extractor: str = EMBEDDING) -> None:
        if not 0 < far < 1:
            raise DataError(f"a false accept rate lies between 0 and 1, not {far}")
        self.far = far
        title = f"face verification score at a false accept rate of {far * 100:g} % on real impostors"
        card = _card(f"FVS@FAR={far * 100:g}%", title)
        self.card = card if extractor == EMBEDDING else renamed(card, extractor)

    def settings(self) -> dict[str, str]:
        """Similarity, level, impostors, pairs, treatment of missing faces."""
        return {
            "sim": "cosine",
            "far": f"{self.far:g}",
            "impostor": "real-reference-vs-others-gallery",
            "pair": "source-output",
            "missing": "rejected",
        }

    def with_extractor(self, extractor: str) -> FaceVerificationAtFar:
        """The same on another face model."""
        return FaceVerificationAtFar(self.far, extractor)

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Share over the rows, or a reason when there are fewer than 10 / FAR real impostor pairs."""
        rows = checked_rows(inputs, rows)
        output, source = self._features(inputs)
        a, b = unit_rows(output.values[rows]), unit_rows(source.values[rows])
        valid = output.valid[rows] & source.valid[rows]
        impostors = self._impostors(inputs)
        reference = f"source,{inputs.reference_name}-vs-gallery:{len(impostors)}"
        if not enough_pairs(len(impostors), self.far):
            reason = f"needs {round(10 / self.far)} real impostor pairs, has {len(impostors)}"
            n_valid = int(valid.sum())
            signature = self.signature(
                inputs, n_valid, len(rows), extractor=output.signature, reference=reference
            )
            return refusal(self, None, rows, n_valid, signature, reason)
        cut = inputs.memo((self.card.name, "cut"), lambda: threshold(impostors, self.far))
        return self._accepted(inputs, rows, (a * b).sum(axis=1) > cut, valid, reference)

    def _impostors(self, inputs: MetricInputs) -> Floats:
        """Cosines of real reference images with the gallery images of others, in descending order."""

        def compute() -> Floats:
            if inputs.reference_identity is None:
                return np.zeros(0)
            real = inputs.feature_set(self.card.extractor, "reference")
            gallery = inputs.feature_set(self.card.extractor, "gallery")
            same_extractor(real, gallery)
            cosine = unit_rows(real.values) @ unit_rows(gallery.values).T
            others = inputs.reference_identity[:, None] != inputs.gallery_identity[None, :]
            return -np.sort(-cosine[others & real.valid[:, None] & gallery.valid[None, :]])

        return inputs.memo(("real-impostors", self.card.extractor), compute)


def _card(name: str, title: str) -> MetricCard:
    # The reference only sets a threshold here. It is no need: the real row is not split into halves for it.
    needs = frozenset({"source"} if name == "FVS" else {"source", "gallery"})
    return MetricCard(
        name=name,
        title=title,
        direction="higher",
        low=0.0,
        high=1.0,
        unit="fraction",
        extractor=EMBEDDING,
        needs=needs,
        source="US-GAN (arXiv 2112.13002) by name; share of accepted pairs at a stated threshold",
        per_sample=True,
    )
