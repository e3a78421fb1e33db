"""A whole run of a protocol of clips: the reference rows, scored beside a panel of judges, to the page."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fesbench.metrics.selection import metrics_of, protocol_metrics
from fesbench.protocol.protocol import load_protocol
from fesbench.records.record import Record
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import PROTOCOLS, find_records

pytestmark = pytest.mark.slow

VIDEO = str(PROTOCOLS / "video@1.toml")
ROWS = {"copy", "mean-shift", "real", "warp"}
JUDGED = {"ECS-apex", "Intensity-correlation"}
AGAINST_ITSELF = "the target clip against itself"
Values = dict[tuple[str, str], dict[str, float]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("video")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(place / "home"))
        summary = run(RunOptions("copy", VIDEO, budget="steps=3", out=place / "runs"))
    assert summary.exit_code == 0, [record.error for record in summary.records]
    return place / "runs"


@pytest.fixture(scope="module")
def rows(runs: Path) -> dict[str, Record]:
    return {record.cell.method: record for _, record in find_records(runs)}


@pytest.fixture(scope="module")
def values(rows: dict[str, Record]) -> Values:
    """Task and metric -> row -> its pooled score."""
    found: Values = {}
    for name, record in rows.items():
        for score in record.scores:
            if score.expression == "all" and score.value is not None:
                found.setdefault((score.task, score.metric), {})[name] = score.value
    return found


def test_every_metric_of_clips_is_scored_for_every_row(rows: dict[str, Record]) -> None:
    metrics = protocol_metrics(load_protocol(VIDEO))
    assert set(rows) == ROWS
    for name, record in rows.items():
        assert record.status == "scored"
        assert record.ramped is (name == "mean-shift")
        for task in {score.task for score in record.scores}:
            measured = {score.metric for score in record.scores if score.task == task}
            assert measured == set(metrics_of(task, metrics))
            assert len(measured) == 17
        assert record.counts["images"] == (4 if name == "mean-shift" else 6)
        unscored = {score.metric: score.reason for score in record.scores if score.value is None}
        own = {score.metric for score in record.scores if "target" in metrics[score.metric].card.needs}
        weights = unscored.pop("LPIPS-frames", "weights: alexnet")
        assert weights == AGAINST_ITSELF or weights.startswith("weights: alexnet")
        expected = own - {"LPIPS-frames"} if name == "real" else set()
        assert unscored == dict.fromkeys(expected, AGAINST_ITSELF)
    told = [(item.task, item.reason) for item in rows["mean-shift"].not_run]
    assert told == [("motion-transfer", "not applicable: does not control motion-transfer")]


def test_five_judges_stand_in_the_scores_that_read_one_and_in_no_other(rows: dict[str, Record]) -> None:
    for record in rows.values():
        for score in (score for score in record.scores if score.value is not None):
            assert len(score.without_judge or []) == (5 if score.metric in JUDGED else 0), score.metric
            assert ("|judges:K=5," in score.signature) is (score.metric in JUDGED)
        assert [check.judge for check in record.judge_checks] == ["judge"]


def test_the_rows_frame_the_scale(values: Values) -> None:
    for task in ("sequence", "motion-transfer"):
        apex, sure = values[task, "ECS-apex"], values[task, "Intensity-correlation"]
        assert apex["real"] == max(apex.values())
        assert sure["real"] > sure["copy"] == 0
        assert set(values[task, "First-frame"].values()) == {1.0}
        assert len(set(values[task, "Motion-floor"].values())) == 1
        for name in ("ACD-I", "ACD-C", "Drift", "Jerk", "Motion-length"):
            assert values[task, name]["copy"] == 0
            assert min(value for row, value in values[task, name].items() if row != "copy") > 0
        assert values[task, "Motion-distance"]["copy"] == pytest.approx(math.pi / 2)
        assert values[task, "Onset-error"]["copy"] == values[task, "Apex-error"]["copy"] == 1
    for name in ("Motion-distance", "Onset-error", "Apex-error", "Flicker"):
        found = values["sequence", name]
        assert found["warp"] < found["copy"], name
    assert values["sequence", "SSIM-frames"]["warp"] > values["sequence", "SSIM-frames"]["copy"]


def test_the_page_shows_clips_with_their_metrics(runs: Path) -> None:
    page = (runs / "report" / "index.html").read_text(encoding="utf-8")
    for words in ("Motion-distance", "Intensity-correlation", "ramped", AGAINST_ITSELF):
        assert words in page
    assert "another subject&#39;s clip" in page or "another subject's clip" in page
    assert list((runs / "report" / "images").iterdir())
