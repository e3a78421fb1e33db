"""The task kind ``sequence``: how it is checked, and what it asks."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fesbench.metrics import metric
from fesbench.metrics.selection import metrics_of, protocol_metrics
from fesbench.protocol.requests import COLUMNS, build_requests
from fesbench.protocol.split import build_split
from fesbench.protocol.tasks import task_kind
from tests.stores import protocol, sequence, tiny_store


@pytest.fixture
def store(tmp_path):
    rows = [row for who in "ab" for row in sequence(who, 1, "fear")]
    rows += [*sequence("c", 1, "happiness"), *sequence("c", 2, "fear"), *sequence("c", 3, "")]
    return tiny_store(tmp_path / "s", rows)


def rules(*tasks: dict[str, Any]):
    return protocol(
        tasks=[{"labels": ["happiness", "fear"], **task} for task in tasks],
        data={"set": "tiny", "size": 16, "alignment": "none@1", "pairing": "sequence"},
        split={"rule": "index", "train": 1, "validation": 1, "test": 1},
        metrics={"required": ["SSIM"], "gallery": "none", "reference": "halves"},
    )


def table(store, *tasks: dict[str, Any]):
    found = rules(*tasks)
    return build_requests(found, store, build_split(found, store), "smoke")[0]


def test_a_clip_leads_from_the_first_frame_to_the_peak(store) -> None:
    found = table(store, {"kind": "sequence", "length": 8})
    names = store.manifest.table["image"]
    assert list(found["request"]) == ["sequence_in_c_happiness", "sequence_in_c_fear"]
    assert list(names[found["source"]]) == ["c_001_1.png", "c_002_1.png"]
    assert list(names[found["target"]]) == ["c_001_9.png", "c_002_9.png"]
    assert list(found["length"]) == [8, 8]
    assert list(found["given"]) == ["label", "label"]


def test_only_tables_with_clips_have_lengths(store) -> None:
    plain, both = (
        table(store, {"kind": "expression"}, *more) for more in ((), ({"kind": "sequence", "length": 4},))
    )
    assert list(plain.columns) == list(COLUMNS)
    assert list(both.columns) == [*COLUMNS, "length"]
    assert list(both["length"]) == [1, 1, 4, 4]
    assert both["length"].dtype.kind == "i"
    assert plain.to_csv() == both[: len(plain)][list(COLUMNS)].to_csv()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"kind": "sequence", "given": "landmarks"}, "'sequence' grants label, not landmarks"),
        ({"kind": "sequence", "length": 1}, "at least two frames"),
        ({"kind": "expression", "length": 8}, "'expression' has no length"),
    ],
)
def test_what_makes_no_sense_is_refused(task: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rules(task)


def test_the_length_is_part_of_the_hash_unless_it_is_the_default() -> None:
    silent, spelled, other = (
        rules({"kind": "sequence", **more}).hash for more in ({}, {"length": 16}, {"length": 8})
    )
    assert silent == spelled != other


def test_metrics_of_images_say_nothing_of_clips_nor_the_other_way() -> None:
    found = rules({"kind": "sequence"}, {"kind": "expression"})
    known = protocol_metrics(found) | {"SSIM-frames": metric("SSIM-frames")}
    assert metrics_of("sequence", known) == metrics_of("motion-transfer", known) == ["SSIM-frames"]
    assert "SSIM" in metrics_of("expression", known)
    assert "SSIM-frames" not in metrics_of("expression", known)
    assert "16 frames" in task_kind("sequence").described(found.tasks[0], found)


def test_from_standard_up_clips_may_be_longer(store) -> None:
    found = rules({"kind": "sequence", "length": 4, "standard_length": 9})
    split = build_split(found, store)
    lengths = {
        budget: set(build_requests(found, store, split, budget)[0]["length"])
        for budget in ("smoke", "short", "standard", "paper")
    }
    assert lengths == {"smoke": {4}, "short": {4}, "standard": {9}, "paper": {9}}
    assert "9 from budget standard up" in task_kind("sequence").described(found.tasks[0], found)


def test_no_sequence_is_kept_back_where_there_is_no_gallery(tmp_path) -> None:
    rows = [
        row for who in "abc" for k, what in enumerate(("fear", "happiness")) for row in sequence(who, k, what)
    ]
    made = tiny_store(tmp_path / "two", rows)
    assert len(table(made, {"kind": "sequence"})) == 2


def test_another_subject_drives_a_motion_transfer(tmp_path) -> None:
    rows = [row for who in "abcd" for row in sequence(who, 1, "fear")]
    made = tiny_store(tmp_path / "four", rows)
    found = protocol(
        tasks=[{"kind": "motion-transfer", "labels": ["fear"], "length": 5}],
        data={"set": "tiny", "size": 16, "alignment": "none@1", "pairing": "sequence"},
        split={"rule": "index", "train": 1, "validation": 1, "test": 2},
        metrics={"required": ["SSIM-frames"], "gallery": "none", "reference": "halves"},
    )
    asked = build_requests(found, made, build_split(found, made), "smoke")[0]
    names = made.manifest.table["image"]
    assert list(asked["given"]) == ["driver", "driver"]
    assert list(names[asked["source"]]) == ["c_001_1.png", "d_001_1.png"]
    assert list(names[asked["driver"]]) == ["d_001_9.png", "c_001_9.png"]
    assert list(asked["length"]) == [5, 5]
