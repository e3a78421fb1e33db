"""Budgets: spelled one way, and turned into steps per phase."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fesbench.errors import UsageError
from fesbench.protocol.budget import parse_budget

PHASES = [
    SimpleNamespace(name="fit", closed_form=True, paper_steps=1, smoke_steps=1),
    SimpleNamespace(name="a", closed_form=False, paper_steps=150, smoke_steps=7),
    SimpleNamespace(name="b", closed_form=False, paper_steps=50, smoke_steps=3),
]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("smoke", {"fit": 1, "a": 7, "b": 3}),
        ("paper", {"fit": 1, "a": 150, "b": 50}),
        ("standard", {"fit": 1, "a": 15, "b": 5}),
        ("steps=8", {"fit": 1, "a": 6, "b": 2}),
        ("steps=1", {"fit": 1, "a": 1, "b": 1}),
    ],
)
def test_steps_per_phase(text: str, steps: dict[str, int]) -> None:
    assert parse_budget(text).phase_steps(PHASES, standard_steps=20) == steps  # type: ignore[arg-type]


def test_canonical_spelling() -> None:
    assert parse_budget("steps=007").text == "steps=7"
    assert parse_budget("minutes=2.50").text == "minutes=2.5"
    assert parse_budget("minutes=2.5").minutes == 2.5


@pytest.mark.parametrize("text", ["", "tiny", "steps=0", "steps=x", "minutes=-1", "steps"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is none of smoke, standard, paper"):
        parse_budget(text)
