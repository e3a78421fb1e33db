"""A whole run of a protocol that asks for clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.external.requests_export import asked
from fesbench.progress import Reporter
from fesbench.protocol.protocol import load_protocol
from fesbench.records.record import Record
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import PROTOCOLS, records

pytestmark = pytest.mark.slow

CLIPS = PROTOCOLS / "clips@1.toml"
MADE = ("sequence", "in", "made, not scored: the protocol has no metric of clips")
NOT_APPLICABLE = {"mean-shift": "needs sequences", "real": "no target clips"}


def run_fading(protocol: Path, out: Path) -> tuple[Path, dict[str, Record]]:
    """Run it; the cell's folder and all records."""
    method = out.parent / "fading_alone.py"
    method.write_text("from tests.fading_method import Fading as Base\n\n\nclass Fading(Base):\n    pass\n")
    summary = run(RunOptions(str(method), str(protocol), preset="tiny", budget="smoke", out=out))
    assert summary.exit_code == 0, [record.error for record in summary.records]
    found = records(out)
    (cell,) = out.glob("*/*/fading*/0")
    return cell, found


def left_out(record: Record) -> list[tuple[str, str, str]]:
    return [(item.task, item.domain, item.reason) for item in record.not_run]


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "runs"


def test_clips_are_made_kept_and_resumed_beside_images(out: Path) -> None:
    cell, found = run_fading(CLIPS, out)
    clips = sorted((cell / "clips").iterdir())
    assert len(clips) == 4
    for clip in clips:
        frames = [np.asarray(Image.open(path), dtype=int) for path in sorted(clip.iterdir())]
        assert [path.name for path in sorted(clip.iterdir())] == ["0000.png", "0001.png", "0002.png"]
        assert frames[0].shape == (32, 32, 3)
        assert np.abs(frames[1] - frames[0] / 2).max() <= 1
        assert frames[2].max() == 0
    record = found["fading"]
    assert {score.task for score in record.scores} == {"expression"}
    assert left_out(record) == [MADE]
    assert record.cost["parameters"] == 0
    for name, reason in NOT_APPLICABLE.items():
        assert left_out(found[name]) == [("sequence", "in", f"not applicable: {reason}")]
        assert not list(cell.parent.parent.glob(f"{name}*/0/clips"))
    for name in ("copy", "warp"):
        assert left_out(found[name]) == [MADE]
        assert list(cell.parent.parent.glob(f"{name}*/0/clips"))
    assert not any(found[name].ramped for name in ("copy", "warp", "mean-shift", "real"))
    page = (out / "report" / "index.html").read_text()
    assert MADE[2] in page

    external, _ = asked(load_protocol(str(CLIPS)), "smoke", None, Reporter())
    assert external.groupby("task", sort=False)["length"].unique().map(list).to_dict() == {
        "expression": [1],
        "sequence": [3],
    }

    before = {path: path.read_bytes() for path in cell.rglob("*.png")}
    kept = {path: path.stat().st_mtime_ns for path in before}
    (clips[1] / "0001.png").unlink()
    _, again = run_fading(CLIPS, out)
    assert {path: path.read_bytes() for path in cell.rglob("*.png")} == before
    assert again["fading"].scores == record.scores
    assert left_out(again["fading"]) == [MADE]
    # what another batch made stays as it lies
    images = [path for path in before if path.parent.name == "images"]
    assert images
    assert all(path.stat().st_mtime_ns == kept[path] for path in images)


def test_a_protocol_of_clips_alone_has_a_page_without_scores(out: Path, tmp_path: Path) -> None:
    text = CLIPS.read_text().replace('id = "clips"', 'id = "clips-only"')
    text = text.replace('[[tasks]]\nkind = "expression"\nlabels = ["happiness"]\n', "")
    protocol = tmp_path / "clips-only@1.toml"
    protocol.write_text(text)
    cell, found = run_fading(protocol, out)
    assert len(list(cell.glob("clips/*/*.png"))) == 12
    assert left_out(found["fading"]) == [MADE]
    assert found["fading"].scores == []
    assert found["fading"].status == "scored"
    # a frame is an image
    assert found["fading"].cost["frames"] == 3
    assert found["fading"].cost["images_per_second"]["1"] > 0
    assert MADE[2] in (out / "report" / "index.html").read_text()
