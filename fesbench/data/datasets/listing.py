"""Data sets that are folders of image files: finding the files by their names, and reading them in order.

A file counts by the tail of its path ("VL/Strong/P001/Anger/000.jpeg"), so that a data set is found from its
root, from one level above it, and with or without the folders that an archive puts around it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.datasets.base import Count, Facts, Item, Plan, Skipped, Unknown
from fesbench.data.images import load_image
from fesbench.errors import DataError

JUNK = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|\.localized", re.IGNORECASE)
"""What desktops drop into folders; never counted."""

_NAMED = 10


@dataclass(frozen=True)
class Found:
    """One file that a pattern understands.

    Attributes:
        path: where it is.
        name: the part of its path that the pattern matches, with "/": the image's name in the manifest.
        match: the groups of the pattern.
    """

    path: Path
    name: str
    match: re.Match[str]


@dataclass(frozen=True)
class Listing:
    """The files of a folder: those that are understood, by name, and the others."""

    root: Path
    found: tuple[Found, ...]
    odd: tuple[str, ...]
    """Paths relative to the root, sorted; neither images of this data set nor expected beside them."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many files lie in folders that were to be left out, by the folders' names."""


@dataclass(frozen=True)
class ListedImage:
    """One image file and what is known of it without opening it.

    Attributes:
        path: the file.
        row: the manifest's columns but ``sha256``; ``image`` and ``identity`` at least.
        landmarks: float32 (68, 2), pixels of the image in the file; None = not given.
        action_units: float32 (len(ACTION_UNITS),) in [0, 1], NaN = not coded; None = none is coded.
    """

    path: Path
    row: Mapping[str, Any]
    landmarks: np.ndarray | None = None
    action_units: np.ndarray | None = None


@dataclass
class ListedPlan(Plan):
    """Images in a fixed order, read one by one; what cannot be read is skipped with its reason.

    Attributes:
        images: in the manifest's order.
        options: those of the adapter.
        facts: counts, notes and the files that are not understood.
        tables: label files whose content enters the fingerprint.
    """

    images: Sequence[ListedImage]
    options: Mapping[str, Any]
    facts: Facts = field(default_factory=Facts)
    tables: Sequence[Path] = ()

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex): name, size and time of each image, the content of label files, the options."""
        digest = hashlib.sha256(json.dumps(dict(self.options), sort_keys=True).encode())
        for table in self.tables:
            digest.update(hashlib.sha256(table.read_bytes()).digest())
        for image in self.images:
            stat = image.path.stat()
            digest.update(json.dumps(dict(image.row), sort_keys=True).encode())
            digest.update(f"{stat.st_size}:{stat.st_mtime_ns}".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Read a range of images."""
        found: list[Item | Skipped] = []
        for listed in self.images[start:stop]:
            try:
                image, sha256 = load_image(listed.path)
            except DataError as error:
                found.append(Skipped(str(listed.row["image"]), str(error)))
                continue
            row = {**listed.row, "sha256": sha256}
            found.append(Item(image, row, listed.landmarks, listed.action_units))
        return found


def scan(
    root: Path,
    pattern: re.Pattern[str],
    *,
    beside: re.Pattern[str] | None = None,
    without: re.Pattern[str] | None = None,
) -> Listing:
    """Look through a folder for a data set's files.

    Args:
        root: the user's folder.
        pattern: of the tail of a path relative to ``root``, with "/" between folders; it begins to match at
            the start of a folder's or file's name and ends with the path.
        beside: tails of files that are known and not wanted (documents, landmarks of another format).
        without: whole names of folders below ``root`` whose files are left out and counted: other versions of
            the same images, which the owner distributes beside them.

    Raises:
        DataError: the folder does not exist or cannot be read, or holds one name twice.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the one that holds the data set")
    tail = re.compile(rf"(?:^|.*/)(?P<tail_>{pattern.pattern})", pattern.flags)
    other = None if beside is None else re.compile(rf"(?:^|.*/)(?:{beside.pattern})", beside.flags)
    found: dict[str, Found] = {}
    odd: list[str] = []
    left_out: dict[str, int] = {}
    for path in walk(root):
        if JUNK.fullmatch(path.name):
            continue
        folders = path.relative_to(root).parts[:-1]
        outside = next(filter(without.fullmatch, folders), None) if without is not None else None
        if outside is not None:
            left_out[outside] = left_out.get(outside, 0) + 1
            continue
        # the folder's own name and those above count where they are needed, and only there: "--from .../VL"
        # must still say which camera it is, and a folder called 123 around subjects' folders is nobody
        below = path.relative_to(root).as_posix()
        whole = f"{root.resolve().as_posix().lstrip('/')}/{below}"
        match = tail.fullmatch(below) or tail.fullmatch(whole)
        if match is None:
            if other is None or not other.fullmatch(whole):
                odd.append(path.relative_to(root).as_posix())
            continue
        name = match["tail_"]
        if name in found:
            raise DataError(
                f"{found[name].path} and {path} are the same image of this data set; give the folder of "
                "one copy"
            )
        found[name] = Found(path, name, match)
    return Listing(root, tuple(found[name] for name in sorted(found)), tuple(sorted(odd)), left_out)


def walk(root: Path) -> Iterator[Path]:
    """Every file below a folder in a fixed order; links are followed, each folder is entered once.

    Raises:
        DataError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename} ({error.strerror}); check its permissions")

    entered: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(folder)
        if real in entered:
            below.clear()
            continue
        entered.add(real)
        below[:] = sorted(name for name in below if name != "__MACOSX")
        for name in sorted(names):
            yield Path(folder) / name


def unknown(names: Iterable[str]) -> Unknown:
    """How many files are not understood, and the first ten.

    >>> unknown(["b.txt", "a.txt"])
    Unknown(count=2, first=('a.txt', 'b.txt'))
    """
    odd = sorted(names)
    return Unknown(len(odd), tuple(odd[:_NAMED]))


def counts(found: Mapping[str, int], expected: Mapping[str, int]) -> tuple[Count, ...]:
    """What was found beside what a whole copy has; ``found`` holds 0 for what it does not name.

    >>> counts({"images": 3}, {"subjects": 2, "images": 4})[1].missing
    1
    """
    return tuple(Count(what, found.get(what, 0), number) for what, number in expected.items())


def partial(title: str, found: tuple[Count, ...]) -> list[str]:
    """One sentence on a copy that is not whole, or none."""
    missing = [count for count in found if count.missing]
    if not missing:
        return []
    listed = ", ".join(f"{c.what} {c.found} of {c.expected}" for c in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return [
        f"this copy of {title} is partial ({listed}{more}); it is used as it is; its scores are not those "
        "of the whole"
    ]


def incomplete(identities: Mapping[str, int], expected: int, what: str = "images") -> list[str]:
    """One sentence that names the subjects who have fewer images than every subject should have, or none.

    >>> incomplete({"01": 6, "02": 5}, 6)
    ['1 of 2 subjects have fewer than 6 images: 02 (5)']
    """
    short = {who: number for who, number in sorted(identities.items()) if number < expected}
    if not short:
        return []
    listed = ", ".join(f"{who} ({number})" for who, number in list(short.items())[:_NAMED])
    more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
    return [f"{len(short)} of {len(identities)} subjects have fewer than {expected} {what}: {listed}{more}"]
