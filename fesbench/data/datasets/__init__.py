"""The data sets that fesbench can prepare, by name.

Each module here declares one: an instance of a `DatasetAdapter` class whose texts are literals, so that a
list of them imports none. Other packages add theirs through the entry point group ``fesbench.datasets``.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Any

from fesbench.data.datasets.base import DatasetAdapter
from fesbench.errors import FesbenchError
from fesbench.registry import Declared, Registry, literals

DESCRIBED = ("name", "title", "access", "license", "citation", "homepage", "serves")


def _read(module: str, source: ast.Module) -> Iterator[Declared]:
    """The classes with a ``name`` that a module makes an instance of: ``ADAPTER = KdefAdapter()``."""
    classes = {kind.name: literals(kind.body) for kind in source.body if isinstance(kind, ast.ClassDef)}
    for line in source.body:
        if not (isinstance(line, ast.Assign) and isinstance(line.value, ast.Call)):
            continue
        target, maker = line.targets[0], line.value.func
        if isinstance(target, ast.Name) and isinstance(maker, ast.Name):
            facts = classes.get(maker.id, {})
            if isinstance(facts.get("name"), str):
                yield Declared(facts["name"], module, target.id, facts)


def _accept(name: str, value: Any) -> DatasetAdapter:
    if not isinstance(value, DatasetAdapter):
        raise TypeError(f"{value!r} is no DatasetAdapter instance")
    return value


DATASETS: Registry[DatasetAdapter] = Registry(
    "data set", "fesbench.data.datasets", _read, "fesbench.datasets", _accept
)


def dataset(name: str) -> DatasetAdapter:
    """The adapter of that name; imports its module alone.

    Raises:
        UnknownNameError: no such data set.
        UsageError: the package that has it does not load.

    >>> dataset("kdef").expected["subjects"]
    70
    """
    return DATASETS.get(name)


def described() -> list[dict[str, str]]:
    """What is known of every data set (`DESCRIBED`), by name; imports none of fesbench's own.

    One of another package that does not load is named in a warning and left out.

    >>> [known["name"] for known in described()][:3]
    ['avatars', 'avatars-video', 'cfee']
    """
    found = []
    for name, entry in sorted(DATASETS.known().items()):
        try:
            facts = entry.facts if entry is not None else {}
            if not set(DESCRIBED[:-1]) <= set(facts):
                adapter = DATASETS.get(name)
                facts = {key: getattr(adapter, key) for key in DESCRIBED}
            found.append({key: facts.get(key, "") for key in DESCRIBED})
        except FesbenchError as error:
            warnings.warn(str(error), stacklevel=2)
    return found
