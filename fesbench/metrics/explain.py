"""Signatures in words: what each field says, and why two scores may or may not stand in one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fesbench.records.signature import FIELDS, METHOD_FIELDS, Signature

if TYPE_CHECKING:
    from fesbench.metrics.base import MetricCard

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
    known = meanings(parsed.name)
    for name, value in parsed.fields:
        compared = name not in (*METHOD_FIELDS, "v")
        lines.append(Explained(name, value, known.get(name, UNKNOWN), name in known, compared))
    return lines


def explain_difference(a: str, b: str) -> list[str]:
    """One sentence for each field in which two signatures are not comparable; empty: they are.

    Raises:
        UsageError: a text is no signature.
    """
    left, right = (Signature.parse(text).comparable() for text in (a, b))
    known = meanings(left["metric"]) | meanings(right["metric"]) | {"metric": "metric"}
    sentences = []
    for name in Signature.difference(a, b):
        words = "images asked for" if name == "n" else known.get(name, UNKNOWN)
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


def meanings(metric: str) -> dict[str, str]:
    """What each field of a metric's signature means; of a metric that is not known, the common ones."""
    card = card_of(metric)
    return {**FIELDS, **({} if card is None else card.meanings)}


def card_of(metric: str) -> MetricCard | None:
    """The card of a score's metric, whichever extractor it was measured on; None where it is not known.

    >>> card_of("augmentation-gain@5[classical]").direction
    'higher'
    """
    from fesbench.metrics import METRICS
    from fesbench.metrics.augmentation import CARDS

    base = metric.partition("[")[0]
    if (kind := base.partition("@")[0]) in CARDS:
        return CARDS[kind]
    name = metric if metric in METRICS else ("FD-dlib" if base.startswith("FD-") else base)
    return METRICS.get(name) if name in METRICS else None
