"""Identity anchors: which images stand against which source, by hand; noise is the same every time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fesbench.evaluation.anchors import anchors
from fesbench.evaluation.task_group import Group
from fesbench.extractors.base import Features
from fesbench.metrics import METRICS

WHO = np.repeat(np.arange(3), 2)


def unit(*degrees: float) -> np.ndarray:
    turned = np.deg2rad(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1)


class Context:
    """A store of 8 px images, and a recognizer that sees every noise at 90 degrees from the first source."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []
        self.seen = True
        manifest = SimpleNamespace(landmarks=np.zeros((6, 68, 2), np.float32))
        self.store = SimpleNamespace(size=8, manifest=manifest)

    def features(self, name: str, images: np.ndarray, points: np.ndarray, who: np.ndarray) -> Features:
        self.asked.append(images)
        return Features(
            unit(*[90] * len(images)).astype(np.float32), np.full(len(images), self.seen), f"{name}:sig:1"
        )


@pytest.fixture
def group(make_inputs: Any) -> Any:
    """Sources lie at 0, 60 and 120 degrees, galleries 10 and target images 20 degrees beyond."""

    def make(gallery=(0, 1, 2), target=(0, 1, 2, 3, 4, 5), level=1.0, **fields: Any) -> Group:
        found = Group.__new__(Group)
        table = pd.DataFrame(
            {
                "request": [f"r{i}" for i in range(6)],
                "source": WHO,
                "target": target,
                "identity": WHO.astype(str),
                "intensity": level,
            }
        )
        found.inputs = make_inputs(
            WHO,
            features={
                ("dlib", "generated"): unit(*[300] * 6),
                ("dlib", "source"): unit(*(60 * WHO)),
                ("dlib", "target"): unit(*(60 * WHO + 20)),
                ("dlib", "gallery"): unit(*(60 * np.arange(3) + 10)),
            },
            gallery_identity=np.array(gallery),
            requests=table,
            face_kept=np.zeros(6, bool),
            **fields,
        )
        found.requests, found.context = table, Context()  # type: ignore[assignment]
        found.kind = {"task": "expression", "domain": "in"}
        return found

    return make


def cosine(*degrees: float) -> float:
    return float(np.cos(np.deg2rad(degrees)).mean())


def measured(group: Group, name: str = "FSS") -> dict[str, tuple[float, int]]:
    found = anchors(group, {name: METRICS.get(name), "Rank-1": METRICS.get("Rank-1")})
    assert {a.metric for a in found} <= {name}
    return {a.kind: (pytest.approx(a.value, abs=1e-6), a.n) for a in found}


def test_by_hand(group: Any) -> None:
    # Subject 0 meets the galleries of 1 and 2 (70, 130 degrees), 1 those of 2 and 0, 2 those of 0 and 1.
    others = cosine(70, 130, 130 - 60, 60 - 10, 120 - 10, 120 - 70)
    assert measured(group()) == {
        "other-take": (cosine(10), 6),
        "other-expression": (cosine(20), 6),
        "other-subject": (others, 6),
        "noise": (cosine(90, 30, 30), 3),
    }


def test_a_distance_is_anchored_as_it_is_measured(group: Any) -> None:
    found = measured(group(), "ACD-I-expressions")
    assert found["other-take"] == (2 * np.sin(np.deg2rad(5)), 6)


def test_kinds_without_images_are_left_out(group: Any) -> None:
    assert set(measured(group(gallery=(7, 8, 9)))) == {"other-expression", "other-subject", "noise"}
    assert set(measured(group(target=(-1,) * 6))) == {"other-take", "other-subject", "noise"}
    blind = group()
    blind.context.seen = False
    assert set(measured(blind)) == {"other-take", "other-expression", "other-subject"}
    nobody = group()
    nobody.requests["source"] = -1
    assert measured(nobody) == {}
    assert anchors(group(), {"Rank-1": METRICS.get("Rank-1")}) == []


def test_of_several_levels_the_highest_is_taken(group: Any) -> None:
    assert measured(group(level=[0.5, 1.0] * 3))["other-take"][1] == 3


def test_noise_is_the_same_every_time_and_the_methods_images_play_no_part(group: Any) -> None:
    one, two = group(), group()
    two.inputs.generated[...] = 0
    assert measured(one) == measured(two)
    (first,), (second,) = one.context.asked, two.context.asked
    assert first.shape == (3, 8, 8, 3)
    assert (first == second).all()
