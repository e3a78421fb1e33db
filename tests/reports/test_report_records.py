from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from fesbench.errors import RecordError
from fesbench.records.record import EXTERNAL, load_record
from fesbench.reports.boards import make_boards, read_runs, scores
from fesbench.reports.notes import notes
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import ROWS, requests_table, write_cell

REAL, COPY, MR = ROWS[0], ROWS[1], ROWS[4]


def test_presets_and_budgets_never_share_a_board(tmp_path: Path) -> None:
    requests = requests_table(3, styles=False)
    write_cell(tmp_path, MR, requests)
    write_cell(tmp_path, replace(MR, preset="paper"), requests)
    write_cell(tmp_path, MR, requests, budget="standard")
    boards = make_boards(read_runs(tmp_path)[0])
    assert sorted((b.key.preset, b.key.budget) for b in boards) == [
        ("paper", "smoke"),
        ("tiny", "smoke"),
        ("tiny", "standard"),
    ]
    assert all(list(b.methods) == ["mr"] for b in boards)


def test_reference_rows_of_another_preset_join_every_board(tmp_path: Path) -> None:
    requests = requests_table(3, styles=False)
    write_cell(tmp_path, MR, requests)
    write_cell(tmp_path, replace(MR, preset="paper"), requests)
    write_cell(tmp_path, replace(REAL, preset="none"), requests)
    boards = make_boards(read_runs(tmp_path)[0])
    assert [sorted(b.methods) for b in boards] == [["mr", "real"], ["mr", "real"]]


def test_reference_rows_stay_in_their_preset_where_a_method_uses_it(tmp_path: Path) -> None:
    requests = requests_table(3, styles=False)
    write_cell(tmp_path, MR, requests)
    write_cell(tmp_path, COPY, requests)
    write_cell(tmp_path, replace(MR, preset="paper"), requests)
    boards = {b.key.preset: sorted(b.methods) for b in make_boards(read_runs(tmp_path)[0])}
    assert boards == {"tiny": ["copy", "mr"], "paper": ["mr"]}


def test_loaded_weights_are_no_external_images(tmp_path: Path) -> None:
    requests = requests_table(3, styles=False)
    write_cell(tmp_path, replace(MR, preset="paper"), requests)
    for row, trained in (
        (replace(MR, id="mr-given"), "declared"),
        (replace(MR, id="x", preset=EXTERNAL), "unknown"),
    ):
        folder = write_cell(tmp_path, row, requests)
        load_record(folder).model_copy(update={"trained_on": trained}).save(folder)
    runs, _ = read_runs(tmp_path)
    assert {run.method: run.external for run in runs} == {"mr": False, "mr-given": False, "x": True}
    boards = {board.key.preset: board for board in make_boards(runs)}
    assert {preset: list(board.methods) for preset, board in boards.items()} == {
        "tiny": ["mr-given", "x"],
        "paper": ["mr", "x"],
    }
    table = build_table(boards["tiny"], "expression", "in")
    assert {row.id: row.external for row in table.rows} == {"mr-given": False, "x": True}
    told = {note.head: note.text for note in notes(boards["tiny"], [table], [])}
    assert "declared" in told["Loaded weights: MR"]
    assert "unknown" in told["External row: MR"]


def test_a_row_of_the_zoo_says_how_it_was_trained(tmp_path: Path) -> None:
    requests = requests_table(3, styles=False)
    write_cell(tmp_path, MR, requests)
    folder = write_cell(tmp_path, replace(MR, id="mr@zoo"), requests)
    record = load_record(folder)
    record.loaded = {"zoo": {"words": "budget short, 9,000 steps, seed 0, on a CPU"}}
    record.save(folder)
    (board,) = make_boards(read_runs(tmp_path)[0])
    table = build_table(board, "expression", "in")
    assert {row.id: [word for word, _ in row.marks] for row in table.rows} == {"mr": [], "mr@zoo": ["zoo"]}
    told = {note.head: note.text for note in notes(board, [table], [])}
    assert told["From the zoo: MR"].endswith(
        "trained it before (budget short, 9,000 steps, seed 0, on a CPU)."
    )
    assert told["Smoke budget"].endswith("Rows from the zoo were trained longer than the others.")


