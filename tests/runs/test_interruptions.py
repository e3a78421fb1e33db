"""Kills, failures and changed inputs: nothing is lost, nothing is done twice, and one cell stops no other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end import PIXELS, command, fesbench, figures, records

pytestmark = pytest.mark.slow

METHOD = """
import dataclasses
import torch
from fesbench.baselines.copy_source import CopySource as Base

class Mine(Base):
    card = dataclasses.replace(Base.card, id="mine", reference=False)
    def synthesize(self, requests):
        return {made}
"""
NAN, SOURCE = 'torch.full_like(requests.source, float("nan"))', "requests.source"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


def run_usgan(out: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return fesbench(*arguments(out), home=home)


def arguments(out: Path) -> list[str]:
    return [
        *("run", "--methods", "usgan", "--protocol", PIXELS, "--preset", "tiny"),
        *("--budget", "steps=30", "--out", str(out)),
    ]


@pytest.fixture(scope="module")
def whole(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    done = run_usgan(out, home)
    assert done.returncode == 0, done.stderr
    return out


def kill_when(out: Path, home: Path, ready: Callable[[Path], bool]) -> None:
    """Start the run and kill -9 it as soon as ``ready``; it must not have ended by itself."""
    environment = {**os.environ, "FESBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(*arguments(out)), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not ready(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()


def some(pattern: str, count: int = 1) -> Callable[[Path], bool]:
    return lambda out: len(list(out.rglob(pattern))) >= count


def reference_rows_done(out: Path) -> bool:
    return len(list(out.rglob("usgan-*/0/losses.csv"))) >= 1


@pytest.mark.parametrize(
    "ready",
    [
        pytest.param(some("copy-*/0/images/*.png", 3), id="synthesis of the first row"),
        pytest.param(reference_rows_done, id="training"),
        pytest.param(some("usgan-*/0/images/*.png", 2), id="synthesis of the method"),
    ],
)
def test_killed_and_started_again_equals_never_killed(
    ready: Callable[[Path], bool], whole: Path, home: Path, tmp_path: Path
) -> None:
    kill_when(tmp_path, home, ready)
    done = run_usgan(tmp_path, home)
    assert done.returncode == 0, done.stderr
    mine, theirs = records(tmp_path), records(whole)
    assert {name: figures(record) for name, record in mine.items()} == {
        name: figures(record) for name, record in theirs.items()
    }
    (a,), (b,) = (list(place.rglob("usgan-*/0/checkpoint.safetensors")) for place in (tmp_path, whole))
    assert a.read_bytes() == b.read_bytes()
    pictures = sorted(path.name for path in (a.parent / "images").iterdir())
    assert pictures == sorted(path.name for path in (b.parent / "images").iterdir())


def run_mine(out: Path, home: Path, method: Path) -> subprocess.CompletedProcess[str]:
    chosen = ("run", "--methods", f"{method},mr", "--protocol", PIXELS, "--preset", "tiny")
    return fesbench(*chosen, "--budget", "steps=1", "--out", str(out), home=home)


def test_a_method_that_breaks_its_contract_stops_no_other_and_can_be_mended(
    home: Path, tmp_path: Path
) -> None:
    method, out = tmp_path / "mine.py", tmp_path / "runs"
    method.write_text(METHOD.format(made=SOURCE))
    assert run_mine(out, home, method).returncode == 0
    good = records(out)["mine"]
    assert figures(good).items() <= figures(records(out)["copy"]).items()

    method.write_text(METHOD.format(made=NAN))
    done = run_mine(out, home, method)
    assert done.returncode == 4, done.stderr
    broken = records(out)
    assert broken["mine"].status == "failed"
    assert "NaN" in broken["mine"].error
    assert "expression_in_" in broken["mine"].error
    assert broken["mine"].scores == []
    assert broken["mr"].status == "scored"
    assert (out / "report" / "index.html").exists()

    method.write_text(METHOD.format(made=SOURCE))
    assert run_mine(out, home, method).returncode == 0
    mended = records(out)["mine"]
    assert (mended.status, mended.error) == ("scored", "")
    assert figures(mended) == figures(good)


def test_a_file_may_not_take_the_name_of_a_method(home: Path, tmp_path: Path) -> None:
    method = tmp_path / "mine.py"
    method.write_text(METHOD.format(made=SOURCE).replace('id="mine"', 'id="stargan"'))
    done = run_mine(tmp_path / "runs", home, method)
    assert done.returncode == 2
    assert "declares the id 'stargan', which another method has" in done.stderr


def test_a_damaged_record_is_kept_aside_and_the_cell_starts_afresh(
    whole: Path, home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(whole, out)
    (path,) = out.rglob("mean-shift-*/0/record.json")
    path.write_text(path.read_text()[:100])
    done = run_usgan(out, home)
    assert done.returncode == 0, done.stderr
    assert len(list(path.parent.parent.glob("0.damaged-*"))) == 1
    assert json.loads(path.read_text())["status"] == "scored"


def test_lost_images_are_made_again(whole: Path, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    shutil.copytree(whole, out)
    lost = sorted(out.rglob("usgan-*/0/images/*.png"))[3]
    content = lost.read_bytes()
    lost.unlink()
    assert run_usgan(out, home).returncode == 0
    assert lost.read_bytes() == content
    assert figures(records(out)["usgan"]) == figures(records(whole)["usgan"])


def test_scores_are_printed_as_data(whole: Path, home: Path) -> None:
    printed = fesbench("report", str(whole), "--json", home=home)
    assert printed.returncode == 0, printed.stderr
    rows = json.loads(printed.stdout)
    assert {row["method"] for row in rows} == {"real", "copy", "mean-shift", "warp", "usgan"}
    assert all(row["value"] is not None or row["reason"] for row in rows)


def test_an_unwritable_folder_is_told_before_anything_long_starts(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = fesbench(
        "run", "--methods", "mr", "--protocol", PIXELS, "--out", str(tmp_path / "file"), home=home
    )
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert "choose another folder" in done.stderr
