"""Named sets of methods: what they hold, and what is said of methods that are not there."""

from __future__ import annotations

import json

import pytest

from fesbench.cli.main import main
from fesbench.errors import UnknownNameError, UsageError
from fesbench.methods.registry import METHODS, cards
from fesbench.progress import Reporter
from fesbench.protocol.protocol import protocol_files
from fesbench.runs import method_sets as module
from fesbench.runs.method_sets import MethodSet, expand, method_sets
from fesbench.runs.plan import select_methods

# ids of published methods that sets name and fesbench may not have; anything else in the file is a slip
TO_COME = {"dai2i", "sargan", "li2021", "cdaae", "gafpgan", "gcgan", "exprgan", "cgan", "lgpgan", "attgan"}
TO_COME |= {"cganp1", "c2gan", "motiongan", "mocogan", "vgan", "tgan"}


class Notes(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str, *, warning: bool = False) -> None:
        self.said.append(text)


def test_every_member_is_a_method_or_one_to_come() -> None:
    for one in method_sets().values():
        assert set(one.absent()) <= TO_COME, one.name
        assert len(set(one.methods)) == len(one.methods)
        assert set(one.present()) == set(one.methods) & set(METHODS.names())
        assert not any(cards()[name].reference for name in one.present())


def test_the_file_of_sets_is_no_protocol() -> None:
    assert all("@" in name for name in protocol_files())


def test_the_first_command_keeps_its_rows() -> None:
    six = ["mr", "reggan", "stargan", "ganimation", "pix2pix", "usgan"]
    references = {"real", "copy", "mean-shift", "warp"}
    assert set(select_methods("@demo")) == {*six, *references}


def test_a_set_stands_for_its_methods_in_their_order_each_once() -> None:
    found, absent = expand(["usgan", "@demo", "mr"])
    assert found == ["usgan", "mr", "reggan", "stargan", "ganimation", "pix2pix"]
    assert absent == {}


def test_methods_that_are_not_here_are_said_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {
        "some": MethodSet("some", "Some", ("mr", "not-written", "stargan")),
        "none": MethodSet("none", "None", ("not-written",)),
    }
    monkeypatch.setattr(module, "method_sets", lambda: sets)
    notes = Notes()
    chosen = select_methods("@some", notes)
    assert {"mr", "stargan"} <= set(chosen)
    assert notes.said == ["@some: not-written not in this fesbench yet; left out"]
    with pytest.raises(
        UsageError, match=r"@none: none of its methods is in this fesbench yet \(not-written\)"
    ):
        select_methods("@none")


def test_an_unknown_set_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no method set '@li2012'\. Did you mean @li2021"):
        select_methods("@li2012")
    with pytest.raises(UnknownNameError, match="no method 'li2012'"):
        select_methods("mr,li2012")


def test_the_list_shows_the_sets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["methods"])
    shown = capsys.readouterr().out
    assert "@reggan-paper" in shown
    with pytest.raises(SystemExit):
        main(["methods", "list", "--json"])
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["ganimation"]["sets"] == ["@demo", "@reggan-paper", "@lgpgan"]
    assert rows["copy"]["sets"] == []