def test_a_damaged_record_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, MR, requests_table(3, styles=False))
    broken = folder.parent.parent / "zzz-tiny-smoke" / "0"
    broken.mkdir(parents=True)
    (broken / "record.json").write_text('{"schema_version": 1, "cell"')
    runs, unreadable = read_runs(tmp_path)
    assert [run.method for run in runs] == ["mr"]
    assert len(unreadable) == 1
    assert "zzz-tiny-smoke" in unreadable[0]
    assert str(tmp_path) not in unreadable[0]
    with pytest.raises(RecordError, match="zzz-tiny-smoke"):
        scores(tmp_path)


def test_no_record_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="fesbench run"):
        read_runs(tmp_path)
    with pytest.raises(RecordError, match="fesbench run"):
        read_runs(tmp_path / "absent")


def test_scores_are_the_records_own(runs: Path) -> None:
    found = scores(runs)
    assert {"protocol", "metric", "value", "low", "high", "signature", "reason", "n_valid"} <= set(found[0])
    assert len(found) == sum(len(run.record.scores) for run in read_runs(runs)[0])
    assert any(s["value"] is None and s["reason"] for s in found)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.drop(columns="publishable"), "publishable"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "twice"),
    ],
)
def test_bad_samples_are_refused(tmp_path: Path, damage, message: str) -> None:
    folder = write_cell(tmp_path, MR, requests_table(2, styles=False))
    table = pd.read_parquet(folder / "samples.parquet")
    damage(table).to_parquet(folder / "samples.parquet")
    run = read_runs(tmp_path)[0][0]
    with pytest.raises(RecordError, match=message):
        _ = run.samples


def test_truncated_samples_name_the_file(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, MR, requests_table(2, styles=False))
    (folder / "samples.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RecordError, match=r"samples\.parquet"):
        _ = read_runs(tmp_path)[0][0].samples


def test_values_are_meaned_over_seeds_and_a_missing_seed_value_stays_missing(tmp_path: Path) -> None:
    requests = requests_table(2, styles=False)
    for seed, numbers in ((0, [0.2, float("nan")]), (1, [0.4, 0.6])):
        folder = write_cell(tmp_path, MR, requests, seed=seed)
        table = pd.read_parquet(folder / "samples.parquet")
        table["FSS"] = [*numbers, *[1.0] * (len(table) - 2)]
        table.sample(frac=1, random_state=seed).to_parquet(folder / "samples.parquet")
    board = make_boards(read_runs(tmp_path)[0])[0]
    values = board.values("mr", "FSS", "expression", "in")
    assert values is not None
    assert values[requests.request[0]] == pytest.approx(0.3)
    assert pd.isna(values[requests.request[1]])
    assert values[requests.request[2]] == 1.0


def test_a_subject_is_shown_only_where_every_row_allows_it(tmp_path: Path) -> None:
    write_cell(tmp_path, MR, requests_table(2, styles=False))
    write_cell(tmp_path, COPY, requests_table(2, styles=False, private=["a0221"]))
    table = make_boards(read_runs(tmp_path)[0])[0].requests
    assert set(table[table.publishable].identity) == {"a0220"}


def test_the_protocol_is_shown_only_under_its_own_hash(tmp_path: Path) -> None:
    write_cell(tmp_path, MR, requests_table(2, styles=False))
    board = make_boards(read_runs(tmp_path)[0])[0]
    rules, why = board.protocol
    assert rules is not None
    assert rules.data.size == 64
    assert why == ""
    other = replace(board.key, protocol_hash="0" * 64)
    rules, why = type(board)(other).protocol
    assert rules is None
    assert "other rules" in why
    rules, why = type(board)(replace(board.key, protocol="nobody@3+size=64")).protocol
    assert rules is None
    assert "not installed" in why


def test_a_ramped_row_says_so_beside_its_clips_alone(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, MR, requests_table(3, styles=False))
    record = load_record(folder)
    record.ramped = True
    record.scores += [score.model_copy(update={"task": "sequence"}) for score in record.scores]
    record.save(folder)
    (board,) = make_boards(read_runs(tmp_path)[0])
    tables = [build_table(board, task, "in") for task in ("expression", "sequence")]
    assert [[word for word, _ in table.rows[0].marks] for table in tables] == [[], ["ramped"]]
    told = {note.head: note.text for note in notes(board, tables, [])}
    assert told["Ramped: MR"].startswith("It makes images: every frame of its clips is one")
