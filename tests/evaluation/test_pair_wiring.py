"""How pair extractors reach metrics: the bench, the evidence of a group, and what is said beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.context.context import RunContext
from fesbench.evaluation.nearest import keep_nearest
from fesbench.evaluation.task_group import Group
from fesbench.extractors.base import Extractor, PairExtractor, check_pairs
from fesbench.extractors.cache import FeatureCache
from fesbench.metrics import metric
from fesbench.metrics.selection import metric_reasons, protocol_metrics
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_split
from fesbench.records.nearest import nearest_image, nearest_path
from fesbench.records.record import Cell, Record
from tests.stores import SIZE, picture, protocol, shot, tiny_store

PIXELS = Path(__file__).parents[1] / "protocols" / "pixels@1.toml"


class Gap(PairExtractor):
    """Mean absolute difference; remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0
        self.closed = False

    @property
    def signature(self) -> str:
        return f"{self.name}:planted"

    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        check_pairs(self, first, second)
        self.asked += len(first)
        return np.abs(first.astype(np.float32) - second).mean(axis=(1, 2, 3))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Gap]:
    found: dict[str, Gap] = {}

    def plant(name: str) -> Gap:
        found[name] = Gap(name)
        return found[name]

    monkeypatch.setattr("fesbench.extractors.registry.pair_extractor", plant)
    return found


def protocol_with(tmp_path: Path, *metrics: str) -> Protocol:
    listed = ", ".join(f'"{name}"' for name in metrics)
    path = tmp_path / "pixels@1.toml"
    path.write_text(PIXELS.read_text().replace("optional = []", f"optional = [{listed}]"))
    return load_protocol(str(path))


