"""Is it still the same subject? FSS, TAR at a false accept rate, and Rank-1 on face embeddings.

FSS compares an output with its own source, so a method that changes nothing leads it. TAR and Rank-1
compare an output (probe) with one neutral image of every subject (gallery), which the protocol takes from
another take or sequence, so that no output meets the image it was made from. A face that is not found
counts as similarity 0, as a rejection, and as a failed rank; so does an output that lost its source's face
(see `Metric.wants_face`), on which the embedding would answer all the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fesbench.metrics.base import Found, Metric
from fesbench.metrics.common import faces_and_sources, same_extractor, unit_rows
from fesbench.metrics.identity.verification_math import (
    TOLERANCE,
    enough_pairs,
    make_pairs,
    rank1,
    tar_interval,
)
from fesbench.metrics.inputs import Floats, MetricInputs, Rows

Compared = tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Similarity (rows, G) of probes and gallery, both faces found (rows, G), identities (rows,) and (G,)."""

EMBEDDING = "dlib"
GALLERY = "one-neutral-per-person"
"""The gallery's rule in signatures; which image it is, the protocol's hash beside it fixes."""


class FaceSimilarity(Metric):
    """FSS: mean cosine of the L2-normalized embeddings of source and output."""

    name = "FSS"
    title = "face similarity score"
    plain = "cosine between the face embeddings of the source and of the result"
    low = -1.0
    extractor = EMBEDDING
    wants_face = True
    needs = frozenset({"source"})
    source = "RegGAN (arXiv 2603.15648), as a cosine"
    portable = True
    anchored = True

    def settings(self) -> dict[str, str]:
        """Similarity and what a missing face counts as."""
        return {"sim": "cosine", "pair": "source-output", "missing": "0"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Cosines; a pair without both faces has cosine 0 and is counted as not valid."""
        output, source, valid, made = faces_and_sources(inputs, self.extractor, rows)
        values = np.where(valid, (output * source).sum(axis=1).clip(-1, 1), 0.0)
        return Found(int(valid.sum()), values, extractor=made, reference="source")


class _Gallery(Metric):
    """A metric of probes against the gallery."""

    unit = "fraction"
    extractor = EMBEDDING
    wants_face = True
    needs = frozenset({"gallery"})
    portable = True
    meanings = {
        "far": "false accept rate",
        "gallery": "rule of the gallery",
        "impostor": "what impostor pairs are",
    }

    def compared(self, inputs: MetricInputs, rows: Rows) -> tuple[Found, Compared]:
        """All pairs; a probe is valid with one genuine pair of two found faces."""
        probe = inputs.faces(self.extractor)
        gallery = inputs.feature_set(self.extractor, "gallery")
        same_extractor(probe, gallery)
        similarity = np.clip(unit_rows(probe.values[rows]) @ unit_rows(gallery.values).T, -1, 1)
        both = probe.valid[rows][:, None] & gallery.valid[None, :]
        who, known = inputs.clusters[rows], inputs.gallery_identity
        n_valid = int((both & (who[:, None] == known[None, :])).any(axis=1).sum())
        found = Found(n_valid, extractor=probe.signature, reference=f"gallery:{len(known)}")
        return found, (similarity, both, who, known)


class Verification(_Gallery):
    """TAR at a fixed FAR: share of genuine pairs beyond the conservative threshold of the impostors.

    There is none with fewer than 10 / FAR impostor pairs.
    """

    named = {
        "TAR@FAR=1%": {
            "title": "true accept rate at a false accept rate of 1 %",
            "plain": "share of results accepted as the subject when 1 % of impostors are",
            "far": 0.01,
        },
        "TAR@FAR=0.1%": {
            "title": "true accept rate at a false accept rate of 0.1 %",
            "plain": "share of results accepted as the subject when 0.1 % of impostors are",
            "far": 0.001,
        },
    }
    source = "Li, Qi, Sun (2021), table 6; thresholds as in metrics of ISO/IEC 19795-1"
    per_sample = False
    far: float

    def settings(self) -> dict[str, str]:
        """Level, gallery rule, impostor rule, treatment of ties and of missing faces."""
        return {
            "far": f"{self.far:g}",
            "gallery": GALLERY,
            "impostor": "output-vs-others-gallery",
            "ties": f"accepted-impostors,{TOLERANCE:g}",
            "missing": "rejected",
        }

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The rate over all genuine pairs."""
        found, compared = self.compared(inputs, rows)
        pairs = make_pairs(*compared)
        if not len(pairs.genuine):
            found.reason = "the gallery holds no image of the probes' identities"
        elif not enough_pairs(len(pairs.impostor), self.far):
            found.reason = f"needs {round(10 / self.far)} impostor pairs, has {len(pairs.impostor)}"
        else:
            found.interval = tar_interval(pairs, self.far, seed=inputs.seed)
        return found


class Rank1(_Gallery):
    """Closed-set identification: the most similar gallery image is the right subject's; ties fail.

    The interval holds the gallery fixed and resamples the probes' identities.
    """

    name = "Rank-1"
    title = "rank-1 identification rate"
    plain = "share of results whose nearest gallery image (another take) is the subject"
    source = "Li, Qi, Sun (2021), table 6"

    def settings(self) -> dict[str, str]:
        """Gallery rule, treatment of ties and of missing faces."""
        return {"gallery": GALLERY, "ties": f"wrong,{TOLERANCE:g}", "missing": "wrong"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Right or wrong, a probe."""
        found, compared = self.compared(inputs, rows)
        found.values = rank1(*compared)
        if not np.isfinite(found.values).any():
            found.reason = "the gallery holds no image of the probes' identities, or no other subject"
        return found
