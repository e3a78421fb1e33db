from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.cfee import CATEGORIES
from fesbench.data.datasets.listing import ListedPlan
from fesbench.data.layouts import layout
from fesbench.data.layouts.cfee import CODES, HELD_OUT, UNNAMED, identity_names, write
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError

NO_PICTURE = {"fearfully_disgusted", "appalled", "hatred", "awed"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("made") / "cfee", identities=3, size=128)


@pytest.fixture(scope="module")
def store(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("cfee")))
        return prepare("cfee", size=64, alignment="dlib68-128@1", source=copy)


def test_the_adapter_reads_back_what_was_written(store: AlignedStore) -> None:
    table = store.manifest.table
    drawn = set(CATEGORIES) - NO_PICTURE
    expected = {(name, label) for name in identity_names(3) for label in drawn}
    expected -= {(identity_names(3)[2], CODES["26"])}
    assert set(zip(table["identity"], table["expression"], strict=True)) == expected
    assert len(store) == 3 * 18 - 1
    assert store.info["failures"] == []
    assert set(table["take"]) == {0}
    assert (table["intensity"] == (table["expression"] != "neutral")).all()
    assert not table["publishable"].any()
    counts = {count["what"]: count["found"] for count in store.info["counts"]}
    assert counts == {
        "subjects": 3,
        "images": 53,
        **{name: 0 if name in NO_PICTURE else 3 - (name == CODES["26"]) for name in CATEGORIES},
    }
    notes = " ".join(store.info["notes"])
    assert "12 images of 4 codes that are not named (08, 13, 18, 24) are left out" in notes
    assert "1 sheets of AU_annotation_all_subjects.xls are not understood" in notes
    assert store.info["not_understood"]["count"] == 0


def test_action_units_survive_as_present_or_absent(store: AlignedStore) -> None:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    table = store.manifest.table
    for label in ("neutral", "happiness", "sadly_fearful"):
        truth = render([AvatarSpec(1, expression=label)], 16).action_units[0]
        (row,) = np.flatnonzero((table["identity"] == identity_names(2)[1]) & (table["expression"] == label))
        assert (store.manifest.action_units[row] == (truth >= 0.1)).all()


def test_the_traps_are_there(copy: Path) -> None:
    root = copy / "CFEE_Database_230"
    images = [path for path in root.rglob("*") if path.suffix.lower() == ".jpg"]
    assert {path.suffix for path in images} == {".jpg", ".JPG"}
    assert {path.name[:2] for path in images} >= set(UNNAMED)
    assert len(CODES) == 22
    assert CODES["01"] == "neutral"
    assert CODES["02"] != "happiness"
    assert (root / ".DS_Store").exists()
    for path in images:
        first, last = map(int, path.parent.parent.name.split("-"))
        assert first <= int(path.name[:2]) <= last
    with Image.open(images[0]) as image:
        assert image.size == (192, 128)


def test_both_generations_give_the_same_labels(store: AlignedStore, tmp_path: Path) -> None:
    out = write(tmp_path / "again", identities=1, size=64, generation="xlsx")
    assert (out / "CFEE_Database_230/AU_annotation_all_subjects.xlsx").exists()
    adapter = dataset("cfee")
    plan = adapter.plan(out / "CFEE_Database_230", adapter.check_options({}), 64)
    assert isinstance(plan, ListedPlan)
    table = store.manifest.table
    first = table[table["identity"] == identity_names(1)[0]]
    assert [p.row["expression"] for p in plan.images] == list(first["expression"])
    assert [p.row["image"] for p in plan.images] == list(first["image"])
    units = np.stack([p.action_units for p in plan.images if p.action_units is not None])
    assert (units == store.manifest.action_units[first.index]).all()


def test_names_have_gaps() -> None:
    names = identity_names(230)
    assert len(set(names)) == 230
    assert names[:6] == ("113", "115", "118", "116", "117", "122")
    assert not {"102", "114"} & set(names)
    assert set(map(str, HELD_OUT)) < set(names)
    assert all(re.fullmatch(r"\d{3}", name) for name in names)
    assert layout("cfee").generations == ("xls", "xlsx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 231}, "holds 1 to 230 subjects, not 231"),
        ({"size": 32}, "64 to 1024 pixels wide, not 32"),
        ({"generation": "ods"}, "must be one of xls, xlsx"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
