"""k-fold forms: every subject is tested once, by networks that never saw it, and all are scored together."""

from __future__ import annotations

import dataclasses
import functools
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.context.context import RunContext
from fesbench.context.folded import FoldedContext, open_context
from fesbench.external.evaluate import evaluate_folder
from fesbench.external.requests_export import asked
from fesbench.external.shares import extract_folder
from fesbench.extractors.content import content_key
from fesbench.judges import training as judges
from fesbench.judges.expression import Judge
from fesbench.judges.panel import FEWEST
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.records.record import FOLDS, REFERENCE, Record, load_record
from fesbench.runs import folds
from fesbench.runs.cells import run_cells
from fesbench.runs.folds import run_jobs
from fesbench.runs.job import Job
from tests.end_to_end import PROTOCOLS, figures

FOLDED = str(PROTOCOLS / "folded@1.toml")
SEEN: list[set[bytes]] = []
TRAIN = judges.train_judge


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(home))
    monkeypatch.setattr(judges, "train_judge", quick_judge)


def quick_judge(images: np.ndarray, labels: np.ndarray, **options: Any) -> Judge:
    """A judge of one epoch; what it was trained on is remembered."""
    SEEN.append({image.tobytes() for image in images})
    recipe = dataclasses.replace(judges.JUDGE_RECIPE, epochs=1)
    return functools.partial(TRAIN, recipe=recipe)(images, labels, **options)


def rules() -> Protocol:
    return load_protocol(FOLDED).with_overrides(size=32)


def jobs(*names: str) -> list[Job]:
    return [Job(name, FOLDED, REFERENCE, "steps=2", size=32, device="cpu") for name in names]


@pytest.fixture(scope="module")
def scored(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FoldedContext, list[Record], Path]:
    """The rows copy and mean-shift over three folds."""
    out = tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    with patch.context() as change:
        change.setattr(judges, "train_judge", quick_judge)
        change.setitem(os.environ, "FESBENCH_HOME", str(home))
        SEEN.clear()
        context = open_context(rules(), budget="steps=2", out=out)
        assert isinstance(context, FoldedContext)
        return context, run_jobs(jobs("copy", "mean-shift"), context, Reporter()), out


def test_a_share_of_a_folder_is_seen_by_the_judges_of_every_fold(
    scored: tuple[FoldedContext, Any, Path], tmp_path: Path
) -> None:
    context, _, out = scored
    (tmp_path / "mine").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (len(context.requests), 32, 32, 3), dtype=np.uint8)
    for name, image in zip(context.requests["request"], noise, strict=True):
        Image.fromarray(image).save(tmp_path / "mine" / f"{name}.png")
    mine, known = {content_key(image) for image in noise}, set()

    def features(path: Path) -> set[tuple[str, bytes]]:
        with closing(sqlite3.connect(path)) as connection:
            found = set(connection.execute("SELECT extractor, content FROM features"))
        return {(extractor, content) for extractor, content in found if content in mine}

    for number in (1, 2):
        path = extract_folder(
            tmp_path / "mine", (number, 2), protocol=FOLDED, budget="steps=2", size=32, out=out
        )
        known |= features(path)
    seen = {name for name, _ in known if name.startswith("judge-members")}
    assert len(seen) == len(context.folds)
    assert not features(context.cache.file.path)
    evaluate_folder(tmp_path / "mine", protocol=FOLDED, budget="steps=2", size=32, out=out)
    assert features(context.cache.file.path) == known


def test_everybody_is_tested_once_and_judged_by_a_stranger(scored: tuple[FoldedContext, Any, Any]) -> None:
    context = scored[0]
    identity = context.store.manifest.table["identity"].to_numpy()
    everybody = sorted(set(identity))
    assert sorted(who for fold in context.folds.values() for who in fold.split.test) == everybody
    assert len(SEEN) == FEWEST * len(context.folds) >= 2 * FEWEST
    judged = [fold for fold in context.folds.values() for _ in range(FEWEST)]
    for fold, seen in zip(judged, SEEN, strict=True):
        others = np.flatnonzero([who in fold.split.test | fold.split.validation for who in identity])
        assert seen
        assert seen.isdisjoint({context.store.images[row].tobytes() for row in others})
    for who, number in context.fold_of.items():
        assert who not in context.folds[number].split.train


