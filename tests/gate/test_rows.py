"""Several methods in one baseline: each against its own, the worst decides, and what lacks is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fesbench.cli.main import main
from fesbench.errors import RecordError, UsageError
from fesbench.gate.baselines import load_rows, save_rows
from fesbench.gate.collect import open_row, open_rows
from fesbench.gate.power import power
from fesbench.gate.rows import check_rows, exit_code, rows_of
from fesbench.gate.snapshot import Snapshot
from tests.reports.synthetic_records import ROWS, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [row for row in ROWS if row.id in ("copy", "mr", "reggan")]
    return write_runs(tmp_path_factory.mktemp("runs"), identities=8, rows=rows, styles=False)


def darker(row: Snapshot) -> Snapshot:
    """Every subject's SSIM .2 lower."""
    scores = [
        score.model_copy(
            update={
                "values": [value - 0.2 for value in score.values],
                "sums": [
                    total - 0.2 * n for total, n in zip(score.sums or (), score.counts or (), strict=True)
                ],
            }
        )
        if score.metric == "SSIM" and score.sums is not None
        else score
        for score in row.figures
    ]
    return row.model_copy(update={"figures": scores})


def test_a_file_of_several_rows_serves_wherever_one_does(runs: Path, tmp_path: Path) -> None:
    rows, path = rows_of(runs), tmp_path / "b.json"
    save_rows(rows, path)
    assert open_row(path, "reggan") == rows[1]
    with pytest.raises(UsageError, match="holds several rows; name a method, one of: mr, reggan"):
        open_row(path)
    assert open_rows(path) == rows
    assert open_rows(path, methods=("reggan", "mr")) == rows
    with pytest.raises(UsageError, match="holds no row of 'stargan'"):
        open_rows(path, methods=("stargan", "mr"))
    with pytest.raises(RecordError, match="no row of protocol 'ck\\+'"):
        open_rows(path, "ck+")
    (needed,) = power(path, "SSIM", 0.05)
    (same,) = power(runs, "SSIM", 0.05)
    assert needed == same


def test_every_method_is_held_against_its_own(runs: Path, tmp_path: Path) -> None:
    rows = rows_of(runs)
    assert [row.cell.method for row in rows] == ["mr", "reggan"]
    save_rows(rows, tmp_path / "b.json")
    assert load_rows(tmp_path / "b.json") == rows
    reports = check_rows(runs, tmp_path / "b.json")
    assert [(r.run.cell.method, r.baseline.cell.method) for r in reports] == [
        ("mr", "mr"),
        ("reggan", "reggan"),
    ]
    assert not any(report.counts["worse"] for report in reports)
    # one of them was better before: the worst of all decides
    save_rows([row if row.cell.method == "mr" else darker(row) for row in rows], tmp_path / "low.json")
    assert check_rows(runs, tmp_path / "low.json")[1].counts["improved"] == 1
    for row in rows:
        save_rows([row], tmp_path / f"{row.cell.method}.json")
    (alone,) = check_rows(runs, tmp_path / "mr.json", method="reggan")  # one row against one: named in a note
    assert alone.notes[0] == "the baseline is of mr, the run of reggan"


def test_the_worst_decides_and_each_has_its_suite(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(runs)
    save_rows(rows, tmp_path / "b.json")
    monkeypatch.setattr("fesbench.gate.rows.open_rows", lambda place: [rows[0], darker(rows[1])])
    outputs = [("--json", "v.json"), ("--junit", "j.xml"), ("--markdown", "s.md")]
    options = [word for option, name in outputs for word in (option, str(tmp_path / name))]
    with pytest.raises(SystemExit) as left:
        main(["check", str(runs), "--against", str(tmp_path / "b.json"), *options])
    assert left.value.code == 3
    told = json.loads((tmp_path / "v.json").read_text())
    assert (told["result"], told["exit_code"], told["counts"]["worse"]) == ("worse", 3, 1)
    assert [part["run"]["cell"]["method"] for part in told["methods"]] == ["mr", "reggan"]
    suites = ElementTree.parse(tmp_path / "j.xml").getroot().findall("testsuite")
    assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [
        ("fesbench check mr", "0"),
        ("fesbench check reggan", "1"),
    ]
    assert (tmp_path / "s.md").read_text().count("### fesbench: ") == 2
    assert "reggan (tiny) on avatars@1+size=64: worse" in capsys.readouterr().out


def test_what_lacks_on_either_side_is_said(runs: Path, tmp_path: Path) -> None:
    rows = rows_of(runs)
    save_rows(rows, tmp_path / "b.json")
    part = tmp_path / "part"
    shutil.copytree(runs, part)
    for found in list(part.rglob("record.json")):
        if json.loads(found.read_text())["cell"]["method"] == "reggan":
            shutil.rmtree(found.parent)
    reports = check_rows(part, tmp_path / "b.json")
    assert exit_code(reports) == 5
    missing = next(report for report in reports if report.baseline.cell.method == "reggan")
    assert {verdict.status for verdict in missing.verdicts} == {"missing"}
    extra = [*rows, open_row(runs, "copy")]
    assert [row.cell.method for row in rows_of(runs, "copy")] == ["copy"]
    save_rows(extra[1:], tmp_path / "two.json")
    assert "not in the baseline: mr" in check_rows(runs, tmp_path / "two.json")[0].notes


def test_the_verb_saves_all_or_one(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, names in (([], ["mr", "reggan"]), (["--method", "mr"], ["mr"])):
        with pytest.raises(SystemExit) as left:
            main(["baseline", "save", str(runs), "--out", str(tmp_path / "b.json"), *options])
        assert left.value.code == 0
        assert [row.cell.method for row in load_rows(tmp_path / "b.json")] == names
        assert len(capsys.readouterr().out.splitlines()) == len(names)


@pytest.mark.parametrize("change", [{"rows": []}, {"rows": 3}, {"schema_version": 2}])
def test_damaged_files_are_refused(runs: Path, tmp_path: Path, change: dict[str, object]) -> None:
    save_rows(rows_of(runs), tmp_path / "b.json")
    raw = json.loads((tmp_path / "b.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps(raw | change))
    with pytest.raises(RecordError, match=r"b\.json is damaged"):
        load_rows(tmp_path / "b.json")
    (tmp_path / "b.json").write_text(json.dumps(raw | {"rows": [raw["rows"][0]] * 2}))
    with pytest.raises(RecordError, match="damaged"):
        load_rows(tmp_path / "b.json")
    (tmp_path / "b.json").write_text(json.dumps(raw | {"rows": [{}]}))
    with pytest.raises(RecordError, match="not a baseline"):
        load_rows(tmp_path / "b.json")
