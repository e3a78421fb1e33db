"""Preparing on several cores: the same bytes as on one, and nothing left behind when somebody stops it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fesbench.data import preparing
from fesbench.data.datasets import DATASETS
from fesbench.data.datasets.avatars import ADAPTER
from fesbench.data.datasets.base import DatasetAdapter, Plan
from fesbench.data.datasets.listing import ListedImage, ListedPlan
from fesbench.data.prepare import prepare
from fesbench.data.preparing import Aligned, Job, LeftOut, aligned_chunks
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError

N = 300
FACE = np.stack(np.meshgrid(np.linspace(10, 50, 17), np.linspace(10, 50, 4)), axis=-1).reshape(68, 2)


def write_files(root: Path) -> None:
    root.mkdir()
    rng = np.random.default_rng(0)
    for k in range(N):
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(root / f"{k:03d}.png")
    (root / "005.png").write_bytes(b"torn")


def pictures(root: Path) -> list[ListedImage]:
    landmarks = FACE.copy()
    landmarks[[36, 39, 42, 45, 33]] = [(15, 25), (25, 25), (35, 25), (45, 25), (30, 40)]
    found = []
    for k in range(N):
        points = (landmarks + np.random.default_rng(k).normal(0, 1, (68, 2))).astype(np.float32)
        if k % 50 == 7:
            points[:] = 900  # outside the image
        name = f"{k:03d}.png"
        found.append(ListedImage(root / name, {"image": name, "identity": f"p{k % 9}"}, points))
    return found


class Many(DatasetAdapter):
    name, title, access, license, citation = "many", "t", "a", "l", "c"
    homepage, layout, needs_source = "h", "l", True

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> Plan:
        assert source is not None
        return ListedPlan(pictures(source), options)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(DATASETS._made, "many", Many())
    root = tmp_path / "many"
    write_files(root)
    return root


def content(store: AlignedStore) -> tuple[bytes, ...]:
    names = ("images.npy", "manifest.parquet", "hashes.npy")
    info = {key: value for key, value in store.info.items() if key != "source"}
    return (*((store.path / name).read_bytes() for name in names), json.dumps(info, sort_keys=True).encode())


def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of workers, as they start."""
    pids: list[int] = []
    real = subprocess.Popen.__init__

    def note(self: Any, *rest: Any, **more: Any) -> None:
        real(self, *rest, **more)
        pids.append(self.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", note)
    return pids


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pids: list[int], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def test_two_workers_give_the_bytes_of_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = started(monkeypatch)
    results = []
    for count in (1, 2):
        monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / f"home{count}"))
        store = prepare("many", size=32, alignment="dlib68-128@1", source=source, workers=count)
        assert store.info["reasons"] == {"outside": 6, "unreadable": 1}
        results.append(content(store))
    assert results[0] == results[1]
    assert len(pids) == 2
    assert gone(pids)
    assert sorted(path.name for path in (store.path / "failed").iterdir())[0] == "01.png"


def test_avatars_are_rendered_in_workers_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "WORTHWHILE", 8)
    options = ADAPTER.check_options({"identities": [1, 0, 0]})
    job = Job(ADAPTER.plan(None, options, 32), "none@1", 32)
    alone, shared = (
        [entry for chunk in aligned_chunks(job, 0, chunk=4, workers=count) for entry in chunk]
        for count in (1, 2)
    )
    assert len(alone) == len(shared) == 16
    for a, b in zip(alone, shared, strict=True):
        assert isinstance(a, Aligned)
        assert isinstance(b, Aligned)
        assert a.image.tobytes() == b.image.tobytes()
        assert dict(a.row) == dict(b.row)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["celeba-178-128@1", "mtcnn-112@1", "dlib68-128@1:opencv"])
