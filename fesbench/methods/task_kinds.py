"""Task kinds by name.

They lie in `fesbench.protocol.tasks`, one file each, or in another package under its entry-point group
``fesbench.tasks``; they are listed by their source, so that a method's card can be checked against them
without an import.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any

from fesbench.registry import Declared, Registry, literals


def _read(module: str, source: ast.Module) -> Iterator[Declared]:
    """The classes that give themselves a name."""
    for kind in (node for node in source.body if isinstance(node, ast.ClassDef)):
        facts = literals(kind.body)
        if isinstance(facts.get("name"), str):
            yield Declared(facts["name"], module, kind.name, facts)


def _accept(name: str, value: Any) -> Any:
    """The kind of that name: a class, or the one that a module declares."""
    found = [value] if inspect.isclass(value) else [k for k in vars(value).values() if inspect.isclass(k)]
    kind = next((k for k in found if vars(k).get("name") == name and hasattr(k, "rows")), None)
    if kind is None:
        raise TypeError("it declares no task kind of that name")
    return kind()


TASKS: Registry[Any] = Registry("task kind", "fesbench.protocol.tasks", _read, "fesbench.tasks", _accept)


def unknown_controls(controls: frozenset[str]) -> set[str]:
    """Those that no task kind asks for."""
    odd = set(controls) - {entry.facts.get("control") or name for name, entry in TASKS.declared.items()}
    # other packages are looked through only where a name is not fesbench's own
    return odd - set(TASKS.points()) if odd else set()


def control_of(task_kind: str) -> str:
    """What a method must control to answer a kind of task: the kind itself, or the one that it judges anew.

    >>> control_of("identity-verification")
    'expression'
    """
    return str(TASKS.get(task_kind).control or task_kind)
