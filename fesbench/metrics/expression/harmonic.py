"""HES: one number that neither a copy nor another face can win.

    HES = 2 E I / (E + I),   E = ECS,   I = ID-cal

over the same requests: ``copy`` has I near 1 and E near 0, an average face of the label the reverse. Where
expressions are asked for at several levels it is told for each of them too: a method may keep the subject
at a low level and lose it at a high one.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found, Metric, cut_to
from fesbench.metrics.expression.score import SINGLE, asked_columns, decided, judged_images
from fesbench.metrics.identity.calibrated import calibrated
from fesbench.metrics.identity.similarity import EMBEDDING, GALLERY
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.statistics.intervals import jackknife


class HarmonicScore(Metric):
    """Harmonic mean of the expression score and the calibrated identity."""

    name = "HES"
    title = "harmonic mean of expression score and calibrated identity"
    plain = "high where the expression is seen and the subject is kept, both"
    unit = "fraction"
    extractor = EMBEDDING
    wants_face = True
    wants_judge = True
    needs = frozenset({"source", "gallery"})
    tasks = SINGLE
    per_sample = False
    sweeps = True
    source = "fesbench; F-measure (van Rijsbergen 1979) of ECS and ID-cal"
    portable = True
    meanings = {"mean": "what is averaged", "judge": "who judges", "gallery": "rule of the gallery"}

    @property
    def judge(self) -> str:
        """The protocol's own."""
        return "judge"

    def settings(self) -> dict[str, str]:
        """What is averaged and how, the gallery's rule, and what a missing face counts as."""
        return {"mean": "ECS,ID-cal", "avg": "harmonic", "gallery": GALLERY, "missing": "wrong,0"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The score with a jackknife interval over identities."""
        identity, valid, made, reason = calibrated(inputs, self.extractor)
        judged, columns = judged_images(inputs, "judge", faces=True), asked_columns(inputs, "judge", rows)
        kept = np.isfinite(identity[rows])
        found = Found(int((valid & judged.valid)[rows].sum()), extractor=made, reason=reason)
        found.settings = {"judge": judged.signature}
        if reason or not kept.any():
            found.reason = reason or "the gallery holds no image of these subjects"
        elif (columns < 0).any():
            found.reason = "the judge has no class for some of the requested expressions"
        else:
            right, own = decided(judged, columns, rows)[kept], identity[rows][kept]
            interval = jackknife(lambda some: harmonic(right[some], own[some]), inputs.clusters[rows][kept])
            found.interval = cut_to(interval, 0.0, 1.0)
        return found


def harmonic(expression: Floats, identity: Floats) -> float:
    """Harmonic mean of two means; 0 where both are 0.

    >>> harmonic(np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    0.6666666666666666
    """
    e, i = float(expression.mean()), float(identity.mean())
    return 2 * e * i / (e + i) if e + i > 0 else 0.0
