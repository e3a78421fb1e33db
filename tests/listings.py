"""Folders of empty files with real names, and what an adapter's plan makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fesbench.data.datasets import dataset
from fesbench.data.datasets.listing import ListedPlan


def lay(root: Path, *names: str) -> Path:
    """Empty files of these names below a folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def plan(data: str, root: Path, **options: object) -> ListedPlan:
    """The plan of a folder with these options."""
    adapter = dataset(data)
    found = adapter.plan(root, adapter.check_options(options), 128)
    assert isinstance(found, ListedPlan)
    return found


def rows(found: ListedPlan) -> list[Mapping[str, Any]]:
    """What the manifest will say of each image."""
    return [image.row for image in found.images]


def note(found: ListedPlan, words: str) -> str:
    """The one note with these words."""
    (match,) = [text for text in found.facts.notes if words in text]
    return match


def counted(found: ListedPlan) -> dict[str, tuple[int, int]]:
    """(found, expected) by what is counted."""
    return {count.what: (count.found, count.expected) for count in found.facts.counts}
