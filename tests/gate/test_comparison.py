"""Comparing rows of synthetic records: what is paired, what is refused, and how it is printed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fesbench
from fesbench.errors import NotComparableError, RecordError, UsageError
from fesbench.gate.collect import find_row, open_row
from fesbench.gate.comparison import compare
from fesbench.gate.writers import comparison_json, comparison_markdown, comparison_rows, remarks
from fesbench.records.record import load_record
from fesbench.records.replicates import ReplicateRow, read_replicates, write_replicates
from fesbench.statistics.intervals import cluster_mean, cluster_sums
from fesbench.statistics.paired import difference_of_means
from fesbench.statistics.significance import holm
from tests.end_to_end import fesbench as command
from tests.reports.synthetic_records import ROWS, requests_table, write_cell, write_runs

ROW = {row.id: row for row in ROWS}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(
        tmp_path_factory.mktemp("runs"),
        identities=8,
        rows=[ROW[n] for n in ("copy", "mr", "stargan")],
        styles=False,
    )


def folder(runs: Path, method: str) -> Path:
    return find_row(runs, method)[0][0]


def test_pooled_means_equal_the_plain_paired_test(runs: Path) -> None:
    found = {row.key: row for row in compare(folder(runs, "mr"), folder(runs, "stargan")).rows}
    mine, theirs = (pd.read_parquet(folder(runs, m) / "samples.parquet") for m in ("mr", "stargan"))
    for metric in ("FSS", "SSIM"):
        row = found["expression", "in", "all", metric]
        change, who = mine[metric] - theirs[metric], mine["identity"]
        assert row.difference is not None
        assert row.difference.value == pytest.approx(cluster_mean(change, who, seed=0).value)
        sides = [cluster_sums(table[metric], who) for table in (mine, theirs)]
        assert row.difference.p == pytest.approx(difference_of_means(*sides[0], *sides[1], seed=0).p)
        assert row.improved == 8
        anger = found["expression", "in", "anger", metric]
        part = mine["target_expression"] == "anger"
        assert anger.a == pytest.approx(mine[metric][part].mean())
    tested = [row for row in found.values() if row.difference is not None and np.isfinite(row.difference.p)]
    adjusted = holm([row.difference.p for row in tested if row.difference])
    assert [row.p_adjusted for row in tested] == pytest.approx(list(adjusted))


def test_scores_of_sets_without_replicates_say_why_there_is_no_interval(runs: Path) -> None:
    found = compare(runs, runs, methods=("mr", "stargan"))
    row = next(row for row in found.rows if row.metric == "FID")
    assert row.status == "no interval"
    assert row.difference is not None
    assert row.difference.value == pytest.approx(ROW["mr"].fid - ROW["stargan"].fid)  # type: ignore[operator]
    assert any("no paired interval: a record holds neither" in line for line in remarks(found))
    assert found.exit_code == 0


def fid_replicates(place: Path, deleted: list[float], people: str = "p") -> None:
    key = ("expression", "in", "all", "FID")
    write_replicates(place, [ReplicateRow(*key, "delete-one-identity", people, 8, deleted)])


def test_frechet_distances_are_paired_subject_by_subject(runs: Path, tmp_path: Path) -> None:
    requests = requests_table(8, styles=False)
    a, b = (write_cell(tmp_path, ROW[m], requests) for m in ("mr", "stargan"))
    shift = np.linspace(-1, 1, 8)
    fid_replicates(a, list(52.3 + 9 * shift))
    fid_replicates(b, list(35.1 + 9 * shift + 0.01 * shift**2))
    assert read_replicates(a)["expression", "in", "all", "FID"].identities == 8
    row = next(row for row in compare(a, b).rows if row.metric == "FID")
    assert row.status == "compared"
    assert row.difference is not None
    assert row.difference.high - row.difference.low < 0.2  # alone, each would be some 90 wide
    fid_replicates(b, list(35.1 + shift), people="others")
    other = next(row for row in compare(a, b).rows if row.metric == "FID")
    assert other.reason == "no paired interval: the two scores stand on other subjects"


def test_replicates_with_a_gap_give_no_interval_and_say_so(runs: Path, tmp_path: Path) -> None:
    requests = requests_table(8, styles=False)
    a, b = (write_cell(tmp_path, ROW[m], requests) for m in ("mr", "stargan"))
    fid_replicates(a, [50.0, float("nan"), *[52.0] * 6])
    fid_replicates(b, [35.0] * 8)
    row = next(row for row in compare(a, b).rows if row.metric == "FID")
    assert row.status == "no interval"
    assert row.reason == "no paired interval: without some subjects one of the rows has no score"


def test_damaged_replicates_are_named(tmp_path: Path) -> None:
    (tmp_path / "replicates.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(RecordError, match=r"replicates\.parquet cannot be read"):
        read_replicates(tmp_path)


def test_seeds_are_averaged_and_their_spread_is_told_apart(tmp_path: Path) -> None:
    requests = requests_table(6, styles=False)
    for seed in (0, 1, 2):
        write_cell(tmp_path, ROW["mr"], requests, seed=seed)
    write_cell(tmp_path, ROW["stargan"], requests)
    found = compare(tmp_path, tmp_path, methods=("mr", "stargan"))
    row = next(row for row in found.rows if row.key == ("expression", "in", "all", "SSIM"))
    each = [
        pd.read_parquet(place / "samples.parquet")["SSIM"].mean() for place, _ in find_row(tmp_path, "mr")
    ]
    assert row.a == pytest.approx(np.mean(each))
    assert row.seed_sd_a == pytest.approx(np.std(each, ddof=1))
    assert row.seed_sd_b is None
    assert "seeds' SD" in comparison_markdown(found)


def altered(place: Path, old: str, new: str) -> None:
    record = load_record(place)
    for score in record.scores:
        score.signature = score.signature.replace(old, new)
    record.save(place)


def test_other_signatures_are_refused_in_words(runs: Path, tmp_path: Path) -> None:
    requests = requests_table(6, styles=False)
    a, b = (write_cell(tmp_path, ROW[m], requests) for m in ("mr", "stargan"))
    altered(b, "x:dlib:1d5b2f90", "x:dlib:00000000")
    found = compare(a, b)
    refused = [row for row in found.rows if row.status == "not comparable"]
    assert {row.metric for row in refused} == {"FSS", "TAR@FAR=1%", "Rank-1"}
    assert refused[0].reason == (
        "extractor (name, weights, recipe of its settings) (x): 'dlib:1d5b2f90' against 'dlib:00000000'"
    )
    assert found.exit_code == 5
    assert all(row.status != "not comparable" for row in found.rows if row.metric == "SSIM")
    altered(b, "p:avatars@1", "p:avatars@2")
    with pytest.raises(NotComparableError, match=r"protocol, its hash.*avatars@1.*against.*avatars@2"):
        compare(a, b)


def test_presets_never_mix(tmp_path: Path) -> None:
    from dataclasses import replace

    requests = requests_table(6, styles=False)
    a, b = (
        write_cell(tmp_path, ROW["mr"], requests),
        write_cell(tmp_path, replace(ROW["stargan"], preset="paper"), requests),
    )
    with pytest.raises(NotComparableError, match="preset 'tiny' against 'paper'"):
        compare(a, b)


def test_a_row_is_found_or_asked_for(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several rows"):
        open_row(runs)
    with pytest.raises(UsageError, match="holds no record of 'none'; there are: copy, mr, stargan"):
        open_row(runs, "none")
    with pytest.raises(RecordError, match="no records below"):
        open_row(tmp_path)
    requests = requests_table(6, styles=False)
    for name in ("copy", "mr"):
        write_cell(tmp_path, ROW[name], requests)
    assert open_row(tmp_path).cell.method == "mr"  # the reference row came along by itself


def test_a_failed_cell_is_no_row(tmp_path: Path) -> None:
    from dataclasses import replace

    place = write_cell(
        tmp_path, replace(ROW["mr"], status="failed", error="x"), requests_table(6, styles=False)
    )
    with pytest.raises(RecordError, match="is not scored"):
        open_row(place)


def test_writers_hold_every_figure(runs: Path) -> None:
    found = compare(runs, runs, methods=("mr", "copy"))
    data = json.loads(json.dumps(comparison_json(found), allow_nan=False))
    assert len(data["rows"]) == len(found.rows)
    assert data["a"]["cell"]["method"] == "mr"
    text = comparison_markdown(found)
    assert text.count("\n| expression in") == len(comparison_rows(found))
    assert "TAR@FAR=1%" in text


def test_command_line(runs: Path, tmp_path: Path) -> None:
    done = command("compare", "--runs", str(runs), "--methods", "mr,stargan", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]
    assert command("compare", str(runs), home=tmp_path).returncode == 2


def test_importable_from_the_package(runs: Path) -> None:
    found = fesbench.compare(runs, runs, methods=("mr", "stargan"), expressions=False)
    assert {row.expression for row in found.rows} == {"all"}
