"""NME: how far the landmarks of an output lie from where they should be.

    NME = mean over 68 points of |detected - wanted| / distance of the wanted outer eye corners

per image, detected on the output by dlib (extractor ``dlib-landmarks``). Outputs in which no face is found
have no value and are counted as not valid: read the figure beside that count. The row ``real`` is scored as
well: it shows the detector's own error, below which no method can be told from a better one.

What is wanted depends on what was granted:

- ``truth``: the target image's landmarks, wherever a label or levels were asked for.
- ``driver-motion-on-source``, under ``transfer``: the driver's displacement from the driver's own neutral
  face, turned and scaled onto the source's face and added to the source's landmarks. The driver's landmarks
  as they stand would ask for the driver's face: of two images with the same expression, the one that keeps
  the source's own proportions would be the worse. The source subject's own target image would ask for another
  performance than the one that was granted. Where the driver has no neutral image there is no figure.

Source: Sagonas et al., *300 Faces In-The-Wild Challenge*, ICCV workshops 2013 (inter-ocular normalization by
the outer eye corners).
"""

from __future__ import annotations

import math

import numpy as np

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.inputs import Floats, MetricInputs, Rows
from fesbench.metrics.motion.landmark_motion import STILL_POINTS

_OUTER_EYES = (36, 45)


class LandmarkError(Metric):
    """Normalized mean distance of detected landmarks to the wanted ones."""

    name = "NME"
    title = "landmark error, in inter-ocular distances"
    direction = "lower"
    high = math.inf
    unit = "inter-ocular distances"
    extractor = "dlib-landmarks"
    needs = frozenset({"landmarks"})
    source = "Sagonas et al., ICCV workshops 2013; under transfer fesbench's own target"
    tasks = frozenset({"expression", "transfer", "intensity", "compound"})
    portable = True
    meanings = {
        "norm": "what distances are divided by",
        "points": "number of landmarks",
        "rigid": "landmarks by which head motion is told from expression, under transfer",
    }

    def settings(self) -> dict[str, str]:
        """Points, those that do not move, normalization, average."""
        rigid = ",".join(map(str, STILL_POINTS))
        return {"points": "68", "norm": "outer-eyes", "rigid": rigid, "avg": "images", "missing": "left-out"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of requests with a detected face and a known target; the others are not valid."""
        found = inputs.feature_set(self.extractor, "generated")
        if found.values.shape[1] != 136:
            raise DataError(f"{self.extractor} gives {found.values.shape[1]} values, not 68 points (x, y)")
        wanted, reference = targets(inputs)
        values, known = np.full(len(rows), np.nan), np.isfinite(wanted[rows]).all(axis=(1, 2))
        usable = found.valid[rows] & known
        points = found.values.reshape(-1, 68, 2).astype(np.float64)
        values[usable] = normalized_error(points[rows[usable]], wanted[rows[usable]])
        reason = ""
        if not usable.any():
            reason = (
                "no face is found in any image" if known.any() else "no landmarks are known to compare with"
            )
        return Found(int(usable.sum()), values, extractor=found.signature, reference=reference, reason=reason)


def targets(inputs: MetricInputs) -> tuple[Floats, str]:
    """The wanted landmarks float64 (N, 68, 2), NaN where unknown, and what they are made from."""
    missing = np.full((len(inputs), 68, 2), np.nan)
    known = {name: np.asarray(points, dtype=np.float64) for name, points in inputs.landmarks.items()}
    if "driver" in inputs.requests and (inputs.requests["driver"] >= 0).any():
        parts = [known.get(name, missing) for name in ("source", "driver", "driver-neutral")]
        return transferred(*parts), "driver-motion-on-source"
    return known.get("target", missing), "truth"


def transferred(source: Floats, driver: Floats, driver_neutral: Floats) -> Floats:
    """The driver's motion on the source's face.

    The similarity that takes the driver's neutral face to the source's (least squares on the points that
    expressions hardly move) turns and scales the displacement; its shift plays no part.

    Args:
        source: (N, 68, 2) pixels of the neutral sources.
        driver: (N, 68, 2) of the drivers.
        driver_neutral: (N, 68, 2) of the drivers' neutral faces.

    Returns:
        float64 (N, 68, 2), NaN where any of the three is unknown.
    """
    from fesbench.extractors.crops import fit_similarity

    found, still = np.full(source.shape, np.nan), list(STILL_POINTS)
    complete = np.isfinite(source + driver + driver_neutral).all(axis=(1, 2))
    for row in np.flatnonzero(complete):
        # Head motion between the driver's two images is not expression.
        settle = fit_similarity(driver[row, still], driver_neutral[row, still])
        moved = driver[row] @ settle[:, :2].T + settle[:, 2] - driver_neutral[row]
        turn = fit_similarity(driver_neutral[row, still], source[row, still])[:, :2]
        found[row] = source[row] + moved @ turn.T
    return found


def normalized_error(points: Floats, wanted: Floats) -> Floats:
    """Mean distance of the points over the wanted eyes' distance, a row: two (N, 68, 2) -> (N,).

    >>> wanted = np.zeros((1, 68, 2))
    >>> wanted[:, 45] = [10.0, 0.0]
    >>> normalized_error(wanted + [3.0, 4.0], wanted)
    array([0.5])
    """
    left, right = _OUTER_EYES
    between = np.linalg.norm(wanted[:, left] - wanted[:, right], axis=1)
    distances = np.linalg.norm(points - wanted, axis=2).mean(axis=1)
    error: Floats = np.divide(distances, between, out=np.full(len(points), np.nan), where=between > 0)
    return error
