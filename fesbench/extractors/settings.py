"""Settings: what moves an extractor's values beside its weights and the images, in one place.

An extractor computes from the fields of its settings, and its signature and the key of the feature cache are
made of the same fields, so that no number can move a value unseen. A signature stays short: values at their
defaults stand behind the recipe's name, ``hog-1``, and others show, ``hog-1+threshold=0.5``. The cache's key
holds all of them.
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


def setting(default: Any, words: str) -> Any:
    """A field of `Settings`: its default, and what it is, for ``fesbench explain``."""
    return field(default=default, metadata={"words": words})


@dataclass(frozen=True)
class Settings:
    """The settings of one recipe; the first paragraph of a subclass says what is no number.

    Attributes:
        recipe: the defaults' name and number. A default that changes takes the next number.
    """

    recipe: ClassVar[str] = ""

    def __str__(self) -> str:
        """The recipe, and behind it what differs from its defaults."""
        changed = (
            f"{own.name}={shown(getattr(self, own.name))}"
            for own in fields(self)
            if getattr(self, own.name) != own.default
        )
        return "+".join([self.recipe, *changed])

    @property
    def digest(self) -> str:
        """8 hex digits of the recipe and of every value, those at their defaults as well."""
        return hashlib.sha256(repr((self.recipe, self)).encode()).hexdigest()[:8]

    @property
    def words(self) -> str:
        """What the recipe is, in a sentence."""
        return " ".join((inspect.getdoc(type(self)) or "").partition("\n\n")[0].split())

    def described(self) -> list[tuple[str, str, str]]:
        """(name, value, meaning) of every field."""
        return [(own.name, shown(getattr(self, own.name)), own.metadata["words"]) for own in fields(self)]


def shown(value: object) -> str:
    """A value without brackets or spaces, and without rounding.

    >>> shown((0.5, 2))
    '0.5,2'
    """
    return ",".join(map(shown, value)) if isinstance(value, tuple) else str(value)
