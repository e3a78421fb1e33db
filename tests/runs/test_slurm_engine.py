"""Cells as jobs of submitit, by its local executor: the records of one process; one that dies stops none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fesbench.errors import UsageError
from fesbench.runs.engines import slurm
from fesbench.runs.engines.choose import make_engine
from tests.end_to_end import PIXELS, fesbench, figures, records
from tests.runs.test_local_engine import DIES, WAITS

pytestmark = pytest.mark.slow

DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
from pathlib import Path
from fesbench.progress import Reporter
from fesbench.runs import plan
from fesbench.runs.engines.slurm import SlurmEngine
plan.make_engine = lambda *_: SlurmEngine(cluster="local")
options = plan.RunOptions(methods=sys.argv[1], protocol=sys.argv[2], preset="tiny", budget="steps=3",
                          out=Path(sys.argv[3]), engine="slurm", report=False)
sys.exit(plan.run(options).exit_code)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


def drive(home: Path, methods: str, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, methods, PIXELS, str(out)],
        env={**os.environ, "FESBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_jobs_give_the_records_of_one_process(tmp_path: Path, home: Path) -> None:
    options = ("--methods", "usgan", "--preset", "tiny", "--budget", "steps=3")
    alone = fesbench("run", "--protocol", PIXELS, *options, "--out", str(tmp_path / "one"), home=home)
    assert alone.returncode == 0, alone.stderr
    driver = drive(home, "usgan", tmp_path / "two")
    assert driver.wait(600) == 0, driver.stderr.read() if driver.stderr else ""
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    assert set(one) == set(two)
    for name, record in one.items():
        assert figures(record) == figures(two[name]), name
    assert list((tmp_path / "two" / "slurm").glob("*_log.out"))


def test_a_job_that_dies_leaves_a_failed_record(tmp_path: Path, home: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    driver = drive(home, str(tmp_path / "dies.py"), tmp_path / "runs")
    assert driver.wait(600) == 4
    found = records(tmp_path / "runs")
    assert found["dies"].status == "failed"
    assert "died" in found["dies"].error
    assert {name for name, record in found.items() if record.status == "scored"} == {
        *("copy", "mean-shift", "real", "warp")
    }


def test_an_interrupt_cancels_the_jobs_and_the_same_command_resumes(tmp_path: Path, home: Path) -> None:
    mark, out = tmp_path / "mark", tmp_path / "runs"
    method = tmp_path / "waits.py"
    method.write_text(WAITS.format(mark=str(mark)))
    driver = drive(home, str(method), out)
    deadline = time.monotonic() + 240
    while not mark.exists() and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.1)
    assert mark.exists()
    driver.send_signal(signal.SIGINT)
    assert driver.wait(120) != 0
    # the job that waited is gone, and what stands in its place is done
    method.write_text(WAITS.format(mark=str(mark)).replace("time.sleep(60)", "return requests.source"))
    assert drive(home, str(method), out).wait(600) == 0
    assert records(out)["waits"].status == "scored"


def test_what_is_asked_again_is_the_same_job() -> None:
    task = slurm.CellTask()
    delayed = task.checkpoint("{}")
    assert (delayed.function, delayed.args) == (task, ("{}",))


def test_wrong_options_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="none of local, slurm, ray"):
        make_engine("x")
    with pytest.raises(UsageError, match="Slurm decides"):
        make_engine("slurm", jobs=2)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"pip install 'fesbench\[slurm\]'"):
        make_engine("slurm")
