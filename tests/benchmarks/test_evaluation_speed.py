"""Scoring 1,000 generated images against the bare forwards of the networks that it needs, in one run.

Run with ``tox -e bench -- tests/benchmarks/test_evaluation_speed.py -s``. The bare side gets ready tensors
and ready face chips and runs each network once an image: judge, dlib's descriptor, dlib's detector, piq's
SSIM and PSNR. The other side reads PNG files, crops, extracts, caches, measures every metric with its
interval per task, domain and expression, and writes the samples. Features of real images are in the cache
before, as in every cell but the first. The ratio is stored with the benchmark and not asserted.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fesbench.context.build import build_context
from fesbench.context.context import RunContext
from fesbench.evaluation.score import score_cell
from fesbench.extractors.cache import FeatureCache
from fesbench.extractors.crops import dlib_chip
from fesbench.judges.network import to_input
from fesbench.protocol.protocol import load_protocol
from fesbench.records.record import Cell, Record

COUNT = 1000


def bare_seconds(
    context: RunContext, images: np.ndarray, truth: np.ndarray, landmarks: np.ndarray
) -> dict[str, float]:
    """Seconds of each network on ready inputs."""
    from piq import psnr, ssim

    faces, detector, judge = context.extractor("dlib"), context.extractor("dlib-hog"), context.judge
    chips = np.stack([dlib_chip(image, points) for image, points in zip(images, landmarks, strict=True)])
    gray = to_input(images)
    pair = [torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255 for stack in (images, truth)]

    def judged() -> None:
        with torch.inference_mode():
            for start in range(0, COUNT, 64):
                part = gray[start : start + 64]
                for member in judge.members:
                    member.network(torch.cat([part, part.flip(-1)]))

    work = {
        "dlib": lambda: faces.describe(chips),  # type: ignore[attr-defined]
        "dlib-hog": lambda: detector.extract(images, None),
        "judge": judged,
        "ssim": lambda: ssim(*pair, data_range=1.0, downsample=False, reduction="none"),
        "psnr": lambda: psnr(*pair, data_range=1.0, reduction="none"),
    }
    seconds = {}
    for name, call in work.items():
        start = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - start
    return seconds


@pytest.mark.slow
def test_scoring_against_bare_forwards(benchmark, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    protocol = load_protocol("avatars").with_overrides(size=64)
    context = build_context(protocol, budget="standard", out=tmp_path)
    requests = context.requests.iloc[:COUNT].reset_index(drop=True)
    truth = context.store.images[requests["target"].to_numpy()]
    images = np.clip(truth.astype(np.int16) + 1, 0, 255).astype(np.uint8)
    landmarks = context.store.manifest.landmarks[requests["source"].to_numpy()]
    (tmp_path / "images").mkdir()
    for name, image in zip(requests["request"], images, strict=True):
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png", compress_level=1)
    cell = Cell(
        method="outside",
        protocol=protocol.name,
        protocol_hash=protocol.hash,
        data="avatars",
        data_fingerprint=context.store.fingerprint,
        preset="external",
        budget="standard",
        seed=0,
    )

    def score() -> Record:
        record = Record(cell=cell)
        score_cell(context, record, requests, tmp_path)
        return record

    context.cache = FeatureCache(tmp_path / "features.sqlite")
    cache_real_images(context, requests)
    bare = bare_seconds(context, images, truth, landmarks)
    record = benchmark.pedantic(score, rounds=1)
    assert {score.metric for score in record.scores} >= {"ECS", "FSS", "SSIM", "FD-dlib"}
    wall, floor = benchmark.stats.stats.median, sum(bare.values())
    benchmark.extra_info |= {"wall": wall, "bare": bare}
    benchmark.extra_info["ratios"] = {
        "time of scoring 1,000 images / of the networks' bare forwards": wall / floor
    }
    context.close()
    shown = ", ".join(f"{name} {seconds:.2f}" for name, seconds in bare.items())
    print(
        f"\nscoring {COUNT} images: {wall:.1f} s, bare forwards {floor:.1f} s ({shown}): {wall / floor:.3f}"
    )


def cache_real_images(context: RunContext, requests) -> None:
    """Put the features of sources, gallery and references into the cache."""
    from fesbench.protocol.references import gallery_rows, reference_rows

    rows = [gallery_rows(context.protocol, context.store, context.split)[0], requests["source"].to_numpy()]
    for _, group in requests.groupby(["task", "domain"]):
        rows.append(reference_rows(context.protocol, context.store, context.split, group)[0])
    wanted = np.unique(np.concatenate(rows))
    faces = context.extractor("dlib")
    context.cache.get(faces, context.store.images[wanted], context.store.manifest.landmarks[wanted])
