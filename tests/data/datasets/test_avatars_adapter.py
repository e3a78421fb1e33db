from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.sequences import intensities, sequences_of
from fesbench.data.images import read_image
from fesbench.data.layouts.plain import export_images, write_plain
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError, UnknownNameError
from fesbench.vocabulary import EXPRESSIONS

ADAPTER = dataset("avatars")


def rows(**options: object) -> list[dict[str, object]]:
    return [entry.row for entry in ADAPTER.plan(None, ADAPTER.check_options(options), 64).entries]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("avatars")))
        return prepare("avatars", size=64, alignment="none@1", options={"identities": [1, 0, 1]})


def test_the_whole_set_holds_what_the_protocol_asks() -> None:
    from fesbench.data.avatars.expressions import COMPOUNDS
    from fesbench.data.avatars.rendering import STYLES

    everything = rows()
    assert len({row["image"] for row in everything}) == len(everything)
    found = Counter(
        (
            row["domain"],
            row["expression"] in EXPRESSIONS,
            row["take"],
            row["intensity"] if row["expression"] != "neutral" else 1.0,
        )
        for row in everything
    )
    expected = Counter({("in", True, take, 1.0): 260 * 8 for take in (0, 1)})
    expected += Counter({(style, True, 0, 1.0): 40 * 8 for style in STYLES if style != "base"})
    expected += Counter({("in", True, 0, level): 40 * 7 for level in (0.25, 0.5, 0.75)})
    expected[("in", False, 0, 1.0)] = 40 * len(COMPOUNDS)
    assert found == expected
    test_only = {row["identity"] for row in everything if row["domain"] != "in"}
    assert test_only == {f"a{k:04d}" for k in range(220, 260)}


def test_training_subjects_are_neutral_in_the_styles_where_that_is_asked_for() -> None:
    plain, styled = rows(identities=[3, 1, 1]), rows(identities=[3, 1, 1], styled=2)
    assert styled[: len(plain)] == plain
    added = styled[len(plain) :]
    assert Counter((row["identity"], row["expression"]) for row in added) == {
        ("a0000", "neutral"): 4,
        ("a0001", "neutral"): 4,
    }
    assert {row["domain"] for row in added} == {"statue", "portrait", "cartoon", "wild"}
    # a set without them is the set that it was before there was the option
    assert "styled" not in ADAPTER.check_options({"identities": [3, 1, 1]})
    for wrong in ({"styled": 4}, {"styled": 1, "as_sequences": True}):
        with pytest.raises(DataError, match="option 'styled' counts training subjects"):
            ADAPTER.check_options({"identities": [3, 1, 1], **wrong})


def test_a_prepared_store(store: AlignedStore) -> None:
    from fesbench.data.avatars import attributes
    from fesbench.data.avatars.rendering import AvatarSpec, render

    table = store.manifest.table
    assert len(store) == 2 * 16 + 32 + 21 + 11
    row = int(table.index[table["image"] == "a0001/in_fear_t1_100.png"][0])
    batch = render([AvatarSpec(1, expression="fear", take=1)], 64)
    assert np.array_equal(store.images[row], batch.images[0])
    assert np.array_equal(store.manifest.landmarks[row], batch.landmarks[0])
    assert np.array_equal(store.manifest.action_units[row], batch.action_units[0])
    assert table["sha256"][row] == hashlib.sha256(batch.images[0].tobytes()).hexdigest()
    about = attributes(1)
    assert (table["sex"][row], table["age"][row]) == (about["sex"], about["age"])
    assert table["glasses"][row] == ("yes" if about["glasses"] else "no")
    assert table["publishable"].all()
    neutral = (table["expression"] == "neutral").to_numpy()
    assert (table["intensity"].to_numpy()[neutral] == 0).all()
    assert (store.manifest.action_units[neutral] == 0).all()
    assert not np.isnan(store.manifest.landmarks).any()


