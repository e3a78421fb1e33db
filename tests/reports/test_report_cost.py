from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fesbench.records.record import load_record
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.cost import CostTable, cost_table
from tests.reports.synthetic_records import ROWS, requests_table, write_cell


def table_of(folder: Path, order: list[str]) -> CostTable | None:
    (board,) = make_boards(read_runs(folder)[0])
    return cost_table(board, order)


def test_costs_are_readable_sortable_and_in_order(tmp_path: Path) -> None:
    requests = requests_table(1, styles=False)
    write_cell(tmp_path, replace(ROWS[4], parameters=2_654_208), requests)
    write_cell(tmp_path, replace(ROWS[6], parameters=53_200_000), requests)
    found = table_of(tmp_path, ["stargan", "mr"])
    assert found is not None
    assert found.settings == "device cpu, threads 1, memory kind rss-peak-growth, latency repeats 30"
    titles = [title for _, title in found.columns]
    assert titles[0] == "parameters, all"
    assert titles[3:6] == ["images/s, batch 1", "images/s, batch 4", "images/s, batch 16"]
    (_, stargan), (_, mr) = found.rows
    assert stargan[0] == ("53.2 M", 53_200_000)
    assert mr[0] == ("2.65 M", 2_654_208)
    memory = titles.index("peak memory, MiB")
    assert stargan[memory] == ("212.5", 212.5)
    assert mr[memory] == ("under an earlier peak", None)
    assert stargan[-1] == ("61 s", 61.0)


def test_differing_settings_become_a_column_and_unknown_costs_keep_their_names(tmp_path: Path) -> None:
    requests = requests_table(1, styles=False)
    write_cell(tmp_path, ROWS[4], requests)
    folder = write_cell(tmp_path, ROWS[6], requests)
    record = load_record(folder)
    record.cost |= {"device": "H100", "joules_spent": 12345.0}
    record.save(folder)
    found = table_of(tmp_path, ["mr", "stargan"])
    assert found is not None
    columns = [title for _, title in found.columns]
    assert "device" in columns
    assert "device" not in found.settings
    assert [cells[columns.index("joules spent")][0] for _, cells in found.rows] == ["n/a", "12 345"]


def test_reference_rows_cost_nothing(tmp_path: Path) -> None:
    write_cell(tmp_path, ROWS[0], requests_table(1, styles=False))
    assert table_of(tmp_path, ["real"]) is None
