"""Power from records: the variance over subjects by hand, pairs, one row, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest

from fesbench.errors import FesbenchError, RecordError, UnknownNameError, UsageError
from fesbench.gate.collect import find_row
from fesbench.gate.power import ALONE, power
from fesbench.records.replicates import ReplicateRow, write_replicates
from fesbench.statistics.power import subjects_needed
from tests.end_to_end import fesbench as command
from tests.reports.synthetic_records import ROWS, write_runs

ROW = {row.id: row for row in ROWS}
KEY = ("expression", "in", "all")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    return write_runs(place, identities=8, rows=[ROW[n] for n in ("copy", "mr", "stargan")], styles=False)


def samples(runs: Path, method: str) -> pd.DataFrame:
    table = pd.read_parquet(find_row(runs, method)[0][0] / "samples.parquet")
    return table[(table["task"] == "expression") & (table["domain"] == "in")]


def test_a_pair_by_hand(runs: Path) -> None:
    (need,) = power(runs, "FSS", 0.01)
    means = [samples(runs, name).groupby("identity")["FSS"].mean() for name in ("mr", "stargan")]
    sd = (means[0] - means[1]).std(ddof=1)
    assert (need.a, need.b, need.subjects) == ("mr", "stargan", 8)
    assert need.sd == pytest.approx(sd)
    assert need.difference == pytest.approx(means[0].mean() - means[1].mean())
    assert need.needed == subjects_needed(0.01, sd)


def test_one_row_is_an_upper_bound(runs: Path) -> None:
    (alone,) = power(find_row(runs, "mr")[0][0], "FSS", 0.01)
    sd = samples(runs, "mr").groupby("identity")["FSS"].mean().std(ddof=1)
    assert alone.b == ALONE
    assert alone.sd == pytest.approx(np.sqrt(2) * sd)
    assert np.isnan(alone.difference)


def test_reference_rows_are_paired_where_they_are_named(runs: Path) -> None:
    (need,) = power(runs, "FSS", 0.01, methods=("copy", "mr"))
    assert (need.a, need.b) == ("copy", "mr")
    with pytest.raises(UsageError, match="no record of 'nobody'"):
        power(runs, "FSS", 0.01, methods=("nobody", "mr"))


def test_a_score_of_replicates_has_pseudo_values(tmp_path: Path) -> None:
    place = write_runs(tmp_path, identities=8, rows=[ROW["mr"], ROW["stargan"]], styles=False)
    deleted = {"mr": np.arange(8) / 100, "stargan": np.arange(8)[::-1] / 100}
    for name, values in deleted.items():
        row = ReplicateRow(*KEY, "FID", "delete-one-identity", "people", 8, values.tolist())
        write_replicates(find_row(place, name)[0][0], [row])
    (need,) = power(place, "FID", 0.1)
    assert need.sd == pytest.approx(7 * (deleted["mr"] - deleted["stargan"]).std(ddof=1))
    row = ReplicateRow(*KEY, "FID", "delete-one-identity", "others", 8, deleted["mr"].tolist())
    write_replicates(find_row(place, "mr")[0][0], [row])
    with pytest.raises(RecordError, match="two subjects or more"):
        power(place, "FID", 0.1)


def test_refusals(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        power(runs, "FSSS", 0.01)
    with pytest.raises(RecordError, match="no score in task transfer"):
        power(runs, "FSS", 0.01, task="transfer")
    with pytest.raises(RecordError, match="no scored records of protocol 'nothing'"):
        power(runs, "FSS", 0.01, protocol="nothing")
    with pytest.raises(RecordError, match="no scored records"):
        power(tmp_path, "FSS", 0.01)
    with pytest.raises(FesbenchError, match="holds no value of each subject"):
        power(runs, "FID", 0.1)
    with pytest.raises(UsageError, match="effect 0"):
        power(runs, "FSS", 0.0)


def test_command_line(runs: Path, tmp_path: Path) -> None:
    def asked(*more: str) -> CompletedProcess[str]:
        return command("power", str(runs), "--metric", "ECS", "--effect", "5", *more, home=tmp_path)

    known = find_row(runs, "mr")[0][1].cell.protocol
    shown = asked("--protocol", known.partition("@")[0])
    assert shown.returncode == 0, shown.stderr
    assert "needed for 5" in shown.stdout
    told = asked("--json")
    (need,) = json.loads(told.stdout)
    assert need["needed"] == power(runs, "ECS", 0.05)[0].needed
    assert f"{need['needed']} subjects show 5 in every pair" in shown.stdout
    assert "Example" in command("power", "--help", home=tmp_path).stdout
