"""A whole run of ``ck+-video@1`` on a folder that lies as CK+'s owner distributes it, to the page.

It takes about 90 CPU seconds, most of them for the judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fesbench.data.layouts.ckplus import write
from fesbench.metrics.selection import metrics_of, protocol_metrics
from fesbench.protocol.protocol import load_protocol
from fesbench.records.record import Record
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import find_records

pytestmark = pytest.mark.learn
pytest.importorskip("dlib")

PROTOCOL = "ck+-video"
SUBJECTS, TESTED, SEQUENCES = 20, 4, 4
WEIGHTS = {"LPIPS-frames", "FVD"}
"""Of networks whose files may be absent."""
ITSELF = {
    *("SSIM-frames", "PSNR-frames", "Flicker", "FD-clip"),
    *("Motion-distance", "Motion-length", "Onset-error", "Apex-error"),
}
"""What compares the real clips with themselves."""
OF_FACES = {"Motion-length", "NME-frames", "Jerk"}
"""What three steps of training leave without a face to measure."""
METHOD = '''"""VGAN for three steps."""

from dataclasses import replace

from fesbench.baselines.vgan import VGAN


class Brief(VGAN):
    """Under a name of its own."""

    card = replace(VGAN.card, id="brief", title="Brief")
    presets = {name: replace(hyper, smoke_steps=3) for name, hyper in VGAN.presets.items()}
'''


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("ck")
    copy = write(place / "ck", identities=SUBJECTS, frames=12, size=96)
    method = place / "brief.py"
    method.write_text(METHOD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(place / "home"))
        options = RunOptions(
            str(method), PROTOCOL, source=copy, preset="tiny", budget="smoke", out=place / "runs"
        )
        summary = run(options)
        assert summary.exit_code == 0, [record.error for record in summary.records]
        yield place / "runs"


@pytest.fixture(scope="module")
def rows(runs: Path) -> dict[str, Record]:
    return {record.cell.method: record for _, record in find_records(runs)}


def pooled(record: Record) -> dict[str, float | None]:
    return {score.metric: score.value for score in record.scores if score.expression == "all"}


def test_every_score_of_clips_is_there_for_every_row(rows: dict[str, Record]) -> None:
    metrics = protocol_metrics(load_protocol(PROTOCOL))
    assert set(rows) == {"brief", "copy", "mean-shift", "real", "warp"}
    for name, record in rows.items():
        assert record.status == "scored"
        assert record.ramped is (name == "mean-shift")
        assert record.counts["images"] == TESTED * SEQUENCES
        found = pooled(record)
        assert set(found) == set(metrics_of("sequence", metrics))
        absent = {metric for metric, value in found.items() if value is None} - WEIGHTS
        if name == "real":
            assert absent == ITSELF
        else:
            assert absent <= (OF_FACES if name == "brief" else set())
    assert [check.judge for check in rows["real"].judge_checks] == ["judge", "clip-judge"]


def test_the_rows_frame_the_scale_and_no_face_is_published(runs: Path, rows: dict[str, Record]) -> None:
    values = {name: pooled(record) for name, record in rows.items()}
    assert values["copy"]["Motion-length"] == values["copy"]["Jerk"] == 0
    assert values["real"]["Intensity-correlation"] > 0.5 > values["copy"]["Intensity-correlation"] == 0
    assert values["warp"]["SSIM-frames"] > values["copy"]["SSIM-frames"]
    page = (runs / "report" / "index.html").read_text(encoding="utf-8")
    assert "ECS-clip" in page
    assert "FD-clip" in page
    assert not list((runs / "report" / "images").glob("*-clips-*.webp"))
