"""How long training goes and how much is scored.

``smoke``: about a minute a method on two cores; ``short``: as many times that as the protocol says, or what a
method that needs more says, at most twenty minutes; ``standard``: as many generator updates as the protocol
says; ``paper``: the paper's length; ``steps=N``: N generator updates in all; ``minutes=M``: by the clock (the
only one whose results are not repeatable to the bit). The budget stands in every record and every signature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fesbench.errors import UsageError

if TYPE_CHECKING:
    from fesbench.methods.card import Phase

NAMED = ("smoke", "short", "standard", "paper")
FEW = ("smoke", "short")
"""Budgets that ask for few images, since the time to score the others would be many times that to train."""


@dataclass(frozen=True)
class Budget:
    """A parsed budget; ``text`` is its canonical spelling."""

    text: str
    steps: int | None = None
    minutes: float | None = None

    def phase_steps(
        self,
        phases: Sequence[Phase],
        standard_steps: int,
        examples: Callable[[Phase], int],
        short_smokes: int = 1,
    ) -> dict[str, int]:
        """Calls of ``training_step`` by phase; a closed-form phase is fitted once and counts 1.

        Args:
            phases: of the method; generator updates are shared among them as in the paper.
            standard_steps: generator updates of the protocol's standard.
            examples: images (or pairs) of the training set that a phase sees; asked if it counts epochs.
            short_smokes: how many times the steps of ``smoke`` make the protocol's ``short``, where a phase
                has no ``short_steps`` of its own.
        """
        if self.text == "short":
            times = {p.name: 1 if p.closed_form else short_smokes for p in phases}
            return {p.name: p.short_steps or p.smoke_steps * times[p.name] for p in phases}
        if self.text == "smoke":
            return {p.name: p.smoke_steps for p in phases}
        calls = {phase.name: phase.paper_calls(examples) for phase in phases}
        if self.text == "paper" or self.minutes is not None:
            return calls
        updates = {p.name: calls[p.name] / p.calls_per_update for p in phases if not p.closed_form}
        wanted = standard_steps if self.steps is None else self.steps
        shares = {name: number / sum(updates.values()) for name, number in updates.items()}
        return {
            phase.name: 1
            if phase.closed_form
            else max(1, round(wanted * shares[phase.name])) * phase.calls_per_update
            for phase in phases
        }


def parse_budget(text: str) -> Budget:
    """Parse ``smoke``, ``short``, ``standard``, ``paper``, ``steps=N`` or ``minutes=M``.

    Raises:
        UsageError: anything else.
    """
    if text in NAMED:
        return Budget(text)
    kind, _, number = text.partition("=")
    try:
        if kind == "steps" and int(number) > 0:
            return Budget(f"steps={int(number)}", steps=int(number))
        if kind == "minutes" and float(number) > 0:
            return Budget(f"minutes={float(number):g}", minutes=float(number))
    except ValueError:
        pass
    raise UsageError(f"budget '{text}' is none of {', '.join(NAMED)}, steps=N (N > 0), minutes=M (M > 0)")
