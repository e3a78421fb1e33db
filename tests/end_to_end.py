"""What the end-to-end tests share: the small protocols, and one home whose data and features they reuse."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fesbench.records.record import RECORD_NAME, Record, load_record

PROTOCOLS = Path(__file__).parent / "protocols"
MINI, PIXELS = str(PROTOCOLS / "mini@1.toml"), str(PROTOCOLS / "pixels@1.toml")


def command(*arguments: str) -> list[str]:
    """A fesbench command line as a separate process."""
    # A suite that a shell started in the background has SIGINT ignored, and so have its children.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{heed}; from fesbench.cli.main import main; main()"
    return [sys.executable, "-c", script, *arguments]


def fesbench(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run fesbench to its end."""
    environment = {**os.environ, "FESBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, timeout=600)


def find_records(runs: Path) -> Iterator[tuple[Path, Record]]:
    """Every cell folder below ``runs`` with its record."""
    for path in sorted(runs.rglob(RECORD_NAME)):
        yield path.parent, load_record(path.parent)


def records(runs: Path) -> dict[str, Record]:
    """Every record below a folder, by method."""
    return {record.cell.method: record for _, record in find_records(runs)}


def figures(
    record: Record,
) -> dict[tuple[str, str, str, str], tuple[float | None, float | None, float | None]]:
    """Every score of a record, without what differs between two equal runs."""
    return {(s.task, s.domain, s.expression, s.metric): (s.value, s.low, s.high) for s in record.scores}
