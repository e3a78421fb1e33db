"""Peak memory and time of scoring a folder, by its number of images; the plot of docs/external.md.

Run ``python -m tests.benchmarks.memory_by_count 1000 10000 100000``. Each number is scored by a process of
its own, on one core: images of 64 px in PNG files, each with a target image of its own; the metrics
`METRICS`. The one extractor is cheap, 256 gray levels of 4 x 4 pixels each under the name of FID's network,
so that time is what reading, filing and measuring take, without networks. Writes ``docs/data/memory.json``
(seconds of a core for 1,000 images, MB of memory at most) and ``docs/images/memory.svg``. Memory is what
lies in no file (RssAnon): pages of mapped files, which the system takes back when it wants the room, are not
told. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
METRICS = ("PSNR", "FID", "KID-1000")
SIZE, CELL, SUBJECTS = 64, 4, 100


def synthetic_store(count: int, folder: Path) -> Any:
    """A store of noise enlarged from 16 px, on the disk: each subject's source, then the target images."""
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.data.store.manifest import COLUMNS, DEFAULTS, Manifest
    from fesbench.vocabulary import ACTION_UNITS

    rows = SUBJECTS + count
    path = folder / "images.npy"
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, SIZE, SIZE, 3))
    rng = np.random.default_rng(0)
    for start in range(0, rows, 1000):
        part = rng.integers(0, 256, (min(1000, rows - start), 16, 16, 3), dtype=np.uint8)
        images[start : start + 1000] = part.repeat(CELL, axis=1).repeat(CELL, axis=2)
    table = pd.DataFrame({**DEFAULTS, "image": [f"{n:07d}" for n in range(rows)]})
    table["identity"] = [f"s{n % SUBJECTS:03d}" for n in range(rows)]
    table["expression"] = ["neutral"] * SUBJECTS + ["happiness"] * count
    unknown = np.full((rows, len(ACTION_UNITS)), np.nan, dtype=np.float32)
    manifest = Manifest(table[list(COLUMNS)], unknown, np.full((rows, 68, 2), np.nan, dtype=np.float32))
    return AlignedStore(folder, np.load(path, mmap_mode="r"), manifest, SIZE, "none", "noise", "0" * 64, {})


def write_images(store: Any, requests: Any, folder: Path) -> None:
    """The target images with noise, as ``<request>.png``."""
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, target in zip(requests["request"], requests["target"], strict=True):
        noise = rng.integers(-8, 9, (SIZE, SIZE, 1))
        image = np.clip(store.images[target] + noise, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{name}.png", compress_level=1)


def requests_for(count: int) -> Any:
    """A request for every target image."""
    import pandas as pd

    from fesbench.protocol.requests import COLUMNS

    told: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"task": "expression", "domain": "in"}
    told |= {"take": 0, "driver": -1, "action_unit": 0, "intensity": 1.0, "given": "label", "noise_seed": 0}
    table = pd.DataFrame({**told, "request": [f"r{n:07d}" for n in range(count)]})
    table["source"], table["target"] = np.arange(count) % SUBJECTS, SUBJECTS + np.arange(count)
    table["identity"] = [f"s{n:03d}" for n in table["source"]]
    return table


