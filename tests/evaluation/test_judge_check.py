from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fesbench.evaluation import judge_check as judge_checks
from fesbench.evaluation.judge_check import calibration_error, checked
from fesbench.records.judge_check import JudgeCheck
from fesbench.records.judges import Judges
from fesbench.statistics.intervals import cluster_mean
from fesbench.statistics.judges import widened

CLASSES = ("anger", "fear", "neutral")


def answers(picks: list[int], confidence: float = 0.8) -> np.ndarray:
    """Probabilities whose highest is each of these classes."""
    found = np.full((len(picks), 3), (1 - confidence) / 2, np.float32)
    found[np.arange(len(picks)), picks] = confidence
    return found


def check(
    picks: list[int], shown: list[str], subjects: list[str], valid: list[bool] | None = None
) -> JudgeCheck:
    return checked(
        answers(picks),
        np.array(valid if valid is not None else [True] * len(picks)),
        np.array(shown, dtype=object),
        np.array(subjects, dtype=object),
        judge="facex",
        signature="facex:1",
        domain="in",
        classes=CLASSES,
    )


def test_accuracy_confusion_and_calibration_by_hand() -> None:
    shown = ["anger", "anger", "fear", "fear", "neutral", "neutral"]
    found = check([0, 1, 1, 1, 2, 0], shown, list("aabbcc"), [True] * 5 + [False])
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.shown == ["anger", "fear", "neutral"]
    assert found.seen == [*CLASSES, "unreadable"]
    assert found.counts == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 1]]
    assert (found.images, found.subjects, found.chance) == (6, 3, pytest.approx(1 / 3))
    # The unreadable image has no confidence: four of five are right at .8.
    assert found.calibration_error == pytest.approx(0.0, abs=1e-6)
    interval = cluster_mean(
        np.array([1, 0, 1, 1, 1, 0.0]), np.array([0, 0, 1, 1, 2, 2]), seed=0, bounds=(0, 1)
    )
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_a_panels_error_is_in_the_interval() -> None:
    shown, subjects = ["anger", "fear", "neutral"] * 8, [name for name in "abcdefgh" for _ in range(3)]
    picks = [0, 1, 2, 0, 1, 1] * 4
    plain = check(picks, shown, subjects)
    asked: dict[str, Any] = {
        "judge": "judge", "signature": "j", "domain": "in", "classes": CLASSES,
    }  # fmt: skip
    given = answers(picks), np.ones(24, bool), np.array(shown, object), np.array(subjects, object)
    wide = checked(*given, **asked, without=(0.7, 0.85, 0.95))
    interval = cluster_mean(
        np.array([p == CLASSES.index(s) for p, s in zip(picks, shown, strict=True)], float),
        np.repeat(np.arange(8), 3), seed=0, bounds=(0, 1),
    )  # fmt: skip
    expected = widened(interval, (0.7, 0.85, 0.95), bounds=(0.0, 1.0), trials=24)
    assert (wide.low, wide.high) == pytest.approx((expected.low, expected.high))
    assert plain.low is not None
    assert wide.low is not None
    assert wide.low < plain.low - 0.05
    alike = checked(*given, **asked, without=(plain.accuracy,) * 3)
    assert (alike.low, alike.high) == pytest.approx((plain.low, plain.high))


class Panel:
    """Three judges of a context of nine images; the third is always sure of anger."""

    judge_classes = CLASSES
    judges = Judges(3, "cnn64-1", "0" * 8, "0" * 8)

    def __init__(self) -> None:
        self.judge_checks: dict[Any, Any] = {}
        self.protocol = self.split = None
        self.shown = np.array(["anger", "fear", "neutral"] * 3, object)
        table = pd.DataFrame({"expression": self.shown, "identity": list("aaabbbccc")})
        manifest = SimpleNamespace(table=table, landmarks=np.zeros((9, 68, 2)))
        self.store = SimpleNamespace(manifest=manifest, images=np.zeros((9, 8, 8, 3), np.uint8))
        right = answers([0, 1, 2] * 3, 0.6)
        self.each = np.stack([right, right, answers([0] * 9, 0.98)], axis=1)

    def features(self, extractor: str, *_: Any) -> Any:
        values = self.each.mean(axis=1) if extractor == "judge" else self.each.reshape(9, -1)
        return SimpleNamespace(values=values, valid=np.ones(9, bool), signature="judge:x")


def test_a_panels_check_asks_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_checks, "labelled_rows", lambda *_, **__: np.arange(9))
    told: list[tuple[float, ...]] = []
    inner = judge_checks.checked

    def noting(*given: Any, **options: Any) -> JudgeCheck:
        told.append(options["without"])
        return inner(*given, **options)

    monkeypatch.setattr(judge_checks, "checked", noting)
    context: Any = Panel()
    assert judge_checks.judge_check(context, "judge", "in") is not None
    # Without the third all are right; with it and one other, the sure one decides: anger everywhere.
    assert told == [pytest.approx((1 / 3, 1 / 3, 1.0))]


def test_calibration_error_by_hand() -> None:
    # Bins (0.5, 0.6] and (0.9, 1.0]: |1 - 1.1| and |1 - 2.9| of five answers.
    sure, right = [0.55, 0.55, 0.95, 0.95, 1.0], [1, 0, 1, 0, 0]
    assert calibration_error(sure, right) == pytest.approx((0.1 + 1.9) / 5)
    assert calibration_error([1.0, 1.0], [1, 1]) == 0
    assert calibration_error([], []) == 0


def test_the_order_of_the_images_does_not_matter() -> None:
    picks, shown, who = [0, 1, 2, 0, 1], ["anger", "fear", "neutral", "fear", "anger"], list("abcab")
    order = [3, 0, 4, 2, 1]
    first = check(picks, shown, who)
    again = check([picks[i] for i in order], [shown[i] for i in order], [who[i] for i in order])
    numbers = {"accuracy", "low", "high", "calibration_error"}
    assert again.model_dump(exclude=numbers) == first.model_dump(exclude=numbers)
    for name in numbers:
        assert getattr(again, name) == pytest.approx(getattr(first, name))


def made(accuracy: float, low: float | None, chance: float = 0.125) -> JudgeCheck:
    return JudgeCheck(
        judge="fer", signature="fer:1", domain="in", images=10, subjects=5, accuracy=accuracy, low=low,
        high=None, chance=chance, calibration_error=0.0, shown=[], seen=[], counts=[],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("accuracy", "low", "chance", "reliable"),
    [
        (0.60, 0.25, 0.125, True),
        (0.599, 0.5, 0.125, False),
        (0.60, 0.2499, 0.125, False),
        (0.9, 0.65, 1 / 3, False),
        (0.9, 0.67, 1 / 3, True),
        (1.0, None, 0.125, False),
    ],
)
def test_the_bar(accuracy: float, low: float | None, chance: float, reliable: bool) -> None:
    found = made(accuracy, low, chance)
    assert found.reliable is reliable
    assert bool(found.verdict) is not reliable


def test_the_verdict_says_the_figure() -> None:
    assert made(0.5489, 0.5).verdict == "judge unreliable here: 54.9 % on real images"
    assert made(0.65, 0.2).verdict.endswith("65.0 % on real images, perhaps as few as 20.0 %")
