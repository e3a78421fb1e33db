"""Which action units count as coded, and what a method is built for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fesbench.data.store.aligned import AlignedStore
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_split
from fesbench.protocol.training_rows import coded_units, labelled_rows, problem_of, unlabelled_rows
from fesbench.vocabulary import ACTION_UNITS
from tests.stores import SIZE, protocol, shot, tiny_store


def store_of(tmp_path: Path, codes: dict[str, dict[int, float]]) -> AlignedStore:
    """A neutral and a happy image of each subject; the happy one codes these units."""
    rows = [shot(who, what) for who in codes for what in ("neutral", "happiness")]
    store = tiny_store(tmp_path / "s", rows, units={1: 0.0, 2: 0.0, 12: 0.0})
    units = np.array(store.manifest.action_units)
    for row, (who, what) in enumerate(
        zip(store.manifest.table["identity"], store.manifest.table["expression"], strict=True)
    ):
        for unit, level in codes[who].items() if what == "happiness" else ():
            units[row, ACTION_UNITS.index(unit)] = level
    object.__setattr__(store.manifest, "action_units", units)
    return store


def test_a_unit_that_no_training_image_shows_is_not_coded(tmp_path: Path) -> None:
    # AU2 is 0 in every training image and shown by the tested subject alone; AU4 is coded in one image
    store = store_of(tmp_path, {"a": {12: 0.5, 4: 0.1}, "b": {2: 1.0}, "c": {2: 1.0, 12: 1.0}})
    rules = protocol(tasks=[{"kind": "action-unit", "action_units": [2, 4, 12]}])
    split = build_split(rules, store)
    assert coded_units(rules, store, split) == (4, 12)
    requests, _ = build_requests(rules, store, split, "standard")
    assert set(requests["action_unit"]) == {4, 12}


def test_unlabelled_images_are_those_of_training_subjects_in_the_granted_domains(tmp_path: Path) -> None:
    rows = [
        shot(who, what, domain=domain)
        for who in "abc"
        for what, domain in (("neutral", "in"), ("neutral", "statue"), ("fear", "wild"), ("", "cartoon"))
    ]
    store = tiny_store(tmp_path / "s", rows)
    data = {"set": "tiny", "size": SIZE, "alignment": "none@1", "pairing": "take"}
    rules = protocol(data={**data, "unlabelled": ["statue", "cartoon"]})
    split = build_split(rules, store)  # b validates, c is tested
    assert unlabelled_rows(rules, store, split).tolist() == [1, 3]
    assert labelled_rows(rules, store, split, "train").tolist() == [0]
    assert unlabelled_rows(protocol(), store, split).tolist() == []
    assert protocol().hash == protocol(data={**data, "unlabelled": []}).hash != rules.hash
    with pytest.raises(ValidationError, match="trained on with their labels"):
        protocol(data={**data, "unlabelled": ["in"]})


def test_the_problem_is_that_of_the_training_rows(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a": {12: 0.5}, "b": {}, "c": {2: 1.0}})
    problem = problem_of(rules := protocol(), store, build_split(rules, store), seed=3)
    assert (problem.size, problem.action_units, problem.seed) == (SIZE, (12,), 3)
    assert problem.labels == tuple(rules.labels)
