"""Folders as people have them: long and foreign names, very many files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesbench.data.datasets import dataset
from fesbench.data.images import write_png
from fesbench.external.submission import read_submission

LONG = "ä漢字 " + "x" * 190
"""Some 200 letters, beyond 200 bytes."""
MANY = 3000


def test_foreign_and_long_names_are_read_like_others(tmp_path: Path) -> None:
    adapter, rng = dataset("folder"), np.random.default_rng(0)
    root = tmp_path / LONG / "Gesichter, größer"
    for expression in ("happy", "neutral"):
        for who in ("Zoë", "李"):
            path = root / expression / f"{who}_{LONG[:60]}.png"
            write_png(path, rng.integers(0, 256, (16, 16, 3), np.uint8))
    plan = adapter.plan(root, adapter.check_options({}), 16)
    found = plan.read(0, len(plan))
    assert {item.row["identity"] for item in found} == {"Zoë", "李"}  # type: ignore[union-attr]
    assert len(found) == 4


def test_a_folder_of_very_many_files_is_refused_by_names_without_opening_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MANY):
        (tmp_path / f"{number:06d}.png").touch()
    requests = pd.DataFrame({"request": ["r_1"], "task": ["expression"], "domain": ["in"], "length": [1]})

    def opened(path: Path) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr("fesbench.data.images.read_image", opened)
    found = read_submission(tmp_path, requests, 16)
    assert len(found.extra) == MANY
    assert len(found.fault()) < 500
    assert f"{MANY} files answer no request: 000000.png" in found.fault()
