"""The main job from data to leaderboard, on a few faces: every stage, records and page."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.errors import DataError, UsageError, WeightsError
from fesbench.external.evaluate import evaluate, evaluate_folder
from fesbench.methods.registry import methods
from fesbench.records.record import Record
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import MINI, figures, find_records, records

pytestmark = pytest.mark.slow
pytest.importorskip("dlib")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(home))


@pytest.fixture(scope="module")
def runs(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    before = os.environ.get("FESBENCH_HOME")
    os.environ["FESBENCH_HOME"] = str(home)
    try:
        summary = run(RunOptions(methods="@demo", protocol=MINI, preset="tiny", budget="steps=2", out=out))
    finally:
        os.environ.pop("FESBENCH_HOME")
        if before is not None:
            os.environ["FESBENCH_HOME"] = before
    assert summary.exit_code == 0
    assert summary.page == out / "report" / "index.html"
    return out


def cell_folder(runs: Path, method: str) -> Path:
    return next(folder for folder, record in find_records(runs) if record.cell.method == method)


@pytest.mark.learn
def test_no_row_of_all_methods_fails(home: Path, tmp_path: Path) -> None:
    summary = run(RunOptions(methods="all", protocol=MINI, preset="tiny", budget="steps=12", out=tmp_path))
    found = {record.cell.method: record for record in summary.records}
    assert {name: r.reason for name, r in found.items() if r.status not in ("scored", "not applicable")} == {}
    assert set(methods()) <= set(found)
    assert summary.exit_code == 0
    assert summary.page is not None


def test_every_method_and_reference_row_is_scored(runs: Path) -> None:
    found = records(runs)
    assert {"mr", "reggan", "stargan", "ganimation", "pix2pix", "usgan"} <= set(found)
    assert {"real", "copy", "mean-shift", "warp"} <= set(found)
    assert {record.status for record in found.values()} == {"scored"}


def test_every_figure_carries_interval_n_and_signature_or_a_reason(runs: Path) -> None:
    for record in records(runs).values():
        assert record.scores
        for score in record.scores:
            assert score.n_requested > 0
            if score.value is None:
                assert score.status == "n/a"
                assert score.reason
            else:
                assert score.status in ("ok", "collapsed")
                assert f"/{score.n_requested}|" in score.signature
                assert "p:mini@1:" in score.signature


def test_absent_weights_print_the_command_that_gets_them(runs: Path) -> None:
    reasons = {s.reason for s in records(runs)["mr"].scores if s.metric == "FID"}
    assert reasons == {"weights: inception-tf-2015 (fesbench weights pull inception-tf-2015)"}


def test_copy_and_real_frame_the_scale(runs: Path) -> None:
    found = {name: figures(record) for name, record in records(runs).items()}
    headline = ("expression", "in", "all")
    assert found["copy"][(*headline, "FSS")][0] == pytest.approx(1.0, abs=1e-6)
    assert found["real"][(*headline, "SSIM")][0] is None
    assert found["real"][(*headline, "Rank-1")][0] >= found["stargan"][(*headline, "Rank-1")][0]  # type: ignore[operator]
    assert found["copy"][(*headline, "FD-dlib")][0] < found["stargan"][(*headline, "FD-dlib")][0]  # type: ignore[operator]


def test_tasks_that_were_not_asked_are_listed_with_the_reason(runs: Path) -> None:
    not_run = {(item.task, item.reason) for item in records(runs)["stargan"].not_run}
    assert ("transfer", "not applicable: does not control transfer") in not_run


def test_generator_costs_are_recorded(runs: Path) -> None:
    cost = records(runs)["stargan"].cost
    assert cost["parameters"] > cost["parameters_synthesis"] > 0
    assert cost["flops"] > 0
    assert cost["training_seconds"] > 0


def test_the_same_command_again_does_nothing_twice(runs: Path) -> None:
    before = {name: record.stages for name, record in records(runs).items()}
    run(RunOptions(methods="@demo", protocol=MINI, preset="tiny", budget="steps=2", out=runs, report=False))
    assert {name: record.stages for name, record in records(runs).items()} == before


def copied(runs: Path, place: Path) -> Path:
    """The images of the copy row as somebody else's images."""
    place.mkdir()
    for path in (cell_folder(runs, "copy") / "images").glob("*.png"):
        (place / path.name).write_bytes(path.read_bytes())
    return place


def score_outside(folder: Path, out: Path) -> Record:
    return evaluate_folder(folder, protocol=MINI, name="outside", budget="steps=2", out=out)


def test_outside_images_get_the_scores_of_the_row_that_made_them(runs: Path, tmp_path: Path) -> None:
    record = score_outside(copied(runs, tmp_path / "images"), runs)
    assert record.cell.preset == "external"
    assert record.trained_on == "unknown"
    assert figures(record) == figures(records(runs)["copy"])


def test_a_function_is_scored_like_a_folder(runs: Path, tmp_path: Path) -> None:
    record = evaluate(lambda sources, requests: sources, protocol=MINI, name="f", budget="steps=2", out=runs)
    assert figures(record)[("expression", "in", "all", "FSS")][0] == pytest.approx(1.0, abs=1e-6)


def test_faults_in_outside_images_are_listed(runs: Path, tmp_path: Path) -> None:
    folder = copied(runs, tmp_path / "images")
    first, second, third = sorted(folder.glob("expression_in_*.png"))[:3]
    whole = first.read_bytes()

    first.unlink()
    with pytest.raises(DataError, match=rf"1 of \d+ images are missing: {first.name}"):
        score_outside(folder, tmp_path / "out")

    first.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=first.name):
        score_outside(folder, tmp_path / "out")

    first.write_bytes(whole)
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save(second)
    with pytest.raises(DataError, match=rf"{second.name} is 9x7, the protocol wants 64x64"):
        score_outside(folder, tmp_path / "out")

    second.write_bytes(whole)
    (folder / "holiday.png").write_bytes(whole)
    with pytest.raises(DataError, match=r"1 files answer no request: holiday\.png"):
        score_outside(folder, tmp_path / "out")

    (folder / "holiday.png").unlink()
    (folder / f"{third.stem}.jpg").write_bytes(whole)
    with pytest.raises(DataError, match=f"more than one file for {third.stem}"):
        score_outside(folder, tmp_path / "out")


def test_identical_outside_images_are_scored_and_counted(runs: Path, tmp_path: Path) -> None:
    folder = copied(runs, tmp_path / "images")
    pictures = sorted(folder.glob("*.png"))
    for path in pictures[1:]:
        path.write_bytes(pictures[0].read_bytes())
    record = score_outside(folder, tmp_path / "out")
    assert record.counts["identical"] == len(pictures) - 1
    assert record.status == "scored"


def test_a_registered_name_or_no_folder_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose another --name"):
        evaluate_folder(tmp_path, protocol=MINI, name="mr", out=tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        evaluate_folder(tmp_path / "nowhere", protocol=MINI, out=tmp_path)


def test_strict_stops_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"FID: weights: inception-tf-2015"):
        run(
            RunOptions(
                methods="mr", protocol=MINI, preset="tiny", budget="steps=1", out=tmp_path, strict=True
            )
        )
    assert not list(tmp_path.rglob("record.json"))
