from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.listing import ListedPlan
from fesbench.data.layouts import layout
from fesbench.data.layouts.emotionet import DEAD, tail, write
from fesbench.data.prepare import prepare
from fesbench.data.splits.assign import subset_by_hash
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

IDENTITIES = 6


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("emotionet")))
        copy = write(tmp_path_factory.mktemp("made") / "x", identities=IDENTITIES, size=192)
        options = {"coded": "all"}
        return prepare("emotionet", size=64, alignment="dlib68-128@1", source=copy, options=options)


def test_the_adapter_reads_back_what_was_written(store: AlignedStore) -> None:
    table = store.manifest.table
    assert list(table["image"]) == [tail(k) for k in range(IDENTITIES)]
    assert list(table["identity"]) == [f"?{tail(k)}" for k in range(IDENTITIES)]
    assert list(table["part"]) == ["validation"] * 4 + ["train"] * 2
    assert set(table["expression"]) == {""}
    assert not store.manifest.identities_known
    assert store.info["failures"] == []
    assert store.info["counts"] == [
        {"what": "listed images", "found": IDENTITIES, "expected": IDENTITIES + DEAD},
    ]
    assert store.info["notes"] == [
        "3 of 9 listed images are not here (dead or unused links)",
        "1 images have no line that is understood in the lists used; they are left out",
        "1 codes of action units outside the vocabulary are left out",
    ]
    assert store.info["not_understood"]["count"] == 0


def test_action_units_are_present_absent_or_unknown(store: AlignedStore) -> None:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    specs = [AvatarSpec(k, EXPRESSIONS[1 + k], style="wild") for k in range(IDENTITIES)]
    truth = render(specs, 16).action_units >= 0.1
    found = store.manifest.action_units
    unknown = (np.array(ACTION_UNITS) + np.arange(IDENTITIES)[:, None]) % 7 == 0
    assert (np.isnan(found) == unknown).all()
    assert (found[~unknown] == truth[~unknown]).all()
    assert 0 < unknown.sum() < found.size / 4


def test_a_small_folder_has_images_in_every_subset() -> None:
    subsets = {subset_by_hash(tail(k), seed=0, validation=0.05, test=0.1) for k in range(16)}
    assert subsets == {"train", "validation", "test"}


def test_every_generation_gives_the_same_labels(tmp_path: Path) -> None:
    adapter, vectors = dataset("emotionet"), []
    assert layout("emotionet") is write
    for generation in write.generations:
        out = write(tmp_path / generation, identities=2, size=64, generation=generation)
        plan = adapter.plan(out, adapter.check_options({"coded": "all"}), 64)
        assert isinstance(plan, ListedPlan)
        assert [p.row["image"] for p in plan.images] == [tail(0), tail(1)]
        assert plan.facts.not_understood.count == 0
        vectors.append([p.action_units for p in plan.images])
        assert len(adapter.plan(out, adapter.check_options({}), 64)) == 1
    assert all(np.array_equal(vectors[0], other, equal_nan=True) for other in vectors[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 1}, "needs 2 subjects"),
        ({"size": 32}, "64 to 1024 pixels"),
        ({"generation": "cd"}, "must be one of aws, server, workbook"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 2, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
