"""Where the user's copies of data sets lie, as ``--from`` says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.errors import UsageError

if TYPE_CHECKING:
    from fesbench.protocol.schema import DataRule

Sources = Path | Mapping[str, Path] | None
"""A folder of the protocol's own data set, or one for each data set by name ("" = the protocol's own)."""

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_+.-]*)=(?P<folder>.+)")


def parse_sources(values: Iterable[str] | None) -> Sources:
    """What ``--from DIR`` and ``--from NAME=DIR``, given once or several times, say.

    A value that is the name of a folder is that folder, also where it holds "=".

    Raises:
        UsageError: one data set is given twice.
    """
    folders: dict[str, Path] = {}
    for value in values or ():
        plain = Path(value).expanduser()
        match = None if plain.exists() else _NAMED.fullmatch(value)
        name = match["name"] if match else ""
        if name in folders:
            which = f"data '{name}'" if name else "the protocol's own data"
            raise UsageError(f"--from gives {which} twice; other data sets are given as --from NAME=DIR")
        # a shell expands ~ at the beginning of a word alone
        folders[name] = Path(match["folder"]).expanduser() if match else plain
    if set(folders) <= {""}:
        return folders.get("")
    return folders


def folders_of(source: Sources, rule: DataRule, protocol: str) -> dict[str, Path]:
    """The folder of each data set by name.

    Args:
        source: as the user gave it.
        rule: the protocol's data.
        protocol: its name, for messages.

    Raises:
        UsageError: a folder for a data set that the protocol does not use, or two for one.
    """
    if source is None:
        return {}
    given = source if isinstance(source, Mapping) else {"": source}
    if "" in given and rule.set in given:
        raise UsageError(f"--from gives data '{rule.set}' twice, once by name and once without")
    folders = {name or rule.set: folder for name, folder in given.items()}
    used = (rule.set, *(extra.set for extra in rule.test_sets))
    odd = [name for name in folders if name not in used]
    if odd:
        raise UsageError(f"{protocol} does not use data '{odd[0]}'; it uses {', '.join(used)}")
    return folders
