"""Writing the embedded faces as their owners would lay real data sets out, traps included.

One module a layout, called as that of the data set, each with a `fesbench.data.layouts.base.Layout` called
``write``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.data.datasets import DATASETS
from fesbench.errors import UnknownNameError

if TYPE_CHECKING:
    from fesbench.data.layouts.base import Layout


def _modules() -> dict[str, str]:
    """The modules here, by the name of the data set."""
    here = {path.stem for path in Path(__file__).parent.glob("*.py")}
    stems = {name: entry.module.rpartition(".")[2] for name, entry in DATASETS.declared.items()}
    return {name: stem for name, stem in stems.items() if stem in here}


def layout(name: str) -> Layout:
    """The layout of that data set.

    Raises:
        UnknownNameError: no such layout.

    >>> layout("kdef").generations
    ('plain', 'archive', 'flat')
    """
    modules = _modules()
    if name not in modules:
        raise UnknownNameError("layout", name, modules)
    return importlib.import_module(f"{__name__}.{modules[name]}").write
