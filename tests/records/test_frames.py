from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fesbench.errors import RecordError
from fesbench.records.frames import FRAMES, read_frames, write_frames

TABLE = pd.DataFrame({"request": ["a", "a", "b"], "frame": [0, 1, 0], "NME": [0.1, np.nan, 0.3]})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    faces = TABLE.assign(request=["c", "c", "d"], face=[None, np.ones(3, np.float32), None])
    write_frames(tmp_path, [TABLE, faces])
    found = read_frames(tmp_path)
    assert found is not None
    assert found[list(TABLE)].equals(pd.concat([TABLE, faces], ignore_index=True)[list(TABLE)])
    (face,) = found["face"].dropna()
    assert face.tolist() == [1, 1, 1]
    write_frames(tmp_path, [])
    assert read_frames(tmp_path) is None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.drop(columns="frame"), "lacks the columns frame"),
        (TABLE.assign(frame=0), "holds a frame twice"),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused(table: pd.DataFrame | None, words: str, tmp_path: Path) -> None:
    if table is None:
        (tmp_path / FRAMES).write_bytes(b"PAR1")
    else:
        table.to_parquet(tmp_path / FRAMES)
    with pytest.raises(RecordError, match=words):
        read_frames(tmp_path)
