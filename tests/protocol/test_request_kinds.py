"""Every task kind, counted by hand on a few subjects who were never photographed."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesbench.data.splits.assign import split_of
from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.join import Part, join_stores
from fesbench.errors import DataError
from fesbench.protocol.image_index import safe_part
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.references import gallery_rows, reference_rows
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_split
from fesbench.protocol.tasks.base import SMOKE_SAMPLES
from fesbench.records.record import NotRun
from fesbench.vocabulary import ACTION_UNITS, COMPOUNDS
from tests.stores import protocol, sequence, shot, tiny_store

BASIC = ("happiness", "fear")
TEST = {"rule": "names", "test_names": ["c", "d"], "validation_names": ["b"]}


def stills(tmp_path: Path, **more: Any) -> AlignedStore:
    """Four subjects, neutral, happiness and fear in three takes; d has no fear in take 0."""
    rows = [
        shot(who, what, take=take)
        for who in "abcd"
        for what in ("neutral", *BASIC)
        for take in range(3)
        if (who, what, take) != ("d", "fear", 0)
    ]
    return tiny_store(tmp_path / "stills", rows, **more)


def asking(task: dict[str, Any], **sections: Any) -> Protocol:
    return protocol(tasks=[task], **{"split": TEST, **sections})


def table(rules: Protocol, store: AlignedStore, budget: str = "standard") -> pd.DataFrame:
    found = build_requests(rules, store, build_split(rules, store), budget)[0]
    assert found["request"].is_unique
    assert found["noise_seed"].is_unique
    return found


def named(store: AlignedStore, rows: pd.Series) -> list[str]:
    images = store.manifest.table["image"]
    return [images[row] if row >= 0 else "" for row in rows]


def test_an_expression_that_was_never_shown_is_not_asked(tmp_path: Path) -> None:
    store = stills(tmp_path)
    found = table(asking({"kind": "expression"}), store)
    assert list(found["request"]) == [
        "expression_in_c_fear",
        "expression_in_c_happiness",
        "expression_in_d_happiness",
    ]
    assert named(store, found["target"])[0] == "c/fear_0.png"
    assert named(store, found["source"]) == ["c/neutral_0.png", "c/neutral_0.png", "d/neutral_0.png"]


def test_takes_are_asked_from_the_first_on(tmp_path: Path) -> None:
    store = stills(tmp_path)
    found = table(asking({"kind": "expression", "takes": 2}), store)
    # c: 2 labels x 2 takes; d: happiness twice, fear in take 1
    assert len(found) == 7
    assert set(found["take"]) == {0, 1}
    assert "expression_in_d_fear_1" in set(found["request"])
    for source, target in zip(named(store, found["source"]), named(store, found["target"]), strict=True):
        assert source[-5] == target[-5]


def test_an_intensity_is_found_by_its_level(tmp_path: Path) -> None:
    rows = [shot(who, "neutral") for who in "abc"]
    rows += [{**shot("c", "fear", level=v), "intensity": v} for v in (0.5, 1.0)]
    rows = [{k: v for k, v in row.items() if k != "level"} for row in rows]
    store = tiny_store(tmp_path / "s", rows)
    rules = protocol(tasks=[{"kind": "intensity", "levels": [0.5, 1.0]}])
    found = table(rules, store)
    assert list(found["intensity"]) == [0.5, 1.0]
    assert list(found["request"]) == ["intensity_in_c_fear_0.5", "intensity_in_c_fear_1"]
    assert named(store, found["target"]) == ["c/fear_0.5.png", "c/fear_1.0.png"]


def test_a_level_that_nobody_shows_is_asked_all_the_same_and_then_none_has_a_truth(tmp_path: Path) -> None:
    found = table(asking({"kind": "intensity", "labels": ["fear"]}), stills(tmp_path))
    assert list(found["intensity"]) == [0.25, 0.5, 0.75, 1.0] * 2
    assert (found["target"] == -1).all()


def test_the_peak_of_a_sequence_is_no_truth_for_half_of_it(tmp_path: Path) -> None:
    store = in_sequences(tmp_path)
    found = table(sequential({"kind": "intensity", "labels": ["fear"]}), store)
    assert list(found["intensity"]) == [0.25, 0.5, 0.75, 1.0] * 2
    assert (found["target"] == -1).all()
    plain = table(sequential({"kind": "expression", "labels": ["fear"]}), store)
    assert (plain["target"] >= 0).all()


def test_two_tasks_never_share_a_name(tmp_path: Path) -> None:
    rules = protocol(split=TEST, tasks=[{"kind": "expression"}, {"kind": "expression", "labels": ["fear"]}])
    store = stills(tmp_path)
    with pytest.raises(DataError, match="two tasks ask for 'expression_in_c_fear'"):
        build_requests(rules, store, build_split(rules, store), "standard")


def test_transfer_takes_the_next_person_who_shows_it(tmp_path: Path) -> None:
    store = stills(tmp_path)
    found = table(asking({"kind": "transfer", "given": "landmarks"}), store)
    # nobody else shows fear in take 0 than c; d shows it in take 1
    drivers = dict(zip(found["request"], named(store, found["driver"]), strict=True))
    assert drivers["transfer_in_c_happiness"] == "d/happiness_0.png"
    assert drivers["transfer_in_d_happiness"] == "c/happiness_0.png"
    assert drivers["transfer_in_c_fear"] == "d/fear_1.png"


def test_verification_asks_every_take_but_the_gallerys(tmp_path: Path) -> None:
    store = stills(tmp_path)
    rules = asking(
        {"kind": "identity-verification"},
        metrics={"required": ["Rank-1"], "gallery": "other-take", "reference": "other-take"},
    )
    found = table(rules, store)
    # c: 2 labels x takes 0 and 2; d: happiness in both, fear in take 2
    assert len(found) == 7
    rows, missing = gallery_rows(rules, store, build_split(rules, store))
    assert not missing
    assert named(store, pd.Series(rows)) == ["c/neutral_1.png", "d/neutral_1.png"]
    assert not set(rows) & set(found["source"])
    assert 1 not in set(found["take"])


def in_sequences(tmp_path: Path) -> AlignedStore:
    """c: happiness twice, fear, and a sequence without a label; d: one sequence."""
    rows = [*sequence("a", 1, "fear"), *sequence("b", 1, "fear")]
    rows += [*sequence("c", 1, "happiness"), *sequence("c", 2, "happiness"), *sequence("c", 3, "fear")]
    rows += [*sequence("c", 4, ""), *sequence("d", 1, "fear")]
    return tiny_store(tmp_path / "sequences", rows)


def sequential(task: dict[str, Any]) -> Protocol:
    return asking(
        task,
        data={"set": "tiny", "size": 16, "alignment": "none@1", "pairing": "sequence"},
        metrics={"required": ["Rank-1"], "gallery": "other-sequence", "reference": "halves"},
    )


def test_sequences_of_one_person_and_expression_give_the_last(tmp_path: Path) -> None:
    store = in_sequences(tmp_path)
    found = table(sequential({"kind": "expression"}), store)
    assert list(found["request"]) == [
        "expression_in_c_fear",
        "expression_in_c_happiness",
        "expression_in_d_fear",
    ]
    assert named(store, found["source"]) == ["c_003_1.png", "c_002_1.png", "d_001_1.png"]
    assert named(store, found["target"]) == ["c_003_9.png", "c_002_9.png", "d_001_9.png"]


def test_verification_asks_every_sequence_but_the_gallerys(tmp_path: Path) -> None:
    store = in_sequences(tmp_path)
    rules = sequential({"kind": "identity-verification"})
    found = table(rules, store)
    assert len(found) == 4
    rows, missing = gallery_rows(rules, store, build_split(rules, store))
    assert named(store, pd.Series(rows)) == ["c_004_1.png"]
    assert missing == ["d"]
    sequences = store.manifest.table["sequence"]
    assert not set(sequences[rows]) & set(sequences[found["source"]])


def test_without_an_unlabelled_sequence_a_labelled_one_is_kept_for_the_gallery(tmp_path: Path) -> None:
    rows = [*sequence("a", 1, "fear"), *sequence("b", 1, "fear")]
    rows += [row for k, what in enumerate(("fear", "happiness", "anger")) for row in sequence("c", k, what)]
    store = tiny_store(tmp_path / "s", [*rows, *sequence("d", 1, "fear")])
    rules = sequential({"kind": "expression"})
    rows_, missing = gallery_rows(rules, store, build_split(rules, store))
    kept = store.manifest.table["sequence"][rows_[0]]
    found = table(rules, store)
    asked = set(store.manifest.table["sequence"][found["source"]])
    assert len(found[found["identity"] == "c"]) == 2
    assert kept not in asked
    assert missing == ["d"]


def test_action_units_that_the_data_does_not_code_are_not_asked(tmp_path: Path) -> None:
    store = stills(tmp_path, units={4: 0.5, 12: 1.0, 26: 0.0})
    found = table(asking({"kind": "action-unit"}), store)
    # two subjects x AU4 and AU12 (AU26 is not among the nine) x four levels
    assert len(found) == 2 * 2 * 4
    assert set(found["action_unit"]) == {4, 12}
    assert set(found["intensity"]) == {0.25, 0.5, 0.75, 1.0}
    assert set(found["target_expression"]) == {""}
    assert (found["target"] == -1).all()
    assert set(found["given"]) == {"action_units"}
    assert found["request"].iloc[0] == "action-unit_in_c_AU4_0.25"


def test_action_units_that_no_training_picture_codes_are_not_asked(tmp_path: Path) -> None:
    store = stills(tmp_path, units={4: 0.5, 12: 1.0})
    known = store.manifest.action_units.copy()
    trained = (store.manifest.table["identity"] == "a").to_numpy()
    known[trained, ACTION_UNITS.index(12)] = np.nan
    changed = dataclasses.replace(store.manifest, action_units=known)
    found = table(asking({"kind": "action-unit"}), dataclasses.replace(store, manifest=changed))
    assert set(found["action_unit"]) == {4}


def test_data_without_action_units_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'action-unit' in domain 'in' finds no request"):
        table(asking({"kind": "action-unit"}), stills(tmp_path))


def anonymous(tmp_path: Path, count: int, units: dict[int, float] | None = None) -> AlignedStore:
    rows = [
        {
            "image": f"{part}{k}",
            "identity": f"?{part}{k}",
            "expression": "fear" if k % 2 else "",
            "part": part,
        }
        for part in ("train", "validation", "test")
        for k in range(count if part == "test" else 2)
    ]
    return tiny_store(tmp_path / "web", rows, units=units)


WEB = {
    "split": {"by": "image", "rule": "official"},
    "data": {"set": "tiny", "size": 16, "alignment": "none@1", "pairing": "none"},
}


@pytest.mark.parametrize(
    ("samples", "budget", "sources"),
    [
        (0, "standard", 30),  # every second of sixty is labeled, and no start
        (7, "standard", 7),
        (0, "smoke", SMOKE_SAMPLES),
        (7, "smoke", 7),
        (50, "smoke", 20),
    ],
)
def test_action_unit_sources_are_as_many_as_asked(
    tmp_path: Path, samples: int, budget: str, sources: int
) -> None:
    store = anonymous(tmp_path, 60, {12: 0.5})
    rules = protocol(tasks=[{"kind": "action-unit", "samples": samples, "levels": [1.0]}], **WEB)
    found = table(rules, store, budget)
    assert len(found) == sources
    assert found["source"].is_unique


@pytest.mark.parametrize(
    ("samples", "budget", "count"), [(0, "standard", 30), (4, "standard", 4), (0, "smoke", 20)]
)
def test_random_pictures_have_no_source(tmp_path: Path, samples: int, budget: str, count: int) -> None:
    store = anonymous(tmp_path, 60)
    rules = protocol(tasks=[{"kind": "random", "labels": ["fear"], "samples": samples}], **WEB)
    found = table(rules, store, budget)
    assert len(found) == count
    assert (found["source"] == -1).all()
    assert set(found["source_expression"]) == {""}
    assert found["target"].is_unique
    assert set(store.manifest.table["expression"][found["target"]]) == {"fear"}
    assert reference_rows(rules, store, build_split(rules, store), found)[1] == "test-real"


def test_a_compound_joins_two_labels(tmp_path: Path) -> None:
    rows = [shot(who, "neutral") for who in "abcd"] + [shot("c", "happily_surprised")]
    store = tiny_store(tmp_path / "s", rows)
    found = table(asking({"kind": "compound"}), store)
    assert list(found["request"]) == ["compound_in_c_happily_surprised"]
    row = found.iloc[0]
    assert (row["target_expression"], row["second_expression"]) == COMPOUNDS["happily_surprised"]
    assert named(store, found["target"]) == ["c/happily_surprised_.png"]


def test_a_compound_that_nobody_shows_is_asked_without_truth(tmp_path: Path) -> None:
    store = stills(tmp_path)
    found = table(asking({"kind": "compound", "labels": ["happiness+fear"]}), store)
    assert list(found["request"]) == ["compound_in_c_happiness+fear", "compound_in_d_happiness+fear"]
    assert list(found["second_expression"]) == ["fear", "fear"]
    assert (found["target"] == -1).all()
    rules = asking({"kind": "compound", "labels": ["happiness+fear"]})
    rows, name = reference_rows(rules, store, build_split(rules, store), found)
    assert name == "source-domain"
    assert set(rows) == set(found["source"])


def test_augmentation_is_made_from_people_who_train(tmp_path: Path) -> None:
    found = table(asking({"kind": "augmentation", "labels": list(BASIC)}), stills(tmp_path))
    # a alone trains: three takes x two labels
    assert set(found["identity"]) == {"a"}
    assert len(found) == 6
    assert (found["target"] == -1).all()


def with_wild(tmp_path: Path, rows: list[dict[str, Any]], truth: bool) -> tuple[Protocol, AlignedStore]:
    store = join_stores(stills(tmp_path), [Part(tiny_store(tmp_path / "wild", rows, data="wild"), "")])
    data = {
        "set": "tiny",
        "size": 16,
        "alignment": "none@1",
        "pairing": "take",
        "test_sets": [{"set": "wild", "alignment": "none@1", "truth": truth}],
    }
    tasks = [
        {"kind": "expression"},
        {"kind": "expression", "domains": ["statue", "portrait"], "labels": list(BASIC), "takes": 3},
    ]
    return protocol(data=data, tasks=tasks, split=TEST), store


STATUES = [
    {"image": "s1", "identity": "statue-x", "expression": "", "domain": "statue"},
    {"image": "s2", "identity": "statue-x", "expression": "", "domain": "statue", "take": 1},
    {"image": "s3", "identity": "statue-y", "expression": "happiness", "domain": "statue"},
    {"image": "s4", "identity": "statue-z", "expression": "neutral", "domain": "statue"},
    {"image": "s5", "identity": "statue-z", "expression": "fear", "domain": "statue"},
]


def test_a_picture_of_unknown_expression_may_start_a_request_elsewhere(tmp_path: Path) -> None:
    rules, store = with_wild(tmp_path, STATUES, truth=False)
    found = table(rules, store)
    statues = found[found["domain"] == "statue"]
    assert sorted(set(named(store, statues["source"]))) == ["wild.s1", "wild.s2", "wild.s3", "wild.s4"]
    # four sources x two labels: the smiling statue too, and z in spite of its other image
    assert len(statues) == 8
    assert (statues["target"] == -1).all()
    split = build_split(rules, store)
    assert {"wild.statue-x", "wild.statue-y", "wild.statue-z"} <= split.test
    assert reference_rows(rules, store, split, statues)[1] == "source-domain"


def test_where_a_tested_set_has_truth_it_is_used(tmp_path: Path) -> None:
    rules, store = with_wild(tmp_path, STATUES, truth=True)
    statues = table(rules, store).query("domain == 'statue' and identity == 'wild.statue-z'")
    assert named(store, statues["target"]) == ["wild.s5"]


def test_a_tested_domain_without_a_picture_is_listed(tmp_path: Path) -> None:
    rules, store = with_wild(tmp_path, STATUES, truth=False)
    left = build_requests(rules, store, build_split(rules, store), "standard")[1]
    assert left == [NotRun(task="expression", domain="portrait", reason="the data has no image of it")]


ODD = st.text(min_size=1, max_size=30).filter(str.strip)


@given(first=ODD, second=ODD)
def test_a_part_of_a_name_is_safe_and_tells_people_apart(first: str, second: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._+@=-]+", safe_part(first))
    assert (safe_part(first) == safe_part(second)) == (first == second)


def test_odd_people_get_files_of_their_own(tmp_path: Path) -> None:
    people = ["c", "d/../e", "d ../e", "Ünal", "?web/1.jpg", "x" * 80]
    split = {"rule": "names", "test_names": people, "validation_names": ["b"]}
    rows = [
        shot(who, what) | {"image": f"{k}{what}"}
        for k, who in enumerate(["a", "b", *people[:4], people[5]])
        for what in ("neutral", "fear")
    ]
    found = table(
        asking({"kind": "expression", "labels": ["fear"]}, split=split), tiny_store(tmp_path / "s", rows)
    )
    assert len(found) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9._+@=-]+", name) for name in found["request"])


def test_partial_data_asks_for_what_it_trains_on(tmp_path: Path) -> None:
    from fesbench.context.build import settle_labels
    from fesbench.errors import ProtocolError

    store = stills(tmp_path)
    rules = protocol(
        tasks=[{"kind": "expression"}, {"kind": "compound"}, {"kind": "compound", "labels": ["anger+fear"]}],
        split=TEST,
    )
    settled = settle_labels(rules, store, build_split(rules, store))
    assert settled.labels == ("neutral", "fear", "happiness")
    assert settled.name == "test@1+labels=neutral,fear,happiness"
    # no compound is left of the basic ones that train
    assert [task.kind for task in settled.tasks] == ["expression"]
    assert settled.tasks[0].labels == ("fear", "happiness")
    assert rules.with_labels(rules.labels) is rules
    with pytest.raises(ProtocolError, match="leaves nothing to ask"):
        rules.with_labels({"neutral"})


def test_every_fold_asks_for_the_same_labels(tmp_path: Path) -> None:
    from fesbench.context.build import settle_labels
    from fesbench.context.folded import tables_of

    # only x shows fear, so the fold that tests x has nobody to learn it from
    rows = [shot(who, what) for who in "uvwx" for what in ("neutral", "anger", "sadness")]
    rows.append(shot("x", "fear"))
    store = tiny_store(tmp_path / "s", rows)
    rules = protocol(split={"rule": "names", "fold_names": [["u"], ["v"], ["w"], ["x"]]})
    settled = settle_labels(rules, store, build_split(rules, store))
    assert settled.labels == ("neutral", "anger", "sadness")
    for part, _, _ in tables_of(settled, store, "standard"):
        assert settle_labels(part, store, build_split(part, store)) is part


def test_unknown_people_of_a_tested_set_are_tested(tmp_path: Path) -> None:
    web = [{"image": f"w{k}", "identity": f"?w{k}", "expression": "", "domain": "statue"} for k in range(3)]
    rules, store = with_wild(tmp_path, web, truth=True)
    assert {"?wild.w0", "?wild.w1", "?wild.w2"} <= build_split(rules, store).test
    found = table(rules, store)
    assert (found["domain"] == "statue").sum() == 3 * len(BASIC)


def test_a_request_is_publishable_where_source_and_truth_are(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from fesbench.evaluation.task_group import Group

    allowed = {("a", "fear"), ("b", "neutral"), ("c", "neutral"), ("c", "fear")}
    rows = [
        shot(who, what) | {"publishable": (who, what) in allowed}
        for who in "abc"
        for what in ("neutral", "fear")
    ]
    store = tiny_store(tmp_path / "s", rows)
    rules = protocol(tasks=[{"kind": "expression", "labels": ["fear"]}])
    asked = build_requests(rules, store, split_of(dict.fromkeys("abc", "test")), "standard")[0]
    context = SimpleNamespace(store=store, judge=None, protocol=rules)
    group: Any = SimpleNamespace(requests=asked, context=context)
    assert list(Group.sample_table(group, {})["publishable"]) == [False, False, True]
