"""What a judge saw for each expression that was asked for: a cell's ``confusion.json``.

One matrix for each task, domain and judge, in counts of images: a row is what was asked for, a column what
was seen. Beside the judge's classes stands ``unreadable``, so that every row sums to its requests. A compound
request is a row of its own, "fear+surprise"; what is seen is a single class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes

CONFUSION = "confusion.json"
UNREADABLE = "unreadable"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConfusionMatrix(_Model):
    """Counts of one task, domain and judge."""

    task: str
    domain: str
    judge: str
    """Name of the extractor: ``judge``, ``fer``."""
    signature: str
    """Of the extractor."""
    requested: list[str]
    seen: list[str]
    """The judge's classes in its order, then ``unreadable``."""
    counts: list[list[int]]
    """A row for each of ``requested``, a column for each of ``seen``."""

    @model_validator(mode="after")
    def _fits(self) -> ConfusionMatrix:
        shape = (len(self.counts), {len(row) for row in self.counts})
        if self.counts and shape != (len(self.requested), {len(self.seen)}):
            raise ValueError("counts must have a row for each requested and a column for each seen class")
        if any(count < 0 for row in self.counts for count in row):
            raise ValueError("counts cannot be negative")
        return self


class Confusion(_Model):
    """The file."""

    schema_version: Literal[1] = 1
    matrices: list[ConfusionMatrix]


def write_confusion(folder: Path, matrices: list[ConfusionMatrix]) -> None:
    """Write a cell's matrices; an empty list leaves no file.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    if not matrices:
        (folder / CONFUSION).unlink(missing_ok=True)
        return
    text = Confusion(matrices=matrices).model_dump_json(indent=1)
    atomic_write_bytes(folder / CONFUSION, text.encode())


def load_confusion(folder: Path) -> Confusion | None:
    """Read a cell's matrices; None where it has none.

    Raises:
        RecordError: the file is damaged or of another schema version.
    """
    path = folder / CONFUSION
    try:
        return Confusion.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        first = " ".join(str(error).split())[:160]
        raise RecordError(f"{path} cannot be read ({first}); score the cell again") from None
