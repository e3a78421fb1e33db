"""Synthetic records of the further task kinds, of data cards, and of domains that show other subjects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from fesbench.records.record import Record, Score, load_record
from tests.reports.synthetic_records import HASH, LABELS, ROWS, Row, requests_table, write_cell

UNITS = (1, 2, 12, 25)
FACTORS = (1, 5, 100)
DATA: dict[str, Any] = {
    "files": "c0ffee1234567890" + "a" * 48,
    "alignment": "dlib68-128@1",
    "images": 4821,
    "not_used": {"no face found": 12, "several faces": 3},
    "not_used_first": [{"image": "S005/001/f.png", "reason": "no face found", "key": "none"}],
    "notes": ["266 sequences carry no label; they are kept for the gallery"],
    "split": {
        "rule": "subjects by sha256('0:identity'), 10% validate, 20% tested", "by": "identity",
        "hash": "9f8e7d6c5b4a3210" + "b" * 48, "folds": 0, "train": 83, "validation": 12, "test": 23,
    },
}  # fmt: skip
IMAGE_SPLIT = {
    "rule": "images (identities unknown; near-duplicates together) in the subsets of the data set's owner",
    "by": "image",
    "hash": "0123456789abcdef" + "c" * 48,
    "folds": 0,
    "train": 28000,
    "validation": 3500,
    "test": 3500,
}


def score(record: Record, task: str, metric: str, value: float | None, **rest: Any) -> Score:
    """One score of a task, with an interval of a few points."""
    cell, expression = record.cell, rest.pop("expression", "all")
    reason, n = rest.pop("reason", ""), rest.pop("n", 160)
    known = value is not None
    return Score(
        protocol=cell.protocol, data=cell.data, method=cell.method, preset=cell.preset, seed=cell.seed,
        budget=cell.budget, given=rest.pop("given", "label"), task=task, domain="in", expression=expression,
        metric=metric, value=value, low=value - 0.03 if known else None, high=value + 0.03 if known else None,
        n_requested=n, n_valid=n if known else 0, identities=23 if known else 0, judge="",
        status="ok" if known else "n/a", reason=reason,
        signature=f"{metric}|{rest.pop('extra', 'x:y')}|n:{n}/{n}|p:{cell.protocol}:{HASH[:8]}",
    )  # fmt: skip


def augmentation_scores(record: Record, quality: float) -> list[Score]:
    """Two factors with figures and one beyond what exists, with the two controls."""
    found = [
        score(
            record,
            "augmentation",
            "augmentation-accuracy@0",
            0.673,
            extra=f"added:real|classes:{','.join(LABELS)}",
        )
    ]
    for number, factor in enumerate(FACTORS[:-1]):
        for control, gain in (("", quality * (number + 1)), ("[classical]", 0.021), ("[repetition]", 0.002)):
            extra = f"added:{control or 'synthetic'}|classes:{','.join(LABELS)}"
            for metric, value in (("accuracy", 0.673 + gain), ("gain", gain), ("gain-seed-sd", 0.008)):
                name = f"augmentation-{metric}@{factor}{control}"
                found.append(score(record, "augmentation", name, value, extra=extra))
    reason = "only 7.3 synthetic images for each real one"
    for metric in ("accuracy", "gain"):
        name = f"augmentation-{metric}@{FACTORS[-1]}"
        found.append(score(record, "augmentation", name, None, reason=reason))
    return found


def action_unit_scores(record: Record, level: float) -> list[Score]:
    """Pooled and for each unit; nothing to hold the images against."""
    found = [
        score(record, "action-unit", "FSS", level - (0.01 * place), expression=name, given="action_units")
        for place, name in enumerate(("all", *(f"AU{unit}" for unit in UNITS)))
    ]
    for metric in ("SSIM", "PSNR"):
        reason = "no target images in this domain"
        found.append(score(record, "action-unit", metric, None, reason=reason, given="action_units"))
    return found


def add_tasks(folder: Path, row: Row, data: dict[str, Any] | None = None) -> None:
    """Give a written cell scores of every further task, and a data card."""
    record = load_record(folder)
    record.data = data or DATA
    place = [r.id for r in ROWS].index(row.id)
    if row.id != "real":
        record.scores += augmentation_scores(record, 0.01 * (place - 3))
    if row.id in ("copy", "ganimation"):
        record.scores += action_unit_scores(record, row.fss)
    record.scores += [
        score(record, "random", "ECS", row.ecs),
        score(record, "random", "FID", row.fid),
        score(record, "identity-verification", "Rank-1", row.tar),
        score(record, "identity-verification", "TAR@FAR=1%", row.tar * 0.9),
    ]
    record.save(folder)


def write_tasks(
    runs: Path, *, rows: tuple[int, ...] = (0, 1, 4, 7), data: dict[str, Any] | None = None
) -> Path:
    """Some rows of a leaderboard with every task kind."""
    requests = requests_table(6, styles=False)
    for index in rows:
        add_tasks(write_cell(runs, ROWS[index], requests), ROWS[index], data)
    return runs


def write_other_subjects(runs: Path, *, rows: tuple[int, ...] = (0, 1, 4, 6), subjects: int = 8) -> Path:
    """A leaderboard with a style of the same subjects and a domain of other subjects."""
    mine = requests_table(6)
    mine = mine[mine["domain"].isin(["in", "statue"])]
    others = requests_table(subjects, styles=False)
    others = others[others["target_expression"] != "contempt"].assign(domain="oulu-casia")
    others["identity"] = "oulu-casia." + others["identity"]
    others["request"] = "expression-oulu-casia-" + others["identity"] + "-" + others["target_expression"]
    requests = pd.concat([mine, others], ignore_index=True)
    for index in rows:
        write_cell(runs, ROWS[index], requests)
    return runs


def write_by_image(runs: Path) -> Path:
    """A leaderboard of data without identities: every subject is an image."""
    data = {**DATA, "split": IMAGE_SPLIT, "not_used": {}, "not_used_first": [], "notes": []}
    requests = requests_table(40, styles=False)
    requests["identity"] = "image." + requests["request"]
    for index in (0, 4, 6):
        folder = write_cell(runs, ROWS[index], requests)
        record = load_record(folder)
        record.data = data
        record.save(folder)
    return runs
