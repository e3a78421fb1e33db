"""Results that come with fesbench, so that a first row of one's own stands beside known ones.

``reference/METHOD/`` beside this file holds what tables and ranks need of a row: its record with the pooled
scores, and its values per request of the metrics that have a direction. It has no images, no scores by
expression, no costs (they are of another machine) and no replicates. After a run of ``fesbench run --methods
@demo`` it is written anew by ``python -m fesbench.reports.reference RUNS``.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fesbench.errors import RecordError, UsageError
from fesbench.files import atomic_write_bytes
from fesbench.records.record import RECORD_NAME, SCHEMA_VERSION
from fesbench.records.samples import SAMPLE_COLUMNS, SAMPLES

from .boards import Run, read_runs
from .metric_display import style_of

FOLDER = Path(__file__).parent / "reference"
_KEPT = (
    *("cell", "card", "status", "trained_on", "trained_with", "saw_unlabelled_test_domain", "ramped"),
    *("loaded", "parameters", "steps", "health", "scores", "not_run"),
)


def with_reference(own: Sequence[Run]) -> list[Run]:
    """Somebody's runs, and those reference results that stand on the same boards and are not among them.

    Raises:
        UsageError: none stands on any of these boards.
    """
    boards, present = {run.family for run in own}, {(run.family, run.method) for run in own}
    known, _ = read_runs(FOLDER)
    added = [
        replace(run, shipped=True)
        for run in known
        if run.family in boards and (run.family, run.method) not in present
    ]
    if not added and not any((run.family, run.method) in present for run in known):
        cell = known[0].record.cell
        raise UsageError(
            f"--with-reference: those results are of {cell.protocol} (hash {cell.protocol_hash[:8]}), data "
            f"{cell.data} ({cell.data_fingerprint[:8]}) and budget {cell.budget}, and no record is"
        )
    return [*own, *added]


def write_reference(runs: Path, out: Path = FOLDER) -> None:
    """Keep of every row below ``runs`` what the module's words say, in place of what ``out`` held.

    Raises:
        RecordError: a record cannot be read, is not scored, or is a second seed of a row.
    """
    found, unreadable = read_runs(runs)
    odd = [f"{run.record.cell} is not scored" for run in found if run.record.status != "scored"]
    if len({run.method for run in found}) < len(found):
        odd.append(f"{runs} holds a method twice")
    if unreadable or odd:
        raise RecordError((unreadable + odd)[0])
    shutil.rmtree(out, ignore_errors=True)
    for run in found:
        folder = out / run.method
        atomic_write_bytes(folder / RECORD_NAME, _record(run))
        atomic_write_bytes(folder / SAMPLES, _samples(run))


def _record(run: Run) -> bytes:
    pooled = [s for s in run.record.scores if s.expression == "all"]
    kept = run.record.model_copy(update={"scores": pooled}).model_dump(
        mode="json", include=set(_KEPT), exclude_defaults=True
    )
    told = run.record.environment
    kept["environment"] = {name: told[name] for name in ("fesbench", "device", "packages")}
    return json.dumps({"schema_version": SCHEMA_VERSION, **kept}, separators=(",", ":")).encode()


def _samples(run: Run) -> bytes:
    assert run.samples is not None
    table = run.samples.reset_index()
    ranked = [name for name in table if name not in SAMPLE_COLUMNS and style_of(name).direction]
    table = table[[*SAMPLE_COLUMNS, *(name for name in ranked if table[name].dtype.kind in "fib")]]
    stream = io.BytesIO()
    table.astype(dict.fromkeys(table.columns[len(SAMPLE_COLUMNS) :], "float32")).to_parquet(
        stream, index=False, compression="zstd"
    )
    return stream.getvalue()


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
