"""Rows that panels of judges scored: paired over judges, refused where the panel may be all that differs."""

from pathlib import Path

import numpy as np
import pytest

from fesbench.errors import EXIT_NOT_COMPARABLE, NotComparableError
from fesbench.gate.check import check
from fesbench.gate.collect import find_row, open_row
from fesbench.gate.comparison import Compared, compare
from fesbench.gate.power import power
from fesbench.gate.snapshot import Snapshot, load_snapshot, save_snapshot
from fesbench.gate.verdict import Verdict
from fesbench.records.judges import Judges
from fesbench.records.record import load_record
from fesbench.statistics.judges import JudgeTerm
from tests.end_to_end import fesbench as command
from tests.reports.synthetic_records import ROWS, requests_table, write_cell

ROW = {row.id: row for row in ROWS}
PANEL, OTHER = (Judges(3, "cnn64-1", "0a1b2c3d", digest) for digest in ("77aa01bc", "00000000"))


def judged(place: Path, method: str, panel: Judges, spread: tuple[float, ...], moved: float = 0.0) -> Path:
    """A cell whose ECS a panel gave, ``moved`` by so much."""
    cell = write_cell(place, ROW[method], requests_table(10, styles=False))
    record = load_record(cell)
    for score in record.scores:
        if score.metric == "ECS" and score.value is not None:
            score.signature = score.signature.replace("|n:", f"|judges:{panel}|n:")
            score.value += moved
            score.without_judge = [score.value + d for d in spread]
    record.save(cell)
    return cell


def ecs(a: Path, b: Path) -> Compared:
    return {row.key: row for row in compare(a, b).rows}["expression", "in", "all", "ECS"]


def ecs_verdicts(run: Path, kept: Snapshot) -> list[Verdict]:
    return [verdict for verdict in check(run, kept).verdicts if verdict.metric == "ECS"]


def test_one_panel_is_paired_judge_by_judge(tmp_path: Path) -> None:
    plain = ecs(judged(tmp_path / "a", "mr", PANEL, ()), judged(tmp_path / "b", "stargan", PANEL, ()))
    spread = (-0.1, 0.0, 0.1)
    a, alike = judged(tmp_path / "c", "mr", PANEL, spread), judged(tmp_path / "d", "stargan", PANEL, spread)
    apart = judged(tmp_path / "e", "stargan", PANEL, spread[::-1])
    assert plain.difference is not None
    assert ecs(a, alike).difference == plain.difference
    found = ecs(a, apart).difference
    assert found is not None
    margin = JudgeTerm.of([-0.2, 0.0, 0.2]).margin()
    below = found.value - plain.difference.low
    assert found.low == pytest.approx(found.value - np.hypot(below, margin))
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
    assert found.p > plain.difference.p


def test_two_panels_are_refused_beyond_their_error(tmp_path: Path) -> None:
    spread = (-0.01, 0.0, 0.01)
    first = judged(tmp_path / "a", "mr", PANEL, spread)
    margin = JudgeTerm.between(spread, spread, same=False).margin()
    near = judged(tmp_path / "b", "mr", OTHER, spread, moved=-0.9 * margin)
    far = judged(tmp_path / "c", "mr", OTHER, spread, moved=-1.1 * margin)
    # moved by hand, it is no mean of its samples any more, and so has no paired interval
    assert ecs(first, near).status == "no interval"
    refused = ecs(first, far)
    assert refused.status == "not comparable"
    assert refused.reason.startswith("judge: two panels of one recipe")
    told = command("compare", str(first), str(far), home=tmp_path)
    assert told.returncode == EXIT_NOT_COMPARABLE
    assert "judge: two panels of one recipe" in " ".join(told.stdout.split())


def test_power_takes_two_panels_as_compare_does(tmp_path: Path) -> None:
    spread = (-0.2, 0.0, 0.2)
    for place, other in (("near", OTHER), ("far", Judges(5, "cnn64-1", "0a1b2c3d", "77aa01bc"))):
        judged(tmp_path / place, "mr", PANEL, spread)
        judged(tmp_path / place, "stargan", other, spread)
    (need,) = power(tmp_path / "near", "ECS", 0.05)
    assert (need.a, need.b) == ("mr", "stargan")
    with pytest.raises(NotComparableError, match="judge"):
        power(tmp_path / "far", "ECS", 0.05)


def test_the_gate_keeps_the_judges_in_its_baseline(tmp_path: Path) -> None:
    spread = (-0.01, 0.0, 0.01)
    save_snapshot(open_row(judged(tmp_path / "a", "mr", PANEL, spread)), tmp_path / "baseline.json")
    kept = load_snapshot(tmp_path / "baseline.json")
    figure = next(score for score in kept.figures if score.key == ("expression", "in", "all", "ECS"))
    assert figure.without_judge == pytest.approx([figure.value + d for d in spread])
    (same,) = ecs_verdicts(judged(tmp_path / "b", "mr", PANEL, spread), kept)
    assert same.status == "same"
    larger = Judges(5, "cnn64-1", "0a1b2c3d", "77aa01bc")
    (refused,) = ecs_verdicts(judged(tmp_path / "c", "mr", larger, (0.0,) * 5), kept)
    assert refused.status == "not comparable"
    assert refused.reason.startswith("judge: 'K=3") or refused.reason.startswith("judge: 'K=5")


def test_seeds_of_one_row_are_averaged_judge_by_judge(tmp_path: Path) -> None:
    for seed, spread in ((0, (0.0, 0.0, 0.3)), (1, (0.0, 0.3, 0.0))):
        cell = write_cell(tmp_path, ROW["mr"], requests_table(10, styles=False), seed=seed)
        record = load_record(cell)
        for score in record.scores:
            if score.metric == "ECS":
                score.without_judge = list(spread)
        record.save(cell)
    row = open_row(find_row(tmp_path, "mr")[0][0].parent)
    figure = next(score for score in row.figures if score.key == ("expression", "in", "all", "ECS"))
    assert figure.without_judge == pytest.approx([0.0, 0.15, 0.15])
