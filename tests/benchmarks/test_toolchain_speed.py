"""Scoring a folder against what one would run by hand: torch-fidelity, piq and deepface, one after another.

Run with ``tox -e bench -- tests/benchmarks/test_toolchain_speed.py -s``. Both sides read the same PNG files,
load the same networks before (Inception with seeded random weights; dlib's descriptor, its own) and must come
to the same FID, SSIM, PSNR and FSS. By hand: torch-fidelity on two folders, piq on decoded pairs, deepface's
``represent`` on each output and its source, cut out beforehand. fesbench scores every expression beside the
pooled figure and gives intervals, which the other side does not. Three ratios, by hand over fesbench, are
stored and printed, none is asserted: the first method of a protocol, a later one (real images are in the
cache), and the same images after a metric was added.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from fesbench.context.context import RunContext
from fesbench.evaluation.score import score_cell
from fesbench.external.requests_export import asked
from fesbench.external.submission import read_submission
from fesbench.extractors import registry
from fesbench.extractors.cache import FeatureCache
from fesbench.extractors.crops import dlib_chip
from fesbench.extractors.faces import DlibFaces
from fesbench.extractors.inception import Inception
from fesbench.metrics import selection
from fesbench.progress import Reporter
from fesbench.protocol.protocol import load_protocol
from fesbench.protocol.references import reference_rows
from fesbench.protocol.requests import build_requests
from fesbench.protocol.schema import MetricRule
from fesbench.protocol.split import build_split
from fesbench.records.record import Cell, Record
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE
from tests.end_to_end import MINI

MODULE = "torch_fidelity.feature_extractor_inceptionv3"
NAMES = ("FID", "SSIM", "PSNR", "FSS")
Client = Callable[[Path], np.ndarray]
ADDED = ("KID", "FD-dlib", "FVS", "PSNR-pooled")


def random_inception() -> bytes:
    """A state of torch-fidelity's network with seeded random weights, as its file holds it."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    with (
        mock.patch(f"{MODULE}.load_state_dict_from_url", return_value={}),
        mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        network = FeatureExtractorInceptionV3("random", ["2048"])
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return stream.getvalue()


@pytest.fixture
def manager(tmp_path: Path) -> WeightsManager:
    content = random_inception()
    name = "inception-tf-2015"
    entry = replace(TABLE[name], sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    made = WeightsManager(tmp_path / "weights", {**TABLE, name: entry})
    made.folder.mkdir(parents=True)
    (made.folder / entry.file).write_bytes(content)
    return made


@pytest.fixture
def context(
    manager: WeightsManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[tuple[str, ...]], RunContext]]:
    """Makes a bench of some metrics on the small protocol; nothing is trained."""
    networks: dict[str, Any] = {"inception-tf-2015": Inception(manager), "dlib": DlibFaces(manager)}
    known = registry.network
    monkeypatch.setattr(registry, "network", lambda name: networks.get(name) or known(name))
    # The other side has none of what is measured under every protocol.
    monkeypatch.setattr(selection, "ALWAYS", ())
    rules = load_protocol(MINI)
    _, store = asked(rules, "standard", None, Reporter())
    cache = FeatureCache(tmp_path / "features.sqlite")

    def make(names: tuple[str, ...]) -> RunContext:
        rule = rules.metrics.model_dump() | {"required": names, "optional": ()}
        protocol = rules.model_copy(update={"metrics": MetricRule.model_validate(rule)})
        split = build_split(protocol, store)
        table, _ = build_requests(protocol, store, split, "standard")
        table = table[(table["task"] == "expression") & (table["domain"] == "in")].reset_index(drop=True)
        made = RunContext(protocol, store, split, "standard", table, [], None, {}, cache, tmp_path)
        # The pool's dlib without the HOG detector, which the other side does not run either.
        made._extractors.update(networks | {"dlib-hog": mock.Mock(available=lambda: "not compared")})
        return made

    yield make
    for network in networks.values():
        network.close()


def outputs(context: RunContext, seed: int) -> np.ndarray:
    """Images near the true ones."""
    truth = context.store.images[context.requests["target"].to_numpy()].astype(np.int16)
    noise = np.random.default_rng(seed).integers(-12, 13, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8)


