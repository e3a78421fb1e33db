"""Metrics: pure functions of their inputs, each with a card, a signature and an interval.

``METRICS`` finds them by column name without importing any. Other packages add their own through the
entry-point group ``fesbench.metrics``: a class or an instance of :class:`fesbench.metrics.base.Metric`, under
the metric's name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fesbench.registry import Declared, Registry, literals

if TYPE_CHECKING:
    from fesbench.metrics.base import Metric

__all__ = ["METRICS", "metric"]


def _declared(module: str, tree: ast.Module) -> Iterator[Declared]:
    """Classes that bind ``name`` to a text, or ``named`` to a dictionary whose keys are texts."""
    for kind in tree.body:
        if not isinstance(kind, ast.ClassDef):
            continue
        facts = literals(kind.body)
        names = [facts["name"]] if "name" in facts else []
        for node in (part for part in kind.body if isinstance(part, ast.Assign)):
            if [getattr(target, "id", "") for target in node.targets] == ["named"]:
                assert isinstance(node.value, ast.Dict), f"{module}.{kind.name}.named is no display"
                names += [ast.literal_eval(key) for key in node.value.keys if key is not None]
        for name in names:
            yield Declared(name, module, kind.name, facts | {"name": name})


def _accept(name: str, value: Any) -> Metric:
    from fesbench.metrics.base import Metric

    if isinstance(value, type) and issubclass(value, Metric):
        value = value(name=name) if name in value.named else value()
    if not isinstance(value, Metric):
        raise TypeError(f"{value!r} is no fesbench Metric")
    if value.name != name:
        raise TypeError(f"the metric is called '{value.name}'; its entry must be too")
    return value


METRICS: Registry[Metric] = Registry(
    "metric", "fesbench.metrics", _declared, group="fesbench.metrics", accept=_accept
)


def metric(name: str, extractor: str | None = None) -> Metric:
    """The metric of a column name, on another extractor where one is given.

    ``FD-<extractor>`` is known for every extractor, and ``NAME[extractor]`` for every metric that can be
    measured on another one.

    Raises:
        UnknownNameError: no such metric; names the nearest ones.
        UsageError: the metric is defined on its own extractor alone.

    >>> metric("FSS[arcface]").title
    'face similarity score'
    >>> metric("FD-arcface").extractor
    'arcface'
    """
    base, bracket, inside = name.removesuffix("]").partition("[")
    if name not in METRICS and bracket and name.endswith("]") and base in METRICS:
        return METRICS.get(base).with_extractor(inside)
    if name not in METRICS and name.startswith("FD-") and len(name) > 3:
        found = METRICS.get("FD-dlib").with_extractor(name[3:])
    else:
        found = METRICS.get(name)
    return found if extractor in (None, found.extractor) else found.with_extractor(str(extractor))
