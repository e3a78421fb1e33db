from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from fesbench import registry
from fesbench.errors import UnknownNameError, UsageError
from fesbench.extractors.base import ClipExtractor, Extractor, PairExtractor
from fesbench.extractors.registry import (
    BOUND,
    EXTRACTORS,
    clip_extractor,
    clip_names,
    extractor,
    extractor_names,
    pair_extractor,
    pair_names,
    weights_of,
)
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE


class Outside(Extractor):
    name = "outside"

    def __init__(self, manager: WeightsManager) -> None:
        self.manager = manager

    @property
    def signature(self) -> str:
        return "outside:1"

    def extract(self, images: np.ndarray, landmarks: Any = None) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(images), 1), np.float32), np.ones(len(images), bool)


class OutsidePairs(PairExtractor):
    name = "outside-pairs"

    def __init__(self, manager: WeightsManager) -> None:
        self.manager = manager

    @property
    def signature(self) -> str:
        return "outside-pairs:1"

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.zeros(len(first), np.float32)


def no_extractor(manager: WeightsManager) -> str:
    return "a word"


def test_every_listed_name_makes_an_extractor_of_that_name(manager: WeightsManager) -> None:
    for name in extractor_names():
        if name not in BOUND:
            made = extractor(name, manager=manager)
            assert made.name == name
            assert made.signature.startswith(f"{name}:")
            assert "|" not in made.signature
            made.close()


def test_signatures_tell_extractors_apart(manager: WeightsManager) -> None:
    signatures = [
        extractor(name, manager=manager).signature for name in extractor_names() if name not in BOUND
    ]
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


def test_external_packages_add_extractors(manager: WeightsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("outside", f"{__name__}:Outside", EXTRACTORS.group),
        EntryPoint("outside-pairs", f"{__name__}:OutsidePairs", EXTRACTORS.group),
        EntryPoint("wrong", f"{__name__}:no_extractor", EXTRACTORS.group),
        # An external package cannot take a built-in name.
        EntryPoint("dlib", f"{__name__}:Outside", EXTRACTORS.group),
    ]

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    assert isinstance(extractor("outside", manager=manager), Outside)
    assert extractor_names()["outside"].startswith("from ")
    with pytest.warns(UserWarning, match="'dlib'.*taken by fesbench"):
        assert extractor_names()["dlib"].startswith("dlib's 128-d")
    assert not isinstance(extractor("dlib", manager=manager), Outside)
    assert isinstance(pair_extractor("outside-pairs", manager=manager), OutsidePairs)
    for name in ("wrong", "outside-pairs"):
        with pytest.raises(UsageError, match="is no fesbench Extractor"):
            extractor(name, manager=manager)
    with pytest.raises(UsageError, match="is no fesbench PairExtractor"):
        pair_extractor("outside", manager=manager)


def test_kinds_are_not_mixed_up(manager: WeightsManager) -> None:
    with pytest.raises(UnknownNameError, match="extractor"):
        extractor("dists", manager=manager)
    with pytest.raises(UnknownNameError, match=r"pair extractor.*dists"):
        pair_extractor("dlib", manager=manager)
    with pytest.raises(UnknownNameError, match="no extractor 'i3d-kinetics-400'"):
        extractor("i3d-kinetics-400", manager=manager)
    with pytest.raises(UnknownNameError, match=r"extractor of clips.*i3d-kinetics-400"):
        clip_extractor("dlib", manager=manager)


def test_declared_weights_are_those_of_the_class_and_of_the_table(manager: WeightsManager) -> None:
    makers = dict.fromkeys(pair_names(), pair_extractor) | dict.fromkeys(clip_names(), clip_extractor)
    for name in EXTRACTORS.declared:
        made = makers.get(name, extractor)(name, manager=manager)
        assert weights_of(name) == made.weights
        assert set(made.weights) <= set(TABLE)
        assert isinstance(made, PairExtractor) == (name in pair_names()) == made.pairs
        assert isinstance(made, ClipExtractor) == (name in clip_names()) == made.clips


def test_names_and_weights_import_no_network() -> None:
    code = (
        "import sys; from fesbench.extractors.registry import extractor_names, weights_of, extractor\n"
        "extractor_names(); weights_of('dists')\n"
        "assert not {'torch', 'fesbench.extractors.faces'} & set(sys.modules)\n"
        "extractor('clip-vit-b-32')\n"
        "assert 'fesbench.extractors.clip' in sys.modules\n"
        "assert not {'fesbench.extractors.faces', 'fesbench.extractors.perceptual'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
