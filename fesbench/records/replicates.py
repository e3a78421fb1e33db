"""``replicates.parquet``: scores of whole sets (Fréchet distances, TAR) on changed sets of subjects.

A mean is compared between two rows from its values per image. A score without such values is compared
from what it becomes when each subject is deleted, or on each bootstrap draw of subjects: the same subjects
and the same draws for every row, so that differences are paired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes
from fesbench.statistics.intervals import Replicates

REPLICATES = "replicates.parquet"
ScoreKey = tuple[str, str, str, str]
"""Task, domain, expression, metric."""


@dataclass(frozen=True)
class ReplicateRow:
    """The replicates of one score.

    Attributes:
        kind: As in :class:`fesbench.statistics.intervals.Replicates`.
        people: Hash of the names of the subjects that were deleted or drawn; rows pair where it is equal.
        identities: Their number.
        values: (R,) scores, NaN where a changed set allows none.
    """

    task: str
    domain: str
    expression: str
    metric: str
    kind: str
    people: str
    identities: int
    values: list[float]

    @property
    def key(self) -> ScoreKey:
        """Which score it belongs to."""
        return self.task, self.domain, self.expression, self.metric


def replicate_row(key: ScoreKey, found: Replicates, names: Mapping[int, str]) -> ReplicateRow:
    """Replicates with their identity codes replaced by a hash of names, which holds across cells."""
    text = "\n".join(names[int(code)] for code in found.clusters)
    people = hashlib.sha256(text.encode()).hexdigest()[:16]
    return ReplicateRow(*key, found.kind, people, len(found.clusters), found.values.tolist())


def write_replicates(folder: Path, rows: Sequence[ReplicateRow]) -> None:
    """Write a cell's replicates atomically; without rows, no file stays."""
    import pandas as pd

    if not rows:
        (folder / REPLICATES).unlink(missing_ok=True)
        return
    table = pd.DataFrame([asdict(row) for row in rows])
    atomic_write_bytes(folder / REPLICATES, table.to_parquet(index=False))


def read_replicates(folder: Path) -> dict[ScoreKey, ReplicateRow]:
    """A cell's replicates by score; empty where no metric of it has any.

    Raises:
        RecordError: the file is damaged.
    """
    import pandas as pd

    path = folder / REPLICATES
    if not path.is_file():
        return {}
    try:
        found = pd.read_parquet(path).to_dict("records")
        rows = [ReplicateRow(**{**line, "values": line["values"].tolist()}) for line in found]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(
            f"{path} cannot be read ({error}); delete it and score the cell again, it is made anew"
        ) from None
    return {row.key: row for row in rows}
