"""Writing the embedded faces as their owners would lay real data sets out, traps included.

One module a layout. Each has ``GENERATIONS`` (the forms in which copies are found, the usual one first),
``IDENTITIES`` (how many subjects a folder gets where nobody says) and

``write(out, *, identities, size, seed=0, generation=None, progress=None) -> Path``

which fills an empty or new folder and returns what is to be given to ``fesbench data prepare NAME --from``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fesbench.errors import UnknownNameError

Progress = Callable[[int, int, str], None]
"""(images done, images in all, what is being done)."""

_MODULES = {
    "ck+": "ckplus",
    "oulu-casia": "oulu_casia",
    "rafd": "rafd",
    "kdef": "kdef",
    "mug": "mug",
    "cfee": "cfee",
    "emotionet": "emotionet",
    "ferg": "ferg",
    "fer2013": "fer2013",
    "mmafedb": "mmafedb",
    "fuse": "fuse",
    "folder": "folder",
    "ood": "ood",
}


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk."""

    name: str
    generations: tuple[str, ...]
    identities: int
    write: Callable[..., Path]


def layout_names() -> tuple[str, ...]:
    """The data sets whose layout can be written."""
    return tuple(_MODULES)


def layout(name: str) -> Layout:
    """The layout of that data set.

    Raises:
        UnknownNameError: no such layout.
    """
    if name not in _MODULES:
        raise UnknownNameError("layout", name, _MODULES)
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return Layout(name, module.GENERATIONS, module.IDENTITIES, module.write)
