"""Splits as CSV files: written for other training code, and read back from theirs."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.data.splits.assign import SUBSETS, position
from fesbench.errors import DataError

_FOLD = re.compile(r"\d{1,3}", re.ASCII)
_FOLD_HEAD = re.compile(r"(?P<number>[1-9]\d?)-fold\b", re.ASCII)
_SEQUENCE = re.compile(r"(?P<who>[^/\s]+)/\S+(?: \S+)?")

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.manifest import Manifest


def split_frame(manifest: Manifest, subset_of: Mapping[str, str]) -> pd.DataFrame:
    """One row an image that is in a subset: ``image, identity, expression, subset``.

    Args:
        manifest: of the data.
        subset_of: subset, or fold, of each subject; others are left out.
    """
    table = manifest.table[["image", "identity", "expression"]].copy()
    table["subset"] = [subset_of.get(who, "") for who in table["identity"]]
    return table[table["subset"] != ""].reset_index(drop=True)


def template_frame(manifest: Manifest) -> pd.DataFrame:
    """A split to begin with, one row a subject: ``identity, subset, images``; no subset is empty.

    A fifth of the subjects is tested and a tenth validates, one at least, by the order of their `position`.

    Raises:
        DataError: fewer than three subjects.
    """
    import pandas as pd

    images = manifest.table["identity"].value_counts()
    order = sorted(images.index, key=lambda who: position(who, 0))
    if len(order) < 3:
        raise DataError(
            f"{len(order)} subjects cannot be split into {', '.join(SUBSETS)}; bring three or more"
        )
    tested, validating = max(1, round(0.2 * len(order))), max(1, round(0.1 * len(order)))
    training = len(order) - tested - validating
    subset = dict(
        zip(order, ["test"] * tested + ["validation"] * validating + ["train"] * training, strict=True)
    )
    rows = [(who, subset[who], int(images[who])) for who in sorted(order)]
    return pd.DataFrame(rows, columns=["identity", "subset", "images"])


def read_subsets(path: Path) -> dict[str, str]:
    """The subset, or the number of the fold, of each subject.

    Args:
        path: a CSV with the columns ``identity`` and ``subset`` (or ``side``, its older name); others are not
            read. Or a list of folds as Emotion-FAN publishes it for CK+: a line ``1-fold ...``, then lines
            ``S130/007 Angry`` of its sequences, and so on.

    Raises:
        DataError: no such file, a missing column, an unknown subset, folds beside subsets, or a subject in
            two subsets.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "split.csv"
    >>> _ = path.write_text("identity,subset\\nS005,train\\nS010,test\\n")
    >>> read_subsets(path)
    {'S005': 'train', 'S010': 'test'}
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            if _FOLD_HEAD.match(stream.readline()):
                stream.seek(0)
                return _published_folds(path, stream)
            stream.seek(0)
            reader = csv.DictReader(stream)
            header = reader.fieldnames or ()
            column = "side" if "side" in header and "subset" not in header else "subset"
            absent = [name for name in ("identity", column) if name not in header]
            if absent:
                raise DataError(
                    f"{path} lacks the column '{absent[0]}'; a split has the columns identity and subset "
                    f"({', '.join(SUBSETS)}, "
                    "or numbers of folds)"
                )
            return _subsets(path, reader, column)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file ({error})") from None


def _published_folds(path: Path, stream: Iterable[str]) -> dict[str, str]:
    folds: dict[str, str] = {}
    fold = ""
    for number, line in enumerate(stream, 1):
        if head := _FOLD_HEAD.match(line):
            fold = str(int(head["number"]) - 1)
        elif sequence := _SEQUENCE.fullmatch(line.strip()):
            if folds.setdefault(sequence["who"], fold) != fold:
                raise DataError(f"{path}, line {number}: '{sequence['who']}' stands in two folds")
        elif line.strip():
            raise DataError(
                f"{path}, line {number}: '{line.strip()[:40]}' is no line such as 'S130/007 Angry'"
            )
    if not folds:
        raise DataError(
            f"{path} names nobody; a list of folds has a line such as 'S130/007 Angry' a sequence"
        )
    return folds


def _subsets(path: Path, reader: csv.DictReader[str], column: str) -> dict[str, str]:
    subsets: dict[str, str] = {}
    for row in reader:
        who, subset = (row["identity"] or "").strip(), (row[column] or "").strip()
        if subset not in SUBSETS and not _FOLD.fullmatch(subset):
            raise DataError(
                f"{path}, line {reader.line_num}: subset '{subset}' is none of {', '.join(SUBSETS)}, and no "
                "number of a fold"
            )
        if subsets.setdefault(who, subset) != subset:
            raise DataError(
                f"{path}, line {reader.line_num}: identity '{who}' is in {subsets[who]} and in {subset}; "
                "give each subject one subset"
            )
    if not subsets:
        raise DataError(f"{path} names nobody; a split has one row a subject or an image")
    if len({subset in SUBSETS for subset in subsets.values()}) > 1:
        raise DataError(
            f"{path} has both folds and subsets; give {', '.join(SUBSETS)} or the numbers of folds"
        )
    return subsets


def folds_in(subsets: Mapping[str, str], path: Path) -> int | None:
    """How many folds an assignment has, which was read from ``path``; None where it gives subsets.

    Raises:
        DataError: fewer than three folds.

    >>> path = Path("split.csv")
    >>> folds_in({"a": "0", "b": "1", "c": "4"}, path), folds_in({"a": "train", "b": "test"}, path)
    (5, None)
    """
    numbers = {int(subset) for subset in subsets.values() if subset not in SUBSETS}
    if not numbers:
        return None
    if len(numbers) < 3:
        raise DataError(f"{path} has {len(numbers)} folds; to test, validate and train it needs three")
    return max(numbers) + 1


def subsets_hash(subsets: Mapping[str, str]) -> str:
    """Sha256 (hex) of an assignment, whatever the order of its rows.

    >>> subsets_hash({"a": "train", "b": "test"}) == subsets_hash({"b": "test", "a": "train"})
    True
    """
    return hashlib.sha256(json.dumps(sorted(subsets.items())).encode()).hexdigest()
