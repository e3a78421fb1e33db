"""Requests: what is asked, of whom, and that nobody verifies an image against its own take or sequence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.protocol.references import gallery_rows, reference_rows
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_split
from tests.end_to_end import MINI


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faces are rendered once."""
    monkeypatch.setenv("FESBENCH_HOME", str(home))


def opened(protocol: Protocol) -> AlignedStore:
    rule = protocol.data
    return prepare(rule.set, size=32, alignment=rule.alignment, options=rule.options)


@pytest.fixture
def mini() -> tuple[Protocol, AlignedStore]:
    protocol = load_protocol(MINI)
    return protocol, opened(protocol)


@pytest.fixture
def sequences() -> tuple[Protocol, AlignedStore]:
    """CK+'s rules on a few embedded faces."""
    plain = load_protocol("ck+").with_overrides(data="avatars")
    rule = plain.data.model_copy(update={"options": {"as_sequences": True, "identities": [9, 1, 2]}})
    protocol = plain.model_copy(update={"data": rule})
    return protocol, opened(protocol)


def table_of(protocol: Protocol, store: AlignedStore, budget: str) -> pd.DataFrame:
    return build_requests(protocol, store, build_split(protocol, store), budget)[0]


def test_each_test_person_is_asked_for_each_expression(mini: tuple[Protocol, AlignedStore]) -> None:
    requests = table_of(*mini, "smoke")
    plain = requests[(requests["task"] == "expression") & (requests["domain"] == "in")]
    assert len(plain) == 5 * 7
    assert set(plain["identity"]) == {f"a{number:04d}" for number in range(13, 18)}
    assert requests["request"].is_unique
    assert requests["noise_seed"].is_unique


def test_source_and_truth_are_one_person_and_take(mini: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = mini
    manifest = store.manifest.table
    for row in table_of(protocol, store, "smoke").itertuples():
        source, target = manifest.loc[row.source], manifest.loc[row.target]
        assert source["expression"] == "neutral"
        assert target["expression"] == row.target_expression
        assert source["identity"] == target["identity"] == row.identity
        assert source["take"] == target["take"] == 0
        assert source["domain"] == target["domain"] == row.domain


def test_what_smoke_leaves_out_is_listed(mini: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = mini
    split = build_split(protocol, store)
    _, left = build_requests(protocol, store, split, "smoke")
    assert [(item.task, item.domain) for item in left] == [("transfer", "in")]
    assert "standard" in left[0].reason
    assert build_requests(protocol, store, split, "standard")[1] == []


def test_a_driver_is_another_test_person(mini: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = mini
    requests = table_of(protocol, store, "standard")
    transfer = requests[requests["task"] == "transfer"]
    drivers = store.manifest.table["identity"].to_numpy()[transfer["driver"]]
    assert (drivers != transfer["identity"]).all()
    assert set(drivers) <= set(transfer["identity"])
    assert (requests.loc[requests["task"] != "transfer", "driver"] == -1).all()


def test_gallery_and_reference_come_from_the_other_take(mini: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = mini
    split = build_split(protocol, store)
    rows, missing = gallery_rows(protocol, store, split)
    assert not missing
    assert set(store.manifest.table["take"].to_numpy()[rows]) == {1}
    requests = table_of(protocol, store, "smoke")
    plain, style = (requests[requests["domain"] == domain] for domain in ("in", "cartoon"))
    other, name = reference_rows(protocol, store, split, plain)
    assert name == "test-real-other-take"
    assert len(other) == len(plain)
    assert not set(other) & set(plain["target"])
    assert reference_rows(protocol, store, split, style)[1] == "test-real"


def test_sequences_ask_only_what_was_shown(sequences: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = sequences
    manifest = store.manifest.table
    requests = table_of(protocol, store, "smoke")
    assert (requests["target"] >= 0).all()
    for row in requests.itertuples():
        source, target = manifest.loc[row.source], manifest.loc[row.target]
        assert source["sequence"] == target["sequence"]
        assert source["frame"] == 1
        assert target["expression"] == row.target_expression


def test_the_gallery_sequence_gives_no_probe(sequences: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = sequences
    split = build_split(protocol, store)
    requests = table_of(protocol, store, "smoke")
    sequence = store.manifest.table["sequence"].to_numpy()
    rows, _ = gallery_rows(protocol, store, split)
    assert len(rows)
    assert not set(sequence[rows]) & set(sequence[np.asarray(requests["source"])])


def test_data_that_answers_no_request_is_an_error(mini: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = mini
    tasks = (protocol.tasks[0].model_copy(update={"domains": ("fresco",)}),)
    with pytest.raises(DataError, match="finds no request"):
        table_of(protocol.model_copy(update={"tasks": tasks}), store, "smoke")


def test_a_short_run_asks_the_first_subjects_for_every_label(mini: tuple[Protocol, AlignedStore]) -> None:
    protocol, store = mini
    tasks = [task.model_copy(update={"smoke_subjects": 2}) for task in protocol.tasks]
    fewer = protocol.model_copy(update={"tasks": tuple(tasks)})
    for budget, count in (("smoke", 2), ("short", 2), ("standard", 5)):
        requests = table_of(fewer, store, budget)
        shown = requests[(requests["task"] == "expression") & (requests["domain"] == "in")]
        assert set(shown["identity"]) == {f"a{number:04d}" for number in range(13, 13 + count)}
        assert set(shown.groupby("identity").size()) == {7}


def test_avatars_asks_no_more_of_the_styles_than_it_did() -> None:
    asked = {}
    for name in ("avatars@1", "avatars@2"):
        (task,) = (task for task in load_protocol(name).tasks if "statue" in task.domains)
        asked[name] = (task.smoke_subjects or 40) * len(task.smoke_labels or task.labels) * len(task.domains)
    assert asked == {"avatars@1": 320, "avatars@2": 308}
