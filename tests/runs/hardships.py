"""A run that is killed, or whose disk is full from some write on, and then given again: the same in the end.

``python -m tests.runs.hardships --kills 50 --writes 40`` does it at so many random moments, and at so many
writes spread over a run.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fesbench.baselines.usgan
import fesbench.reports.site
import fesbench.runs.plan  # noqa: F401 - what a child needs not import
from fesbench.cli.main import main
from tests.end_to_end import PROTOCOLS, figures, find_records

KEPT = ("*.png", "samples.parquet", "checkpoint.safetensors", "losses.csv")
SEED = 0


def words(out: Path) -> list[str]:
    """A run of cheap rows: the reference rows, a closed form, and a network trained in a few steps."""
    return [
        *(
            "run",
            "--methods",
            "copy,mean-shift,mr,usgan",
            "--protocol",
            str(PROTOCOLS / "quick@1.toml"),
            "--preset",
            "tiny",
        ),
        *("--budget", "steps=2", "--train", "always", "--out", str(out)),
    ]


def state(out: Path) -> dict[str, Any]:
    """Everything that two equal runs have alike: figures, and digests of what they wrote."""
    found: dict[str, Any] = {}
    for folder, record in find_records(out):
        name = str(folder.relative_to(out))
        found[name] = (record.status, figures(record))
        for pattern in KEPT:
            for path in sorted(folder.rglob(pattern)):
                found[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


class Disk:
    """Counts what is opened to be written below some folders; from one write on the disk is full.

    Attributes:
        full_from: the first write that fails; None = none does.
        writes: so far.
    """

    def __init__(self, folders: tuple[Path, ...], full_from: int | None = None) -> None:
        self.folders, self.full_from, self.writes = tuple(map(str, folders)), full_from, 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, told: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(told[0], str) or not told[0].startswith(self.folders):
            return
        if isinstance(told[2], int) and told[2] & (os.O_WRONLY | os.O_RDWR):
            self.writes += 1
            if self.full_from is not None and self.writes >= self.full_from:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), told[0])


def child(out: Path, home: Path, log: Path, full_from: int | None = None) -> int:
    """Start a run in a process of its own, which has imported what this one has; its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.environ["FESBENCH_HOME"] = str(home)
        with log.open("w") as stream, contextlib.redirect_stderr(stream), contextlib.redirect_stdout(stream):
            disk = Disk((out, home), full_from)
            try:
                main(words(out))
            except SystemExit as left:
                code = int(left.code or 0)
            finally:
                log.with_suffix(".writes").write_text(str(disk.writes))
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """The exit code of a process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@dataclass(frozen=True)
class Whole:
    """What an uninterrupted run came to.

    Attributes:
        found: see `state`.
        seconds: that it took.
        writes: that it made.
    """

    found: dict[str, Any]
    seconds: float
    writes: int


def whole(folder: Path, home: Path | None = None) -> Whole:
    """An uninterrupted run, with the data and judges of an earlier one where ``home`` is its."""
    _begun(folder, home)
    start, log = time.monotonic(), folder / "run.log"
    assert ended(child(folder / "out", folder / "home", log)) == 0, log.read_text()
    seconds = time.monotonic() - start
    return Whole(state(folder / "out"), seconds, int(log.with_suffix(".writes").read_text()))


def _begun(folder: Path, home: Path | None) -> None:
    folder.mkdir(parents=True)
    if home is not None:
        shutil.copytree(home, folder / "home")


def again(folder: Path, expected: Whole) -> None:
    """The same command again, which must end well and as if nothing had happened."""
    assert ended(child(folder / "out", folder / "home", folder / "again.log")) == 0, (
        folder / "again.log"
    ).read_text()
    found = state(folder / "out")
    assert found.keys() == expected.found.keys(), set(found) ^ set(expected.found)
    assert found == expected.found, [name for name in found if found[name] != expected.found[name]]


def killed(folder: Path, expected: Whole, moment: float, home: Path | None = None) -> str:
    """Kill -9 a run when ``moment`` of its time is over, and give it again; the stage in which it was."""
    _begun(folder, home)
    process = child(folder / "out", folder / "home", folder / "run.log")
    time.sleep(moment * expected.seconds)
    os.kill(process, signal.SIGKILL)
    code = ended(process)
    said = (folder / "run.log").read_text().strip().splitlines()
    again(folder, expected)
    return f"{'ended before' if code >= 0 else 'killed'} at: {said[-1] if said else '(nothing said)'}"


def filled(folder: Path, expected: Whole, write: int, home: Path | None = None) -> str:
    """From one write on the disk is full; then there is room again. What the run said."""
    _begun(folder, home)
    code = ended(child(folder / "out", folder / "home", folder / "run.log", full_from=write))
    said = (folder / "run.log").read_text()
    assert code in (2, 4), (code, said)
    assert "the disk is full" in said, said
    assert "Traceback" not in said, said
    again(folder, expected)
    return next(line for line in said.splitlines() if "the disk is full" in line)


def _trials(root: Path, kills: int, writes: int) -> Iterator[tuple[str, Callable[[Path], str]]]:
    """What is done to a run, in words and as a function of its folder; every fifth prepares its data anew."""
    alone = whole(root / "alone")
    prepared = whole(root / "prepared", root / "alone" / "home")
    assert prepared.found == alone.found
    for name, run in (("anew", alone), ("prepared", prepared)):
        print(
            f"{name}: {run.seconds:.1f} s, {run.writes} writes, {len(run.found)} things compared", flush=True
        )
    draw = random.Random(SEED)
    for k in range(kills):
        run, home = (prepared, root / "alone" / "home") if k % 5 else (alone, None)
        moment = draw.random()
        yield f"killed at {moment:.2f}", partial(killed, expected=run, moment=moment, home=home)
    for k in range(writes):
        run, home = (prepared, root / "alone" / "home") if k % 5 else (alone, None)
        write = 1 + k * run.writes // writes
        yield f"full from write {write}", partial(filled, expected=run, write=write, home=home)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--writes", type=int, default=0)
    asked = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for what, trial in _trials(root, asked.kills, asked.writes):
            try:
                print(f"{what}: {trial(root / 'trial')}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"{what}: FAILED: {str(error)[-1500:]}", flush=True)
            shutil.rmtree(root / "trial")
    trials = asked.kills + asked.writes
    print(f"{trials - failed} of {trials} ended as one that was left alone")
    sys.exit(bool(failed))


if __name__ == "__main__":
    _main()
