"""Pose-distance: was the head turned?

    Pose-distance = mean of |yaw - yaw'|, |pitch - pitch'|, |roll - roll'|   in degrees

between an output and its source, by `fesbench.metrics.control.head_pose` on the 68 landmarks that dlib
detects on either image, or (``Pose-distance[face-mesh]``) on the 468 points of MediaPipe's face mesh around
the source's known landmarks. On avatars of 128 px the mesh follows a turn more closely (r .98, .89 and .98
in yaw, pitch and roll; dlib's points .94, .56 and .97). A label asks for another expression of the same
head, so 0 is right. Outputs or sources in which no face is found have no value and are counted as not
valid: read the figure beside that count. The row ``real`` shows the detector's own error and what an
expression does to its landmarks; below it no method can be told from a better one.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import same_extractor
from fesbench.metrics.control.head_pose import MESH, TEMPLATE, head_angles, mesh_angles
from fesbench.metrics.inputs import Floats, MetricInputs, Rows, Which


class PoseDistance(Metric):
    """Mean absolute difference of the head's three angles to the source's."""

    named = {
        "Pose-distance": {},
        "Pose-distance[face-mesh]": {
            "extractor": "face-mesh",
            "plain": "mean difference of yaw, pitch and roll to the source, in degrees, from a face mesh",
        },
    }
    title = "head turned against the source, in degrees"
    plain = "mean difference of yaw, pitch and roll to the source, in degrees, from detected landmarks"
    direction = "lower"
    extractor = "dlib-landmarks"
    high = 180.0
    unit = "degrees"
    needs = frozenset({"source"})
    tasks = frozenset({"expression", "intensity", "compound", "action-unit"})
    source = "fesbench; head-pose distance as portrait animation reports it, against the source"
    portable = True
    meanings = {
        "fit": "how angles are found",
        "points": "number of landmarks, and digest of those of a mesh",
        "template": "digest of the three-dimensional landmarks",
    }

    def settings(self) -> dict[str, str]:
        """Distance, fit, pairs, and what a missing face counts as."""
        return {
            "dist": "mean-abs-yaw-pitch-roll",
            "fit": "weak-perspective-svd",
            "points": f"{len(MESH)}-of-468:{crc32(repr(MESH).encode()):08x}"
            if self._mesh
            else str(len(TEMPLATE)),
            "template": f"{crc32(repr(TEMPLATE).encode()):08x}",
            "pair": "source-output",
            "missing": "left-out",
        }

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of requests with a face in source and output; the others are not valid."""
        made, given = (inputs.feature_set(self.extractor, which) for which in ("generated", "source"))
        same_extractor(made, given)
        values = inputs.memo((self.name, self.extractor), lambda: self._distances(inputs))[rows]
        n_valid = int(np.isfinite(values).sum())
        reason = "" if n_valid else "no face is found in both the output and its source"
        return Found(n_valid, values, extractor=made.signature, reference="source", reason=reason)

    def _distances(self, inputs: MetricInputs) -> Floats:
        """(N,) degrees, NaN without both faces."""
        made, given = (self._angles(inputs, which) for which in ("generated", "source"))
        found: Floats = np.abs((made - given + 180) % 360 - 180).mean(axis=1)
        return found

    def _angles(self, inputs: MetricInputs, which: Which) -> Floats:
        """(N, 3) degrees of a set of images, NaN without a face."""
        found = inputs.feature_set(self.extractor, which)
        length = 3 * 468 + 1 if self._mesh else 136
        if found.values.shape[1] != length:
            what = "468 points (x, y, z) and a probability" if self._mesh else "68 points (x, y)"
            raise DataError(f"{self.extractor} gives {found.values.shape[1]} values, not {what}")
        angles, seen = np.full((len(inputs), 3), np.nan), found.values[found.valid]
        if self._mesh:
            angles[found.valid] = mesh_angles(seen[:, :-1].reshape(-1, 468, 3))
        else:
            angles[found.valid] = head_angles(seen.reshape(-1, 68, 2))
        return angles

    @property
    def _mesh(self) -> bool:
        return self.extractor == "face-mesh"
