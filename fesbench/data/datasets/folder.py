"""The user's own images: a folder an expression, or a table that says what each image shows.

What the rows are:

- *tree*: ``[part/]expression/identity_anything.png``. The expression is the folder's name in any usual
  spelling ("Happy", "afraid", "happily surprised"), the identity what stands before the first "_" of the file
  name (the whole name without its ending where there is none). ``part`` is train, validation or test.
- *table*: ``manifest.csv``, one line an image, with the manifest's columns, ``AU1`` ... and ``x0, y0`` ...;
  the table decides, and images that it does not name are left out and listed.

An image without an identity counts as somebody of its own: then nobody can say whether a subject stands on
two subsets of a split. A sha256 that a table gives must be that of the file, or of its RGB bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from fesbench.data.datasets.base import DatasetAdapter, Facts, Item, Skipped
from fesbench.data.datasets.ck48 import recognized
from fesbench.data.datasets.folder_table import read_manifest
from fesbench.data.datasets.listing import JUNK, ListedImage, ListedPlan, unknown, walk
from fesbench.data.datasets.user_files import is_image, label_of, number_takes, who
from fesbench.data.splits.assign import SUBSETS
from fesbench.errors import DataError
from fesbench.vocabulary import UNKNOWN_IDENTITY

TABLE = "manifest.csv"


@dataclass
class FolderPlan(ListedPlan):
    """Images of the user's; those whose content is not what their table declares are skipped.

    Attributes:
        declared: sha256 of each image as the table gives it, "" where none is given.
    """

    declared: Sequence[str] = ()

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Read a range of images."""
        entries = super().read(start, stop)
        if not self.declared:
            return entries
        return [
            _checked(entry, given) for entry, given in zip(entries, self.declared[start:stop], strict=True)
        ]


class FolderAdapter(DatasetAdapter):
    """See the module's text. It has no options."""

    name = "folder"
    title = "Your own images: a folder an expression, or a table"
    access = "Whatever you hold; nothing to ask for"
    license = "yours; an image is shown in reports only where the table says publishable = yes"
    citation = "none"
    homepage = "docs/data/folder.md"
    layout = """  DIR/happiness/anna_01.png       folder = expression, name up to the first "_" = subject
  DIR/train/happiness/...         the same, with train, validation and test above
or
  DIR/manifest.csv                columns image, expression; identity recommended; see docs/data/folder.md
  DIR/images/...                  or anywhere below the table"""
    domains = ()
    serves = "labels, compounds, and what the table gives: action units, landmarks, sequences, domains"

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> FolderPlan:
        """The images at ``source``; ``size`` plays no part in what is read.

        Raises:
            DataError: no folder, no image that is understood, or a mistake in the table.
        """
        if source is None:
            raise DataError(self.absent())
        if not source.is_dir():
            raise DataError(f"{source} is not a folder; give the one that holds the images or {TABLE}")
        table = _table(source)
        plan = _tree_plan(source, options) if table is None else _table_plan(table, options)
        if not plan.images:
            odd = plan.facts.not_understood
            found = f" ({odd.count} files, such as {', '.join(odd.first[:3])})" if odd.count else ""
            raise DataError(f"{source} holds no image that is understood{found}.\n{self.help()}")
        return plan


ADAPTER = FolderAdapter()


def _table(root: Path) -> Path | None:
    """The table of a folder: in it, beside it when it is ``images``, or one level below."""
    if (root / TABLE).is_file():
        return root / TABLE
    if root.name == "images" and (root.parent / TABLE).is_file():
        return root.parent / TABLE
    below = sorted(root.glob(f"*/{TABLE}"))
    if len(below) > 1:
        raise DataError(f"{below[0]} and {below[1]} are two tables; give the folder of one of them")
    return below[0] if below else None


def _table_plan(table: Path, options: Mapping[str, Any]) -> FolderPlan:
    listed = read_manifest(table)
    named = {image.path for image in listed.images} | {table}
    root = table.parent
    odd = [
        path.relative_to(root).as_posix()
        for path in walk(root)
        if path not in named and not JUNK.fullmatch(path.name)
    ]
    notes = [f"{table.name} says what the images show; the folders' names play no part"]
    if not listed.has_identity:
        notes.append(f"{table.name} has no column 'identity'")
    facts = Facts((), (*notes, *_notes(listed.images)), unknown(odd))
    declared = listed.declared if any(listed.declared) else ()
    return FolderPlan(listed.images, options, facts, (table,), declared)


