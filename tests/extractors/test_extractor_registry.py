from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from fesbench.errors import UnknownNameError, UsageError
from fesbench.extractors import registry
from fesbench.extractors.base import Extractor
from fesbench.extractors.registry import BOUND, EXTRACTORS, extractor, extractor_names
from fesbench.weights.manager import WeightsManager


class Outside(Extractor):
    name = "outside"

    def __init__(self, manager: WeightsManager) -> None:
        self.manager = manager

    @property
    def signature(self) -> str:
        return "outside:1"

    def extract(self, images: np.ndarray, landmarks: Any = None) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(images), 1), np.float32), np.ones(len(images), bool)


def no_extractor(manager: WeightsManager) -> str:
    return "a word"


def test_every_listed_name_makes_an_extractor_of_that_name(manager: WeightsManager) -> None:
    for name in EXTRACTORS:
        if name not in BOUND:
            made = extractor(name, manager=manager)
            assert made.name == name
            assert made.signature.startswith(f"{name}:")
            assert "|" not in made.signature
            made.close()


def test_signatures_tell_extractors_apart(manager: WeightsManager) -> None:
    signatures = [extractor(name, manager=manager).signature for name in EXTRACTORS if name not in BOUND]
    assert len(set(signatures)) == len(signatures)


def test_unknown_name_gives_near_ones(manager: WeightsManager) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean arcface"):
        extractor("arcfase", manager=manager)


def test_judge_must_be_given(manager: WeightsManager) -> None:
    with pytest.raises(UsageError, match="needs the protocol's judge"):
        extractor("judge", manager=manager)
    stand_in: Any = Outside(manager)
    assert extractor("judge", judge=stand_in) is stand_in


def test_default_manager_lies_under_the_home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "here"))
    made: Any = extractor("inception-tf-2015")
    assert made._manager.folder == tmp_path / "here" / "weights"


def test_outside_packages_add_extractors(manager: WeightsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("outside", f"{__name__}:Outside", registry.GROUP),
        EntryPoint("wrong", f"{__name__}:no_extractor", registry.GROUP),
        # An external package cannot take a built-in name.
        EntryPoint("dlib", f"{__name__}:Outside", registry.GROUP),
    ]

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert isinstance(extractor("outside", manager=manager), Outside)
    assert extractor_names()["outside"].startswith("from ")
    assert extractor_names()["dlib"] == EXTRACTORS["dlib"]
    assert not isinstance(extractor("dlib", manager=manager), Outside)
    with pytest.raises(UsageError, match="is no fesbench Extractor"):
        extractor("wrong", manager=manager)
