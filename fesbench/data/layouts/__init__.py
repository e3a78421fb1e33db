"""Writing the embedded faces as their owners would lay real data sets out, traps included.

One module a layout, each with a `fesbench.data.layouts.base.Layout` called ``write``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fesbench.errors import UnknownNameError

if TYPE_CHECKING:
    from fesbench.data.layouts.base import Layout

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


def layout(name: str) -> Layout:
    """The layout of that data set.

    Raises:
        UnknownNameError: no such layout.

    >>> layout("kdef").generations
    ('plain', 'archive', 'flat')
    """
    if name not in _MODULES:
        raise UnknownNameError("layout", name, _MODULES)
    return importlib.import_module(f"{__name__}.{_MODULES[name]}").write
