from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fesbench.data.datasets import dataset
from fesbench.data.layouts.folder import SPELLINGS, write
from fesbench.data.prepare import prepare
from fesbench.errors import DataError
from fesbench.vocabulary import EXPRESSIONS, canonical_expression


def test_the_tree_comes_back_through_dlib(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(tmp_path / "x", identities=2, size=160, progress=lambda done, total, _: seen.append((done, total)))
    assert seen == [(16, 32), (32, 32)]
    store = prepare("folder", size=64, alignment="dlib68-128@1", source=tmp_path / "x")
    table = store.manifest.table
    found = Counter(zip(table["identity"], table["expression"], table["take"], table["part"], strict=True))
    assert found == Counter(
        (who, name, take, part)
        for who, part in (("p000", "train"), ("p001", ""))
        for name in EXPRESSIONS
        for take in (0, 1)
    )
    assert (table["intensity"] == (table["expression"] != "neutral")).all()
    assert [failure["image"] for failure in store.info["failures"]] == ["Neutral/empty_01.png"]
    assert store.info["not_understood"] == {"count": 2, "first": ["notes.txt", "rejected/p000_09.png"]}
    assert any("have no part" in note for note in store.info["notes"])


def test_the_table_comes_back_with_its_annotation(tmp_path: Path) -> None:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    write(tmp_path / "x", identities=2, size=64, generation="csv")
    store = prepare("folder", size=64, alignment="none@1", source=tmp_path / "x")
    table = store.manifest.table
    assert len(store) == 32
    row = int(table.index[table["image"] == "p001/fear 0.png"][0])
    truth = render([AvatarSpec(1, expression="fear")], 64)
    assert np.array_equal(store.images[row], truth.images[0])
    assert np.allclose(store.manifest.landmarks[row], truth.landmarks[0], atol=1e-3)
    assert np.allclose(store.manifest.action_units[row], truth.action_units[0], atol=1e-3)
    take = table["take"].to_numpy()
    assert (np.isnan(store.manifest.landmarks).all(axis=(1, 2)) == (take == 1)).all()
    assert (np.isnan(store.manifest.action_units).all(axis=1) == (take == 1)).all()
    assert (table["publishable"].to_numpy() == (take == 0)).all()
    assert set(table["identity"]) == {"p000", "p001"}
    assert Counter(table["expression"]) == Counter(dict.fromkeys(EXPRESSIONS, 4))
    assert store.info["not_understood"]["first"] == ["images/not listed.png"]


def test_spellings_are_those_of_the_vocabulary() -> None:
    assert tuple(canonical_expression(name) for name in SPELLINGS) == EXPRESSIONS


@pytest.mark.parametrize(
    ("options", "message"),
    [({"identities": 0}, "1 subject or more, not 0"), ({"generation": "zip"}, "one of tree, csv, not 'zip'")],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **options)  # type: ignore[arg-type]
    write(tmp_path / "y", identities=1, size=16, generation=write.generations[1])
    with pytest.raises(DataError, match="is not empty"):
        write(tmp_path / "y", identities=1)
    assert dataset("folder").plan(tmp_path / "y", {}, 16)
