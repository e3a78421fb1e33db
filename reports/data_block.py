"""The page's block on data: which files, how many, what could not be used, which subjects were tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .boards import Board

_FIRST = 10


@dataclass(frozen=True)
class DataBlock:
    """What the records say of the data.

    Attributes:
        facts: (name, text).
        not_used: (reason, images), most images first.
        first: The first of those images by name, with the reason.
        notes: What the adapter found worth saying.
    """

    facts: list[tuple[str, str]]
    not_used: list[tuple[str, int]]
    first: list[str]
    notes: list[str]


def data_block(board: Board) -> DataBlock | None:
    """The block, or None where the records are of before they kept any of this."""
    data = board.data
    if not data:
        return None
    facts = [("Images used", f"{data['images']}"), ("Alignment", str(data["alignment"]))]
    if data.get("files"):
        facts.insert(0, ("Files", f"sha256 of the sorted file hashes begins {data['files'][:16]}"))
    facts += _split(data.get("split", {}), board)
    reasons = sorted(data.get("not_used", {}).items(), key=lambda item: (-item[1], item[0]))
    first = [f"{f['image']}: {f['reason']}" for f in data.get("not_used_first", [])[:_FIRST]]
    return DataBlock(facts, reasons, first, [str(note) for note in data.get("notes", [])])


def folds_note(board: Board) -> str:
    """How often subjects are tested in a k-fold form; "" where there is one split."""
    folds = board.data.get("split", {}).get("folds", 0)
    one = "image" if board.by_image else "subject"
    return f"every {one} tested once, {folds} trainings" if folds else ""


def _split(split: dict[str, Any], board: Board) -> list[tuple[str, str]]:
    if not split:
        return []
    facts = [("Split", str(split["rule"]))]
    if board.by_image:
        facts.append(("Identities", "unknown: images were split, and intervals are over images"))
    counts = ", ".join(
        f"{split[subset]} {word}"
        for subset, word in (("train", "train"), ("validation", "validate"), ("test", "tested"))
        if split.get(subset)
    )
    facts.append((f"{board.units.capitalize()} by subset", folds_note(board) or counts))
    facts.append(("Split hash", str(split["hash"])[:16]))
    return facts
