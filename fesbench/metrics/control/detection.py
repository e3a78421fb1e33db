"""Is there a face at all? Share of outputs in which a frontal face detector finds none.

    rate = 1/N sum_i 1[ no face is found in G(x_i, t_i) ]

The detector (dlib's HOG) sees the whole output, enlarged once below 128 px, while recognizers get a crop at
the source's known landmarks: a face that only this metric misses still counts elsewhere. Read it beside the
``real`` row, for no detector finds every real face.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Measurement, Metric, MetricCard, mean_measurement
from fesbench.metrics.inputs import MetricInputs, Rows, checked_rows


class FaceNotFound(Metric):
    """Face-not-found rate."""

    card = MetricCard(
        name="Face-not-found",
        title="outputs without a detected face",
        direction="lower",
        low=0.0,
        high=1.0,
        unit="fraction",
        extractor="dlib-hog",
        needs=frozenset(),
        source="King, Dlib-ml: a machine learning toolkit (2009), frontal face detector",
        per_sample=True,
    )

    def settings(self) -> dict[str, str]:
        """What counts."""
        return {"found": "at-least-one"}

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean over the rows; every image is answered, so that none is left out."""
        rows = checked_rows(inputs, rows)
        found = inputs.feature_set(self.card.extractor, "generated")
        values = 1.0 - found.valid[rows].astype(np.float64)
        signature = self.signature(inputs, len(rows), len(rows), extractor=found.signature)
        return mean_measurement(
            self, inputs, rows, values, n_valid=len(rows), signature=signature, bounds=(0.0, 1.0)
        )
