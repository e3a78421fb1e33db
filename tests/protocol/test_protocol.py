"""Protocols: what is shipped is valid, a slip is named, every override changes name and hash."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from fesbench.errors import ProtocolError, UnknownNameError
from fesbench.protocol import schema as protocol_rules
from fesbench.protocol.protocol import DEFAULTS, Protocol, load_protocol, parse_protocol, protocol_files
from fesbench.vocabulary import EXPRESSIONS


@pytest.mark.parametrize("name", list(protocol_files()))
def test_shipped_protocols_are_valid_and_named_after_their_file(name: str) -> None:
    assert load_protocol(name).name == name


def test_short_name_means_the_newest_version() -> None:
    assert load_protocol("ck+").name == "ck+@1"


def test_unknown_name_gives_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean avatars@2"):
        load_protocol("avatar")


def _edited(tmp_path: Path, old: str, new: str) -> Path:
    text = (files("fesbench.protocols") / "avatars@1.toml").read_text()
    assert old in text
    path = tmp_path / "avatars@1.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("pairing =", "paring =", r"key 'data.paring' is not known.*Did you mean pairing"),
        ("version = 1", "", r"key 'version' is missing"),
        ('rule = "index"', 'rule = "random"', r"key 'split.rule'"),
        ("size = 128", "size = 7", r"key 'data.size'.*found 7"),
        ('smoke_labels = ["happiness"', 'smoke_labels = ["joy"', r"unknown expression 'joy'"),
        ("train = 200\n", "", r"needs the counts"),
        ('id = "avatars"', 'id = "avatar"', r"must be named avatar@1.toml"),
        ('id = "avatars"', "id = ", r"not a readable TOML file"),
    ],
)
def test_a_slip_is_named_with_file_key_and_remedy(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = _edited(tmp_path, old, new)
    with pytest.raises(ProtocolError, match=told) as caught:
        parse_protocol(path)
    assert "avatar" in str(caught.value)


def test_overrides_enter_name_and_hash() -> None:
    plain = load_protocol("avatars@1")
    small = plain.with_overrides(size=64)
    assert small.name == "avatars@1+size=64"
    assert small.hash != plain.hash
    assert plain.with_overrides(size=128).hash == plain.hash


def test_prose_does_not_change_the_hash(tmp_path: Path) -> None:
    told_otherwise = parse_protocol(
        _edited(tmp_path, "260 procedural subjects", "Two hundred and sixty subjects")
    )
    assert told_otherwise.hash == load_protocol("avatars@1").hash


def test_a_rule_changes_the_hash(tmp_path: Path) -> None:
    assert parse_protocol(_edited(tmp_path, "test = 40", "test = 39")).hash != load_protocol("avatars@1").hash


def test_only_named_stand_ins_serve_a_protocol() -> None:
    assert load_protocol("ck+").with_overrides(data="avatars").name == "ck+@1+data=avatars"
    with pytest.raises(ProtocolError, match="cannot be served by data 'rafd'"):
        load_protocol("ck+").with_overrides(data="rafd")


def test_smoke_leaves_out_what_starts_at_standard() -> None:
    run, left = load_protocol("avatars").tasks_under("smoke")
    assert {task.kind for task in run} == {"expression"}
    assert {task.kind for task in left} == {
        "transfer",
        "intensity",
        "compound",
        "action-unit",
        "augmentation",
    }
    assert not load_protocol("avatars").tasks_under("steps=10")[1]


def test_a_default_that_changes_asks_for_a_new_version_of_the_defaults() -> None:
    """A new key may come with any default; an old key's may not move unless DEFAULTS is raised too."""
    known: dict[type[protocol_rules.Strict], dict[str, object]] = {
        protocol_rules.StandIn: {"alignment": "none@1", "options": {}},
        protocol_rules.TestSet: {"options": {}, "domain": "", "truth": True},
        protocol_rules.DataRule: {"options": {}, "stand_ins": {}, "test_sets": ()},
        protocol_rules.SplitRule: {
            "by": "identity",
            "seed": 0,
            "train": None,
            "validation": 0,
            "test": 0,
            "folds": None,
            "validation_names": (),
            "test_names": (),
            "fold_names": (),
            "duplicates": "together",
        },
        protocol_rules.Task: {
            "given": "label",
            "domains": ("in",),
            "labels": EXPRESSIONS[1:],
            "smoke_labels": None,
            "levels": (1.0,),
            "takes": 1,
            "action_units": (1, 2, 4, 5, 9, 12, 15, 17, 25),
            "samples": 0,
            "factors": (1, 5, 10, 100),
            "from_budget": "smoke",
        },
        protocol_rules.MetricRule: {"optional": (), "face": "dlib", "judge": "trained"},
        Protocol: {"labels": EXPRESSIONS},
    }
    now = {
        rule: {name: rule.model_fields[name].get_default(call_default_factory=True) for name in fields}
        for rule, fields in known.items()
    }
    assert (now, protocol_rules.LEVELS, DEFAULTS) == (known, (0.25, 0.5, 0.75, 1.0), 1)