def test_more_subjects_change_nobody(store: AlignedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = prepare("avatars", size=64, alignment="none@1", options={"identities": [1, 0, 0]})
    shared = store.manifest.table["identity"] == "a0000"
    assert np.array_equal(store.images[shared.to_numpy()], alone.images)


def test_sequences_have_the_shape_of_ckplus() -> None:
    found = rows(as_sequences=True, identities=14)
    assert {row["identity"] for row in found} == {f"a{k:04d}" for k in range(14)}
    per_sequence: dict[str, list[dict[str, object]]] = {}
    for row in found:
        per_sequence.setdefault(str(row["sequence"]), []).append(row)
    assert len(per_sequence) == 14 * 5
    labels = Counter()
    for frames in per_sequence.values():
        neutral, peak = frames[:3], frames[3:]
        assert [(f["expression"], f["intensity"], f["frame"], f["take"]) for f in neutral] == [
            ("neutral", 0.0, k + 1, k) for k in range(3)
        ]
        assert len({f["expression"] for f in peak}) <= 1
        assert [(f["intensity"], f["frame"], f["take"]) for f in peak] in (
            [],
            [(1.0, 18 + k, k) for k in range(3)],
        )
        labels.update({str(f["expression"]) for f in peak})
    assert labels == dict.fromkeys(EXPRESSIONS[1:], 8)


def test_sequences_run_from_neutral_to_the_peak() -> None:
    plan = ADAPTER.plan(None, ADAPTER.check_options({"as_sequences": True, "identities": 1}), 64)
    levels = [entry.spec.intensity for entry in plan.entries[:6]]  # type: ignore[attr-defined]
    assert levels == [0.0, 0.05, 0.1, 0.9, 0.95, 1.0]
    takes = {(entry.row["sequence"], entry.spec.take) for entry in plan.entries}  # type: ignore[attr-defined]
    assert takes == {(f"a0000_{k + 1:03d}", k) for k in range(5)}
    steps = intensities(10)
    assert np.allclose(steps, [0, 0.05, 0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 0.95, 1])
    assert [s.labelled for s in sequences_of(3)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"identities": [1, 2]}, DataError, "three counts"),
        ({"identities": "many"}, DataError, "three counts"),
        ({"identities": [0, 0, 0]}, DataError, "asks for nobody"),
        ({"identities": [1, -1, 1]}, DataError, "whole number of 0 or more, found -1"),
        ({"identities": [True, 1, 1]}, DataError, "found True"),
        ({"seed": 0.5}, DataError, "'seed' must be a whole number"),
        ({"as_sequences": 1}, DataError, "true or false"),
        ({"identites": [1, 1, 1]}, UnknownNameError, "Did you mean identities"),
    ],
)
def test_bad_options(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ADAPTER.check_options(options)


def test_a_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave out --from"):
        prepare("avatars", size=64, alignment="none@1", source=tmp_path)


def test_exported_files_are_the_rendered_ones(store: AlignedStore, tmp_path: Path) -> None:
    seen: list[int] = []
    table = write_plain(tmp_path / "out", identities=1, size=64, progress=lambda done, *_: seen.append(done))
    assert seen == [16]
    with table.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 16
    for k, line in enumerate(lines):
        assert np.array_equal(read_image(tmp_path / "out" / "images" / line["image"]), store.images[k])
        assert line["expression"] == store.manifest.table["expression"][k]
        assert float(line["AU12"]) == pytest.approx(store.manifest.action_units[k, 9], abs=1e-5)
        assert float(line["y67"]) == pytest.approx(store.manifest.landmarks[k, 67, 1], rel=1e-5)


def test_export_refuses_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    plan = ADAPTER.plan(None, ADAPTER.check_options({"identities": 1}), 64)
    with pytest.raises(DataError, match="is not empty"):
        export_images(plan, tmp_path)
    with pytest.raises(DataError, match="a file of this name is in the way"):
        export_images(plan, tmp_path / "mine.txt")