def test_a_bench_makes_a_pair_extractor_once_and_asks_it_once(tmp_path: Path, made: dict[str, Gap]) -> None:
    cache = FeatureCache(tmp_path / "features.sqlite")
    nothing: Any = None
    context = RunContext(nothing, nothing, nothing, "smoke", nothing, [], None, {}, cache, tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    pairs = np.array([[0, 1], [2, 3], [1, 0]])
    found = context.pair_values("lpips-alex", images, images, pairs)
    again = context.pair_values("lpips-alex", images[::-1], images[::-1], 3 - pairs)
    assert np.array_equal(found.values, again.values)
    assert found.signature == "lpips-alex:planted"
    assert made["lpips-alex"].asked == 2
    context.close()
    assert made["lpips-alex"].closed


def test_a_missing_file_or_too_small_a_picture_is_said_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    protocol = protocol_with(tmp_path, "LPIPS", "DISTS", "MS-SSIM", "SSIM-Y")
    reasons = metric_reasons(protocol)
    assert reasons["DISTS"].startswith("weights: piq-dists (fesbench weights ")
    assert reasons["LPIPS"].startswith("weights: ")
    assert "SSIM-Y" not in reasons
    small = metric_reasons(protocol.with_overrides(size=24))
    assert small["DISTS"] == "needs images of 32 px, the protocol has 24 px"


def test_a_bracketed_name_keeps_its_own_extractor(tmp_path: Path) -> None:
    names = ("FSS", "FSS[arcface]", "TAR@FAR=1%[lightcnn-29-v2]", "Diversity[lpips-alex]", "Diversity")
    text = protocol_with(tmp_path, *names)
    faced = text.model_copy(update={"metrics": text.metrics.model_copy(update={"face": "facenet512"})})
    found = {name: protocol_metrics(faced)[name].card.extractor for name in names}
    assert found == {
        "FSS": "facenet512",
        "FSS[arcface]": "arcface",
        "TAR@FAR=1%[lightcnn-29-v2]": "lightcnn-29-v2",
        "Diversity[lpips-alex]": "lpips-alex",
        "Diversity": "facenet512",
    }


class Colors(Extractor):
    """Mean color of each quarter, in the place of a face model."""

    name = "dlib"
    signature = "dlib:planted"  # type: ignore[assignment]

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        half = images.shape[1] // 2
        quarters = images.reshape(len(images), 2, half, 2, half, 3).mean(axis=(2, 4))
        return quarters.reshape(len(images), -1).astype(np.float32), np.ones(len(images), bool)


@pytest.fixture
def context(tmp_path: Path, made: dict[str, Gap], monkeypatch: pytest.MonkeyPatch) -> RunContext:
    """Two subjects train and three are tested."""
    monkeypatch.setattr("fesbench.metrics.distribution.memorization.FEWEST_REAL", 2)
    rows = [shot(who, what) for who in "abcdev" for what in ("neutral", "anger", "happiness")]
    store = tiny_store(tmp_path / "store", rows)
    rules = protocol(
        labels=["neutral", "anger", "happiness"],
        split={"rule": "names", "test_names": ["c", "d", "e"], "validation_names": ["v"]},
        metrics={
            "required": ["LPIPS", "Memorized"],
            "gallery": "none",
            "reference": "halves",
            "judge": "trained",
        },
    )
    split = build_split(rules, store)
    requests, _ = build_requests(rules, store, split, "smoke")
    cache = FeatureCache(tmp_path / "features.sqlite")
    found = RunContext(rules, store, split, "smoke", requests, [], None, {}, cache, tmp_path)
    found._extractors["dlib"] = Colors()
    return found


def group_of(context: RunContext, images: np.ndarray, name: str = "x", **card: bool) -> Group:
    cell = Cell(
        method=name,
        protocol="test@1",
        protocol_hash="0",
        data="tiny",
        data_fingerprint="0",
        preset="tiny",
        budget="smoke",
        seed=0,
    )
    return Group(context, Record(cell=cell, card=card), context.requests, images)


def test_outputs_meet_their_own_truth_and_nothing_else(context: RunContext, made: dict[str, Gap]) -> None:
    requests = context.requests
    target = requests["target"].to_numpy()
    images = context.store.images[np.maximum(target, 0)].copy()
    images[:, 0, 0] ^= np.arange(1, len(images) + 1, dtype=np.uint8)[:, None]
    group = group_of(context, images)
    found = group.score("LPIPS", metric("LPIPS"), "").per_sample
    assert found is not None
    assert np.isnan(found).tolist() == (target < 0).tolist()
    # One pixel of SIZE * SIZE differs, by no more than the number of requests rounded up to bits.
    assert np.nanmax(found) <= 7 / SIZE**2
    assert made["lpips-alex"].asked == int((target >= 0).sum())


def test_samples_name_the_nearest_training_image(context: RunContext) -> None:
    images = np.stack([picture(f"out{number}") for number in range(len(context.requests))])
    images[1] = context.store.images[context.store.manifest.table["image"].tolist().index("b/happiness_.png")]
    group = group_of(context, images)
    scored = group.score("Memorized", metric("Memorized"), "")
    assert scored.per_sample is not None
    assert scored.per_sample[1] == 1
    table = group.sample_table({"Memorized": scored.per_sample})
    assert table["nearest_training"].iloc[1] == "b/happiness_.png"
    assert all(name[0] in "ab" for name in table["nearest_training"])
    assert set(group.sample_table({})["nearest_training"]) == {""}


def test_nearest_training_images_are_kept_of_whoever_may_be_shown(tmp_path: Path) -> None:
    rows = [shot(who, "anger", publishable=who != "b") for who in "abc"]
    store = tiny_store(tmp_path / "store", rows)
    names = store.manifest.table["image"].tolist()
    old = nearest_path(tmp_path / "cell", "old")
    old.parent.mkdir(parents=True)
    old.write_bytes(b"")
    keep_nearest(store, np.arange(3), pd.DataFrame({"nearest_training": [*names[:2], ""]}), tmp_path / "cell")
    assert list(old.parent.iterdir()) == [nearest_path(tmp_path / "cell", names[0])]
    with Image.open(nearest_path(tmp_path / "cell", names[0])) as image:
        assert (np.asarray(image) == store.images[0]).all()
    assert nearest_image(tmp_path / "cell", names[1]) is None
    assert nearest_image(tmp_path / "cell", "") is None


def test_a_card_says_that_a_row_is_the_target_itself(context: RunContext) -> None:
    images = np.stack([picture(f"out{number}") for number in range(len(context.requests))])
    itself = group_of(context, images, answers_with_target=True).score("LPIPS", metric("LPIPS"), "")
    (only,) = itself.scores
    assert (only.value, only.status, only.reason) == (None, "n/a", "the target image against itself")
    assert (only.n_requested, only.n_valid, only.signature) == (len(images), 0, "")
    called_real = group_of(context, images, "real").score("LPIPS", metric("LPIPS"), "")
    assert called_real.scores[0].value is not None
