from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench.data.store.manifest import COLUMNS, Manifest, manifest_of
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS


def make(n: int = 4, **columns: list[object]) -> Manifest:
    rows = [
        {
            "image": f"i{k}",
            "identity": f"p{k % 2}",
            "expression": "anger",
            **{name: values[k] for name, values in columns.items()},
        }
        for k in range(n)
    ]
    units = np.linspace(0, 1, n * len(ACTION_UNITS), dtype=np.float32).reshape(n, len(ACTION_UNITS))
    points = np.arange(n * 136, dtype=np.float32).reshape(n, 68, 2)
    return manifest_of(rows, units, points)


def same(a: Manifest, b: Manifest) -> bool:
    return (
        a.table.equals(b.table)
        and np.array_equal(a.action_units, b.action_units, equal_nan=True)
        and np.array_equal(a.landmarks, b.landmarks, equal_nan=True)
    )


def test_what_is_saved_is_loaded_with_nan_and_types(tmp_path: Path) -> None:
    manifest = make(age=[1.0, float("nan"), 30.5, 2.0], publishable=[True, False, True, False])
    manifest.action_units[1, 3] = np.nan
    manifest.landmarks[2] = np.nan
    manifest.save(tmp_path / "m.parquet")
    loaded = Manifest.load(tmp_path / "m.parquet")
    assert same(manifest, loaded)
    assert list(loaded.table.columns) == list(COLUMNS)
    assert (loaded.table.dtypes == manifest.table.dtypes).all()
    assert [path.name for path in tmp_path.iterdir()] == ["m.parquet"]


def test_an_empty_manifest_survives_the_round_trip(tmp_path: Path) -> None:
    make(0).save(tmp_path / "m.parquet")
    loaded = Manifest.load(tmp_path / "m.parquet")
    assert len(loaded) == 0
    assert loaded.landmarks.shape == (0, 68, 2)
    assert loaded.action_units.shape == (0, len(ACTION_UNITS))


@given(st.lists(st.integers(0, 3), max_size=8))
def test_select_takes_rows_in_the_order_asked_for(rows: list[int]) -> None:
    if len(set(rows)) != len(rows):  # an image may be listed once
        rows = list(dict.fromkeys(rows))
    manifest = make()
    chosen = manifest.select(np.array(rows, dtype=np.int64))
    assert chosen.table["image"].tolist() == [f"i{k}" for k in rows]
    assert np.array_equal(chosen.landmarks, manifest.landmarks[rows])
    assert chosen.table.index.tolist() == list(range(len(rows)))


def test_select_takes_a_mask() -> None:
    assert make().select(np.array([True, False, False, True])).table["image"].tolist() == ["i0", "i3"]


def test_defaults() -> None:
    row = make(1).table.iloc[0]
    assert row["domain"] == "in"
    assert row["intensity"] == 1.0
    assert not row["publishable"]
    assert np.isnan(row["age"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["a", "b", "a", "c"]}, "'a' is listed twice"),
        ({"identity": ["p", "", "p", "p"]}, "'i1' has no identity"),
        ({"expression": ["anger", "", "happily_surprised", "joyful"]}, "unknown expression 'joyful'"),
        ({"intensity": [0.0, 1.0, 1.5, 0.0]}, r"intensities must lie in \[0, 1\]"),
        ({"intensity": [0.0, float("nan"), 1.0, 0.0]}, r"intensities must lie in \[0, 1\]"),
    ],
)
def test_bad_values_are_refused(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**columns)


def test_unknown_column_and_bad_arrays_are_refused() -> None:
    units, points = np.zeros((1, len(ACTION_UNITS)), np.float32), np.zeros((1, 68, 2), np.float32)
    with pytest.raises(DataError, match=r"unknown manifest column.*colour"):
        manifest_of([{"image": "a", "identity": "p", "colour": 1}], units, points)
    manifest = make(1)
    with pytest.raises(DataError, match="landmarks must be float32"):
        Manifest(manifest.table, units, points[:, :5])
    with pytest.raises(DataError, match=r"action units must lie in \[0, 1\]"):
        Manifest(manifest.table, units + 2, points)
    with pytest.raises(DataError, match="differing: image"):
        Manifest(manifest.table.drop(columns="image"), units, points)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Manifest.load(tmp_path / "none.parquet")
    make().save(tmp_path / "m.parquet")
    whole = (tmp_path / "m.parquet").read_bytes()
    for content in (b"", b"no parquet at all", whole[: len(whole) // 2]):
        (tmp_path / "m.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"m\.parquet is damaged"):
            Manifest.load(tmp_path / "m.parquet")
