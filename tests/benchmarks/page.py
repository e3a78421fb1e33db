"""docs/performance.md from what was measured: ratios by commit, the simulation of a cluster, memory by images.

``python -m tests.benchmarks.page`` makes the page. With the file that ``tox -e bench`` wrote it prints the ratios
in it; ``--keep FILE`` makes them a line of ``docs/data/performance.jsonl``, the history, of which the page
shows the latest of each.
"""

# ruff: noqa: E501 - tables of the page

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.cluster import WORKERS, draw, plans, read_times

DOCS = Path(__file__).parents[2] / "docs"
PAGE, HISTORY, CURVES = DOCS / "performance.md", DOCS / "data/performance.jsonl", DOCS / "images/cluster.svg"
MEMORY = DOCS / "data/memory.json"
"""Written by the bench of memory, where it was run."""

_HEAD = """\
# Performance

Made by `python -m tests.benchmarks.page`. Speed is told as a ratio to a peer that ran in the same minutes: a busy
machine slows both. `tox -e bench` measures the ratios, prints them and writes JSON; `python -m
tests.benchmarks.page --keep .tox/bench.json` adds them to the history (`docs/data/performance.jsonl`, a line a
commit) and makes this page. Nothing asserts a time.

## Against peers

| what | ratio | commit | date | machine |
|---|---|---|---|---|
"""
_CLUSTER = """
## Many workers

A simulation, from the seconds that each stage of each cell took in one run of the suite
(`docs/data/stage-seconds.csv`: {cells} cells, {hours:.1f} hours on one thread, of which training is {training:.0%} and
scoring {scoring:.0%}). Cells go in the order of the plan to the first worker that is free, as under `--jobs`, Slurm and
Ray; what cells share is made before, by one process. A panel of judges is taken to train as long as a method:
beside its cells, a measured default run spent 56 s where a training took 63 s. Not counted: each cell's start,
some seconds to import and to open the data.

![Speed-up over the number of workers](images/cluster.svg)

| run | cells | hours alone | {workers} | at most | bounded by |
|---|---|---|{rules}---|---|
{rows}

One seed of the suite gains nothing beyond {enough} workers: its longest cell, a diffusion model's, is {share:.0%} of all
work, and a cell is not divided (three methods were loaded from the zoo). More seeds are more cells and scale on.
In a k-fold form the judges of all folds, which one process trains before the first cell, bound it: 64 workers are {folds:.0f} times as fast as one,
against {most:.0f} at most. Handing the longest cells out first changes little.
"""
_HAND = """
## Measured by hand

| what | ratio | when | machine |
|---|---|---|---|
| 35 images scored, speed against torch-fidelity, piq and deepface: first row of a protocol; a later one; a metric added | 1.14; 2.38; 51 | 2026-11-28 | 2 cores |
| a training step, speed against the authors' code, preset `tiny`: `stargan`; `ganimation`; `pix2pix` | 1.00; 0.97; 0.80 | 2026-11-28 | one thread, busy |
| step of `stargan`, preset `tiny`: fused Adam; channels-last | 1.04; 1.03 | 2026-11-28 | one thread, busy |
| the same of `ganimation` | 1.02; 1.01 | 2026-11-28 | one thread, busy |
| the same of `reggan` | 1.15; 0.84 | 2026-11-28 | one thread, busy |
| the same of `pix2pix` | 1.08; 0.97 | 2026-11-28 | one thread, busy |

Of the first, Inception takes 79 ms an image by channels-last and 132 as it is, on either side; as it is, its features
equal torch-fidelity's to the bit, and so it stays. Where a first row's time goes, CPU seconds of one thread on a
busy machine (cProfile; 35 images and as many real ones):

| | Inception, 70 images | descriptor, 70 faces | Fréchet distance | versions of packages | the rest | in all |
|---|---|---|---|---|---|---|
| torch-fidelity, piq and deepface | 9.0 | 4.5 | 20.8 | - | 1.1 | 35.4 |
| fesbench, intervals included | 11.9 | 0.5 | 1.0 | 2.7 | 0.6 | 16.7 |

Since then the packages are read once in place of three times. By these figures 300 images and 300 real ones would
take 138 s by hand, 77 of them Inception's: no chain that runs the same network as it is would be more than 1.8 times
as fast, and the aim of 3 is out of reach on a CPU.

The last four rows above are CPU seconds of 22 steps on 64 px, the variants in turn, against the step as it is.

Against the authors' code are CPU seconds of five steps in turn, the medians of four, two and twelve: their released
training step, with networks of the same size, on batches that lie ready, against fesbench's loop, which also reads each
batch from the store and brings it to the method's own 32 px. 1.3 was the aim, and it is missed: most of a step is the
same convolutions on either side. `pix2pix` draws its landmarks and enlarges its window within the step, which was not
asked of the other side, and normalizes by image, not by batch; with fused Adam it was at 0.90. RegGAN's code is not
public. Preset `paper` has not been measured. Shares of fesbench's steps, CPU seconds, convolutions by torch.profiler:

| preset `tiny` | convolutions and their gradients | Adam | batch made | brought to 32 px | landmarks drawn | window enlarged |
|---|---|---|---|---|---|---|
| `stargan` | 72% | 4.3% | 2.5% | 1.0% | - | - |
| `ganimation` | 79% | 3.9% | 1.8% | 0.8% | - | - |
| `reggan` | 73% | 9.2% | 1.0% | - | - | - |
| `pix2pix` | 41% | 19% | 2.0% | - | 8.4% | 2.6% |

The loop reads losses from the device at every fifth to fiftieth step only. Neither fused Adam nor channels-last is worth
scores that differ in their bits, so the steps stay as they are. Two changes keep every bit: the critic's generated images
serve the generator's step, too (`stargan` 1.04 times as fast), and rectifiers that send no zeros back through the gradient
penalty's second derivative (1.02).
"""


