"""Results that come with fesbench: of today's rules, beside one's own rows, told apart, never deciding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fesbench.cli.main import main
from fesbench.errors import RecordError, UsageError
from fesbench.protocol.protocol import load_protocol
from fesbench.records.record import load_record
from fesbench.records.signature import Signature
from fesbench.reports import reference
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.reference import FOLDER, with_reference, write_reference
from fesbench.reports.site import build
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import ROWS, write_runs

KNOWN = [row for row in ROWS if row.id in ("real", "copy", "mr", "stargan")]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("known")
    write_reference(write_runs(out / "runs", rows=KNOWN, styles=False), out / "reference")
    return out / "reference"


@pytest.fixture
def own(known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows of one's own: a method that is not among the known ones, and copy."""
    monkeypatch.setattr(reference, "FOLDER", known)
    return write_runs(
        tmp_path / "runs", rows=[row for row in ROWS if row.id in ("copy", "reggan")], styles=False
    )


def test_what_comes_along_is_of_todays_rules() -> None:
    rows, unreadable = read_runs(FOLDER)
    assert unreadable == []
    assert {"real", "copy", "mean-shift", "warp", "mr", "reggan"} <= {run.method for run in rows}
    assert {run.family for run in rows} == {rows[0].family}
    rules = load_protocol("avatars").with_overrides(size=64)
    assert rows[0].family[:2] == (rules.name, rules.hash)
    for run in rows:
        assert run.record.environment.keys() == {"fesbench", "device", "packages"}
        valued = [score for score in run.record.scores if score.value is not None]
        assert all(Signature.parse(score.signature).key() for score in valued)
        assert run.samples is not None
        assert {"ECS", "FSS"} <= set(run.samples)
        assert sum(path.stat().st_size for path in run.folder.iterdir()) < 150_000


def test_they_stand_beside_ones_own_rows_and_are_ranked_with_them(own: Path, tmp_path: Path) -> None:
    runs = with_reference(read_runs(own)[0])
    assert [(run.method, run.shipped) for run in runs] == [
        *(("copy", False), ("reggan", False)),
        *(("mr", True), ("real", True), ("stargan", True)),
    ]
    (board,) = make_boards(runs)
    table = build_table(board, "expression", "in")
    ranked = {row.id: row.cells["ECS"].rank for row in table.rows}
    assert ranked["copy"] is None
    assert {ranked[name] for name in ("mr", "reggan", "stargan")} == {1, 2}
    column = table.column("ECS")
    assert column is not None
    assert column.rank_rule.startswith("groups by paired tests")
    marks = {row.id: [word for word, _ in row.marks] for row in table.rows}
    assert "reference result" in marks["mr"]
    assert "reference result" not in marks["copy"] + marks["reggan"]

    page = build(own, tmp_path / "report", reference=True).read_text()
    assert "came with fesbench, made by its version" in page
    assert "kind cpu" in page
    told = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert {score["method"] for score in told} == {"copy", "reggan"}
    assert "came with fesbench" not in build(own, tmp_path / "plain").read_text()


def test_where_a_signature_moved_ones_own_rows_decide(own: Path) -> None:
    for path in own.rglob("record.json"):
        path.write_text(path.read_text().replace("SSIM|", "SSIM|r:new|"))
    (board,) = make_boards(with_reference(read_runs(own)[0]))
    cells = {row.id: row.cells["SSIM"] for row in build_table(board, "expression", "in").rows}
    assert cells["reggan"].value is not None
    assert cells["mr"].value is None
    assert cells["mr"].reason == "not comparable: r"


def test_on_another_board_there_are_none(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in own.rglob("record.json"):
        path.write_text(path.read_text().replace('"budget": "smoke"', '"budget": "short"'))
    with pytest.raises(UsageError, match="budget smoke, and no record is"):
        with_reference(read_runs(own)[0])
    with pytest.raises(SystemExit) as left:
        main(["report", str(own), "--with-reference", "--json"])
    assert left.value.code == 2
    assert "leave out --claims and --json" in capsys.readouterr().err


def test_only_whole_rows_are_kept(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", identities=2, rows=KNOWN[:2], styles=False)
    path = next(runs.rglob("record.json"))
    record = load_record(path.parent)
    record.status = "trained"
    record.save(path.parent)
    with pytest.raises(RecordError, match="is not scored"):
        write_reference(runs, tmp_path / "reference")
    assert not (tmp_path / "reference").exists()