def test_detection_in_workers_gives_the_same_bytes(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("facenet_pytorch")
    from fesbench.data.avatars.rendering import AvatarSpec, render

    monkeypatch.setattr(preparing, "WORTHWHILE", 2)
    listed = []
    for k, image in enumerate(render([AvatarSpec(k) for k in range(3)], 192).images):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
        listed.append(ListedImage(tmp_path / f"{k}.png", {"image": f"{k}.png", "identity": "p"}))
    job = Job(ListedPlan(listed, {}), recipe, 64)
    found = []
    for count in (1, 1, 2):
        entries = [entry for chunk in aligned_chunks(job, 0, chunk=1, workers=count) for entry in chunk]
        assert all(isinstance(entry, Aligned) for entry in entries)
        found.append([(e.image.tobytes(), e.landmarks.tobytes()) for e in entries])  # type: ignore[union-attr]
    assert found[0] == found[1] == found[2]


def test_few_entries_and_daemons_start_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = started(monkeypatch)
    job = Job(ListedPlan(pictures(source), {}), "dlib68-128@1", 16)
    assert sum(len(chunk) for chunk in aligned_chunks(job, N - 20, chunk=4, workers=2)) == 20
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    assert sum(len(chunk) for chunk in aligned_chunks(job, 0, chunk=32, workers=2)) == N
    monkeypatch.undo()
    monkeypatch.setattr(ListedPlan, "__module__", "__main__")  # a plan of the user's own script
    pids = started(monkeypatch)
    assert sum(len(chunk) for chunk in aligned_chunks(job, 0, chunk=32, workers=2)) == N
    assert pids == []


def test_a_worker_that_cannot_start(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    job = Job(ListedPlan(pictures(source), {}), "dlib68-128@1", 16)
    with pytest.raises(DataError, match=r"a worker that prepares images could not start .*; use --workers 1"):
        next(aligned_chunks(job, 0, chunk=32, workers=2))


def test_a_caller_who_stops_leaves_no_worker(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = started(monkeypatch)

    def interrupt(done: int, total: int, what: str) -> None:
        if done >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare("many", size=32, alignment="dlib68-128@1", source=source, workers=2, progress=interrupt)
    assert len(pids) == 2
    assert gone(pids)
    seen: list[int] = []
    prepare(
        "many",
        size=32,
        alignment="dlib68-128@1",
        source=source,
        workers=2,
        progress=lambda done, total, what: seen.append(done),
    )
    assert seen[0] == 64
    assert seen[-1] == N


def test_a_worker_that_dies_is_told(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = started(monkeypatch)
    job = Job(ListedPlan(pictures(source), {}), "dlib68-128@1", 16)
    chunks = aligned_chunks(job, 0, chunk=4, workers=2)
    next(chunks)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(DataError, match=r"was ended by signal 9; run the same command again"):
        list(chunks)
    assert gone(pids)


class Refusing(ListedPlan):
    def read(self, start: int, stop: int) -> list[Any]:
        if start >= 64:
            raise DataError("table.csv changed while it was read")
        return super().read(start, stop)


class Broken(ListedPlan):
    def read(self, start: int, stop: int) -> list[Any]:
        raise ZeroDivisionError("a mistake of the adapter")


@pytest.mark.parametrize(
    ("plan", "told"),
    [(Refusing, "^table.csv changed while it was read$"), (Broken, "ZeroDivisionError: a mistake")],
)
def test_what_goes_wrong_in_a_worker_is_told_here(plan: type[ListedPlan], told: str, source: Path) -> None:
    job = Job(plan(pictures(source), {}), "dlib68-128@1", 16)
    with pytest.raises(DataError, match=told):
        list(aligned_chunks(job, 0, chunk=32, workers=2))


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from fesbench.data import prepare as module
from fesbench.data.datasets import DATASETS
import test_preparing
from fesbench import workers

DATASETS._made["many"] = test_preparing.Many()
module._CHUNK = 8
real = workers._Worker.__init__
def note(self):
    real(self)
    print(self.process.pid, flush=True)
workers._Worker.__init__ = note
def tell(done, total, what):
    print("done", done, flush=True)
if __name__ == "__main__":
    how = {"size": 32, "alignment": "dlib68-128@1", "workers": 2, "progress": tell}
    module.prepare("many", source=Path(sys.argv[1]), **how)
"""


@pytest.fixture
def killed(source: Path) -> Iterator[list[int]]:
    """A preparation killed in its middle; the ids of its workers."""
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(source), here], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pids = []
    for line in process.stdout:
        if line.startswith("done"):
            if int(line.split()[1]) >= 80:
                break
        else:
            pids.append(int(line))
    process.kill()
    process.wait()
    process.stdout.close()
    yield pids
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_kill_dash_nine_leaves_no_worker_and_the_rest_is_done_later(
    killed: list[int], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(killed) == 2
    assert gone(killed)
    stores = Path(os.environ["FESBENCH_HOME"]) / "stores"
    assert [path.suffix for path in stores.iterdir() if path.is_dir()] == [".partial"]
    seen: list[int] = []
    store = prepare(
        "many",
        size=32,
        alignment="dlib68-128@1",
        source=source,
        workers=2,
        progress=lambda done, total, what: seen.append(done),
    )
    assert 80 <= seen[0] < N
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "whole"))
    whole = prepare("many", size=32, alignment="dlib68-128@1", source=source, workers=1)
    assert content(store) == content(whole)


def test_an_entry_that_is_left_out_comes_with_a_small_image(source: Path) -> None:
    job = Job(ListedPlan(pictures(source), {}), "dlib68-128@1", 16)
    torn, _, outside = job.chunk(5, 8)
    assert isinstance(torn, LeftOut)
    assert isinstance(outside, LeftOut)
    assert (torn.key, torn.picture) == ("unreadable", None)
    assert outside.key == "outside"
    assert outside.picture is not None
    assert outside.picture.shape == (60, 60, 3)
