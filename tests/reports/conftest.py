"""A runs folder of ten rows and its built report, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.records.record import load_record
from fesbench.reports.site import build
from tests.reports.synthetic_records import EVIL, PRIVATE, ROWS, Row, requests_table, write_cell, write_runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten rows, one of them with two seeds, one failed with a hostile title, one subject not publishable."""
    folder = tmp_path_factory.mktemp("runs")
    write_runs(
        folder,
        identities=8,
        private=[PRIVATE],
        changes={"pix2pix": {"fid_signature": "ref:train-real"}, "ganimation": {"invalid": 0.08}},
    )
    requests = requests_table(8, private=[PRIVATE])
    reggan = next(row for row in ROWS if row.id == "reggan")
    write_cell(folder, reggan, requests, seed=1)
    failed = Row("cdaae", EVIL, 2018, 0, 0, 0, None, 0, status="failed", error="loss is NaN at step 3 <b>")
    write_cell(folder, failed, requests)
    return folder


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built folder of three leaderboards: two presets of a protocol, and one that is not installed."""
    folder = tmp_path_factory.mktemp("shelf")
    requests = requests_table(3, styles=False)
    for row in (ROWS[0], ROWS[4], replace(ROWS[5], preset="paper")):
        write_cell(folder / "runs", row, requests)
    old = write_cell(folder / "runs", ROWS[4], requests, protocol="mine@1", data="mine")
    record = load_record(old)
    record.environment["fesbench"] = "0.0.9"
    record.save(old)
    return build(folder / "runs", folder / "site").parent


@pytest.fixture(scope="session")
def site(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built folder."""
    return build(runs, tmp_path_factory.mktemp("site")).parent
