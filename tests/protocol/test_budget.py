"""Budgets: spelled one way, and turned into steps per phase."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fesbench.errors import MethodError, UsageError
from fesbench.methods.card import Phase, Problem
from fesbench.methods.registry import methods
from fesbench.protocol.budget import parse_budget
from fesbench.protocol.protocol import load_protocol
from fesbench.protocol.schema import BudgetRule
from fesbench.vocabulary import EXPRESSIONS

PHASES = [
    Phase("fit", "pair", 1, smoke_steps=1, paper_steps=1, closed_form=True),
    Phase("a", "image", 4, smoke_steps=7, paper_steps=150),
    Phase("b", "image", 4, smoke_steps=3, paper_steps=50),
]
CRITIC = [
    Phase("a", "image", 4, smoke_steps=7, paper_steps=150),
    Phase("b", "image", 4, smoke_steps=12, paper_steps=250, calls_per_update=5),
]


def none_asked(phase: Phase) -> int:
    raise AssertionError(f"{phase.name} does not count in epochs")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("smoke", {"fit": 1, "a": 7, "b": 3}),
        ("paper", {"fit": 1, "a": 150, "b": 50}),
        ("minutes=2", {"fit": 1, "a": 150, "b": 50}),
        ("standard", {"fit": 1, "a": 15, "b": 5}),
        ("steps=8", {"fit": 1, "a": 6, "b": 2}),
        ("steps=1", {"fit": 1, "a": 1, "b": 1}),
    ],
)
def test_steps_per_phase(text: str, steps: dict[str, int]) -> None:
    assert parse_budget(text).phase_steps(PHASES, 20, none_asked) == steps


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("smoke", {"a": 7, "b": 12}),
        ("paper", {"a": 150, "b": 250}),
        ("standard", {"a": 15, "b": 25}),
        ("steps=8", {"a": 6, "b": 10}),
        ("steps=1", {"a": 1, "b": 5}),
    ],
)
def test_budgets_for_all_count_generator_updates(text: str, steps: dict[str, int]) -> None:
    """150 and 50 generator updates in the paper: a budget of 20 makes 15 and 5 of them."""
    assert parse_budget(text).phase_steps(CRITIC, 20, none_asked) == steps


@pytest.mark.parametrize("name", ["stargan", "usgan", "ganimation", "reggan", "pix2pix"])
def test_every_method_gets_as_many_generator_updates_from_the_same_budget(name: str) -> None:
    kind = methods()[name]
    phase = kind(Problem(64, EXPRESSIONS, (6, 12), 0), kind.presets["tiny"]).phases()[-1]
    calls = parse_budget("standard").phase_steps([phase], 20_000, none_asked)[phase.name]
    critic_calls = getattr(kind.presets["tiny"], "n_critic", 1)
    assert sum((call + 1) % critic_calls == 0 for call in range(calls)) == 20_000


def test_short_is_some_smokes_and_the_protocol_says_how_many() -> None:
    steps = parse_budget("short").phase_steps(PHASES, 20, none_asked, 6)
    assert steps == {"fit": 1, "a": 42, "b": 18}
    own = [replace(PHASES[1], short_steps=50), *PHASES[2:]]
    assert parse_budget("short").phase_steps(own, 20, none_asked, 6) == {"a": 50, "b": 18}
    assert parse_budget("smoke").phase_steps(own, 20, none_asked, 6) == {"a": 7, "b": 3}
    rules = load_protocol("avatars")
    assert rules.budget.short_smokes == 6
    asked, left = (rules.tasks_under(budget) for budget in ("smoke", "short"))
    assert asked == left, "no more is asked than under smoke"
    longer = rules.model_copy(update={"budget": BudgetRule(standard_steps=20_000, short_smokes=12)})
    assert longer.hash != rules.hash


def test_a_paper_that_counts_epochs_goes_through_the_training_set() -> None:
    phases = [Phase("only", "pair", 4, smoke_steps=3, paper_epochs=2.5, calls_per_update=2)]
    assert parse_budget("paper").phase_steps(phases, 20, lambda phase: 37) == {"only": 25}
    assert parse_budget("paper").phase_steps(phases, 20, lambda phase: 36) == {"only": 22}
    assert parse_budget("standard").phase_steps(phases, 20, lambda phase: 36) == {"only": 40}
    assert parse_budget("smoke").phase_steps(phases, 20, none_asked) == {"only": 3}


@pytest.mark.parametrize("lengths", [{}, {"paper_steps": 3, "paper_epochs": 1.0}])
def test_a_phase_has_one_length(lengths: dict) -> None:
    with pytest.raises(MethodError, match="either paper_steps or paper_epochs"):
        Phase("odd", "image", 4, smoke_steps=3, **lengths)
    with pytest.raises(MethodError, match="calls_per_update must be at least 1"):
        Phase("odd", "image", 4, smoke_steps=3, paper_steps=3, calls_per_update=0)


def test_canonical_spelling() -> None:
    assert parse_budget("steps=007").text == "steps=7"
    assert parse_budget("minutes=2.50").text == "minutes=2.5"
    assert parse_budget("minutes=2.5").minutes == 2.5


@pytest.mark.parametrize("text", ["", "tiny", "steps=0", "steps=x", "minutes=-1", "steps"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is none of smoke, short, standard, paper"):
        parse_budget(text)
