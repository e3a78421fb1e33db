"""A small runs folder, and a study of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.study.answers import load_key
from fesbench.study.make import KEY, Key, make_study
from tests.reports.synthetic_records import ROWS, write_runs

METHODS = ["mr", "reggan", "stargan", "usgan"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [row for row in ROWS if row.id in (*METHODS, "copy", "real")]
    return write_runs(
        tmp_path_factory.mktemp("runs"), identities=10, rows=rows, styles=False, private=["a0221"]
    )


@pytest.fixture(scope="session")
def study(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    pages = make_study(runs, METHODS, raters=6, pairs=20, out=folder)
    assert [page.name for page in pages] == [f"rater-{k:02d}.html" for k in range(1, 7)]
    return folder


@pytest.fixture
def key(study: Path) -> Key:
    return load_key(study / KEY)
