"""Methods by id, or out of a file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from fesbench.errors import MethodError, UnknownNameError
from fesbench.methods.base import Method


def methods() -> dict[str, type[Method]]:
    """Every registered method by id: fesbench's own, then those of external packages.

    A plug-in that does not import, or takes the id of another method, is named in a warning and left out.
    """
    folder = importlib.import_module("fesbench.baselines")
    found: dict[str, type[Method]] = {}
    for item in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"fesbench.baselines.{item.name}")
        for method in _methods_of(module):
            found[method.card.id] = method
    for point in entry_points(group="fesbench.methods"):
        try:
            loaded = point.load()
            candidates = _methods_of(loaded)
        except Exception as error:  # noqa: BLE001 - somebody else's package must not stop ours
            warnings.warn(f"method plug-in '{point.name}' ({point.value}) is broken: {error!r}", stacklevel=2)
            continue
        for method in candidates:
            if method.card.id in found:
                warnings.warn(
                    f"method plug-in '{point.name}' takes the taken id '{method.card.id}'; left out",
                    stacklevel=2,
                )
                continue
            found[method.card.id] = method
    return dict(
        sorted(found.items(), key=lambda item: (not item[1].card.reference, item[1].card.year, item[0]))
    )


def load_method(name: str) -> type[Method]:
    """A registered method by id, or the one that a ``.py`` file declares.

    Raises:
        UnknownNameError: no such id; names the nearest.
        MethodError: the file cannot be loaded, or declares no method or several.
    """
    if not name.endswith(".py"):
        known = methods()
        if name not in known:
            raise UnknownNameError("method", name, known)
        return known[name]
    path = Path(name)
    if not path.is_file():
        raise MethodError(f"{path} does not exist; give a method's file or a name from 'fesbench methods'")
    spec = importlib.util.spec_from_file_location(f"fesbench_method_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MethodError(f"{path} is no Python file that can be loaded")
    module = importlib.util.module_from_spec(spec)
    # Where inspect finds a class's file, whose hash a record keeps.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise MethodError(f"{path} does not import: {error!r}") from error
    declared = _methods_of(module)
    if len(declared) != 1:
        raise MethodError(f"{path} must declare exactly one Method with a card; found {len(declared)}")
    return declared[0]


def _methods_of(module: Any) -> list[type[Method]]:
    """The concrete methods that a module itself declares; of a class, itself."""
    if inspect.isclass(module):
        return [module] if issubclass(module, Method) else []
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Method)
        and not inspect.isabstract(value)
        and hasattr(value, "card")
        and value.__module__ == module.__name__
    ]
