"""Named sets of methods, such as ``@li2021``: a line each in ``protocols/method-sets.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from fesbench.errors import ProtocolError, UnknownNameError, UsageError

MARK = "@"
"""What the name of a set begins with where names of methods are asked for."""
_FILE = "method-sets.toml"


@dataclass(frozen=True)
class MethodSet:
    """Methods that are compared together.

    Attributes:
        name: without the mark.
        title: its words.
        methods: ids, in the file's order; some may not be in this fesbench yet.
    """

    name: str
    title: str
    methods: tuple[str, ...]

    def present(self) -> tuple[str, ...]:
        """The ids that are registered here."""
        known = _known()
        return tuple(name for name in self.methods if name in known)

    def absent(self) -> tuple[str, ...]:
        """The ids that are not."""
        here = self.present()
        return tuple(name for name in self.methods if name not in here)


class _Told(BaseModel):
    """A line of the table."""

    model_config = ConfigDict(extra="forbid")

    title: str
    methods: tuple[str, ...]


@lru_cache(maxsize=1)
def method_sets() -> dict[str, MethodSet]:
    """Every set by name, in the file's order."""
    return parse_sets(files("fesbench.protocols").joinpath(_FILE))


def parse_sets(path: Any) -> dict[str, MethodSet]:
    """Read a table of sets.

    Raises:
        ProtocolError: no TOML, or a set has not just a title and a list of methods.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: MethodSet(name, **_Told.model_validate(one).model_dump()) for name, one in told.items()}
    except (OSError, ValueError, RecursionError) as error:  # pydantic's and TOML's are ValueErrors
        raise ProtocolError(f"{path} is no table of method sets: {error}") from None


def expand(names: list[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Names of methods, with those of its methods in place of each ``@set``.

    Args:
        names: as given; the order stays.

    Returns:
        the names, each once, and by ``@set`` the methods that are not in this fesbench.

    Raises:
        UnknownNameError: no such set.
        UsageError: a set of which no method is here.
    """
    found: list[str] = []
    absent: dict[str, tuple[str, ...]] = {}
    for name in names:
        if not name.startswith(MARK):
            found.append(name)
            continue
        known = method_sets()
        if name.removeprefix(MARK) not in known:
            raise UnknownNameError("method set", name, (f"{MARK}{known_name}" for known_name in known))
        chosen = known[name.removeprefix(MARK)]
        if not chosen.present():
            raise UsageError(
                f"{name}: none of its methods is in this fesbench yet ({', '.join(chosen.methods)}); "
                "'fesbench methods' lists those that are"
            )
        found += chosen.present()
        if chosen.absent():
            absent[name] = chosen.absent()
    return list(dict.fromkeys(found)), absent


def _known() -> list[str]:
    from fesbench.methods.registry import METHODS

    return METHODS.names()
