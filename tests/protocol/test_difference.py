"""Two protocols side by side, and the version that follows one."""

from __future__ import annotations

import pytest

from fesbench.cli.main import main
from fesbench.protocol.difference import difference, successor, superseded
from fesbench.protocol.protocol import load_protocol, newest


def test_the_newest_version_is_meant_and_the_older_one_names_it() -> None:
    assert (newest("avatars"), newest("folder/loso"), newest("nothing")) == ("avatars@2", "folder/loso@1", "")
    first, second = load_protocol("avatars@1"), load_protocol("avatars")
    assert (successor(first), successor(second), second.version) == ("avatars@2", "", 2)
    assert superseded(first).startswith("avatars@1 is superseded by avatars@2; 'fesbench protocols diff")
    assert superseded(second) == ""
    assert successor(first.with_overrides(size=64)) == "avatars@2"


def test_what_differs_is_told_and_nothing_else() -> None:
    told = difference(load_protocol("avatars@1"), load_protocol("avatars@2"))
    assert told[0] == "Only in avatars@1:"
    assert told[1].endswith("under smoke and short only happiness, surprise")
    assert told[2] == "Only in avatars@2:"
    assert told[3].endswith("under smoke and short only the first 11 subjects by name")
    assert told[4].startswith("Training sees the same under both")
    assert told[5].startswith("Their hashes differ")
    assert len(told) == 6


def test_clips_are_trained_on_the_same_under_both_versions() -> None:
    told = difference(load_protocol("avatars-video@1"), load_protocol("avatars-video"))
    assert told[0] == "Only in avatars-video@1:"
    assert told[2].endswith("judge trained.")
    assert told[3] == "Only in avatars-video@2:"
    assert told[4].endswith("under smoke and short only the first 10 subjects by name")
    assert told[5].endswith("judge shipped.")
    assert told[6].startswith("Training sees the same under both")


def test_another_split_is_another_training_and_the_same_rules_are_the_same() -> None:
    told = difference(load_protocol("ck+"), load_protocol("ck+/10fold"))
    assert any("into 10 folds" in line for line in told)
    assert any(line.startswith("Training sees other data") for line in told)
    assert difference(load_protocol("ck+"), load_protocol("ck+@1"))[0].startswith("ck+@1 and ck+@1 have the")


def test_the_training_hash_sees_what_training_sees() -> None:
    rules = load_protocol("avatars")
    assert rules.training_hash == load_protocol("avatars@1").training_hash
    assert rules.training_hash == load_protocol("avatars-ood").training_hash  # other tasks, other metrics
    for other in (
        rules.with_overrides(size=64),
        rules.with_labels(rules.labels[:4]),
        load_protocol("avatars-adapt"),  # it grants unlabelled images
        rules.model_copy(update={"budget": rules.budget.model_copy(update={"short_smokes": 2})}),
        rules.model_copy(update={"split": rules.split.model_copy(update={"test": 39})}),
    ):
        assert other.training_hash != rules.training_hash


def test_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["protocols", "diff", "avatars@1", "avatars@2"])
    assert "Only in avatars@2:" in capsys.readouterr().out
