"""The gate over real runs: a re-run is the same, a planted regression is caught, other rules are refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import fesbench
from fesbench.cli.main import main
from fesbench.gate.check import GateReport
from fesbench.gate.collect import find_row
from fesbench.gate.snapshot import load_snapshot
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import PIXELS

pytestmark = pytest.mark.slow

METHOD = """
import dataclasses
import torch.nn.functional as F
from fesbench.baselines.copy_source import CopySource as Base

CONTROLS = frozenset({{"expression"}})

class Candidate(Base):
    card = dataclasses.replace(Base.card, id="candidate", reference=False, controls=CONTROLS)
    def synthesize(self, requests):
        return {made}
"""
GOOD = "requests.source.clone()"
BLURRED = "F.interpolate(F.avg_pool2d(requests.source, 8), scale_factor=8)"


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    home = tmp_path_factory.mktemp("shared-home")

    def make(made: str) -> Path:
        out = tmp_path_factory.mktemp("runs")
        method = out / "candidate.py"
        method.write_text(METHOD.format(made=made))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FESBENCH_HOME", str(home))
            options = RunOptions(
                methods=str(method), protocol=PIXELS, preset="tiny", budget="steps=1", out=out, report=False
            )
            assert run(options).exit_code == 0
        return out

    return make


@pytest.fixture(scope="module")
def good(make_run: Callable[..., Path]) -> Path:
    return make_run(GOOD)


@pytest.fixture(scope="module")
def baseline(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "baseline.json"
    assert exit_code("baseline", "save", str(good), "--out", str(path)) == 0
    return path


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0)


def statuses(report: GateReport) -> dict[tuple[str, str], str]:
    return {(verdict.group, verdict.metric): verdict.status for verdict in report.verdicts}


def test_the_baseline_stands_alone(baseline: Path, good: Path) -> None:
    assert load_snapshot(baseline).cell.method == "candidate"
    assert baseline.stat().st_size < 100_000
    text = baseline.read_text()
    assert "reference" in json.loads(text)["cost"][0]
    assert str(good) not in text


def test_a_re_run_is_the_same(make_run: Callable[..., Path], baseline: Path) -> None:
    again = make_run(GOOD)
    report = fesbench.check(again, baseline)
    quality = {status for (group, _), status in statuses(report).items() if group != "cost"}
    assert quality == {"same"}
    assert statuses(report)["cost", "parameters"] == "same"
    assert any("a step takes under 1 ms" in note for note in report.notes)
    assert exit_code("check", str(again), "--against", str(baseline)) == 0


def test_a_planted_regression_is_worse(make_run: Callable[..., Path], baseline: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("verdict.json", "summary.md", "junit.xml")}
    code = exit_code(
        *("check", str(make_run(BLURRED)), "--against", str(baseline)),
        *("--json", str(files["verdict.json"]), "--markdown", str(files["summary.md"])),
        *("--junit", str(files["junit.xml"])),
    )
    assert code == 3
    verdict = json.loads(files["verdict.json"].read_text())
    assert (verdict["result"], verdict["exit_code"]) == ("worse", 3)
    worse = {(v["domain"], v["metric"]) for v in verdict["verdicts"] if v["status"] == "worse"}
    assert {("in", "SSIM"), ("in", "PSNR"), ("cartoon", "SSIM"), ("cartoon", "PSNR")} <= worse
    assert "| worse | expression in | SSIM |" in files["summary.md"].read_text()
    assert b"<failure" in files["junit.xml"].read_bytes()


def test_other_rules_are_not_comparable(good: Path, baseline: Path, tmp_path: Path) -> None:
    changed = tmp_path / "baseline.json"
    changed.write_text(baseline.read_text().replace("|p:pixels@1:", "|p:pixels@1+size=48:"))
    report = fesbench.check(good, changed)
    assert {v.status for v in report.verdicts if v.task != "cost"} == {"not comparable"}
    assert report.verdicts[0].reason.startswith("protocol, its hash, the data with its fingerprint")
    assert "pixels@1+size=48" in report.verdicts[0].reason
    assert report.exit_code == 5


def test_another_grant_is_not_comparable_and_the_rest_is_judged(
    good: Path, baseline: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "baseline.json"
    raw = json.loads(baseline.read_text())
    for score in raw["figures"]:
        score["given"] = "landmarks" if score["metric"] == "SSIM" else score["given"]
    changed.write_text(json.dumps(raw))
    assert exit_code("check", str(good), "--against", str(changed)) == 5
    found = statuses(fesbench.check(good, changed))
    assert found["expression.in", "SSIM"] == "not comparable"
    assert found["expression.in", "PSNR"] == "same"


def test_a_corrupted_baseline_is_an_input_error(good: Path, baseline: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.json"
    half.write_bytes(baseline.read_bytes()[:-200])
    assert exit_code("check", str(good), "--against", str(half)) == 2
    assert exit_code("check", str(good), "--against", str(tmp_path / "none.json")) == 2


def test_a_damaged_record_is_an_input_error(good: Path, baseline: Path, tmp_path: Path) -> None:
    place, _ = find_row(good)[0]
    copy = tmp_path / "cell"
    shutil.copytree(place, copy)
    (copy / "samples.parquet").write_bytes(b"PAR1")
    assert exit_code("check", str(copy), "--against", str(baseline)) == 2
    os.remove(copy / "record.json")
    assert exit_code("check", str(copy), "--against", str(baseline)) == 2
