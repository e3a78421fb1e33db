"""Panels in signatures, and when scores by two of them are comparable."""

from dataclasses import dataclass

import pytest

from fesbench.errors import UsageError
from fesbench.records.judges import (
    Judges,
    differing,
    judge_term,
    judges_in_words,
    mean_without_judge,
    panel_of,
)
from fesbench.records.signature import Signature

PANEL = Judges(3, "cnn64-1", "0a1b2c3d", "77aa01bc")
OTHER = Judges(3, "cnn64-1", "0a1b2c3d", "00000000")


@dataclass(frozen=True)
class Scored:
    value: float | None
    without_judge: tuple[float, ...] = ()
    panel: Judges | None = PANEL
    n: int = 9

    @property
    def signature(self) -> str:
        own = {} if self.panel is None else {"judges": str(self.panel)}
        return str(Signature.of("ECS", n_valid=9, n_requested=self.n, protocol="p@1", settings=own))


def test_a_panel_comes_back_from_its_signature():
    line = Scored(0.5).signature
    assert "judges:K=3,cnn64-1,data=0a1b2c3d,digest=77aa01bc" in line
    assert Judges.parse(panel_of(Scored(0.5))) == PANEL
    assert panel_of(Scored(0.5, panel=None)) == ""


@pytest.mark.parametrize(
    "text", ["", "K=3", "K=x,r,data=a,digest=b", "3,r,data=a,digest=b", "K=3,r,digest=a,data=b"]
)
def test_what_names_no_panel_is_refused(text):
    with pytest.raises(UsageError, match="names no panel"):
        Judges.parse(text)


def test_one_panel_is_comparable_whatever_the_scores():
    assert differing(Scored(0.1, (0.1, 0.1, 0.1)), Scored(0.9, (0.9, 0.9, 0.9))) == ()


def test_two_digests_are_comparable_within_the_judges_error_alone():
    # errors: sqrt(.02) each, together .2; Student's t with 4 degrees of freedom is 2.776
    first = Scored(0.6, (0.5, 0.6, 0.7))
    near, far = (Scored(value, (0.3, 0.4, 0.5), OTHER) for value in (0.6 - 0.55, 0.6 - 0.56))
    assert differing(first, near) == ()
    assert differing(first, far) == ("judges",)
    words = judges_in_words(first, far)
    assert "two panels of one recipe" in words
    assert "differ by 0.56, more than the judges' error of 0.555" in words
    assert judge_term(first, near).error == pytest.approx(0.2)
    assert judge_term(first, Scored(0.4, (0.4, 0.5, 0.6))).error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        Judges(5, "cnn64-1", "0a1b2c3d", "00000000"),
        Judges(3, "cnn64-2", "0a1b2c3d", "00000000"),
        Judges(3, "cnn64-1", "ffffffff", "00000000"),
        None,
    ],
    ids=["K", "recipe", "data", "none"],
)
def test_other_panels_are_never_comparable(other):
    spread = (0.1, 0.5, 0.9)
    assert differing(Scored(0.5, spread), Scored(0.5, spread, other)) == ("judges",)
    assert "against" in judges_in_words(Scored(0.5, spread), Scored(0.5, spread, other))


def test_another_field_is_told_as_well():
    assert set(differing(Scored(0.5), Scored(0.5, panel=OTHER, n=8))) == {"judges", "n"}


def test_no_score_is_within_nothing():
    assert differing(Scored(None), Scored(0.5, panel=OTHER)) == ("judges",)


def test_seeds_are_averaged_judge_by_judge():
    assert mean_without_judge([Scored(0, (0.0, 0.5)), Scored(0, (1.0, 0.5))]) == [0.5, 0.5]
    assert mean_without_judge([Scored(0, (0.0, 0.5)), Scored(0)]) == []