def save(images: np.ndarray, names: Any, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png", compress_level=1)
    return folder


def by_fesbench(context: RunContext, folder: Path, out: Path) -> dict[str, float]:
    answers = read_submission(folder, context.requests, context.store.size)
    cell = Cell(
        method="outside",
        protocol=context.protocol.name,
        protocol_hash=context.protocol.hash,
        data="avatars",
        data_fingerprint=context.store.fingerprint,
        preset="external",
        budget="standard",
        seed=0,
    )
    record = Record(cell=cell)
    score_cell(context, record, context.requests, out, images=answers.stack())
    return {s.metric: float(s.value or np.nan) for s in record.scores if s.expression == "all"}


def by_hand(folders: dict[str, Path], weights: Path, client: Client) -> dict[str, float]:
    from piq import psnr, ssim
    from torch_fidelity import calculate_metrics

    found = calculate_metrics(
        input1=str(folders["outputs"]),
        input2=str(folders["reference"]),
        fid=True,
        cuda=False,
        verbose=False,
        batch_size=16,
        save_cpu_ram=True,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(weights),
    )
    pair = [
        torch.stack(
            [
                torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) / 255
                for path in sorted(folders[which].iterdir())
            ]
        )
        for which in ("outputs", "truth")
    ]
    cosines = []
    for path in sorted(folders["output-chips"].iterdir()):
        a, b = client(path), client(folders["source-chips"] / path.name)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return {
        "FID": found["frechet_inception_distance"],
        "SSIM": float(ssim(*pair, data_range=1.0, downsample=False)),
        "PSNR": float(psnr(*pair, data_range=1.0)),
        "FSS": float(np.mean(cosines)),
    }


def deepface_client(home: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """deepface's ``represent`` without a detector, on ready chips, with the file under its own name."""
    monkeypatch.setenv("DEEPFACE_HOME", str(home))
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "pytorch")
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    (folder / weights.name).symlink_to(weights)
    from deepface import DeepFace

    def embed(path: Path) -> np.ndarray:
        found = DeepFace.represent(str(path), model_name="Dlib", detector_backend="skip")
        return np.array(found[0]["embedding"])

    return embed


def folders_of(context: RunContext, images: np.ndarray, root: Path) -> dict[str, Path]:
    """The same images as the tools by hand want them."""
    table, store = context.requests, context.store
    names, sources = table["request"], table["source"].to_numpy()
    marks = store.manifest.landmarks[sources]
    reference, _ = reference_rows(context.protocol, store, context.split, table)
    chips = [
        np.stack([dlib_chip(image, mark) for image, mark in zip(stack, marks, strict=True)])
        for stack in (images, store.images[sources])
    ]
    return {
        "outputs": save(images, names, root / "outputs"),
        "truth": save(store.images[table["target"].to_numpy()], names, root / "truth"),
        "reference": save(store.images[reference], reference, root / "reference"),
        "output-chips": save(chips[0], names, root / "output-chips"),
        "source-chips": save(chips[1], names, root / "source-chips"),
    }


@pytest.mark.slow
def test_against_the_tools_one_after_another(
    benchmark, context, manager: WeightsManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch_fidelity", "deepface", "dlib"):
        pytest.importorskip(package)
    few, more = context(NAMES), context(NAMES + ADDED)
    client = deepface_client(tmp_path / "deepface", manager.path("dlib"), monkeypatch)
    weights = manager.path("inception-tf-2015")
    first, later = (folders_of(few, outputs(few, seed), tmp_path / str(seed)) for seed in (0, 1))
    # Both sides have imported, loaded and started everything before the clock runs.
    warm = outputs(few, 2)[:1]
    few.extractor("inception-tf-2015").extract(warm)
    few.extractor("dlib").describe(np.zeros((9, 150, 150, 3), np.uint8))  # type: ignore[attr-defined]
    client(next(first["output-chips"].iterdir()))

    def timed(call: Callable[[], dict[str, float]]) -> tuple[float, dict[str, float]]:
        started = time.perf_counter()
        found = call()
        return time.perf_counter() - started, found

    hand, wanted = timed(lambda: by_hand(first, weights, client))
    cold, found = timed(lambda: by_fesbench(few, first["outputs"], tmp_path))
    assert found["FID"] == pytest.approx(wanted["FID"], rel=1e-4)
    for name in ("SSIM", "PSNR", "FSS"):
        assert found[name] == pytest.approx(wanted[name], rel=1e-4), name
    warm_result = benchmark.pedantic(lambda: by_fesbench(few, later["outputs"], tmp_path), rounds=1)
    assert warm_result["FID"] != found["FID"]
    again, added = timed(lambda: by_fesbench(more, first["outputs"], tmp_path))
    assert {name: added[name] for name in NAMES} == found
    seconds = {"first": cold, "later": benchmark.stats.stats.median, "metrics added": again}
    benchmark.extra_info["ratios"] = {
        f"scoring ({name}), speed against torch-fidelity, piq and deepface": hand / value
        for name, value in seconds.items()
    }
    shown = ", ".join(f"{name} {value:.1f} s ({hand / value:.2f}x)" for name, value in seconds.items())
    print(f"\n{len(few.requests)} images: by hand {hand:.1f} s; fesbench: {shown}")