def test_the_pooled_record_holds_everybody(scored: tuple[FoldedContext, list[Record], Path]) -> None:
    context, records, out = scored
    people = sorted(set(context.store.manifest.table["identity"]))
    for record in records:
        assert record.status == "scored"
        pooled = next(s for s in record.scores if s.metric == "SSIM" and s.expression == "all")
        assert (pooled.identities, pooled.n_requested) == (len(people), 7 * len(people))
        assert "p:folded@1+size=32:" in pooled.signature
        table = pd.read_csv(out / record.cell.folder / "requests.csv")
        assert sorted(set(table["identity"])) == people
        assert record.data["split"]["rule"].endswith("into 3 folds, each tested once")


def test_a_mean_over_all_is_the_mean_of_its_folds(scored: tuple[FoldedContext, list[Record], Path]) -> None:
    context, records, out = scored
    for metric in ("SSIM", "ECS"):
        key = ("expression", "in", "all", metric)
        parts = []
        for number, fold in context.folds.items():
            cell = records[1].cell.model_copy(
                update={"protocol": fold.protocol.name, "protocol_hash": fold.protocol.hash}
            )
            part = load_record(out / FOLDS / cell.folder)
            assert part.cell.protocol == f"folded@1+size=32+fold={number}"
            parts.append((figures(part)[key][0], len(fold.split.test)))
        weighted = sum(value * n for value, n in parts) / sum(n for _, n in parts)  # type: ignore[operator]
        assert figures(records[1])[key][0] == pytest.approx(weighted, rel=1e-6)


def test_the_same_command_again_runs_nothing_twice(scored: tuple[FoldedContext, list[Record], Path]) -> None:
    _, records, out = scored
    SEEN.clear()
    paths = sorted(out.rglob("record.json"))
    before = [load_record(path.parent).stages for path in paths]
    again = open_context(rules(), budget="steps=2", out=out)
    found = run_jobs(jobs("copy", "mean-shift"), again, Reporter())
    open_context(rules(), budget="steps=2", out=out.with_name("elsewhere")).close()
    assert not SEEN  # nor in another runs folder
    assert sorted(out.rglob("record.json")) == paths
    assert [load_record(path.parent).stages for path in paths] == before
    assert [figures(record) for record in found] == [figures(record) for record in records]


def test_a_fold_that_fails_fails_the_whole_and_says_which(
    scored: tuple[FoldedContext, list[Record], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _records, _out = scored

    def breaking(planned: Sequence[Job], fold: RunContext, *rest: Any, **more: Any) -> list[Record]:
        found = run_cells(planned, fold, *rest, **more)
        if fold is list(context.folds.values())[-1]:
            found[0].status, found[0].error = "failed", "Traceback ...\nMethodError: no"
        return found

    monkeypatch.setattr(folds, "run_cells", breaking)
    broken, whole = run_jobs(jobs("copy", "mean-shift"), context, Reporter())
    assert (broken.status, broken.scores) == ("failed", [])
    assert broken.error == f"fold {list(context.folds)[-1]} failed: MethodError: no"
    assert whole.status == "scored"


def test_outside_images_of_all_folds_are_scored_together(
    scored: tuple[FoldedContext, list[Record], Path], tmp_path: Path
) -> None:
    context, records, out = scored
    requests, _ = asked(rules(), "steps=2", None, Reporter())
    assert list(requests["request"]) == list(context.requests["request"])
    made = out / records[1].cell.folder / "images"
    place = tmp_path / "images"
    place.mkdir()
    for name in requests["request"]:
        (place / f"{name}.png").write_bytes((made / f"{name}.png").read_bytes())
    record = evaluate_folder(place, protocol=FOLDED, size=32, name="outside", budget="steps=2", out=out)
    assert figures(record) == figures(records[1])
