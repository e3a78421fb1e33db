"""FER+: FER-2013's images as PNG files, with ten votes an image instead of the original label.

Of Barsoum et al. (Training deep networks for facial expression recognition with crowd-sourced label
distribution, ICMI 2016). The export has no original labels; an image gets the expression that more than half
of its votes agree on. Left out and counted: images with a vote for "not a face", images on which no
expression has the majority, images with two lines whose votes differ (one of the four that have two), and
lines without a file name (the export has no image of them).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from fesbench.data.datasets.tables import Line, read_table
from fesbench.data.datasets.web_faces import WebFiles, row_of
from fesbench.errors import DataError
from fesbench.vocabulary import canonical_expression

_EXPRESSIONS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)
_COLUMNS = ("Usage", "Image name", *_EXPRESSIONS, "unknown", "NF")
_FOLDERS = {
    "train": ("Training", "train"),
    "valid": ("PublicTest", "validation"),
    "test": ("PrivateTest", "test"),
}
"""FER2013<folder> -> the table's Usage, and the part."""


def voted_rows(files: WebFiles) -> tuple[list[tuple[Path, dict[str, Any]]], list[str]]:
    """The images whose votes agree, with their columns, and sentences on the others.

    Raises:
        DataError: the table of votes is absent or damaged.
    """
    if not files.votes:
        raise DataError(
            f"{files.root} holds FER+'s images and not its table of votes; put fer2013new.csv beside them"
        )
    lines, nameless, disputed = _lines(files.votes[0])
    rows = []
    left: Counter[str] = Counter()
    for found in files.voted:
        usage, part = _FOLDERS[found.match["folder"].lower()]
        line = lines.pop((usage, found.match["voted"].lower()), None)
        if line is None:
            left["have no line in fer2013new.csv"] += 1
            continue
        label, why = _majority(line)
        if line in disputed:
            why = "have two lines in fer2013new.csv whose votes differ"
        if why:
            left[why] += 1
        else:
            rows.append((found.path, row_of(found.name, label, part)))
    notes = [f"{count} images {why}; they are left out" for why, count in sorted(left.items())]
    if lines:
        notes.append(f"{len(lines)} lines of fer2013new.csv name an image that is not here")
    if nameless:
        notes.append(f"{nameless} lines of fer2013new.csv name no image (FER+ dropped them)")
    return rows, notes


def _lines(path: Path) -> tuple[dict[tuple[str, str], Line], int, list[Line]]:
    """The first line of each image, how many lines name none, and those that a later one contradicts."""
    lines: dict[tuple[str, str], Line] = {}
    nameless = 0
    disputed: list[Line] = []
    for line in read_table(path, _COLUMNS, _COLUMNS):
        if not line.get("Image name"):
            nameless += 1
            continue
        first = lines.setdefault((line.get("Usage"), line.get("Image name").lower()), line)
        if first.cells != line.cells:
            disputed.append(first)
    return lines, nameless, disputed


def _majority(line: Line) -> tuple[str, str]:
    """The expression of more than half of the votes, or why there is none."""
    votes = {name: line.whole(name) or 0 for name in _COLUMNS[2:]}
    if votes["NF"]:
        return "", "have a vote for 'not a face'"
    best = max(_EXPRESSIONS, key=lambda name: votes[name])
    if 2 * votes[best] <= sum(votes.values()):
        return "", "have no expression that more than half of the votes agree on"
    return canonical_expression(best), ""
