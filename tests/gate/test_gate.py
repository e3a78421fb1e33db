"""The gate's rule, costs, seeds, and the files that it writes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from fesbench.gate.check import GateReport, check, seed_margin
from fesbench.gate.collect import open_row
from fesbench.gate.cost import judge_cost
from fesbench.gate.snapshot import CostSummary, Snapshot, load_snapshot, save_snapshot
from fesbench.gate.tolerance import Tolerance, Tolerances
from fesbench.gate.verdict import Verdict, judged
from fesbench.gate.writers import junit, verdicts_json, verdicts_markdown
from tests.reports.synthetic_records import ROWS, requests_table, write_cell

ROW = {row.id: row for row in ROWS}


def verdict(low: float, high: float, tolerance: float = 0.1) -> Verdict:
    middle = (low + high) / 2
    return Verdict("expression", "in", "all", "M", "same", 1.0, 1.0 + middle, middle, low, high, tolerance)


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (-0.3, -0.11, "worse"),
        (-0.3, -0.09, "same"),  # part of the interval lies within the tolerance
        (-0.3, 0.3, "same"),
        (0.11, 0.3, "improved"),
        (0.09, 0.3, "same"),
        (-0.05, -0.01, "same"),  # surely lower, and by less than what is allowed
    ],
)
def test_the_whole_interval_must_lie_beyond_the_tolerance(low: float, high: float, status: str) -> None:
    assert judged(verdict(low, high), higher_is_better=True).status == status
    mirrored = {"worse": "improved", "improved": "worse", "same": "same"}[status]
    assert judged(verdict(low, high), higher_is_better=False).status == mirrored


@pytest.fixture
def row(tmp_path: Path) -> Snapshot:
    return open_row(write_cell(tmp_path, ROW["mr"], requests_table(8, styles=False)))


def moved(snapshot: Snapshot, metric: str, by: Callable[[int], float]) -> Snapshot:
    """The same subjects, each with a score that moved."""
    scores = []
    for score in snapshot.figures:
        if score.metric == metric and score.sums is not None and score.counts is not None:
            sums = [s + n * by(i) for i, (s, n) in enumerate(zip(score.sums, score.counts, strict=True))]
            score = score.model_copy(update={"sums": sums, "values": [sum(sums) / sum(score.counts)]})
        scores.append(score)
    return snapshot.model_copy(update={"figures": scores})


def status(report: GateReport, metric: str, group: str = "expression.in") -> str:
    return next(v.status for v in report.verdicts if (v.metric, v.group) == (metric, group))


def test_same_worse_and_improved(row: Snapshot) -> None:
    same = check(row, row)
    assert status(same, "SSIM") == "same"
    worse = check(moved(row, "SSIM", lambda i: -0.05), row)
    assert (status(worse, "SSIM"), worse.exit_code, worse.result) == ("worse", 3, "worse")
    assert status(worse, "PSNR") == "same"
    assert status(check(moved(row, "SSIM", lambda i: 0.05), row), "SSIM") == "improved"


def test_noise_never_fails_a_build(row: Snapshot) -> None:
    # the mean falls by 0.05, far beyond the tolerance; but one subject alone makes it fall
    assert status(check(moved(row, "SSIM", lambda i: -0.4 * (i == 0)), row), "SSIM") == "same"


def test_tolerance_decides(row: Snapshot) -> None:
    new = moved(row, "SSIM", lambda i: -0.05)
    loose = Tolerances(metrics={"SSIM": Tolerance(0.06)})
    assert status(check(new, row, tolerance=loose), "SSIM") == "same"
    ignored = check(new, row, tolerance=Tolerances(ignore=frozenset({"SSIM"})))
    assert all(v.metric != "SSIM" for v in ignored.verdicts)
    assert "ignored: SSIM" in ignored.notes


def test_expressions_are_judged_where_asked(row: Snapshot) -> None:
    assert {v.expression for v in check(row, row).verdicts if v.task != "cost"} == {"all"}
    found = check(row, row, tolerance=Tolerances(expressions=True))
    assert "happiness" in {v.expression for v in found.verdicts}


def test_missing_scores_are_not_the_same(row: Snapshot) -> None:
    kept = [
        f.model_copy(update={"values": [], "reason": "weights: dlib"}) if f.metric == "FSS" else f
        for f in row.figures
    ]
    report = check(row.model_copy(update={"figures": kept}), row)
    assert status(report, "FSS") == "missing"
    missing = next(v for v in report.verdicts if v.metric == "FSS")
    assert missing.reason == "not in the first row: weights: dlib"
    assert report.exit_code == 5


def test_scores_that_the_baseline_lacks_are_noted(row: Snapshot) -> None:
    old = row.model_copy(update={"figures": [f for f in row.figures if f.metric != "FSS"]})
    assert "not in the baseline: expression in FSS" in check(row, old).notes


def test_a_judge_that_fails_on_real_images_is_not_gated(tmp_path: Path) -> None:
    from fesbench.records.judge_check import JudgeCheck
    from fesbench.records.record import load_record

    folder = write_cell(tmp_path, ROW["mr"], requests_table(8, styles=False))
    sure = open_row(folder)
    record = load_record(folder)
    record.judge_checks = [
        JudgeCheck(
            judge="judge", signature="judge:1", domain="in", images=8, subjects=8, accuracy=0.549, low=0.5,
            high=0.6, chance=0.125, calibration_error=0.0, shown=[], seen=[], counts=[],
        )
    ]  # fmt: skip
    record.save(folder)
    doubted = open_row(folder)
    worse = moved(doubted, "ECS", lambda i: -0.5)
    assert status(check(moved(sure, "ECS", lambda i: -0.5), sure), "ECS") == "worse"
    for new, old in ((worse, sure), (moved(sure, "ECS", lambda i: -0.5), doubted)):
        report = check(new, old)
        assert "ECS" not in {v.metric for v in report.verdicts}
        assert "SSIM" in {v.metric for v in report.verdicts}
        told = "expression in ECS (judge unreliable here: 54.9 % on real images)"
        assert any(note.startswith("not judged: ") and told in note for note in report.notes)
        assert report.counts["worse"] == 0


def test_seeds_widen_the_interval(tmp_path: Path) -> None:
    assert seed_margin((None, None), (1, 1)) == 0
    margin = seed_margin((0.02, 0.04), (3, 3))
    pooled = np.sqrt((2 * 0.02**2 + 2 * 0.04**2) / 4)
    assert margin == pytest.approx(stats.t.ppf(0.975, 4) * pooled * np.sqrt(2 / 3))
    assert seed_margin((0.02, None), (3, 1)) == pytest.approx(stats.t.ppf(0.975, 2) * 0.02 * np.sqrt(4 / 3))
    requests = requests_table(8, styles=False)
    for seed in range(2):
        write_cell(tmp_path, ROW["mr"], requests, seed=seed)
    both = open_row(tmp_path)
    spread = both.model_copy(
        update={
            "figures": [
                f.model_copy(update={"values": [0.5, 0.9]}) if f.metric == "SSIM" else f for f in both.figures
            ]
        }
    )
    assert status(check(moved(both, "SSIM", lambda i: -0.05), both), "SSIM") == "worse"
    assert status(check(spread, moved(both, "SSIM", lambda i: 0.05)), "SSIM") == "same"


def cost(
    speed: float = 40.0, yardstick: tuple[float, float] = (100.0, 102.0), **changes: object
) -> CostSummary:
    before, after = ({"latency_p50_ms": 1e3 / y, "images_per_second": y} for y in yardstick)
    known = {
        "parameters": 1000, "parameters_synthesis": 900, "flops": 10**9,
        "images_per_second": {1: speed / 2, 8: speed}, "latency_p50_ms": 2e3 / speed,
        "quartiles": {1: (0.49 * speed, 0.51 * speed), 8: (0.98 * speed, 1.02 * speed)},
        "memory_mb": 100.0, "memory_kind": "cuda-allocated-peak", "device": "cpu", "threads": 1,
        "reference": {"workload": "w", "before": before, "after": after},
    }  # fmt: skip
    return CostSummary.model_validate(known | changes)


def cost_status(new: CostSummary, old: CostSummary) -> dict[str, str]:
    return {v.metric: v.status for v in judge_cost([new], [old], Tolerances())[0]}


def test_a_slower_machine_is_no_slower_method() -> None:
    found = cost_status(cost(10.0, (25.0, 25.5)), cost())
    assert set(found.values()) == {"same"}


def test_a_slower_method_is_worse_on_any_machine() -> None:
    found = cost_status(cost(5.0, (25.0, 25.5)), cost())
    assert (found["images_per_second"], found["latency_p50_ms"]) == ("worse", "worse")
    assert cost_status(cost(), cost(5.0, (25.0, 25.5)))["images_per_second"] == "improved"


def test_an_unsteady_machine_decides_nothing() -> None:
    assert cost_status(cost(25.0, (60.0, 110.0)), cost())["images_per_second"] == "same"


def test_counts_and_memory() -> None:
    assert cost_status(cost(parameters=1100), cost())["parameters"] == "worse"
    assert cost_status(cost(flops=0), cost(flops=0))["flops"] == "same"
    assert cost_status(cost(memory_mb=80.0), cost())["memory_mb"] == "improved"
    found, notes = judge_cost([cost(memory_kind="rss-peak-growth")], [cost()], Tolerances())
    assert "memory_mb" not in {v.metric for v in found}
    assert notes[0].startswith("memory is judged on a GPU alone")


def test_other_devices_are_not_comparable() -> None:
    found = {v.metric: v for v in judge_cost([cost(device="NVIDIA H200")], [cost()], Tolerances())[0]}
    assert found["images_per_second"].status == "not comparable"
    assert found["images_per_second"].reason == "device: device 'cpu' against 'NVIDIA H200'"
    assert found["parameters"].status == "same"
    unmeasured = judge_cost([cost(reference=None)], [cost()], Tolerances())[0]
    assert "without the reference workload" in next(v.reason for v in unmeasured if v.reason)
    assert {v.status for v in judge_cost([], [cost()], Tolerances())[0]} == {"missing"}


def test_steps_of_microseconds_are_not_judged() -> None:
    quick = cost(1e6, images_per_second={1: 1e6, 8: 1e6}, latency_p50_ms=1e-3)
    found, notes = judge_cost([quick], [quick], Tolerances())
    assert "images_per_second" not in {v.metric for v in found}
    assert any("a step takes under 1 ms" in note for note in notes)


# --- files ---


def test_a_baseline_reads_back_as_it_was(row: Snapshot, tmp_path: Path) -> None:
    save_snapshot(row, tmp_path / "b.json")
    assert load_snapshot(tmp_path / "b.json") == row
    assert open_row(tmp_path / "b.json") == row


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda raw: raw.pop("kind"), "is not a baseline"),
        (lambda raw: raw.update(schema_version=9), "baseline schema 9, this fesbench reads 1"),
        (lambda raw: raw.update(extra=1), "field 'extra'"),
        (lambda raw: raw["figures"].append(raw["figures"][0]), "holds a score twice"),
        (lambda raw: raw["people"].append("x"), r"'sums' of .* has 8 entries for 9 subjects"),
        (lambda raw: raw.update(seeds=[]), "field 'seeds'"),
    ],
)
def test_damaged_baselines_are_refused(
    row: Snapshot, tmp_path: Path, change: Callable[[dict], object], match: str
) -> None:
    from fesbench.errors import RecordError

    path = tmp_path / "b.json"
    save_snapshot(row, path)
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(RecordError, match=match):
        load_snapshot(path)


@pytest.fixture
def mixed(row: Snapshot) -> GateReport:
    new = moved(row, "SSIM", lambda i: -0.05)
    scores = [
        f.model_copy(update={"signature": f.signature.replace("x:dlib:1d5b2f90", "x:dlib:0")})
        if f.metric == "FSS"
        else f
        for f in new.figures
    ]
    return check(new.model_copy(update={"figures": scores}), row)


def test_junit_reads_back(mixed: GateReport) -> None:
    suite = ElementTree.fromstring(junit([mixed])).find("testsuite")
    assert suite is not None
    cases = {(c.get("classname"), c.get("name")): c for c in suite.iter("testcase")}
    assert len(cases) == len(mixed.verdicts) == int(suite.get("tests", 0))
    assert int(suite.get("failures", 0)) == len(suite.findall(".//failure")) == 1
    assert int(suite.get("errors", 0)) == len(suite.findall(".//error")) == mixed.counts["not comparable"]
    assert cases["expression.in", "SSIM"].find("failure") is not None
    error = cases["expression.in", "FSS"].find("error")
    assert error is not None
    assert "'dlib:0' against 'dlib:1d5b2f90'" in str(error.get("message"))
    assert cases["expression.in", "PSNR"].find("failure") is None


def test_control_characters_do_not_break_the_xml(mixed: GateReport) -> None:
    strange = replace(mixed.verdicts[0], metric="A\x00B<&>", reason="\x1b[31m")
    found = ElementTree.fromstring(junit([replace(mixed, verdicts=[strange])]))
    assert [case.get("name") for case in found.iter("testcase")] == ["A?B<&>"]


def test_markdown_is_short_and_worst_first(mixed: GateReport) -> None:
    text = verdicts_markdown(mixed)
    table = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert table[0].startswith("| worse | expression in | SSIM |")
    assert all(not line.startswith("| same") for line in table)
    assert len(text) < 4000
    many = replace(mixed, verdicts=[mixed.verdicts[0]] * 40)
    assert "and 15 more" in verdicts_markdown(many)


def test_json_holds_every_verdict(mixed: GateReport) -> None:
    found = json.loads(json.dumps(verdicts_json([mixed]), allow_nan=False))
    assert (found["result"], found["exit_code"]) == ("worse", 3)
    assert len(found["verdicts"]) == len(mixed.verdicts)
    assert sum(found["counts"].values()) == len(mixed.verdicts)


def test_a_score_without_an_interval_is_the_same_only_within_the_tolerance(row: Snapshot) -> None:
    # FID of these records has neither values per image nor replicates
    def with_fid(factor: float, **changes: object) -> Snapshot:
        scores = [
            f.model_copy(update={"values": [factor * f.values[0]], **changes}) if f.metric == "FID" else f
            for f in row.figures
        ]
        return row.model_copy(update={"figures": scores})

    assert status(check(with_fid(1.04), row), "FID") == "same"
    report = check(with_fid(1.06), row)
    assert status(report, "FID") == "not comparable"
    assert "no paired interval" in next(v.reason for v in report.verdicts if v.metric == "FID")
    paired = {"replicates": [1.0, 2.0, 3.0], "kind": "delete-one-identity", "resampled": "p", "identities": 3}
    old = with_fid(1.0, **paired)
    assert status(check(with_fid(1.06, **paired), old), "FID") == "worse"
    assert status(check(with_fid(1.04, **paired), old), "FID") == "same"
