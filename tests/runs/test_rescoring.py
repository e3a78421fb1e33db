"""Scores of an engine that has changed since do not outlive it; those of the same engine stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fesbench.evaluation import score as scoring
from fesbench.records.fingerprints import engine_hash
from fesbench.records.record import RECORD_NAME, Record, load_record
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import PIXELS, figures

LONG_AGO, STALE = "2020-01-01T00:00:00+00:00", 0.123456


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the row ``copy`` after a whole run; the caches beside it serve every later run."""
    place = tmp_path_factory.mktemp("place")
    rerun(place / "runs")
    (found,) = (place / "runs").rglob(f"copy-reference-*/0/{RECORD_NAME}")
    return found.parent


def rerun(out: Path) -> None:
    """The same command every time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(out.parent / "home"))
        summary = run(
            RunOptions("copy", PIXELS, preset="tiny", budget="steps=1", size=32, out=out, report=False)
        )
    assert summary.exit_code == 0, [record.error for record in summary.records]


def edited(cell: Path, inputs: str | None) -> tuple[Record, Record]:
    """The record before and after a run that finds its scores changed by hand, under other ``inputs``."""
    before = load_record(cell)
    raw = json.loads((cell / RECORD_NAME).read_text())
    raw["stages"]["score"] |= {"finished_at": LONG_AGO} | ({"inputs": inputs} if inputs else {})
    raw["scores"][0]["value"] = STALE
    (cell / RECORD_NAME).write_text(json.dumps(raw))
    rerun(cell.parents[3])
    after = load_record(cell)
    if after.scores[0].value == STALE:
        before.save(cell)
    return before, after


def test_scores_of_another_engine_are_made_again(cell: Path) -> None:
    before, after = edited(cell, "of another one")
    assert STALE not in {score.value for score in after.scores}
    assert figures(after) == figures(before)
    assert after.stages["score"].inputs == before.stages["score"].inputs
    assert after.stages["score"].finished_at != LONG_AGO
    assert after.stages["synthesize"] == before.stages["synthesize"]


def test_scores_of_the_same_engine_are_left_alone(cell: Path) -> None:
    before, after = edited(cell, None)
    assert after.stages["score"].finished_at == LONG_AGO
    assert after.scores[0].value == STALE
    assert after.scores[1:] == before.scores[1:]


def test_a_change_of_what_scores_changes_the_inputs_of_scoring(
    cell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_record(cell).stages["score"].inputs
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "engine_hash", lambda *modules: engine_hash(*modules) + "changed")
        rerun(cell.parents[3])
    assert load_record(cell).stages["score"].inputs != known
    rerun(cell.parents[3])
    assert load_record(cell).stages["score"].inputs == known


@pytest.mark.parametrize(
    "module",
    [
        "evaluation.inputs",
        "evaluation.task_group",
        "evaluation.class_head",
        "judges.network",
        "metrics.distribution.kernel",
        "protocol.references",
        "statistics.paired",
        "extractors.face_network",
        "records.signature",
    ],
)
def test_every_module_that_scores_is_read(module: str) -> None:
    covered = tuple(f"{name}." for name in scoring.SCORING)
    assert f"fesbench.{module}.".startswith(covered)
    engine_hash(f"fesbench.{module}")
