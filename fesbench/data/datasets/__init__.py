"""The data sets that fesbench can prepare, by name.

An external package adds one through the entry point group ``fesbench.datasets``; it names a `DatasetAdapter`
instance.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from importlib.metadata import entry_points

from fesbench.data.datasets.base import Count, DatasetAdapter, Facts, Item, Plan, Skipped, Unknown
from fesbench.errors import UnknownNameError

__all__ = [
    "DATASETS",
    "Count",
    "DatasetAdapter",
    "Facts",
    "Item",
    "Plan",
    "Skipped",
    "Unknown",
    "dataset",
]


def _own() -> list[DatasetAdapter]:
    """The ``ADAPTER`` of every module of this folder that has one."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [module.ADAPTER for module in modules if hasattr(module, "ADAPTER")]


def _registered() -> dict[str, DatasetAdapter]:
    found: dict[str, DatasetAdapter] = {adapter.name: adapter for adapter in _own()}
    for point in entry_points(group="fesbench.datasets"):
        try:
            adapter = point.load()
        except Exception as error:  # noqa: BLE001 - a broken plug-in must not take the others down
            warnings.warn(f"data set plug-in '{point.name}' does not load: {error}", stacklevel=2)
            continue
        if isinstance(adapter, DatasetAdapter):
            found[point.name] = adapter
        else:
            warnings.warn(f"data set plug-in '{point.name}' is no DatasetAdapter instance", stacklevel=2)
    return dict(sorted(found.items()))


DATASETS: dict[str, DatasetAdapter] = _registered()


def dataset(name: str) -> DatasetAdapter:
    """The adapter of that name.

    Raises:
        UnknownNameError: no such data set.
    """
    if name not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    return DATASETS[name]
