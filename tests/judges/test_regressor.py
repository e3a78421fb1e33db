"""The protocol's action-unit regressor: who teaches it, when it is trained, and when it is taken up again."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesbench.data.splits.assign import Split
from fesbench.data.store.aligned import AlignedStore
from fesbench.judges import training as au_training
from fesbench.judges.action_units import ActionUnitRegressor
from fesbench.judges.build import REGRESSOR_FILE, build_regressor, regressor_wanted, shown_units
from fesbench.progress import Reporter
from fesbench.protocol.references import neutral_rows
from fesbench.protocol.split import build_split
from fesbench.protocol.training_rows import coded_rows
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS
from tests.stores import protocol, shot, tiny_store


@pytest.fixture
def coded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[AlignedStore, Split]:
    """Two subjects who train, one who validates, one who is tested; AU12 is coded by the image's number."""
    quick = dataclasses.replace(au_training.REGRESSOR_RECIPE, steps=4, batch_size=16)
    monkeypatch.setattr(au_training, "train_regressor", partial(au_training.train_regressor, recipe=quick))
    rows = [shot(who, what, take=take) for who in "abcd" for take in range(4) for what in EXPRESSIONS[:4]]
    store = tiny_store(tmp_path / "store", rows, units={12: 0.5, 25: 0.0})
    levels = np.array(store.manifest.action_units)
    levels[:, ACTION_UNITS.index(12)] = np.arange(len(levels)) % 4 / 4
    object.__setattr__(store.manifest, "action_units", levels)
    return store, build_split(protocol(), store)


def build(coded: tuple[AlignedStore, Split], folder: Path, notes: list[str] | None = None):  # type: ignore[no-untyped-def]
    reporter = Reporter()
    if notes is not None:
        reporter.note = lambda text, warning=False: notes.append(text)  # type: ignore[method-assign]
    return build_regressor(protocol(), *coded, folder, reporter)


def test_it_learns_from_training_subjects_alone(coded: tuple[AlignedStore, Split], tmp_path: Path) -> None:
    store, split = coded
    found, card = build(coded, tmp_path / "judge")
    identities = {
        subset: set(store.manifest.table["identity"].iloc[coded_rows(store, split, subset)])
        for subset in ("train", "test")
    }
    assert identities == {"train": {"a", "d"}, "test": {"c"}}
    assert found.facts.trained_on == card["trained_on"] == 32
    assert found.facts.units == (12,)  # AU25 is coded and never shown
    assert (card["n"], list(card["correlations_on_real_test_images"])) == (16, ["AU12"])


def test_it_is_trained_once_a_data_set(coded: tuple[AlignedStore, Split], tmp_path: Path) -> None:
    first, _ = build(coded, tmp_path / "judge")
    notes: list[str] = []
    again, _ = build(coded, tmp_path / "judge", notes)
    assert again.weights_sha256 == first.weights_sha256
    assert not any("trained in" in note for note in notes)
    kept = ActionUnitRegressor.load(tmp_path / "judge" / REGRESSOR_FILE)
    other = ActionUnitRegressor(kept.network, dataclasses.replace(kept.facts, data_fingerprint="other"))
    other.save(tmp_path / "judge" / REGRESSOR_FILE)
    build(coded, tmp_path / "judge", notes)
    assert any("trained in" in note for note in notes)


def test_a_damaged_file_is_trained_again(coded: tuple[AlignedStore, Split], tmp_path: Path) -> None:
    build(coded, tmp_path / "judge")
    (tmp_path / "judge" / REGRESSOR_FILE).write_bytes(b"cut")
    notes: list[str] = []
    found, _ = build(coded, tmp_path / "judge", notes)
    assert found is not None
    assert any("trained again" in note for note in notes)


def test_data_without_codes_has_none(tmp_path: Path) -> None:
    rows = [shot(who, what) for who in "abcd" for what in EXPRESSIONS[:2]]
    store = tiny_store(tmp_path / "store", rows)
    notes: list[str] = []
    found = build((store, build_split(protocol(), store)), tmp_path / "judge", notes)
    assert found == (None, {})
    assert any("code no action units" in note for note in notes)


def test_units_that_few_images_show_are_left_out() -> None:
    codes = np.full((40, len(ACTION_UNITS)), np.nan)
    codes[:, :4] = 0
    codes[:12, 0], codes[:9, 1], codes[:, 3] = 0.7, 0.7, 1.0
    codes[:20, 4], codes[20:30, 4] = 0.2, 0.9
    # Shown by 12; by 9 only; never; always and alike; by 30 at two levels, ten not coded.
    assert shown_units(codes) == (ACTION_UNITS[0], ACTION_UNITS[4])
    assert shown_units(codes[:0]) == ()


@pytest.mark.parametrize(
    ("metrics", "tasks", "wanted"),
    [
        (["ECS"], ["action-unit"], False),
        (["ECS", "AU-leakage"], ["expression"], False),
        (["ECS", "AU-leakage"], ["expression", "action-unit"], True),
        (["ECS", "AU-error"], ["expression"], True),
    ],
)
def test_it_is_trained_where_something_asks_for_it(
    metrics: list[str], tasks: list[str], wanted: bool
) -> None:
    rules = protocol(
        metrics={"required": ["ECS"], "optional": metrics[1:], "gallery": "none", "reference": "halves"}
    )
    assert regressor_wanted(rules, pd.DataFrame({"task": tasks})) is wanted


def test_neutral_images_of_the_same_occasion() -> None:
    table = pd.DataFrame(
        [
            ("a", "in", "", 0, 0, "neutral"),
            ("a", "in", "", 1, 0, "neutral"),
            ("a", "in", "", 1, 0, "fear"),
            ("a", "wild", "", 1, 0, "fear"),
            ("b", "in", "s1", 1, 2, "neutral"),
            ("b", "in", "s1", 0, 1, "neutral"),
            ("b", "in", "s1", 2, 9, "fear"),
            ("b", "in", "s2", 0, 9, "fear"),
        ],
        columns=["identity", "domain", "sequence", "take", "frame", "expression"],
    )
    assert neutral_rows(table, np.array([0, 2, 3, 6, 7, -1])).tolist() == [0, 1, -1, 5, -1, -1]
