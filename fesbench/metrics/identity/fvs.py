"""FVS, the face verification score: share of outputs that a recognizer accepts as their source's subject.

    FVS = 1/N sum_i 1[ d(e(x_i), e(G(x_i, t_i))) <= tau ]

The formula behind US-GAN's scores is not published; here tau is fixed beforehand and printed. ``FVS`` takes
the recognizer's own published threshold (deepface's; for dlib Euclidean 0.6). It was set on photographs of
faces; on any other faces it may accept most other subjects too (of avatars dlib's accepts two in three),
which the anchors beside the column tell. ``FVS@FAR=1%`` and ``FVS@FAR=0.1%`` take the threshold that lets
one in a hundred or a thousand real impostor pairs of the protocol's own images pass. A method that returns
its input has 1 in all of them.
"""

from __future__ import annotations

import numpy as np

from fesbench.errors import UsageError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import faces_and_sources, same_extractor, unit_rows
from fesbench.metrics.identity.verification_math import TOLERANCE, enough_pairs, threshold
from fesbench.metrics.inputs import Floats, MetricInputs, Rows

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

    unit = "fraction"
    extractor = EMBEDDING
    wants_face = True
    needs = frozenset({"source"})
    source = "US-GAN (arXiv 2112.13002) by name; share of accepted pairs at a stated threshold"
    portable = True
    anchored = True


class FaceVerification(_Acceptance):
    """FVS at the recognizer's published threshold."""

    name = "FVS"
    title = "face verification score at the recognizer's published threshold"
    plain = "share of results accepted as the source's subject at a threshold that was set on photographs"
    meanings = {"tau": "threshold"}

    def move_to(self, extractor: str) -> None:
        """FVS on another face model, at that model's threshold."""
        if extractor not in THRESHOLDS:
            raise UsageError(
                f"no threshold of '{extractor}' is published, so FVS has none for it; use FVS@FAR=1%, or "
                f"one of {', '.join(THRESHOLDS)}"
            )
        super().move_to(extractor)

    def settings(self) -> dict[str, str]:
        """Distance, threshold, pairs, treatment of missing faces."""
        distance, tau = THRESHOLDS[self.extractor]
        return {"dist": distance, "tau": f"{tau:g}", "pair": "source-output", "missing": "rejected"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Accepted or not, a row."""
        output, source = inputs.faces(self.extractor), inputs.feature_set(self.extractor, "source")
        same_extractor(output, source)
        kind, tau = THRESHOLDS[self.extractor]
        a, b = output.values[rows].astype(np.float64), source.values[rows].astype(np.float64)
        valid = output.valid[rows] & source.valid[rows]
        a[~valid] = b[~valid] = 0.0
        if kind == "cosine":
            distance = 1 - (unit_rows(a) * unit_rows(b)).sum(axis=1)
        else:
            distance = np.linalg.norm(a - b, axis=1)
        values = ((distance <= tau) & valid).astype(np.float64)
        return Found(int(valid.sum()), values, extractor=output.signature, reference="source")


class FaceVerificationAtFar(_Acceptance):
    """FVS at the cosine that a given share of real impostor pairs exceeds.

    There is none with fewer than 10 / FAR real impostor pairs.
    """

    named = {
        "FVS@FAR=0.1%": {
            "title": "face verification score at a false accept rate of 0.1 % on real impostors",
            "plain": "share of results accepted as the source's subject when 0.1 % of real impostors are",
            "far": 0.001,
        },
        "FVS@FAR=1%": {
            "title": "face verification score at a false accept rate of 1 % on real impostors",
            "plain": "share of results accepted as the source's subject when 1 % of real impostors are",
            "far": 0.01,
        },
    }
    # The reference only sets a threshold here. It is no need: the real row is not split into halves for it.
    needs = frozenset({"source", "gallery"})
    far: float
    meanings = {"far": "false accept rate", "impostor": "what impostor pairs are"}

    def settings(self) -> dict[str, str]:
        """Similarity, level, impostors, pairs, treatment of missing faces."""
        return {
            "sim": "cosine",
            "far": f"{self.far:g}",
            "impostor": "real-reference-vs-others-gallery",
            "pair": "source-output",
            "ties": f"accepted-impostors,{TOLERANCE:g}",
            "missing": "rejected",
        }

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Accepted or not, a row."""
        a, b, valid, made = faces_and_sources(inputs, self.extractor, rows)
        impostors = self._impostors(inputs)
        found = Found(int(valid.sum()), extractor=made)
        found.reference = f"source,{inputs.reference_name}-vs-gallery:{len(impostors)}"
        if enough_pairs(len(impostors), self.far):
            cut = inputs.memo((self.name, "cut"), lambda: threshold(impostors, self.far))
            found.values = (((a * b).sum(axis=1) > cut + TOLERANCE) & valid).astype(np.float64)
        else:
            found.reason = f"needs {round(10 / self.far)} real impostor pairs, has {len(impostors)}"
        return found

    def _impostors(self, inputs: MetricInputs) -> Floats:
        """Cosines of real reference images with the gallery images of others, in descending order."""

        def compute() -> Floats:
            if inputs.reference_identity is None:
                return np.zeros(0)
            real = inputs.feature_set(self.extractor, "reference")
            gallery = inputs.feature_set(self.extractor, "gallery")
            same_extractor(real, gallery)
            cosine = unit_rows(real.values) @ unit_rows(gallery.values).T
            others = inputs.reference_identity[:, None] != inputs.gallery_identity[None, :]
            return -np.sort(-cosine[others & real.valid[:, None] & gallery.valid[None, :]])

        return inputs.memo(("real-impostors", self.extractor), compute)
