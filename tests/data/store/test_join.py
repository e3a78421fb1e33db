"""Joined stores: nobody of a tested set passes for somebody of the main one, and a kill costs nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.join import Part, join_stores
from fesbench.errors import DataError
from tests.stores import sequence, shot, tiny_store


@pytest.fixture
def main(tmp_path: Path) -> AlignedStore:
    return tiny_store(tmp_path / "main", [shot(who, "neutral") for who in ("a", "b")], units={12: 0.5})


@pytest.fixture
def far(tmp_path: Path) -> AlignedStore:
    rows = [shot("a", "neutral"), {"image": "web", "identity": "?web"}, *sequence("a", 1, "fear")]
    return tiny_store(tmp_path / "far", rows, data="far")


def test_rows_follow_each_other_and_names_begin_with_their_set(main: AlignedStore, far: AlignedStore) -> None:
    joined = join_stores(main, [Part(far, "other")])
    table = joined.manifest.table
    assert list(table["identity"]) == ["a", "b", "far.a", "?far.web", *["far.a"] * 4]
    assert list(table["domain"]) == ["in"] * 2 + ["other"] * 6
    assert table["image"].iloc[2] == "far.a/neutral_.png"
    assert list(table["sequence"].iloc[3:5]) == ["", "far.a_001"]
    assert np.array_equal(joined.images[:2], main.images[:])
    assert np.array_equal(joined.images[2:], far.images[:])
    assert np.array_equal(joined.manifest.landmarks[2:], far.manifest.landmarks)
    assert np.isnan(joined.manifest.action_units[2:]).all()
    assert np.nanmax(joined.manifest.action_units[:2]) == 0.5
    assert (joined.data, joined.size) == ("tiny+far", main.size)


def test_a_tested_set_may_keep_its_own_domains(main: AlignedStore, tmp_path: Path) -> None:
    rows = [shot("x", "neutral", domain="statue"), shot("y", "neutral", domain="portrait")]
    styled = tiny_store(tmp_path / "styled", rows, data="styled")
    joined = join_stores(main, [Part(styled, "")])
    assert list(joined.manifest.table["domain"].iloc[2:]) == ["statue", "portrait"]


def test_what_would_pass_for_training_data_is_refused(main: AlignedStore, far: AlignedStore) -> None:
    with pytest.raises(DataError, match="does not tell its domains apart"):
        join_stores(main, [Part(far, "")])


def test_sizes_must_agree(main: AlignedStore, tmp_path: Path) -> None:
    large = tiny_store(tmp_path / "large", [shot("x", "neutral")], data="large", size=32)
    with pytest.raises(DataError, match="'large' is 32 px and 'tiny' 16 px"):
        join_stores(main, [Part(large, "other")])


def test_it_is_built_once_and_goes_on_after_a_kill(
    main: AlignedStore, far: AlignedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fesbench.data.store.writer import StoreWriter

    add, written = StoreWriter.add, []

    def dying(self: StoreWriter, *arguments: object, **more: object) -> None:
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(1)
        add(self, *arguments, **more)

    monkeypatch.setattr(StoreWriter, "add", dying)
    with pytest.raises(KeyboardInterrupt):
        join_stores(main, [Part(far, "other")])
    rest: list[int] = []

    def counting(self: StoreWriter, *arguments: object, **more: object) -> None:
        rest.append(1)
        add(self, *arguments, **more)

    monkeypatch.setattr(StoreWriter, "add", counting)
    joined = join_stores(main, [Part(far, "other")])
    assert len(joined) == 8
    assert len(rest) == 3
    assert np.array_equal(joined.images[2:], far.images[:])
    assert join_stores(main, [Part(far, "other")]).fingerprint == joined.fingerprint
    assert len(rest) == 3


def test_another_domain_name_is_another_store(main: AlignedStore, far: AlignedStore) -> None:
    one, two = (join_stores(main, [Part(far, name)]) for name in ("one", "two"))
    assert one.path != two.path
