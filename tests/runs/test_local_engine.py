"""Cells in several processes: the same records as in one, and a process that dies stops no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fesbench.errors import UsageError
from fesbench.runs.engines.local import LocalEngine
from tests.end_to_end import PIXELS, command, fesbench, figures, records

pytestmark = pytest.mark.slow

DIES = """
import dataclasses, os, signal
from fesbench.baselines.copy_source import CopySource as Base

class Dies(Base):
    card = dataclasses.replace(Base.card, id="dies", reference=False)
    def synthesize(self, requests):
        os.kill(os.getpid(), signal.SIGKILL)
"""
WAITS = """
import dataclasses, time
from pathlib import Path
from fesbench.baselines.copy_source import CopySource as Base

class Waits(Base):
    card = dataclasses.replace(Base.card, id="waits", reference=False)
    def synthesize(self, requests):
        Path({mark!r}).write_text("here")
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


def run(out: Path, home: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return fesbench("run", "--protocol", PIXELS, "--budget", "steps=3", "--out", str(out), *more, home=home)


def test_two_processes_give_the_scores_of_one(tmp_path: Path, home: Path) -> None:
    for out, jobs in ((tmp_path / "one", "1"), (tmp_path / "two", "2")):
        done = run(out, home, "--methods", "usgan", "--preset", "tiny", "--jobs", jobs)
        assert done.returncode == 0, done.stderr
        # what a child does is shown by the parent
        assert "usgan: train" in done.stderr
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    assert set(one) == set(two) == {"copy", "mean-shift", "real", "usgan", "warp"}
    for name, record in one.items():
        assert figures(record) == figures(two[name]), name
        assert record.steps == two[name].steps


def test_a_child_that_dies_leaves_a_failed_record_and_the_others_go_on(tmp_path: Path, home: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    done = run(tmp_path / "runs", home, "--methods", str(tmp_path / "dies.py"), "--jobs", "2")
    assert done.returncode == 4, done.stderr
    found = records(tmp_path / "runs")
    assert found["dies"].status == "failed"
    assert "ended by signal 9" in found["dies"].error
    assert {name for name, record in found.items() if record.status == "scored"} == {
        "copy",
        "mean-shift",
        "real",
        "warp",
    }


def test_an_interrupt_ends_the_parent_and_its_children(tmp_path: Path, home: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "waits.py").write_text(WAITS.format(mark=str(mark)))
    process = subprocess.Popen(
        command(
            *("run", "--protocol", PIXELS, "--budget", "steps=3", "--out", str(tmp_path / "runs")),
            *("--methods", str(tmp_path / "waits.py"), "--jobs", "2"),
        ),
        env={**os.environ, "FESBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not mark.exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.1)
    children = _children(process.pid)
    assert children
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _children(pid: int) -> list[int]:
    if not sys.platform.startswith("linux"):
        pytest.skip("children are looked up in /proc")
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return found


def test_less_than_one_process_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        LocalEngine(0)
