"""Records -> snapshot: find the row that is meant, and gather what its paired tests will need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from fesbench.errors import NotComparableError, RecordError, UsageError
from fesbench.gate.baselines import load_rows
from fesbench.gate.snapshot import CostSummary, RowScore, Snapshot
from fesbench.metrics.explain import judge_of
from fesbench.records.judges import differing, mean_without_judge
from fesbench.records.record import (
    EXTERNAL,
    FOLDS,
    LEVEL,
    RECORD_NAME,
    REFERENCE,
    Cell,
    Record,
    Score,
    load_record,
)
from fesbench.records.replicates import ReplicateRow, ScoreKey, read_replicates
from fesbench.records.samples import PER_SUBJECT, read_samples

if TYPE_CHECKING:
    import pandas as pd

Cells = list[tuple[Path, Record]]


def open_row(place: Path, method: str | None = None, *, seed: int | None = None) -> Snapshot:
    """The one row that is meant by a baseline file, a record's folder or a folder of records.

    Args:
        place: ``*.json`` written by :func:`fesbench.gate.baselines.save_rows`, a cell's folder, or any
            folder above cells.
        method: its id, where the folder holds several.
        seed: only this seed; default: all seeds, taken together.

    Raises:
        RecordError: nothing there, or something damaged.
        UsageError: several rows are there and none was chosen.
    """
    if place.is_file() and place.name != RECORD_NAME:
        rows = load_rows(place)
        named = [row for row in rows if row.cell.method == method]
        chosen = rows if len(rows) == 1 else named
        if not chosen:
            there = ", ".join(row.cell.method for row in rows)
            raise UsageError(f"{place} holds several rows; name a method, one of: {there}")
        return chosen[0]
    return take_snapshot(find_row(place, method, seed))


def open_rows(
    place: Path, protocol: str | None = None, methods: Sequence[str] | None = None
) -> list[Snapshot]:
    """Every scored row of one table: of a baseline file, a record's folder or a folder of records.

    Reference rows only where they are named, or where there are not two others.

    Args:
        place: as :func:`open_row` takes it.
        protocol: only its records: "avatars", "avatars@1" or with every override.
        methods: only these rows.

    Raises:
        RecordError: nothing there, or something damaged.
        UsageError: rows of several protocols, data sets, presets or budgets; a method that is not there.
    """
    if place.is_file() and place.name != RECORD_NAME:
        return _in_file(place, protocol, methods)
    cells = [
        item
        for item in _cells(place.parent if place.name == RECORD_NAME else place)
        if item[1].status == "scored" and (protocol is None or _is_of(item[1].cell, protocol))
    ]
    if not cells:
        told = f" of protocol '{protocol}'" if protocol else ""
        raise RecordError(f"no scored records{told} below {place}; 'fesbench run' makes them")
    there = {record.cell.method for _, record in cells}
    if absent := [name for name in methods or () if name not in there]:
        raise UsageError(f"{place} holds no record of '{absent[0]}'; there are: {', '.join(sorted(there))}")
    if methods is not None:
        cells = [item for item in cells if item[1].cell.method in methods]
    own = [item for item in cells if not item[1].card.get("reference", False)]
    cells = own if len({record.cell.method for _, record in own}) > 1 else cells
    tables = {_row(record)[1:3] + _row(record)[4:] for _, record in cells}
    presets = {record.cell.preset for _, record in cells} - {REFERENCE, EXTERNAL}
    if len(tables) > 1 or len(presets) > 1:
        listed = "; ".join(sorted({" ".join(_row(record)[1:]) for _, record in cells}))
        raise UsageError(
            f"{place} holds rows of several tables ({listed}); name a protocol or a row's folder"
        )
    rows: dict[tuple[str, ...], Cells] = {}
    for folder, record in cells:
        rows.setdefault(_row(record), []).append((folder, record))
    return [take_snapshot(sorted(row, key=lambda item: item[1].cell.seed)) for _, row in sorted(rows.items())]


def _in_file(place: Path, protocol: str | None, methods: Sequence[str] | None) -> list[Snapshot]:
    """The rows of a baseline file that are meant."""
    rows = [row for row in load_rows(place) if protocol is None or _is_of(row.cell, protocol)]
    there = {row.cell.method for row in rows}
    if absent := [name for name in methods or () if name not in there]:
        raise UsageError(f"{place} holds no row of '{absent[0]}'; there are: {', '.join(sorted(there))}")
    if not rows:
        raise RecordError(f"{place} holds no row of protocol '{protocol}'")
    return [row for row in rows if methods is None or row.cell.method in methods]


def _is_of(cell: Cell, protocol: str) -> bool:
    """Whether a cell's protocol is the named one, whose version and overrides may be left out."""
    name = cell.protocol
    return name == protocol or name.startswith((f"{protocol}@", f"{protocol}+"))


