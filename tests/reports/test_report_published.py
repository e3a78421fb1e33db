"""Published values beside ours: which are shown, in which unit, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.metrics.explain import card_of
from fesbench.protocol.protocol import load_protocol
from fesbench.reports import published as module
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.published import Published, beside, published_values
from fesbench.reports.site import build
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import ROWS, write_runs

VALUE = Published(
    row="mr",
    preset="tiny",
    protocol="avatars",
    task="expression",
    metric="ECS",
    value=0.5,
    source="A paper, table 1",
    setting="faces",
    verified="read in the paper",
    differs="",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [row for row in ROWS if row.id in ("copy", "mr", "reggan")]
    return write_runs(tmp_path_factory.mktemp("runs"), identities=12, rows=rows, styles=False)


def verdicts(
    runs: Path, monkeypatch: pytest.MonkeyPatch, *values: Published, protocol: str = ""
) -> list[str]:
    (board,) = make_boards(read_runs(runs)[0])
    if protocol:
        board.key = replace(board.key, protocol=protocol, budget="standard")
    monkeypatch.setattr(module, "published_values", lambda: values)
    return [item.verdict for item in beside(board, [build_table(board, *board.headline)])]


def test_a_verdict_names_every_difference(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = verdicts(runs, monkeypatch, replace(VALUE, differs="another judge", preset="paper"))
    assert said == (
        "not comparable: another judge; ours is under size=64; our preset is tiny, the paper's paper; "
        "our budget is smoke"
    )


def test_what_is_alike_is_held_against_our_interval(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (board,) = make_boards(read_runs(runs)[0])
    ours = build_table(board, *board.headline).rows
    cell = next(row for row in ours if row.id == "mr").cells["ECS"]
    assert cell.low is not None
    assert cell.high is not None
    inside, below = replace(VALUE, value=cell.low), replace(VALUE, value=cell.low - 0.01)
    found = verdicts(
        runs, monkeypatch, inside, below, replace(VALUE, row="copy", preset="x"), protocol="avatars@1"
    )
    assert found[:2] == ["within interval", "differs"]
    assert not found[2].startswith("not comparable: our preset")  # a reference row has none


def test_only_what_the_board_has_is_shown(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        replace(VALUE, row="sargan"),
        replace(VALUE, metric="Rank-9"),
        replace(VALUE, protocol="ck+"),
        replace(VALUE, task="transfer"),
    ]
    assert verdicts(runs, monkeypatch, *others) == []


def test_the_file_names_what_there_is() -> None:
    from fesbench.methods.registry import load_method

    values = published_values()
    assert len(values) > 50
    for value in values:
        method = load_method(value.row)
        assert method.card.reference or value.preset in method.presets, value
        assert value.task in {task.kind for task in load_protocol(value.protocol).tasks}, value
        assert value.metric.startswith("augmentation-accuracy@") or card_of(value.metric) is not None, value
        assert value.differs  # of every one something is known to differ; one without needs a second look
    error = next(value for value in values if value.row == "stargan" and value.protocol == "rafd")
    assert error.value == pytest.approx(0.9788)  # an error of 2.12 % is an accuracy of 97.88 %


def test_the_page_shows_them(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "published_values", lambda: (VALUE,))
    page = build(runs, tmp_path / "report").read_text()
    assert 'href="#published"' in page
    assert "A paper, table 1" in page
    assert "ours is under size=64; our budget is smoke" in page
    monkeypatch.setattr(module, "published_values", tuple)
    assert "Published beside reproduced" not in build(runs, tmp_path / "report").read_text()
