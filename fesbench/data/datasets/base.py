"""What every data set tells fesbench: its facts, its options, and a plan of the images to read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fesbench.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Item:
    """One image as the data set has it, before alignment.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        row: columns of the manifest; ``image``, ``sha256`` and ``identity`` at least.
        landmarks: float (68, 2) in pixels of ``image``; None = the data set gives none.
        action_units: float (len(ACTION_UNITS),) in [0, 1], NaN = not coded; None = none is coded.
    """

    image: np.ndarray
    row: Mapping[str, Any]
    landmarks: np.ndarray | None = None
    action_units: np.ndarray | None = None


@dataclass(frozen=True)
class Skipped:
    """An image that cannot be used, and why."""

    image: str
    reason: str


@dataclass(frozen=True)
class Count:
    """A number that a whole copy of the data set is known to have, and what this copy has."""

    what: str
    found: int
    expected: int

    @property
    def missing(self) -> int:
        """How many are missing (0 where there are more than expected)."""
        return max(0, self.expected - self.found)


@dataclass(frozen=True)
class Unknown:
    """Files that an adapter does not understand: how many, and the first ten by name."""

    count: int = 0
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What a plan knows before an image is read; it ends up in the store's ``info``."""

    counts: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()
    """One sentence each: what was skipped, assumed or filled in, with its count."""
    not_understood: Unknown = field(default_factory=Unknown)


class Plan(ABC):
    """The images of a data set in a fixed order; entry i is the same at every run of the same source."""

    facts: Facts = Facts()

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Sha256 (hex) that changes when the source would give other images or labels."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """The entries ``start`` to ``stop`` (exclusive), one result each."""


class DatasetAdapter(ABC):
    """One data set. A module of this folder has one instance of it, named ``ADAPTER``."""

    name: ClassVar[str]
    title: ClassVar[str]
    access: ClassVar[str]
    """Who grants it, and on what terms."""
    license: ClassVar[str]
    citation: ClassVar[str]
    homepage: ClassVar[str]
    layout: ClassVar[str]
    """The folders and files that are expected."""
    needs_source: ClassVar[bool] = True
    """Whether the user has to bring a folder."""
    serves: ClassVar[str] = ""
    """What it can serve, in a few words: labels, action units, sequences, compounds, ..."""
    identities_known: ClassVar[bool] = True
    """Whether it says who is shown; without that a split can only go by image."""
    domains: ClassVar[tuple[str, ...]] = ("in",)
    """The domains that its images may be in; () = whatever the user's files say."""
    alignment: ClassVar[str] = "dlib68-128@1"
    """The recipe that suits its images where no protocol says another."""
    expected: ClassVar[Mapping[str, int]] = {}
    """Known counts of a whole copy."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Every option with its default."""
    allowed: ClassVar[Mapping[str, int | tuple[str, ...] | list[str]]] = {}
    """What an option may be: a whole number of so much or more, a word of a tuple, words of a list."""

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options, completed by the defaults.

        Raises:
            UnknownNameError: an option that the data set does not have.
            DataError: a value that makes no sense.
        """
        for key in options:
            if key not in self.defaults:
                raise UnknownNameError(f"option of data '{self.name}' called", key, self.defaults)
        known = {**self.defaults, **options}
        for key, rule in self.allowed.items():
            if isinstance(rule, int):
                whole_number(key, known[key], rule)
            elif isinstance(rule, list):
                known[key] = _some_of(key, known[key], rule)
            elif known[key] not in rule:
                words = " or ".join(map(repr, rule)) if len(rule) == 2 else ", ".join(rule)
                raise DataError(f"option '{key}' must be {words}, found {known[key]!r}")
        return known

    @abstractmethod
    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> Plan:
        """What there is to read.

        Args:
            source: the user's folder, None where none is needed.
            options: as `check_options` returns them.
            size: pixels; a data set that is rendered renders at this size.

        Raises:
            DataError: the folder is absent or is not this data set.
        """

    def absent(self) -> str:
        """What to tell somebody who asks for this data set and has not given it."""
        return (
            f"{self.name} has not been prepared here.\n{self.help()}\n"
            f"With a copy: fesbench data prepare {self.name} --from DIR"
        )

    def help(self) -> str:
        """What the data set is, who grants it, and how it must lie on disk."""
        return "\n".join(
            (f"{self.title}. {self.access}", f"Home page: {self.homepage}", "Expected layout:", self.layout)
        )


def whole_number(name: str, value: Any, least: int) -> int:
    """An option that must be a whole number.

    Raises:
        DataError: it is not, or too small.

    >>> whole_number("frames", 3, 1)
    3
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DataError(f"option '{name}' must be a whole number of {least} or more, found {value!r}")
    return value


def _some_of(name: str, value: Any, known: list[str]) -> list[str]:
    """The words of an option that is a list of known ones, in their order."""
    if not isinstance(value, list | tuple) or not value or not set(value) <= set(known):
        raise DataError(f"option '{name}' must be a list of some of {', '.join(known)}, found {value!r}")
    return [word for word in known if word in value]