def ratios(bench: Mapping[str, Any]) -> dict[str, float]:
    """What the benches of a pytest-benchmark file say, by its label."""
    found: dict[str, float] = {}
    for one in bench["benchmarks"]:
        found |= {name: round(value, 3) for name, value in one["extra_info"].get("ratios", {}).items()}
    return found


def line(bench: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the history."""
    commit, machine = bench["commit_info"], bench["machine_info"]
    cores = machine["cpu"].get("count") or "?"
    return {
        "commit": commit["id"][:8] + ("+" if commit.get("dirty") else ""),
        "date": bench["datetime"][:10],
        "machine": f"{machine['machine']}, {cores} cores, Python {machine['python_version']}",
        "ratios": ratios(bench),
    }


def latest(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, Mapping[str, Any]]]:
    """The newest ratio of each label, with the line that it is of."""
    found: dict[str, tuple[float, Mapping[str, Any]]] = {}
    for one in history:
        found |= {name: (value, one) for name, value in one["ratios"].items()}
    return [(name, value, one) for name, (value, one) in found.items()]


def page(history: Sequence[Mapping[str, Any]], memory: Sequence[Mapping[str, float]] | None) -> str:
    """The page as Markdown.

    Args:
        history: lines, the oldest first.
        memory: figures by number of images; None = not measured.
    """
    text = _HEAD
    for name, value, one in latest(history):
        text += f"| {name} | {value:.3g} | `{one['commit']}` | {one['date']} | {one['machine']} |\n"
    if memory is not None:
        text += (
            "\n## Memory over the number of images\n\n![Peak memory and time](images/memory.svg)\n\n"
            "MB at most are without mapped files, which the system gives back where it needs room. "
            "`python -m tests.benchmarks.memory_by_count` measures.\n\n"
            "| images | MB of pixels | MB at most | seconds of a core for 1,000 |\n|---|---|---|---|\n"
        )
        for row in memory:
            text += (
                f"| {row['images']:,} | {row['images_mb']:,} | {row['peak_mb']:,} | "
                f"{row['core_seconds_per_1000']:.2f} |\n"
            )
    return text + _cluster() + _HAND


def _cluster() -> str:
    times = read_times()
    spent = {stage: sum(cell[stage] for cell in times.values()) for stage in ("train", "score")}
    found = plans()
    total = found[0].seconds(1)
    rows = [
        f"| {p.title} | {len(p.cells)} | {p.seconds(1) / 3600:.1f} | "
        f"{' | '.join(f'{p.speedup(n):.1f}' for n in WORKERS[1:])} | {p.most:.1f} | {p.bound} |"
        for p in found
    ]
    return _CLUSTER.format(
        cells=len(times),
        hours=total / 3600,
        training=spent["train"] / total,
        scoring=spent["score"] / total,
        share=max(found[0].cells) / total,
        enough=next(n for n in range(1, 65) if found[0].speedup(n) > 0.99 * found[0].most),
        folds=found[3].speedup(64),
        most=found[3].most,
        workers=" | ".join(f"{n} workers" for n in WORKERS[1:]),
        rules="---|" * len(WORKERS[1:]),
        rows="\n".join(rows),
    )


def read_history() -> list[dict[str, Any]]:
    """Its lines, the oldest first."""
    return [json.loads(text) for text in HISTORY.read_text(encoding="utf-8").splitlines()]


def read_memory() -> list[dict[str, float]] | None:
    """The figures by number of images; None where they were not measured."""
    return json.loads(MEMORY.read_text(encoding="utf-8")) if MEMORY.exists() else None


def main(arguments: Sequence[str]) -> None:
    """Print the ratios of a file, where one is given, and keep them if asked; write picture and page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("bench", nargs="?", type=Path)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args(arguments)
    if given.bench is not None:
        found = line(json.loads(given.bench.read_text(encoding="utf-8")))
        for name, value in found["ratios"].items():
            print(f"{value:10.3g}  {name}")
        if not given.keep:
            return
        with HISTORY.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(found, ensure_ascii=False) + "\n")
    CURVES.write_text(draw(plans()), encoding="utf-8")
    PAGE.write_text(page(read_history(), read_memory()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
