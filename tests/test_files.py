from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.errors import DataError
from fesbench.files import fesbench_home


def test_the_variable_wins_and_the_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "a" / "b"))
    assert fesbench_home() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_the_default_is_below_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FESBENCH_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fesbench_home() == tmp_path / ".cache" / "fesbench"


def test_a_folder_that_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "file" / "x"))
    with pytest.raises(DataError, match="FESBENCH_HOME"):
        fesbench_home()
