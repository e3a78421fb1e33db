"""How long the command line takes to answer, against an interpreter that imports what it is built on.

Run with ``pytest tests/benchmarks/test_startup_speed.py``. Both are programs of their own, taken in turn, so
that a busy machine slows both; the ratio is stored and not asserted.
"""

import subprocess
import sys
import time
from statistics import median

ROUNDS = 5


def seconds(*arguments):
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def test_help_against_its_libraries(benchmark):
    theirs, whole = [], []
    code = "import sys; sys.argv = ['fesbench', '--help']; from fesbench.cli.main import main; main()"

    def turn():
        theirs.append(seconds("-c", "import typer, rich.console"))
        whole.append(seconds("-c", code))

    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=1)
    ratio = median(whole) / median(theirs)
    benchmark.extra_info["ratios"] = {"time of `fesbench --help` / of importing typer and rich": ratio}
