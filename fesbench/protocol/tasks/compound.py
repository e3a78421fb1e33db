"""Two expressions in one face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import Task
from fesbench.protocol.tasks.base import TaskKind
from fesbench.vocabulary import COMPOUNDS, EXPRESSIONS


class Compound(TaskKind):
    """Two labels are granted: a compound by its name, or two labels joined by "+"."""

    name: ClassVar[str] = "compound"
    words: ClassVar[str] = "two expressions in one face"
    place: ClassVar[int] = 4
    defaults: ClassVar[Mapping[str, Any]] = {"labels": tuple(COMPOUNDS)}
    by_label: ClassVar[bool] = False
    one_label: ClassVar[bool] = False

    def check_label(self, label: str) -> None:
        """Refuse what is no compound.

        Raises:
            ValueError: neither a known one nor two expressions.
        """
        parts = label.split("+")
        if label not in COMPOUNDS and not (
            len(parts) == 2 and all(part in EXPRESSIONS[1:] for part in parts)
        ):
            raise ValueError(
                f"unknown compound '{label}'; known: {', '.join(COMPOUNDS)}, or two labels as 'a+b'"
            )

    def halves(self, what: str) -> tuple[str, str]:
        """Its two labels."""
        first, second = COMPOUNDS.get(what) or what.split("+")
        return first, second

    def described(self, task: Task, rules: Protocol) -> str:
        """How many."""
        return f"; {len(task.labels)} compounds"
