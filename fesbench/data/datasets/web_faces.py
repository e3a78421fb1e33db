"""FER-2013's and MMAFEDB's files, which lie side by side for whoever joins the two.

Both come as ``part/class/file``, so the tree itself must say which set it is: MMAFEDB's has a folder
``valid`` or is called MMAFEDB. Nobody knows who is shown in either.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesbench.data.datasets.base import DatasetAdapter, Item, Plan, Skipped
from fesbench.data.datasets.listing import Found, ListedImage, ListedPlan, scan
from fesbench.errors import DataError
from fesbench.vocabulary import UNKNOWN_IDENTITY

CLASSES = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
PARTS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}
"""Folder names -> the vocabulary's."""

FLAT = "every pixel has the same value; there is no face to see"

_TREE = (
    rf"(?P<outer>[^/]+)/(?P<part>{'|'.join(PARTS)})/(?P<label>{'|'.join(CLASSES)})/"
    r"(?P<file>[^/]+\.(?:png|jpe?g|bmp))"
)
_FILE = re.compile(
    r"(?P<csv>fer2013\.csv)|(?P<votes>fer2013new\.csv)"
    rf"|FER2013(?P<folder>Train|Valid|Test)/(?P<voted>fer\d{{7}}\.png)|{_TREE}",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    r"FER2013\w+/label\.csv|[^/]+\.(?:bib|md|txt|pdf|zip|gz|tar)|README|LICENSE", re.IGNORECASE
)


@dataclass(frozen=True)
class Tree:
    """One folder that holds ``part/class/file``."""

    base: Path
    found: tuple[Found, ...]

    @property
    def is_mmafedb(self) -> bool:
        """Whether this is MMAFEDB and not FER-2013."""
        named = self.base.name.lower() == "mmafedb"
        return named or any(found.match["part"].lower() == "valid" for found in self.found)

    def rows(self) -> list[tuple[Path, dict[str, Any]]]:
        """Each file with its columns of the manifest; the image's name is ``part/class/file``."""
        return [
            (found.path, row_of(found.name.partition("/")[2], label, part))
            for found in self.found
            for label in [CLASSES[found.match["label"].lower()]]
            for part in [PARTS[found.match["part"].lower()]]
        ]


@dataclass(frozen=True)
class WebFiles:
    """What a folder holds of the two sets.

    Attributes:
        root: the folder.
        tables: FER-2013's ``fer2013.csv``, at most one.
        votes: FER+'s ``fer2013new.csv``, at most one.
        voted: FER+'s images.
        trees: folders of ``part/class/file``.
        odd: files that neither set knows, relative to the root.
    """

    root: Path
    tables: tuple[Path, ...]
    votes: tuple[Path, ...]
    voted: tuple[Found, ...]
    trees: tuple[Tree, ...]
    odd: tuple[str, ...]


def web_files(root: Path) -> WebFiles:
    """Look through a folder for both sets.

    Raises:
        DataError: no folder, unreadable, or the same file twice.
    """
    listing = scan(root, _FILE, beside=_BESIDE)
    kinds: dict[str, list[Found]] = {"csv": [], "votes": [], "voted": []}
    bases: dict[Path, list[Found]] = {}
    for found in listing.found:
        kind = next((kind for kind in kinds if found.match[kind]), None)
        if kind is None:
            bases.setdefault(found.path.absolute().parents[2], []).append(found)
        else:
            kinds[kind].append(found)
    return WebFiles(
        root,
        tuple(found.path for found in kinds["csv"]),
        tuple(found.path for found in kinds["votes"]),
        tuple(kinds["voted"]),
        tuple(Tree(base, tuple(found)) for base, found in sorted(bases.items())),
        listing.odd,
    )


def row_of(image: str, expression: str, part: str) -> dict[str, Any]:
    """The manifest's columns of an image of nobody known."""
    return {
        "image": image,
        "identity": f"{UNKNOWN_IDENTITY}{image}",
        "expression": expression,
        "intensity": 0.0 if expression == "neutral" else 1.0,
        "part": part,
    }


def found_by(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Images in all, by part, by expression, and by both ("train fear")."""
    found = Counter({"images": len(rows)})
    for row in rows:
        found.update((row["part"], row["expression"], f"{row['part']} {row['expression']}"))
    return found


def listed(rows: Sequence[tuple[Path, dict[str, Any]]]) -> tuple[ListedImage, ...]:
    """Images in the order of their names."""
    return tuple(ListedImage(path, row) for path, row in sorted(rows, key=lambda entry: entry[1]["image"]))


def without_flat(entry: Item | Skipped) -> Item | Skipped:
    """The entry, or why not: both sets hold images that are black all over."""
    if isinstance(entry, Item) and entry.image.min() == entry.image.max():
        return Skipped(str(entry.row["image"]), FLAT)
    return entry


class WebAdapter(DatasetAdapter):
    """A set of faces from the web: small already, and nobody is known."""

    identities_known = False
    alignment = "none@1"

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> Plan:
        """The images at ``source``; ``size`` plays no part in what is read.

        Raises:
            DataError: no folder, or see `plan_of`.
        """
        if source is None:
            raise DataError(self.absent())
        return self.plan_of(web_files(source), options)

    @abstractmethod
    def plan_of(self, files: WebFiles, options: Mapping[str, Any]) -> Plan:
        """The plan of this set's part of a folder.

        Raises:
            DataError: nothing of the set in it, or not in the form asked for.
        """


class WebPlan(ListedPlan):
    """Image files from the web; those that show nothing are skipped with a reason."""

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Read a range of images."""
        return [without_flat(entry) for entry in super().read(start, stop)]
