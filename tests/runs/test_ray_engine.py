"""Cells as tasks of Ray on local workers: one that is killed loses nothing, and nothing is done twice."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fesbench.errors import UsageError
from fesbench.runs.engines.choose import make_engine
from fesbench.runs.engines.relay import Event, Relay, Shown
from fesbench.runs.job import Job
from tests.end_to_end import PIXELS, command, fesbench, figures, records
from tests.runs.test_local_engine import DIES

WAITS = """
import dataclasses, os, time
from pathlib import Path
from fesbench.baselines.usgan import USGAN as Base

class Waits(Base):
    card = dataclasses.replace(Base.card, id="waits")
    def training_step(self, phase, batch, step):
        with open({steps!r}, "a") as stream:
            print(step, file=stream)
        return super().training_step(phase, batch, step)
    def load_state_dict(self, *given):
        self.trained = True  # what a training makes for its validation does not wait
        return super().load_state_dict(*given)
    def synthesize(self, requests):
        mark = Path({mark!r})
        if getattr(self, "trained", False) and not mark.exists():
            mark.write_text(str(os.getpid()))
            time.sleep(600)
        return super().synthesize(requests)
"""


SLOW = """
import dataclasses, time
from pathlib import Path
from fesbench.baselines.usgan import USGAN as Base

class Slow(Base):
    card = dataclasses.replace(Base.card, id="slow")
    def training_step(self, phase, batch, step):
        with open({steps!r}, "a") as stream:
            print(step, file=stream)
        if not Path({mark!r}).exists():
            time.sleep(1)
        return super().training_step(phase, batch, step)
"""


def protocol() -> str:
    """A few subjects, and nothing that a judge says."""
    text = Path(PIXELS).read_text().replace('id = "pixels"', 'id = "pair"').replace('"ECS", ', "")
    text = text.replace("[10, 3, 5]", "[3, 1, 2]").replace('judge = "trained"\n', "")
    return text.replace("train = 10\nvalidation = 3\ntest = 5", "train = 3\nvalidation = 1\ntest = 2")


def begun(folder: Path, methods: Sequence[str], out: str, steps: int, **more: str) -> subprocess.Popen[str]:
    """A run by Ray, with a home of its own below a folder."""
    rules = folder / "pair@1.toml"
    rules.write_text(protocol())
    own = {"FESBENCH_HOME": str(folder / "home"), "HOME": str(folder), "OMP_NUM_THREADS": "1", **more}
    return subprocess.Popen(
        command(
            *("run", "--protocol", str(rules), "--preset", "tiny", "--budget", f"steps={steps}"),
            *("--methods", ",".join(methods), "--engine", "ray", "--out", str(folder / out)),
        ),
        env={**os.environ, **own},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def head(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A cluster that somebody else started, and its address."""
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = "from ray.scripts.scripts import main; main()"
    # a socket's path is short
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", start, "start", "--head", "--block", f"--port={port}"),
                *("--num-cpus=1", f"--temp-dir={folder}", "--include-dashboard=false"),
                "--disable-usage-stats",
            ],
            env={**os.environ, "HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
        )
        try:
            assert any(b"Ray runtime started" in line for line in process.stdout or ())
            yield process, f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.slow
def test_ctrl_c_saves_where_a_cell_stands_and_leaves_the_cluster_at_an_address_alone(
    head: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    cluster, address = head
    mark, steps = tmp_path / "mark", tmp_path / "steps"
    (tmp_path / "slow.py").write_text(SLOW.format(mark=str(mark), steps=str(steps)))
    given = (tmp_path, [str(tmp_path / "slow.py")], "runs", 6)
    first = begun(*given, RAY_ADDRESS=address)
    deadline = time.monotonic() + 600
    while not steps.exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=600)[1]
    assert first.returncode == 130, said
    done = steps.read_text().split()
    assert 1 <= len(done) < 30, "five calls a step, each of a second"
    mark.touch()
    again = begun(*given, RAY_ADDRESS=address)
    said = again.communicate(timeout=600)[1]
    assert again.returncode == 0, said
    found = records(tmp_path / "runs")["slow"]
    assert found.status == "scored"
    assert steps.read_text().split() == [str(step) for step in range(sum(found.steps.values()))]
    assert cluster.poll() is None


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_nothing_is_done_twice(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    mark, steps, home = tmp_path / "mark", tmp_path / "steps", tmp_path / "home"
    (tmp_path / "waits.py").write_text(WAITS.format(mark=str(mark), steps=str(steps)))
    (tmp_path / "dies.py").write_text(DIES)
    methods = (str(tmp_path / "waits.py"), str(tmp_path / "dies.py"))
    spread = begun(tmp_path, methods, "two", 3)
    deadline = time.monotonic() + 600
    while not (mark.exists() and mark.read_text()) and spread.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    if mark.exists():
        os.kill(int(mark.read_text()), signal.SIGKILL)
    said = spread.communicate(timeout=600)[1]
    assert spread.returncode == 4, said
    assert mark.exists()
    # all workers tell one display how far they are
    for told in ("waits: train", "copy: score", "a worker was lost; its cell goes on elsewhere"):
        assert told in said
    found = records(tmp_path / "two")
    assert found.pop("dies").status == "failed"
    assert "dies failed: its task died" in said
    # the worker was killed behind the training, which was not done again
    assert steps.read_text().split() == [str(step) for step in range(sum(found["waits"].steps.values()))]
    options = ("--protocol", str(tmp_path / "pair@1.toml"), "--preset", "tiny", "--budget", "steps=3")
    alone = fesbench("run", *options, "--methods", methods[0], "--out", str(tmp_path / "one"), home=home)
    assert alone.returncode == 0, alone.stderr
    own = records(tmp_path / "one")
    assert {name: figures(record) for name, record in found.items()} == {
        name: figures(own[name]) for name in ("copy", "mean-shift", "real", "warp", "waits")
    }
    one, two = (next((tmp_path / run).rglob("waits-*/0/checkpoint.safetensors")) for run in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert not (tmp_path / ".ray").exists()


def test_what_a_relay_tells_is_shown_as_if_told_here() -> None:
    seen: list[str] = []

    class Listener(Relay):
        def __init__(self) -> None:
            super().__init__(lambda event: seen.append(str(event)))

    here: list[Event] = []
    told = Relay(here.append)
    with told.stage("train", total=3) as stage:
        stage.update(1, 3, losses={"loss": 0.5}, detail="gan")
        told.note("slow", warning=True)
    direct = list(map(str, here))
    with Shown(Listener()) as shown:
        for event in here:
            shown.show(event)
        assert seen == direct
        # a process that dies leaves its stages open; they close with it, and a late word of them is dropped
        shown.show({"event": "open", "stage": 1, "name": "score", "total": None})
    assert seen[-1] == "{'event': 'close', 'stage': 2}"
    shown.show({"event": "update", "stage": 1, "done": 1})
    assert len(seen) == len(direct) + 2


def test_a_gpu_is_for_trainings_and_shared_by_the_others() -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from fesbench.runs.engines.ray import _gpus

    job = Job("stargan", "avatars", "tiny", "smoke", device="cuda")
    assert _gpus(job) == 1
    assert _gpus(dataclasses.replace(job, weights="x.safetensors")) == 0.25
    assert _gpus(dataclasses.replace(job, method="mr")) == 0.25
    assert _gpus(dataclasses.replace(job, device="cpu")) == 0


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="Ray decides"):
        make_engine("ray", jobs=2)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'fesbench\[ray\]'"):
        make_engine("ray")
