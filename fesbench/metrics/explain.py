"""Signatures in words: what each field says, and why two scores may or may not stand in one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fesbench.records.signature import FIELDS, METHOD_FIELDS, Signature

if TYPE_CHECKING:
    from fesbench.metrics.base import MetricCard

UNKNOWN = "a field that this fesbench does not know"
OTHER_RECIPE = "a recipe that this fesbench does not have"
WITH_RECIPES = ("x", "face")
"""Fields that hold an extractor's signature, whose last part is a recipe of settings."""


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
        if name in WITH_RECIPES:
            lines += recipe_lines(name, value)
    return lines


def recipe_lines(field: str, extractor: str) -> list[Explained]:
    """What the recipe in an extractor's signature is, and one line for each of its settings.

    Nothing for an extractor without settings: a judge, or one of another package that is not here.

    >>> [line.value for line in recipe_lines("face", "dlib-hog:hog-1+small=64")]
    ['hog-1', '64', '1', '0.0']
    """
    from fesbench.extractors.registry import EXTRACTORS
    from fesbench.extractors.settings import Settings

    name, *parts = extractor.split(":")
    own = getattr(EXTRACTORS.get(name), "settings", Settings()) if name in EXTRACTORS else Settings()
    if not own.recipe or not parts:
        return []
    kind = own.recipe.rpartition("-")[0]
    used = next((part for part in parts if part.startswith(f"{kind}-")), parts[-1])
    recipe, *changes = used.split("+")
    if recipe != own.recipe:
        return [Explained(f"{field}: recipe", recipe, OTHER_RECIPE, False, True)]
    told = dict(change.split("=", 1) for change in changes)
    lines = [Explained(f"{field}: recipe", recipe, own.words, True, True)]
    for setting, value, words in type(own)().described():
        lines.append(Explained(f"{field}: {setting}", told.get(setting, value), words, True, True))
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
        words = "images asked for" if name == "n" and "target" not in left else known.get(name, UNKNOWN)
        shown = [f"'{side[name]}'" if name in side else "nothing" for side in (left, right)]
        sentences.append(f"{words} ({name}): {shown[0]} against {shown[1]}")
    return sentences


def title_of(metric: str) -> str:
    """What a score's metric is called, whichever extractor it was measured on; UNKNOWN for none."""
    card = card_of(metric)
    if card is None:
        return UNKNOWN
    other = metric.partition("[")[2].removesuffix("]")
    if other.isdigit():
        return f"{card.title} ({other} of them)"
    return f"{card.title}, on {other}" if other and card.name != metric else card.title


def judge_of(metric: str) -> str:
    """The classifier whose word a score takes for what an output shows; "" where it asks none.

    >>> judge_of("ECS-macro[facex]"), judge_of("ECS"), judge_of("HES[arcface]"), judge_of("FD-judge")
    ('facex', 'judge', 'judge', 'judge')
    >>> judge_of("FSS"), judge_of("FD-dlib")
    ('', '')
    """
    card = card_of(metric)
    if card is None or card.judge != card.extractor:
        return "" if card is None else card.judge
    return metric.partition("[")[2].removesuffix("]") or card.judge


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
