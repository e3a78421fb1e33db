"""A submission's scores, made again from its images: what holds, what differs, what is only reported."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fesbench.errors import DataError
from fesbench.external.evaluate import evaluate_folder
from fesbench.external.intake import Package
from fesbench.metrics.explain import explain_difference
from fesbench.progress import Reporter
from fesbench.protocol.data_folders import Sources
from fesbench.records.record import Record, Score

CLOSE = 1e-4
"""Two values are the same within this share of the larger: devices round differently."""
Outcome = Literal["reproduced", "differs", "reported"]
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Checked:
    """One reported score.

    Attributes:
        reported, found: the submission's value and ours; None where there is none.
        outcome: "reproduced", "differs", or "reported" where it could not be made again.
        reason: of the last.
    """

    task: str
    domain: str
    expression: str
    metric: str
    reported: float
    found: float | None
    outcome: Outcome
    reason: str = ""


def reproduce(
    package: Package, *, into: Path | None = None, source: Sources = None, reporter: Reporter | None = None
) -> list[Checked]:
    """Score a submission's images again and hold its scores against ours.

    Args:
        package: opened.
        into: a runs folder that gets the row: our scores where there are any, elsewhere the reported ones,
            marked as such. None = nothing is kept.
        source: where the protocol's data lies, if it was not prepared before.
        reporter: shown the progress.

    Returns:
        every reported score that has a value.

    Raises:
        DataError: its images do not answer the protocol, or the row is in ``into`` already.
        FesbenchError: see `evaluate_folder`.
    """
    reported = [score for score in package.record.scores if score.value is not None]
    if not package.images:
        if into is not None:
            _keep_reported(package, into)
        return [_checked(score, None, "the submission holds no images") for score in reported]
    with tempfile.TemporaryDirectory() as scratch:
        images = Path(scratch) / "images"
        package.unpack_images(images)
        found = evaluate_folder(
            images,
            name=_row_name(package),
            out=into or Path(scratch) / "runs",
            source=source,
            reporter=reporter or Reporter(),
            **_rules_of(package),
        )
        ours = {_key(score): score for score in found.scores}
        checked = [_against(score, ours.get(_key(score))) for score in reported]
        if into is not None:
            _keep(package, found, reported, checked, into)
    return checked


def _rules_of(package: Package) -> dict[str, Any]:
    cell = package.record.cell
    name, *overrides = cell.protocol.partition("@")[2].split("+")
    changes = dict(item.split("=", 1) for item in overrides)
    return {
        "protocol": f"{cell.protocol.partition('@')[0]}@{name}",
        "size": int(changes["size"]) if "size" in changes else None,
        "data": changes.get("data"),
        "budget": cell.budget,
    }


def _row_name(package: Package) -> str:
    """A submitted row never bears the plain name of one of fesbench's methods."""
    from fesbench.methods.registry import METHODS

    name = package.manifest.name
    return f"{name}-submitted" if name in METHODS.names() else name


def _key(score: Score) -> Key:
    return score.task, score.domain, score.expression, score.metric


def _against(score: Score, ours: Score | None) -> Checked:
    if ours is None or ours.value is None:
        return _checked(score, None, (ours.reason if ours else "") or "it is not measured here")
    differing = explain_difference(score.signature, ours.signature)
    if differing:
        return _checked(score, ours.value, f"measured otherwise here: {'; '.join(differing)}")
    return _checked(score, ours.value, "")


def _checked(score: Score, found: float | None, reason: str) -> Checked:
    assert score.value is not None
    outcome: Outcome = "reported"
    if found is not None and not reason:
        scale = max(abs(score.value), abs(found), 1e-9)
        outcome = "reproduced" if abs(score.value - found) <= CLOSE * scale else "differs"
    return Checked(*_key(score), score.value, found, outcome, reason)


def _facts(package: Package, checked: Sequence[Checked]) -> dict[str, Any]:
    return {
        "sha256": package.sha256,
        "trained_on": package.manifest.trained_on,
        "reproduced": sum(one.outcome == "reproduced" for one in checked),
        "differs": sum(one.outcome == "differs" for one in checked),
    }


def _keep(
    package: Package, found: Record, reported: Sequence[Score], checked: Sequence[Checked], into: Path
) -> None:
    """Our record, with the reported scores that are not made here in the place of ours without a value."""
    cell = found.cell
    made = {_key(score) for score in found.scores if score.value is not None}
    taken = {
        _key(score): score.model_copy(
            update={"method": cell.method, "preset": cell.preset, "seed": cell.seed}
        )
        for score in reported
        if _key(score) not in made
    }
    found.scores = [taken.pop(_key(score), score) for score in found.scores] + list(taken.values())
    found.submitted = _facts(package, checked) | {
        "reported": sorted({one.metric for one in checked if one.found is None})
    }
    found.trained_on = "declared"
    found.save(into / cell.folder)


def _keep_reported(package: Package, into: Path) -> None:
    """The cell and its scores as reported, all of them marked, and nothing else of the record."""
    told, name = package.record, _row_name(package)
    scores = [score.model_copy(update={"method": name}) for score in told.scores]
    record = Record(
        cell=told.cell.model_copy(update={"method": name}),
        card={"id": name, "title": name, "citation": ""},
        status="scored",
        trained_on="declared",
        scores=scores,
        not_run=told.not_run,
        submitted=_facts(package, [])
        | {"reported": sorted({score.metric for score in scores if score.value is not None})},
    )
    folder = into / record.cell.folder
    if folder.exists():
        raise DataError(f"{folder} exists already; the row of {package.path} is in {into}, or bears its name")
    record.save(folder)
