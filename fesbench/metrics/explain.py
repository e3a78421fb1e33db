"""Signatures in words: what each field says, and why two figures may or may not stand in one column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fesbench.records.signature import Signature

if TYPE_CHECKING:
    from fesbench.metrics.base import MetricCard

FIELDS: Mapping[str, str] = {
    "x": "extractor (name, weights, input, resize, range)",
    "r": "resize before the comparison",
    "ref": "compared with",
    "n": "images that counted / that were asked for",
    "p": "protocol, its hash, the data with its fingerprint, the budget",
    "a": "alignment of the images",
    "v": "version of fesbench (may differ)",
    "against": "what the error is measured against",
    "argmax": "classes that the judge chooses among",
    "avg": "average over requests",
    "ball": "border of a neighborhood",
    "cap": "largest value, in dB",
    "ch": "color channels",
    "change": "change that is measured",
    "classes": "expressions that the judge chooses among",
    "constant": "a constant series counts as",
    "corr": "correlation",
    "cov": "divisor of the covariance",
    "dist": "distance",
    "down": "downsampling before the comparison",
    "dtype": "precision of the arithmetic",
    "est": "estimator",
    "far": "false accept rate",
    "found": "when a face counts as found",
    "gallery": "rule of the gallery",
    "impostor": "what impostor pairs are",
    "judge": "who judges",
    "k": "number of neighbors",
    "kernel": "kernel",
    "logits": "factor of the cosines before the softmax",
    "mean": "what is averaged",
    "missing": "an image without a face (or features) counts as",
    "next": "largest number of pairs or images compared",
    "norm": "what distances are divided by",
    "over": "expressions that are pooled",
    "pair": "what is compared with what",
    "pairs": "number of antonym pairs",
    "points": "number of landmarks",
    "quantile": "quantile that sets the threshold",
    "range": "range of the pixel values",
    "rise": "what counts as rising",
    "scale": "factor of the figure",
    "scales": "number of scales",
    "shuffle": "order of the images before they are split",
    "sim": "similarity",
    "splits": "number of splits",
    "subset": "size of the subsets",
    "tau": "threshold, or form of the rank correlation",
    "temp": "temperature",
    "ties": "ties count as",
    "unit": "what the figure is divided by",
    "window": "window and border",
}
"""What each field of a signature means."""

UNKNOWN = "a field that this fesbench does not know"


@dataclass(frozen=True)
class Explained:
    """One field of a signature."""

    field: str
    value: str
    words: str
    known: bool
    compared: bool
    """Whether it must agree before two figures are compared (all of it, or for ``n`` the second number)."""


def explain(signature: str) -> list[Explained]:
    """Every field of a signature in words, the metric first.

    Raises:
        UsageError: the text is no signature.
    """
    parsed = Signature.parse(signature)
    title = title_of(parsed.name)
    lines = [Explained("metric", parsed.name, title, title != UNKNOWN, True)]
    for name, value in parsed.fields:
        lines.append(Explained(name, value, FIELDS.get(name, UNKNOWN), name in FIELDS, name != "v"))
    return lines


def explain_difference(a: str, b: str) -> list[str]:
    """One sentence for each field in which two signatures are not comparable; empty: they are.

    Raises:
        UsageError: a text is no signature.
    """
    left, right = (Signature.parse(text).comparable() for text in (a, b))
    sentences = []
    for name in Signature.difference(a, b):
        words = "metric" if name == "metric" else FIELDS.get(name, UNKNOWN)
        if name == "n":
            words = "images asked for"
        shown = [f"'{side[name]}'" if name in side else "nothing" for side in (left, right)]
        sentences.append(f"{words} ({name}): {shown[0]} against {shown[1]}")
    return sentences


def title_of(metric: str) -> str:
    """What a score's metric is called, whichever extractor it was measured on; UNKNOWN for none."""
    card = card_of(metric)
    if card is None:
        return UNKNOWN
    other = metric.partition("[")[2].removesuffix("]")
    return f"{card.title}, on {other}" if other and card.name != metric else card.title


def card_of(metric: str) -> MetricCard | None:
    """The card of a score's metric, whichever extractor it was measured on; None where it is not known."""
    from fesbench.metrics import METRICS

    base = metric.partition("[")[0]
    name = metric if metric in METRICS else ("FD-dlib" if base.startswith("FD-") else base)
    return METRICS[name].card if name in METRICS else None