def find_row(place: Path, method: str | None = None, seed: int | None = None) -> Cells:
    """The cells of one row, seeds ascending; reference rows only where named or alone."""
    place = place.parent if place.name == RECORD_NAME else place
    cells = _cells(place)
    if not cells:
        raise RecordError(f"no records below {place}; 'fesbench run --out {place}' makes them")
    there = sorted({record.cell.method for _, record in cells})
    if method is not None:
        cells = [(folder, record) for folder, record in cells if record.cell.method == method]
        if not cells:
            raise UsageError(f"{place} holds no record of '{method}'; there are: {', '.join(there)}")
    elif len(there) > 1:
        # every run brings the reference rows along; they are not what somebody means without naming them
        own = [(folder, record) for folder, record in cells if not record.card.get("reference", False)]
        cells = own or cells
    rows = {_row(record) for _, record in cells}
    if len(rows) > 1:
        listed = "; ".join(sorted(" ".join(row) for row in rows))
        raise UsageError(
            f"{place} holds several rows ({listed}); name a method, or give the row's own folder"
        )
    chosen = [item for item in cells if seed is None or item[1].cell.seed == seed]
    if not chosen:
        raise UsageError(f"{place} holds no record of seed {seed}")
    return sorted(chosen, key=lambda item: item[1].cell.seed)


def _cells(place: Path) -> Cells:
    """Every cell below a folder, without the folds of k-fold runs."""
    paths = sorted(place.rglob(RECORD_NAME)) if place.is_dir() else []
    return [
        (path.parent, load_record(path.parent))
        for path in paths
        if FOLDS not in path.relative_to(place).parts
    ]


def _row(record: Record) -> tuple[str, ...]:
    cell = record.cell
    data = f"{cell.data}-{cell.data_fingerprint[:8]}"
    return cell.method, f"{cell.protocol}-{cell.protocol_hash[:8]}", data, cell.preset, cell.budget


def take_snapshot(cells: Cells) -> Snapshot:
    """A snapshot of one row.

    Raises:
        RecordError: a cell is not scored, or its files are damaged.
        NotComparableError: its seeds were not measured alike.
    """
    for folder, record in cells:
        if record.status != "scored":
            raise RecordError(f"{folder} is not scored (it is {record.status}); run its cell to the end")
    tables = [read_samples(folder, PER_SUBJECT) for folder, _ in cells]
    people = sorted({who for table in tables if table is not None for who in table["identity"]})
    seeds = [
        _Seed(record, table, read_replicates(folder), people)
        for (folder, record), table in zip(cells, tables, strict=True)
    ]
    keys: dict[ScoreKey, None] = {}
    for seed in seeds:
        keys |= dict.fromkeys(seed.scores)
    first = cells[0][1]
    return Snapshot(
        cell=first.cell,
        seeds=[record.cell.seed for _, record in cells],
        people=people,
        figures=[_row_score(key, seeds) for key in keys],
        cost=[_cost(record) for _, record in cells if "images_per_second" in record.cost],
        versions={
            key: first.environment[key] for key in ("fesbench", "git", "packages") if key in first.environment
        },
    )


def _cost(record: Record) -> CostSummary:
    known = {name: record.cost[name] for name in CostSummary.model_fields if name in record.cost}
    try:
        return CostSummary.model_validate(known)
    except ValidationError as error:
        raise RecordError(f"the cost of {record.cell} cannot be used ({error}); run its cell again") from None


