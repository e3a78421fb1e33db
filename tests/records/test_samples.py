"""The samples of a cell, as another's hand may have left them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fesbench.errors import RecordError
from fesbench.records.samples import SAMPLE_COLUMNS, SAMPLES, read_samples


def _folder(folder: Path, request: str) -> Path:
    row = dict.fromkeys(SAMPLE_COLUMNS, "x") | {"request": request}
    pd.DataFrame([row]).to_parquet(folder / SAMPLES)
    return folder


@pytest.mark.parametrize("name", ["../other/x", "/etc/x", "a/b", "..", ".x", "a\\b", ""])
def test_a_request_that_would_lead_to_files_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="whose name is no file's"):
        read_samples(_folder(tmp_path, name))


@pytest.mark.parametrize("name", ["41-0-neutral--happiness", "S010_004.00000017+a@0.5=x", "ö-ä"])
def test_a_plain_name_is_read(tmp_path: Path, name: str) -> None:
    found = read_samples(_folder(tmp_path, name))
    assert found is not None
    assert found["request"].tolist() == [name]
