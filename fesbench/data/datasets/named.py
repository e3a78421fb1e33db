"""Data sets whose file names say everything: what their adapters have in common."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fesbench.data.datasets.base import Count, DatasetAdapter, Facts
from fesbench.data.datasets.listing import Found, ListedImage, ListedPlan, counts, partial, scan, unknown
from fesbench.errors import DataError

DOCUMENTS = re.compile(r"[^/]*\.(?:pdf|docx?|txt|rtf|md|html?|zip)", re.IGNORECASE)
"""Agreements, notes and archives that lie beside the images."""


@dataclass(frozen=True)
class Chosen:
    """What an adapter makes of the files that it found.

    Attributes:
        images: those that the options ask for, in the manifest's order.
        found: by the names of ``expected``.
        expected: what a whole copy has.
        notes: one sentence each.
    """

    images: Sequence[ListedImage]
    found: Mapping[str, int]
    expected: Mapping[str, int]
    notes: Sequence[str]


class NamedImages(DatasetAdapter):
    """A data set of image files whose names, and those of their folders, hold all labels."""

    pattern: ClassVar[re.Pattern[str]]
    """Of the tail of an image's path; see `fesbench.data.datasets.listing.scan`."""
    without: ClassVar[re.Pattern[str] | None] = None
    """Names of folders that hold other versions of the same images."""

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> ListedPlan:
        """The images of the copy at ``source``; ``size`` plays no part in what is read.

        Raises:
            DataError: no folder, no image of the data set in it, none that the options ask for, or one
                image twice.
        """
        if source is None:
            raise DataError(self.absent())
        listing = scan(source, self.pattern, beside=DOCUMENTS, without=self.without)
        if not listing.found:
            odd = f" (found instead, for example: {', '.join(listing.odd[:3])})" if listing.odd else ""
            told = "".join(f"\n{text}" for text in self.misnamed(listing.odd))
            raise DataError(f"{source} holds no image of {self.name}{odd}.{told}\n{self.help()}")
        chosen = self.choose(listing.found, options)
        if not chosen.images:
            asked = ", ".join(f"{key} = {value!r}" for key, value in options.items())
            raise DataError(
                f"{source} holds {len(listing.found)} images of {self.name} and none that the options ask "
                f"for ({asked}): {'; '.join(chosen.notes)}"
            )
        tally = counts(chosen.found, chosen.expected)
        notes = [*self.judge(tally), *self.misnamed(listing.odd), *chosen.notes]
        notes += [
            f"{number} files in folder {name} are left out: other versions of the same images"
            for name, number in listing.left_out.items()
        ]
        return ListedPlan(chosen.images, options, Facts(tally, tuple(notes), unknown(listing.odd)))

    @abstractmethod
    def choose(self, found: Sequence[Found], options: Mapping[str, Any]) -> Chosen:
        """The rows of the manifest, in a fixed order, and the facts of this copy.

        Args:
            found: the files that match ``pattern``, one at least, by name.
            options: as `check_options` returns them.
        """

    def judge(self, tally: tuple[Count, ...]) -> list[str]:
        """What the counts say of this copy: by default whether it is partial."""
        return partial(self.name, tally)

    def misnamed(self, odd: Sequence[str]) -> list[str]:
        """What the names of files that are not understood tell, with a remedy: by default nothing.

        Args:
            odd: their paths relative to the user's folder.
        """
        return []


def left_out(option: str, words: Counter[str]) -> list[str]:
    """One sentence on the images that an option leaves out, by the option's words; or none."""
    if not words:
        return []
    listed = ", ".join(f"{word} {number}" for word, number in sorted(words.items()))
    return [f"{sum(words.values())} images are left out by option {option} ({listed})"]
