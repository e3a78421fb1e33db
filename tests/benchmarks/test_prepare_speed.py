"""How fast images with given landmarks are prepared, as ratios within one run; nothing here asserts a time.

``pytest tests/benchmarks/test_prepare_speed.py -s`` prints them. The peers are plain loops in one process
that decode an image, warp it to 128 px and keep the result: with OpenCV's bicubic warp (fixed-point
positions, the fastest there is), and with scikit-image's (floating-point positions, as ours). They neither
check, hash nor store anything. ``FESBENCH_BENCHMARK_IMAGES`` sets the number of images.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fesbench.data.alignment.recipes import similarity
from fesbench.data.alignment.templates import DLIB
from fesbench.data.datasets import DATASETS
from fesbench.data.datasets.base import DatasetAdapter, Plan
from fesbench.data.datasets.listing import ListedImage, ListedPlan
from fesbench.data.prepare import prepare

SIZE, SOURCE, DIFFERENT = 128, 256, 16
COUNT = int(os.environ.get("FESBENCH_BENCHMARK_IMAGES", "1500"))
PEER_COUNT = 96


class Listed(DatasetAdapter):
    """Every image of a folder, with landmarks from a file beside them."""

    name, title, access, license, citation = "listed", "t", "a", "l", "c"
    homepage, layout, needs_source = "h", "l", True
    defaults = {"first": 0}  # noqa: RUF012

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> Plan:
        assert source is not None
        landmarks = np.load(source / "landmarks.npy")
        files = sorted(source.glob("n*"))[: options["first"] or None]
        return ListedPlan(
            [
                ListedImage(path, {"image": path.name, "identity": f"p{k % 9}"}, landmarks[k % DIFFERENT])
                for k, path in enumerate(files)
            ],
            options,
        )


def fill(root: Path, count: int, *, gray: bool) -> Path:
    """Write a few avatars once, as PNG and JPEG, under many names."""
    from fesbench.data.avatars.rendering import AvatarSpec, render

    root.mkdir()
    batch = render([AvatarSpec(k, expression="happiness") for k in range(DIFFERENT)], SOURCE)
    np.save(root / "landmarks.npy", batch.landmarks)
    for k, image in enumerate(batch.images):
        picture = Image.fromarray(image).convert("L") if gray else Image.fromarray(image)
        picture.save(root / f"s{k}.{'png' if k % 2 else 'jpg'}", quality=92)
    for k in range(count):
        ending = "png" if k % 2 else "jpg"
        os.link(root / f"s{k % DIFFERENT}.{ending}", root / f"n{k:05d}.{ending}")
    return root


def opencv(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    import cv2

    fine = cv2.warpAffine(
        image, 2 * matrix, (2 * SIZE, 2 * SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def scikit(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    from skimage.transform import warp

    inverse = np.linalg.inv(np.vstack([2 * matrix, [0, 0, 1]]))
    shape = (2 * SIZE, 2 * SIZE)
    fine = warp(image, inverse, output_shape=shape, order=3, mode="edge", preserve_range=True)
    return np.rint(fine.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))).clip(0, 255).astype(np.uint8)


def loop(root: Path, warp: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds an image, and the last result."""
    landmarks = np.load(root / "landmarks.npy").astype(np.float64)
    files = sorted(root.glob("n*"))[:PEER_COUNT]
    kept = []
    start = time.perf_counter()
    for k, path in enumerate(files):
        with Image.open(path) as file:
            image = np.asarray(file.convert("RGB"))
        matrix = similarity(DLIB.source(landmarks[k % DIFFERENT]), DLIB.target(SIZE))
        kept.append(warp(image, matrix))
    return (time.perf_counter() - start) / len(files), kept[-1]


@pytest.mark.parametrize("gray", [False, True], ids=["color", "gray"])
def test_prepare_against_plain_loops(gray: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("skimage")
    monkeypatch.setitem(DATASETS._made, "listed", Listed())
    root = fill(tmp_path / "pictures", COUNT, gray=gray)
    how: dict[str, Any] = {"size": SIZE, "alignment": "dlib68-128@1", "source": root, "workers": 2}
    start = time.perf_counter()
    store = prepare("listed", **how)
    mine = (time.perf_counter() - start) / COUNT
    assert len(store) == COUNT
    told = []
    for warp in (opencv, scikit):
        theirs, last = loop(root, warp)
        # other bicubic kernels, the same image
        assert np.abs(store.images[PEER_COUNT - 1].astype(float) - last).mean() < 3
        told.append(f"{theirs / mine:.2f} times the {warp.__name__} loop")
    kind = "gray" if gray else "color"
    print(
        f"\n{COUNT} {kind} images of {SOURCE} px to {SIZE} px, 2 workers: {1 / mine:.0f} images/s; "
        f"{', '.join(told)} (one process, nothing stored)"
    )


MEASURE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from fesbench.data.datasets import DATASETS
from test_prepare_speed import Listed
from fesbench.data.prepare import prepare
DATASETS._made["listed"] = Listed()
store = prepare("listed", size=128, alignment="dlib68-128@1", source=Path(sys.argv[1]), workers=2,
                options={"first": int(sys.argv[3])})
# not ru_maxrss of this process: Linux lets it begin with that of the process it was started from
own = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(own.split()[1]) // 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    """Their pixels are 49 KiB each; what is kept of one (its row and landmarks) is a few KiB."""
    root = fill(tmp_path / "pictures", COUNT, gray=True)
    few, here = COUNT // 4, str(Path(__file__).parent)
    peaks = []
    for count in (few, COUNT):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(root), here, str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append([int(part) for part in done.stdout.split()[-2:]])
    pixels = (COUNT - few) * SIZE * SIZE * 3 / 2**20
    print(f"\nprepare, peak MiB (parent, worker): {few} images {peaks[0]}, {COUNT} images {peaks[1]}")
    for first, last in zip(*peaks, strict=True):
        assert last - first < 0.35 * pixels
