"""Kinds of trouble on trainings that really have it, and on healthy twins that do not.

On the eight embedded faces of `tests.baselines.learning`, with networks of four channels that see 32 px.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.extractors.faces import DlibDetector
from fesbench.methods.card import Problem
from fesbench.methods.registry import load_method
from fesbench.methods.training_set import TrainingSet
from fesbench.training.loop import train
from fesbench.weights.manager import WeightsManager
from tests.baselines.learning import faces

LABELS = ("neutral", "happiness", "surprise")


def noticed(name: str, steps: int, folder: Path, **changes: Any) -> dict[str, str]:
    """Kind -> message of what a training brings up."""
    store = faces(64, LABELS, (), ())
    problem = Problem(64, LABELS, (1, 2, 5, 6, 12, 26), 0)
    view = TrainingSet(store, np.arange(len(store.images)), problem, 0)
    kind = load_method(name)
    small = {"native": "32-color-bicubic-aa", "width": 4, "batch_size": 8}
    method = kind(problem, replace(kind.presets["paper"], **small, **changes))
    (phase,) = method.phases()
    detector = DlibDetector(WeightsManager(folder))
    result = train(
        method,
        view,
        steps={phase.name: steps},
        folder=folder,
        seed=0,
        device="cpu",
        find_faces=detector.detected,
    )
    return {event.kind: event.message for event in result.health}


HEARS: dict[str, Any] = {"critic_depth": 3, "critic_he": True, "learning_rate": 3e-3}


def test_a_narrow_deep_critic_with_default_weights_never_learns_its_classes(tmp_path: Path) -> None:
    deaf = noticed("usgan", 60, tmp_path / "deaf", critic_depth=4)
    assert "critic_class ended at 1.09" in deaf["critic-undertrained"]
    assert "a guess has 1.099" in deaf["critic-undertrained"]
    assert "critic-undertrained" not in noticed("usgan", 200, tmp_path, **HEARS, penalty_weight=1.0)


def test_a_critic_of_action_units_is_watched_too_and_faces_are_lost_on_the_way(tmp_path: Path) -> None:
    deaf = noticed("ganimation", 60, tmp_path / "deaf", critic_depth=4, blocks=1)
    assert "measure action units" in deaf["critic-undertrained"]
    hears = noticed("ganimation", 60, tmp_path, **HEARS, blocks=1)
    assert "critic-undertrained" not in hears
    assert "finds a face in 0% of the outputs" in hears["face-lost"], "twelve generator updates make no face"


def test_attention_that_saturates_is_identity_collapse_and_keeps_its_faces(tmp_path: Path) -> None:
    """GANimation's most reported failure: attention goes to 1, and the output is the input."""
    found = noticed(
        "ganimation", 150, tmp_path, **HEARS | {"learning_rate": 1e-2}, blocks=1, n_critic=2, mask_weight=-1e4
    )
    assert {"identity-collapse", "condition-collapse"} <= set(found)
    assert "face-lost" not in found
