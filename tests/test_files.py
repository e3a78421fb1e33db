from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from fesbench.errors import DataError
from fesbench.files import fesbench_home, lock, locked


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


def test_a_lock_is_told_or_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a" / ".lock"
    with lock(path, wait=False) as held:
        assert held
        with lock(path, wait=False) as again:
            assert not again
    with lock(path, wait=True) as held:
        assert held


def test_who_waits_for_a_lock_says_so_first(tmp_path: Path) -> None:
    path, told = tmp_path / ".lock", []
    with locked(path, lambda: told.append("free")):
        other = threading.Thread(target=lambda: told.append("held") if _held(path, told) else None)
        other.start()
        while not told:
            time.sleep(0.01)
        assert told == ["waits"]
    other.join(10)
    assert told == ["waits", "held"]


def _held(path: Path, told: list[str]) -> bool:
    with locked(path, lambda: told.append("waits")):
        return True


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with lock(tmp_path / ".lock", wait=False) as held:
        assert held
