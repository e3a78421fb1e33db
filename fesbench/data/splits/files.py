"""Splits as CSV files: written for other subjects's training code, and read back from theirs."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.data.splits.assign import SIDES
from fesbench.errors import DataError

_FOLD = re.compile(r"\d{1,3}", re.ASCII)

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.manifest import Manifest


def split_frame(manifest: Manifest, side_of: Mapping[str, str]) -> pd.DataFrame:
    """One row an image that is on a side: ``image, identity, expression, side``.

    Args:
        manifest: of the data.
        side_of: side, or fold, of each subject; others are left out.
    """
    table = manifest.table[["image", "identity", "expression"]].copy()
    table["side"] = [side_of.get(who, "") for who in table["identity"]]
    return table[table["side"] != ""].reset_index(drop=True)


def read_sides(path: Path) -> dict[str, str]:
    """The side, or the number of the fold, of each subject.

    Args:
        path: a CSV with the columns ``identity`` and ``side``; others are not read.

    Raises:
        DataError: no such file, a missing column, an unknown side, folds beside sides, or a subject on two
            sides.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            absent = [name for name in ("identity", "side") if name not in (reader.fieldnames or ())]
            if absent:
                raise DataError(f"{path} lacks the column '{absent[0]}'; a split has identity and side")
            return _sides(path, reader)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file ({error})") from None


def _sides(path: Path, reader: csv.DictReader[str]) -> dict[str, str]:
    sides: dict[str, str] = {}
    for row in reader:
        who, side = (row["identity"] or "").strip(), (row["side"] or "").strip()
        if side not in SIDES and not _FOLD.fullmatch(side):
            raise DataError(
                f"{path}, line {reader.line_num}: side '{side}' is none of {', '.join(SIDES)}, and no number "
                "of a fold"
            )
        if sides.setdefault(who, side) != side:
            raise DataError(
                f"{path}, line {reader.line_num}: identity '{who}' is on {sides[who]} and on {side}; "
                "give each subject one side"
            )
    if not sides:
        raise DataError(f"{path} names nobody; a split has one row a subject or an image")
    if len({side in SIDES for side in sides.values()}) > 1:
        raise DataError(f"{path} has both folds and sides; give {', '.join(SIDES)} or the numbers of folds")
    return sides


def folds_in(sides: Mapping[str, str]) -> int | None:
    """How many folds an assignment has; None where it gives sides.

    Raises:
        DataError: fewer than three folds.
    """
    numbers = {int(side) for side in sides.values() if side not in SIDES}
    if not numbers:
        return None
    if len(numbers) < 3:
        raise DataError(f"the split has {len(numbers)} folds; to test, validate and train it needs three")
    return max(numbers) + 1


def sides_hash(sides: Mapping[str, str]) -> str:
    """Sha256 (hex) of an assignment, whatever the order of its rows."""
    return hashlib.sha256(json.dumps(sorted(sides.items())).encode()).hexdigest()
