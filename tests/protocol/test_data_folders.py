"""``--from``: one folder, or one for each data set by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.errors import UsageError
from fesbench.protocol.data_folders import folders_of, parse_sources
from fesbench.protocol.schema import DataRule

RULE = DataRule.model_validate(
    {
        "set": "ck+",
        "size": 64,
        "alignment": "none@1",
        "pairing": "take",
        "test_sets": [{"set": "oulu-casia", "alignment": "none@1", "domain": "far"}],
    }
)


def test_nothing_and_one_folder() -> None:
    assert parse_sources(None) is None
    assert parse_sources([]) is None
    assert parse_sources(["some/where"]) == Path("some/where")
    assert folders_of(None, RULE, "p") == {}
    assert folders_of(Path("x"), RULE, "p") == {"ck+": Path("x")}


def test_a_folder_for_each_set() -> None:
    given = parse_sources(["here", "oulu-casia=there/a=b"])
    assert given == {"": Path("here"), "oulu-casia": Path("there/a=b")}
    assert folders_of(given, RULE, "p") == {"ck+": Path("here"), "oulu-casia": Path("there/a=b")}
    assert parse_sources(["ck+=x"]) == {"ck+": Path("x")}


def test_a_tilde_behind_a_name_is_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    assert parse_sources(["ck+=~/CK+", "~/x"]) == {"ck+": Path("/somebody/CK+"), "": Path("/somebody/x")}


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert parse_sources(["a=b"]) == Path("a=b")
    assert parse_sources(["/data/x=y"]) == Path("/data/x=y")


def test_mistakes_are_told() -> None:
    with pytest.raises(UsageError, match="gives the protocol's own data twice"):
        parse_sources(["a", "b"])
    with pytest.raises(UsageError, match=r"gives data 'ck\+' twice"):
        parse_sources(["ck+=a", "ck+=b"])
    with pytest.raises(UsageError, match=r"gives data 'ck\+' twice"):
        folders_of({"": Path("a"), "ck+": Path("b")}, RULE, "p")
    with pytest.raises(UsageError, match=r"p does not use data 'rafd'; it uses ck\+, oulu-casia"):
        folders_of({"rafd": Path("a")}, RULE, "p")
