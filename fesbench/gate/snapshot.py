"""What one row showed, in one self-contained file without images: the currency of `compare` and `check`.

A snapshot holds each score with its signature and what a paired test needs: the sum and number of values of
every subject, or replicates (`fesbench.records.replicates`). Saved as JSON it is the gate's baseline.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes
from fesbench.records.record import Cell
from fesbench.records.replicates import ScoreKey

SCHEMA_VERSION = 1
_AGAIN = "write it anew with 'fesbench baseline save RUN --out FILE'"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class RowScore(_Model):
    """One score over all seeds.

    Attributes:
        values: One score a seed; empty where there is none, with the reason.
        unreliable: Why the word of the judge that it asks is not taken, "" where it is.
        sums, counts: One entry a subject of the snapshot, added up over seeds; None where the score is no
            mean of values per image.
        replicates: Mean over seeds; null where a changed set of subjects allows no score.
        kind, resampled, identities: Of the replicates; see :class:`fesbench.records.replicates.ReplicateRow`.
        without_judge: The score without each judge of the panel, mean over seeds; empty where none had a say.
    """

    task: str
    domain: str
    expression: str
    metric: str
    given: str
    signature: str
    values: list[float]
    reason: str = ""
    unreliable: str = ""
    sums: list[float] | None = None
    counts: list[int] | None = None
    replicates: list[float | None] | None = None
    kind: str = ""
    resampled: str = ""
    identities: int = 0
    without_judge: list[float] = Field(default_factory=list)

    @property
    def key(self) -> ScoreKey:
        """Task, domain, expression, metric."""
        return self.task, self.domain, self.expression, self.metric

    @property
    def value(self) -> float | None:
        """The score over all seeds."""
        if not self.values:
            return None
        if self.sums is not None and self.counts is not None:
            return sum(self.sums) / sum(self.counts)
        return sum(self.values) / len(self.values)


class Speed(_Model):
    """Of the reference workload, once."""

    latency_p50_ms: float = Field(gt=0)
    images_per_second: float = Field(gt=0)


class Reference(_Model):
    """Speed of the reference workload before and after the method's own measurement."""

    workload: str
    before: Speed
    after: Speed


class CostSummary(_Model):
    """What of a record's cost can be judged; see :class:`fesbench.evaluation.cost.Cost`."""

    parameters: int
    parameters_synthesis: int
    flops: int
    images_per_second: dict[int, float] = Field(min_length=1)
    quartiles: dict[int, tuple[float, float]] = Field(default_factory=dict)
    latency_p50_ms: float = Field(gt=0)
    memory_mb: float
    memory_kind: str
    device: str
    threads: int
    reference: Reference | None = None


class Snapshot(_Model):
    """One row of a table: a method under a protocol, with all its seeds."""

    kind: Literal["fesbench-baseline"] = "fesbench-baseline"
    schema_version: Literal[1] = 1
    cell: Cell
    """Of the first seed."""
    seeds: list[int] = Field(min_length=1)
    people: list[str]
    figures: list[RowScore]
    cost: list[CostSummary]
    """One entry a seed whose cost was measured."""
    versions: dict[str, Any]

    @property
    def name(self) -> str:
        """How the row is called beside another."""
        return f"{self.cell.method} ({self.cell.preset})"

    def by_key(self) -> dict[ScoreKey, RowScore]:
        """Scores by task, domain, expression, metric."""
        return {score.key: score for score in self.figures}


def save_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a baseline atomically, one score a line so that it differs line by line.

    Raises:
        DataError: the file cannot be written.
    """
    atomic_write_bytes(path, (snapshot_text(snapshot) + "\n").encode())


def snapshot_text(snapshot: Snapshot) -> str:
    """A baseline as text, one score a line."""
    fields = json.loads(snapshot.model_dump_json())
    parts = []
    for name, value in fields.items():
        if name == "figures":
            # A row without judges, or with none in doubt, is written as it was before those were told.
            rare = ("without_judge", "unreliable")
            told = [{k: v for k, v in item.items() if v or k not in rare} for item in value]
            lines = ",\n".join(json.dumps(item, separators=(",", ":"), allow_nan=False) for item in told)
            parts.append(f'"figures": [\n{lines}\n]')
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(parts) + "\n}"


def load_snapshot(path: Path) -> Snapshot:
    """Read a baseline.

    Raises:
        RecordError: absent, damaged, no baseline, or of another schema version.
    """
    try:
        raw = json.loads(path.read_bytes())
        json.dumps(raw, ensure_ascii=False).encode()  # halves of characters, which nothing can print
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist; {_AGAIN}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read ({error}); {_AGAIN}") from None
    return parse_snapshot(raw, path)


def parse_snapshot(raw: Any, path: Path) -> Snapshot:
    """A baseline from its JSON.

    Args:
        raw: as `json.loads` gives it.
        path: named in errors.

    Raises:
        RecordError: see `load_snapshot`.
    """
    if not isinstance(raw, dict) or raw.get("kind") != "fesbench-baseline":
        raise RecordError(f"{path} is not a baseline of fesbench; {_AGAIN}")
    if raw.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(
            f"{path} has baseline schema {raw.get('schema_version')!r}, this fesbench reads "
            f"{SCHEMA_VERSION}; {_AGAIN}"
        )
    try:
        found = Snapshot.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(f"{path}: field '{where}': {first['msg']}; {_AGAIN}") from None
    _check(found, path)
    return found


def _check(found: Snapshot, path: Path) -> None:
    keys = [score.key for score in found.figures]
    if len(set(keys)) != len(keys):
        raise RecordError(f"{path} holds a score twice; {_AGAIN}")
    for score in found.figures:
        for name in ("sums", "counts"):
            column = getattr(score, name)
            if column is not None and len(column) != len(found.people):
                where = " ".join(score.key)
                raise RecordError(
                    f"{path}: '{name}' of {where} has {len(column)} entries for {len(found.people)} "
                    f"subjects; {_AGAIN}"
                )