def measured(count: int, folder: Path) -> dict[str, float]:
    """Score ``count`` images in this process."""
    from unittest import mock

    import torch

    from fesbench.context.context import RunContext
    from fesbench.data.splits.assign import Split
    from fesbench.evaluation.score import score_cell
    from fesbench.extractors import registry
    from fesbench.extractors.base import Extractor
    from fesbench.extractors.cache import FeatureCache
    from fesbench.protocol.protocol import load_protocol
    from fesbench.protocol.schema import MetricRule
    from fesbench.records.record import Cell, Record

    class Gray(Extractor):
        """Mean gray level of each 4 x 4 pixels, 256 numbers."""

        name = signature = "inception-tf-2015"

        def extract(self, images: np.ndarray, landmarks: Any = None) -> tuple[np.ndarray, np.ndarray]:
            cells = images.reshape(len(images), SIZE // CELL, CELL, SIZE // CELL, CELL * 3)
            values = cells.mean(axis=(2, 4), dtype=np.float32).reshape(len(images), -1)
            return values, np.ones(len(images), dtype=bool)

    torch.set_num_threads(1)
    absent = SimpleNamespace(smallest=1, available=lambda: "not compared", classes=())
    gray = Gray()
    store, requests = synthetic_store(count, folder), requests_for(count)
    write_images(store, requests, folder / "images")
    rules = load_protocol("avatars@2").with_overrides(size=SIZE)
    rule = rules.metrics.model_dump() | {"required": METRICS, "optional": ()}
    rules = rules.model_copy(update={"metrics": MetricRule.model_validate(rule)})
    split = Split(frozenset(), frozenset(), frozenset(requests["identity"]))
    cache = FeatureCache(folder / "features.sqlite")
    context = RunContext(rules, store, split, "standard", requests, [], None, {}, cache, folder)
    context._extractors.update(dict.fromkeys(registry.extractor_names(), absent) | {gray.name: gray})
    cell = Cell(
        method="outside",
        protocol=rules.name,
        protocol_hash=rules.hash,
        data="noise",
        data_fingerprint=store.fingerprint,
        preset="external",
        budget="standard",
        seed=0,
    )
    record = Record(cell=cell)
    with (
        mock.patch.object(registry, "network", lambda name: gray if name == gray.name else absent),
        Watch() as watch,
    ):
        before, started = time.process_time(), time.perf_counter()
        score_cell(context, record, requests, folder)
        core, wall = time.process_time() - before, time.perf_counter() - started
    scored = {score.metric for score in record.scores if score.value is not None}
    assert scored >= set(METRICS), scored
    return {
        "images": count,
        "core_seconds_per_1000": round(core / count * 1000, 3),
        "seconds_per_1000": round(wall / count * 1000, 3),
        "peak_mb": round(watch.most / 1024),
        "images_mb": round(count * SIZE * SIZE * 3 / 2**20),
    }


class Watch:
    """The most memory of this process, in kB, while the watch lasts; without what is mapped from files."""

    def __enter__(self) -> Watch:
        self.most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.02):
            told = dict(
                line.split(":", 1)
                for line in Path("/proc/self/status").read_text().splitlines()
                if ":" in line
            )
            self.most = max(self.most, int(told["RssAnon"].split()[0]))


def plot(results: list[dict[str, float]], path: Path) -> None:
    """Memory and time by the number of images."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "memory"
    from matplotlib import pyplot

    count = [one["images"] for one in results]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(count, [one["peak_mb"] for one in results], "o-", label="memory at most")
    left.plot(count, [one["images_mb"] for one in results], ":", label="the images, decoded")
    left.set(xscale="log", xlabel="images", ylabel="MB", title="memory")
    left.set_ylim(bottom=0)
    left.legend()
    right.plot(count, [one["core_seconds_per_1000"] for one in results], "o-")
    right.set(xscale="log", xlabel="images", ylabel="seconds of a core", title="time of 1,000 images")
    right.set_ylim(bottom=0)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Score each number of images in a process of its own, write the figures and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("counts", type=int, nargs="+")
    parser.add_argument(
        "--in", dest="folder", type=Path, help="score one number in this process, in a folder"
    )
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(measured(given.counts[0], given.folder)))
        return
    results = []
    for count in given.counts:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", __spec__.name, str(count), "--in", folder]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        results.append(json.loads(told.stdout.splitlines()[-1]))
        print(results[-1], flush=True)
    (ROOT / "docs/data/memory.json").write_text(json.dumps(results, indent=1) + "\n")
    plot(results, ROOT / "docs/images/memory.svg")


if __name__ == "__main__":
    main()