def _tree_plan(root: Path, options: Mapping[str, Any]) -> FolderPlan:
    files: dict[str, Path] = {}
    rows: list[dict[str, Any]] = []
    odd: list[str] = []
    for path in walk(root):
        if JUNK.fullmatch(path.name):
            continue
        parts = path.relative_to(root).parts
        folders = parts[:-1] or (root.resolve().name,)
        expression = label_of(folders[-1])
        if expression is None or not is_image(path.name):
            odd.append("/".join(parts))
            continue
        part = folders[-2].lower() if len(folders) > 1 and folders[-2].lower() in SUBSETS else ""
        image = "/".join((*folders[-2 if part else -1 :], path.name))
        if image in files:
            raise DataError(
                f"{files[image]} and {path} have one name in this data set, '{image}'; rename one of them"
            )
        files[image] = path
        rows.append({"image": image, "identity": who(path.name), "expression": expression, "part": part})
        rows[-1]["intensity"] = 0.0 if expression == "neutral" else 1.0
    number_takes(rows)
    rows.sort(key=lambda row: str(row["image"]))
    images = tuple(ListedImage(files[row["image"]], row) for row in rows)
    ck48 = recognized(str(row["image"]) for row in rows)
    notes = (*([ck48] if ck48 else ()), *_unseparated(rows), *_notes(images))
    return FolderPlan(images, options, Facts((), notes, unknown(odd)))


def _unseparated(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence on the images whose whole name became a subject that no other image shows, or none."""
    images = Counter(row["identity"] for row in rows)
    alone = [name for row in rows if "_" not in (name := PurePath(row["image"]).name)]
    alone = [name for name in alone if images[who(name)] == 1]
    if not alone or len(rows) == 1:
        return []
    return [
        f"NOBODY KNOWS WHO IS SHOWN: {len(alone)} of {len(rows)} file names have no '_' after the subject "
        f"(such as {', '.join(alone[:3])}), so each is a subject with one image; name the files "
        f"person_number.png, or write {TABLE}"
    ]


def _notes(images: Sequence[ListedImage]) -> list[str]:
    rows = [image.row for image in images]
    identities = {row["identity"] for row in rows}
    nameless = sum(row["identity"].startswith(UNKNOWN_IDENTITY) for row in rows)
    notes = []
    if nameless:
        notes.append(
            f"{nameless} of {len(rows)} images have no identity; each counts as somebody of its own, and "
            "nobody can say whether a subject stands in two subsets of a split"
        )
    if len(identities) == 1 and len(rows) > 1:
        notes.append(
            f"all {len(rows)} images have one identity, '{rows[0]['identity']}'; name the files "
            f"person_number.png, or write {TABLE}"
        )
    if len(rows) > 1 and len(identities) == len(rows) and not nameless:
        notes.append(
            f"EVERY IDENTITY HAS ONE IMAGE ({len(rows)} images): no subject has a neutral one and another "
            "expression, so no target image is known; give the images of one subject one identity"
        )
    parted = sum(bool(row.get("part")) for row in rows)
    if 0 < parted < len(rows):
        notes.append(f"{len(rows) - parted} of {len(rows)} images have no part, the others have one")
    unlabelled = sum(not row["expression"] for row in rows)
    if unlabelled:
        notes.append(f"{unlabelled} of {len(rows)} images have no expression; no label is asked of them")
    return notes


def _checked(entry: Item | Skipped, declared: str) -> Item | Skipped:
    if isinstance(entry, Skipped) or not declared:
        return entry
    if declared in (entry.row["sha256"], hashlib.sha256(entry.image.tobytes()).hexdigest()):
        return entry
    return Skipped(
        str(entry.row["image"]),
        f"its content is not what {TABLE} declares (sha256 {declared[:12]}...); copy it again, "
        "or empty the cell",
    )
