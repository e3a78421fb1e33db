"""One pass over the images: each is decoded once, each network sees it once, equal ones count as one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fesbench.context.context import RunContext
from fesbench.data import images as image_files
from fesbench.data import views
from fesbench.evaluation.score import score_cell
from fesbench.evaluation.share import extract_share
from fesbench.external.requests_export import asked
from fesbench.external.submission import read_submission
from fesbench.extractors import registry, table
from fesbench.extractors.base import DerivedExtractor, Extractor
from fesbench.extractors.cache import FeatureCache
from fesbench.extractors.content import content_key
from fesbench.files import fesbench_home
from fesbench.metrics import metric
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.protocol.requests import build_requests
from fesbench.protocol.schema import ALWAYS, MetricRule
from fesbench.protocol.split import build_split
from fesbench.records.judges import Judges
from fesbench.records.record import Cell, Record
from tests.end_to_end import MINI, figures

NAMES = ("dlib", "dlib-hog", "dlib-landmarks", "face-mesh", "inception-tf-2015")
POINTS = {"dlib-landmarks": 2 * 68, "face-mesh": 3 * 468 + 1}
FACE = np.random.default_rng(0).uniform(20, 40, max(POINTS.values())).astype(np.float32)
NOT_HERE = {"CLS", "FVS@FAR=1%", "ID-mean", "ID-mean-sd"}
"""They need the task intensity; more impostor pairs than these few subjects give; a second recognizer."""
ABSENT = SimpleNamespace(smallest=1, available=lambda: "not here")
FIRST = ("ECS", "FSS", "Rank-1", "FD-dlib", "FID", "KID", "SSIM", "PSNR")
LATER = ("ECS-restricted", "FVS", "ACD-I-expressions", "Diversity", "Face-not-found", "Coverage", "MS-SSIM")


class Counting(Extractor):
    """Colors as features; counts how often it sees each image."""

    def __init__(self, name: str, classes: tuple[str, ...] = ()) -> None:
        self.name, self.classes, self.label_names = name, classes, classes
        self.needs_landmarks = name in ("dlib", "face-mesh")
        self.seen: Counter[bytes] = Counter()

    @property
    def signature(self) -> str:
        return f"{self.name}:counting"

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        points = landmarks if self.needs_landmarks else [None] * len(images)
        self.seen.update(content_key(image, mark) for image, mark in zip(images, points, strict=True))
        if self.name in POINTS:
            return np.tile(FACE[: POINTS[self.name]], (len(images), 1)), np.ones(len(images), dtype=bool)
        width = max(len(self.classes), 5)
        values = images.reshape(len(images), -1)[:, 1000::10007][:, :width].astype(np.float32)
        values = np.pad(values, ((0, 0), (0, width - values.shape[1]))) / 255 + 0.01
        return values / values.sum(1, keepdims=True), np.ones(len(images), dtype=bool)


class CountingPanel(DerivedExtractor):
    """Three judges who count how often they see each image."""

    name = "judge"
    signature = "judge:counting"

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = self.label_names = classes
        self.judges = Judges(3, "counting", "0" * 8, "0" * 8)
        super().__init__(Counting("judge-members", classes * 3))

    def derive(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(len(values), 3, -1).mean(axis=1)


def with_metrics(protocol: Protocol, names: tuple[str, ...]) -> Protocol:
    rule = protocol.metrics.model_dump() | {"required": names, "optional": ()}
    return protocol.model_copy(update={"metrics": MetricRule.model_validate(rule)})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> dict[str, Counting]:
    found = {name: Counting(name) for name in NAMES}
    monkeypatch.setattr(registry, "network", lambda name: found.get(name, ABSENT))
    return found


@pytest.fixture
def context(
    shared: Path, counters: dict[str, Counting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunContext:
    monkeypatch.setenv("FESBENCH_HOME", str(shared))
    assert fesbench_home() == shared
    protocol = with_metrics(load_protocol(MINI).with_overrides(size=64, data=None), FIRST)
    _, store = asked(protocol, "standard", None, Reporter())
    split = build_split(protocol, store)
    requests, not_run = build_requests(protocol, store, split, "standard")
    judge: Any = CountingPanel(tuple(protocol.labels))
    cache = FeatureCache(tmp_path / "features.sqlite")
    made = RunContext(protocol, store, split, "standard", requests, not_run, judge, {}, cache, tmp_path)
    made._extractors.update(counters)
    return made


def answered(context: RunContext, folder: Path) -> np.ndarray:
    """A folder of answers on disk; the first two are equal."""
    draw = np.random.default_rng(0)
    size = context.store.size
    images = draw.integers(0, 256, (len(context.requests), size, size, 3), dtype=np.uint8)
    images[1] = images[0]
    folder.mkdir()
    for name, image in zip(context.requests["request"], images, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    return images


def score(context: RunContext, images: np.ndarray | None, folder: Path) -> Record:
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
    score_cell(context, record, context.requests, folder, images=images)
    return record


def test_each_picture_is_decoded_once_and_seen_once(
    context: RunContext, counters: dict[str, Counting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = answered(context, tmp_path / "ours")
    decoded: Counter[str] = Counter()
    decode = image_files.decode_image

    def counted(content: bytes, name: str) -> np.ndarray:
        decoded[name] += 1
        return decode(content, name)

    monkeypatch.setattr(image_files, "decode_image", counted)
    answers = read_submission(tmp_path / "ours", context.requests, context.store.size)
    record = score(context, answers.stack(), tmp_path)
    assert {score.metric for score in record.scores if score.value is not None} == {
        *FIRST,
        *ALWAYS,
    } - NOT_HERE
    assert set(decoded.values()) == {1}
    assert len(decoded) == len(context.requests)
    assert record.counts["identical"] == 1
    used = {name for score in (*FIRST, *ALWAYS) for name in registry.weights_of(metric(score).card.extractor)}
    assert set(record.weights) == used
    assert all(told["license"] for told in record.weights.values())
    everybody = [*counters.values(), context.judge.base]  # type: ignore[union-attr]
    for extractor in everybody:
        assert set(extractor.seen.values()) == {1}, extractor.name  # type: ignore[attr-defined]
    for found in record.scores:
        judged = metric(found.metric).by_judges
        assert len(found.without_judge) == (3 if judged and found.value is not None else 0), found.metric
        if found.signature:
            assert ("judges:K=3,counting" in found.signature) == judged, found.metric
    distinct = {content_key(image) for image in made}
    assert distinct <= set(counters["inception-tf-2015"].seen)
    sources = {content_key(context.store.images[row]) for row in context.requests["source"]}
    assert set(counters["dlib-hog"].seen) == distinct | sources
    assert len(distinct) == len(made) - 1


def test_a_metric_that_is_added_later_runs_no_network(
    context: RunContext, counters: dict[str, Counting], tmp_path: Path
) -> None:
    images = answered(context, tmp_path / "ours")
    before = figures(score(context, images, tmp_path))
    everybody: list[Any] = [*counters.values(), context.judge.base]  # type: ignore[union-attr]
    for extractor in everybody:
        extractor.seen.clear()
    context.protocol = with_metrics(context.protocol, FIRST + LATER)
    after = score(context, images, tmp_path)
    assert {score.metric for score in after.scores if score.value is not None} >= {*LATER} - {"MS-SSIM"}
    assert {extractor.name: dict(extractor.seen) for extractor in everybody if extractor.seen} == {}
    later = figures(after)
    assert {key: later[key] for key in before} == before


def test_what_shares_have_seen_the_scoring_does_not_ask_again(
    context: RunContext, counters: dict[str, Counting], tmp_path: Path
) -> None:
    context.protocol = with_metrics(context.protocol, FIRST + LATER)
    answered(context, tmp_path / "ours")
    everybody: list[Any] = [*counters.values(), context.judge.base]  # type: ignore[union-attr]

    def seen() -> dict[str, Counter[bytes]]:
        found = {one.name: Counter(one.seen) for one in everybody if one.seen}
        for one in everybody:
            one.seen.clear()
        return found

    def read(share: tuple[int, int]) -> Any:
        return read_submission(tmp_path / "ours", context.requests, context.store.size, share)

    wanted = score(context, read((1, 1)).stack(), tmp_path)
    whole, shared = seen(), []
    context.cache = FeatureCache(tmp_path / "shared.sqlite")
    for share in ((1, 2), (2, 2)):
        answers = read(share)
        asked_for: list[str] = []
        extract_share(
            context,
            answers.requests,
            tmp_path,
            answers.stack(),
            share,
            lambda done, total, what, asked_for=asked_for: asked_for.append(what),
        )
        assert "expression in: FSS" in asked_for
        shared.append(seen())
    found = score(context, read((1, 1)).stack(), tmp_path)
    assert figures(found) == figures(wanted)
    assert found.anchors == wanted.anchors
    assert found.judge_checks == wanted.judge_checks
    left = seen()
    # noise in the place of each of five sources, for the anchors; the first is the first answer here
    assert {name: len(images) for name, images in left.items()} == {"dlib": 4}
    assert len(shared[0]) == len(shared[1]) == len(whole)
    for name, images in whole.items():
        parts = [set(part[name]) for part in shared]
        assert parts[0] | parts[1] | set(left.get(name, ())) == set(images), name
        assert min(map(len, parts)) > 0.3 * len(images), name


def test_scores_are_the_same_when_nothing_is_held_in_memory(
    context: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder of millions: images decoded when they are read, features in files."""
    context.protocol = with_metrics(context.protocol, FIRST + LATER)
    images = answered(context, tmp_path / "images")
    wanted = score(context, images, tmp_path)
    for module in (views, table):
        monkeypatch.setattr(module, "HELD", 0)
    context.cache = FeatureCache(tmp_path / "empty.sqlite")
    found = score(context, None, tmp_path)
    assert found.counts == wanted.counts
    assert len(found.scores) == len(wanted.scores) > 100
    for ours, held in zip(found.scores, wanted.scores, strict=True):
        if ours.value != held.value or ours.low != held.low:
            assert ours.metric in {"FID", "FD-dlib"}
            assert (ours.value, ours.low, ours.high) == pytest.approx(
                (held.value, held.low, held.high), abs=1e-9
            )
        assert ours.signature == held.signature
    assert found.anchors == wanted.anchors