class _Seed:
    """One cell's scores with their sums per subject."""

    def __init__(
        self,
        record: Record,
        samples: pd.DataFrame | None,
        replicates: dict[ScoreKey, ReplicateRow],
        people: Sequence[str],
    ) -> None:
        self.number, self.samples, self.replicates, self.people = (
            record.cell.seed,
            samples,
            replicates,
            people,
        )
        self.verdicts = {(check.judge, check.domain): check.verdict for check in record.judge_checks}
        self.scores: dict[ScoreKey, Score] = {
            (s.task, s.domain, s.expression, s.metric): s for s in record.scores
        }

    def sums(self, score: Score) -> tuple[np.ndarray, np.ndarray] | None:
        """Sum and number of values of each subject, where their mean is the score."""
        table = self.samples
        if table is None or score.value is None or score.metric not in table:
            return None
        part = table[_rows(table, score)]
        values = part[score.metric].to_numpy(dtype=np.float64, na_value=np.nan)
        kept = np.isfinite(values)
        if not kept.any() or not np.isclose(values[kept].mean(), score.value, rtol=1e-6, atol=1e-9):
            return None
        codes = np.searchsorted(self.people, part["identity"].to_numpy(dtype=str)[kept])
        sums = np.bincount(codes, weights=values[kept], minlength=len(self.people))
        return sums, np.bincount(codes, minlength=len(self.people))


def _rows(table: pd.DataFrame, score: Score) -> np.ndarray:
    """Which samples a score is about; compound requests have no single expression."""
    chosen = ((table["task"] == score.task) & (table["domain"] == score.domain)).to_numpy()
    if score.expression == "all":
        return chosen
    if score.expression.startswith("AU"):
        return chosen & (table["action_unit"] == int(score.expression[2:])).to_numpy()
    if score.expression.startswith(LEVEL):
        return chosen & np.isclose(table["intensity"], float(score.expression.removeprefix(LEVEL)))
    if "second_expression" in table:
        chosen = chosen & (table["second_expression"] == "").to_numpy()
    return chosen & (table["target_expression"] == score.expression).to_numpy()


def _row_score(key: ScoreKey, seeds: Sequence[_Seed]) -> RowScore:
    scores = [seed.scores.get(key) for seed in seeds]
    named = next(score for score in scores if score is not None)
    told: dict[str, Any] = {**dict(zip(("task", "domain", "expression", "metric"), key, strict=True))}
    told |= {"given": named.given, "signature": named.signature}
    verdicts = [seed.verdicts.get((judge_of(named.metric), named.domain), "") for seed in seeds]
    told["unreliable"] = next(filter(None, verdicts), "")
    for seed, score in zip(seeds, scores, strict=True):
        if score is None or score.value is None:
            reason = "there is no such score" if score is None else score.reason
            return RowScore(
                **told, values=[], reason=reason if len(seeds) == 1 else f"seed {seed.number}: {reason}"
            )
        fields = differing(named, score)
        if fields:
            raise NotComparableError(
                f"{' '.join(key)}: seed {seed.number} differs from seed {seeds[0].number} in "
                f"{', '.join(fields)}; seeds that were measured in different ways are no one row"
            )
    told["without_judge"] = mean_without_judge([score for score in scores if score is not None])
    values = [float(score.value) for score in scores if score is not None and score.value is not None]
    sums = [seed.sums(score) for seed, score in zip(seeds, scores, strict=True) if score is not None]
    kept = [pair for pair in sums if pair is not None]
    if len(kept) == len(seeds):
        total, count = (np.sum([pair[i] for pair in kept], axis=0) for i in (0, 1))
        return RowScore(**told, values=values, sums=total.tolist(), counts=count.tolist())
    rows = [seed.replicates.get(key) for seed in seeds]
    return RowScore(
        **told, values=values, **_pooled_replicates([row for row in rows if row is not None], len(seeds))
    )


def _pooled_replicates(rows: Sequence[ReplicateRow], seeds: int) -> dict[str, Any]:
    """The mean over seeds of what each changed set of subjects gives; nothing where the sets differ."""
    alike = {(row.kind, row.people, len(row.values)) for row in rows}
    if len(rows) != seeds or len(alike) != 1:
        return {}
    mean = np.mean([row.values for row in rows], axis=0)
    return {
        "replicates": [float(x) if np.isfinite(x) else None for x in mean],
        "kind": rows[0].kind,
        "resampled": rows[0].people,
        "identities": rows[0].identities,
    }
