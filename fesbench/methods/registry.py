"""Methods by id, or out of a file: cards are read from the source, a module is imported when it is used."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fesbench.errors import FesbenchError, MethodError
from fesbench.methods.card import MethodCard
from fesbench.registry import Declared, Registry, literal_call, load_file

if TYPE_CHECKING:
    from fesbench.methods.base import Method

_FIELDS = tuple(field.name for field in fields(MethodCard))


def _read(module: str, source: ast.Module) -> Iterator[Declared]:
    """The classes that say ``card = MethodCard(...)``, all of whose arguments are literals."""
    for kind in (node for node in source.body if isinstance(node, ast.ClassDef)):
        for line in kind.body:
            target = line.target if isinstance(line, ast.AnnAssign) else getattr(line, "targets", [None])[0]
            if not (isinstance(target, ast.Name) and target.id == "card"):
                continue
            call = line.value  # type: ignore[attr-defined]
            facts = literal_call(call, _FIELDS)
            if "id" not in facts or len(facts) != len(call.args) + len(call.keywords):
                raise LookupError(f"the card of {module}.{kind.name} must be a MethodCard(...) of literals")
            yield Declared(facts["id"], module, kind.name, facts)


def _accept(name: str, value: Any) -> type[Method]:
    """The method of that id: the class itself, or the one that a module declares."""
    found = {method.card.id: method for method in _methods_of(value)}
    if name not in found:
        ids = ", ".join(sorted(found)) or "no method"
        raise TypeError(f"it declares {ids}; an entry point bears the name of its method's id")
    return found[name]


METHODS: Registry[type[Method]] = Registry("method", "fesbench.baselines", _read, "fesbench.methods", _accept)


def cards() -> dict[str, MethodCard]:
    """Every method's card by id, reference rows first, then by year; imports none of fesbench's own.

    A plug-in that does not import, or takes the id of another method, is named in a warning and left out.

    >>> cards()["stargan"].year
    2018
    """
    found = {}
    for name, entry in METHODS.known().items():
        try:
            found[name] = MethodCard(**entry.facts) if entry is not None else METHODS.get(name).card
        except FesbenchError as error:
            warnings.warn(str(error), stacklevel=2)
    return dict(sorted(found.items(), key=lambda item: (not item[1].reference, item[1].year, item[0])))


def methods() -> dict[str, type[Method]]:
    """Every method by id, in the order of :func:`cards`; imports them all."""
    found = METHODS.all()
    return {name: found[name] for name in cards() if name in found}


def load_method(name: str) -> type[Method]:
    """A registered method by id, or the one that a ``.py`` file declares; imports that one alone.

    Raises:
        UnknownNameError: no such id; names the nearest.
        UsageError: the file, or the package that has the method, does not load.
        MethodError: the file declares no method or several.
    """
    if not name.endswith(".py"):
        return METHODS.get(name)
    found = _methods_of(load_file(Path(name), "method"))
    if len(found) != 1:
        raise MethodError(f"{name} must declare exactly one Method with a card; found {len(found)}")
    return found[0]


def _methods_of(value: type | ModuleType) -> list[type[Method]]:
    """The concrete methods that a module itself declares; of a class, itself."""
    from fesbench.methods.base import Method

    if inspect.isclass(value):
        return [value] if issubclass(value, Method) else []
    return [
        item
        for item in vars(value).values()
        if inspect.isclass(item)
        and issubclass(item, Method)
        and not inspect.isabstract(item)
        and hasattr(item, "card")
        and item.__module__ == value.__name__
    ]
