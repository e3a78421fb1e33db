"""How long training goes and how much is scored.

``smoke``: about a minute a method on two cores; ``standard``: the protocol's steps; ``paper``: the paper's;
``steps=N``: N steps in all; ``minutes=M``: by the clock (the only one whose results are not repeatable to the
bit). The budget stands in every record and every signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fesbench.errors import UsageError

if TYPE_CHECKING:
    from fesbench.methods.card import Phase

NAMED = ("smoke", "standard", "paper")


@dataclass(frozen=True)
class Budget:
    """A parsed budget; ``text`` is its canonical spelling."""

    text: str
    steps: int | None = None
    minutes: float | None = None

    def phase_steps(self, phases: Sequence[Phase], standard_steps: int) -> dict[str, int]:
        """Training steps per phase, by name; a closed-form phase is fitted once and counts 1."""
        if self.text == "smoke":
            return {phase.name: phase.smoke_steps for phase in phases}
        if self.text == "paper" or self.minutes is not None:
            return {phase.name: phase.paper_steps for phase in phases}
        iterative = [phase for phase in phases if not phase.closed_form]
        total = sum(phase.paper_steps for phase in iterative)
        wanted = standard_steps if self.steps is None else self.steps
        return {
            phase.name: 1 if phase.closed_form else max(1, round(wanted * phase.paper_steps / total))
            for phase in phases
        }


def parse_budget(text: str) -> Budget:
    """Parse ``smoke``, ``standard``, ``paper``, ``steps=N`` or ``minutes=M``.

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
