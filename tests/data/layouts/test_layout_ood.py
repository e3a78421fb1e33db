from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fesbench.data.datasets.ood import DOMAINS
from fesbench.data.layouts.ood import FIRST_IDENTITY, STYLES, write
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    source = write(tmp_path_factory.mktemp("ood") / "x", identities=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        return prepare("ood", size=64, alignment="dlib68-128@1", source=source)


def test_dlib_finds_every_face_of_every_domain(store: AlignedStore) -> None:
    assert store.info["failures"] == []
    assert Counter(store.manifest.table["domain"]) == dict.fromkeys(DOMAINS, 5)


def test_every_column_comes_back(store: AlignedStore) -> None:
    table = store.manifest.table
    columns = ("image", "identity", "expression", "take", "publishable")
    rows = [
        tuple(row[name] for name in columns) for row in table.to_dict("records") if row["domain"] == "statue"
    ]
    assert rows == [
        ("statue/Happy/n00_3.jpg", "statue-n00", "happiness", 0, False),
        ("statue/angry/n00_3.jpg", "statue-n00", "anger", 1, False),
        ("statue/n00_1.jpg", "statue-n00", "neutral", 2, True),
        ("statue/n01_1.jpg", "statue-n01", "", 0, False),
        ("statue/neutral/n00_2.jpg", "statue-n00", "neutral", 3, False),
    ]
    assert len(set(table["identity"])) == 8
    assert (table["intensity"] == (table["expression"] != "neutral")).all()


def test_what_is_counted(store: AlignedStore) -> None:
    assert [(c["what"], c["found"]) for c in store.info["counts"]] == [(name, 5) for name in DOMAINS]
    assert store.info["notes"] == [
        "4 of 20 images declare no expression",
        "4 of 20 images may be shown, by sources.csv",
        "1 images of sources.csv are absent, such as celebrity/gone_1.jpg",
    ]
    assert store.info["not_understood"]["first"] == ["portrait/where from.txt", "statue/to sort/x_1.jpg"]


def test_domains_are_styles_of_subjects_that_nobody_trains_on() -> None:
    assert STYLES == {"celebrity": "wild", "portrait": "portrait", "statue": "statue", "avatar": "cartoon"}
    assert FIRST_IDENTITY >= 260


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 subject or more"):
        write(tmp_path / "x", identities=0)
    with pytest.raises(DataError, match="must be one of plain, not 'csv'"):
        write(tmp_path / "x", generation="csv")
