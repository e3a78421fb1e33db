"""ID-cal: identity on a scale whose ends are this protocol's own faces.

A cosine of .86 says little: on one data set that is another subject, on another the same one in other light.
With cos(x, y) between face embeddings, source S_r and output G_r of request r, and one gallery image of every
subject from another take,

    same      = median over sources of cos(S, own gallery image)
    different = median over sources and other subjects of cos(S, their gallery image)
    ID-cal_r  = (cos(G_r, own gallery image) - different) / (same - different), cut to [0, 1]

0: no more like the subject than another subject is; 1: as like it as the source itself is in another take. An
output that lost its source's face counts as 0. What one score calibrates is the protocol's images in one
domain, so values of two domains or data sets have equal ends, not equal meaning in between.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import same_extractor, unit_rows
from fesbench.metrics.identity.similarity import EMBEDDING, GALLERY
from fesbench.metrics.inputs import Floats, MetricInputs, Rows

UNLIKE = "sources are no more like their own gallery image than like others': nothing to calibrate on"


class CalibratedIdentity(Metric):
    """Mean likeness to the subject's own gallery image, between another subject's and the source's."""

    name = "ID-cal"
    title = "identity, calibrated on this protocol's real faces"
    plain = "0: like another subject; 1: like the source itself in another take"
    extractor = EMBEDDING
    wants_face = True
    needs = frozenset({"source", "gallery"})
    source = "fesbench; cosine of face embeddings between the medians of real pairs"
    portable = True
    sweeps = True
    meanings = {"ends": "what 0 and 1 are", "gallery": "rule of the gallery"}

    def settings(self) -> dict[str, str]:
        """Similarity, gallery rule, the ends of the scale and what a missing face counts as."""
        return {
            "sim": "cosine",
            "gallery": GALLERY,
            "ends": "median-others,median-own",
            "missing": "0",
        }

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The scale's ends."""
        return (0.0, 1.0)

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of the requests whose subject has a gallery image; the others are counted as not valid."""
        values, valid, made, reason = calibrated(inputs, self.extractor)
        known = f"gallery:{len(inputs.gallery_identity)}"
        return Found(int(valid[rows].sum()), values[rows], extractor=made, reference=known, reason=reason)


def calibrated(inputs: MetricInputs, extractor: str) -> tuple[Floats, npt.NDArray[np.bool_], str, str]:
    """Each request's value, whether its faces were found, the extractor's signature, and why there is none.

    Returns:
        float64 (N,), NaN where the subject has no gallery image with a face or the scale has no length;
        bool (N,); two texts.
    """
    return inputs.memo(("calibrated", extractor), lambda: _calibrated(inputs, extractor))


def _calibrated(inputs: MetricInputs, extractor: str) -> tuple[Floats, npt.NDArray[np.bool_], str, str]:
    output, source = inputs.faces(extractor), inputs.feature_set(extractor, "source")
    gallery = inputs.feature_set(extractor, "gallery")
    same_extractor(output, source)
    same_extractor(output, gallery)
    own = inputs.clusters[:, None] == inputs.gallery_identity[None, :]
    shown = unit_rows(gallery.values)
    real = unit_rows(source.values) @ shown.T
    found = source.valid[:, None] & gallery.valid[None, :]
    values = np.full(len(inputs), np.nan)
    known = (own & gallery.valid[None, :]).any(axis=1)
    nothing = np.zeros(len(inputs), dtype=bool)
    if not (found & own).any() or not (found & ~own).any():
        return (
            values,
            np.zeros(len(inputs), dtype=bool),
            output.signature,
            "the gallery holds no two subjects",
        )
    different, same = np.median(real[found & ~own]), np.median(real[found & own])
    if same <= different:
        return values, nothing, output.signature, UNLIKE
    likeness = (unit_rows(output.values) @ shown.T)[known]
    nearest = np.where((own & gallery.valid[None, :])[known], likeness, -np.inf).max(axis=1)
    scaled = ((nearest - different) / (same - different)).clip(0, 1)
    values[known] = np.where(output.valid[known], scaled, 0.0)
    return values, output.valid & known, output.signature, ""
