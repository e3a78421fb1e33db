"""Is there a face at all? Share of outputs in which a frontal face detector finds none.

    rate = 1/N sum_i 1[ no face is found in G(x_i, t_i) ]

The detector (dlib's HOG) sees the whole output, enlarged once below 128 px, while recognizers get a crop at
the source's known landmarks: a face that only this metric misses still counts elsewhere. Read it beside the
``real`` row, for no detector finds every real face.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.inputs import MetricInputs, Rows


class FaceNotFound(Metric):
    """Face-not-found rate."""

    name = "Face-not-found"
    title = "outputs without a detected face"
    direction = "lower"
    unit = "fraction"
    extractor = "dlib-hog"
    source = "King, Dlib-ml: a machine learning toolkit (2009), frontal face detector"
    meanings = {"found": "when a face counts as found"}

    def settings(self) -> dict[str, str]:
        """What counts."""
        return {"found": "at-least-one"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Every image is answered, so that none is left out."""
        found = inputs.feature_set(self.extractor, "generated")
        return Found(len(rows), 1.0 - found.valid[rows].astype(np.float64), extractor=found.signature)
