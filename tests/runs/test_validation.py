"""Scores on validation subjects: equal to a literal computation, small, without a trace in the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.methods.conditions import request_batch
from fesbench.methods.registry import load_method
from fesbench.methods.training_set import TrainingSet
from fesbench.progress import Reporter
from fesbench.protocol.training_rows import labelled_rows, problem_of
from fesbench.runs import cell
from fesbench.runs.job import shared_job
from fesbench.runs.plan import RunOptions, run
from fesbench.runs.validation import Validation
from fesbench.synthesis import to_pixels
from tests.end_to_end import MINI, PIXELS, find_records


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory):
    place = tmp_path_factory.mktemp("validation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(place / "home"))
        opened = shared_job(MINI, budget="steps=1", size=None, out=place, device="cpu").open_context(
            Reporter()
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def training(context) -> TrainingSet:
    rows = labelled_rows(context.protocol, context.store, context.split, "train")
    problem = problem_of(context.protocol, context.store, context.split, 0)
    return TrainingSet(context.store, rows, problem, 0)


def made(name: str, training: TrainingSet):
    kind = load_method(name)
    return kind(training.problem, kind.hyper_of("tiny"))


@pytest.fixture(scope="module")
def mean_shift(training: TrainingSet):
    """The mean image change of each label, which moves expressions and keeps subjects."""
    method = made("mean-shift", training)
    for phase in method.phases():
        method.fit(phase, training)
    return method


def test_scores_equal_a_literal_computation(context, training, mean_shift) -> None:
    looks = Validation(mean_shift, training, context)
    found = looks.scores(mean_shift)
    table, people = context.store.manifest.table, sorted(context.split.subset("validation"))
    assert found["images"] == 3 * 7 == len(looks.requests)
    assert set(looks.requests["identity"]) == set(people)

    with torch.inference_mode():
        batch = request_batch(looks.requests, context.store, training, training.problem)
        images = to_pixels(mean_shift.answer(batch))
    asked = looks.requests["target_expression"].to_numpy()
    sources = looks.requests["source"].to_numpy()
    detector = context.extractor("dlib-hog")
    if detector.available() is not None:
        pytest.skip(str(detector.available()))
    kept = detector.detected(images) | ~detector.detected(np.asarray(context.store.images[sources]))
    names = np.array(context.judge.label_names)[context.judge.predict(images)]
    assert found["ECS"] == pytest.approx(((names == asked) & kept).mean(), abs=1e-4)

    neutral = (table["expression"] == "neutral") & (table["take"] == 1) & (table["domain"] == "in")
    gallery = [int(np.flatnonzero(neutral & (table["identity"] == who))[0]) for who in people]
    marks, faces = context.store.manifest.landmarks, context.extractor("dlib")
    probes = faces.extract(images, marks[sources])[0]
    known = faces.extract(np.asarray(context.store.images[gallery]), marks[gallery])[0]
    cosine = (probes / np.linalg.norm(probes, axis=1)[:, None]) @ (
        known / np.linalg.norm(known, axis=1)[:, None]
    ).T
    nearest = np.array(people)[cosine.argmax(axis=1)]
    assert found["Rank-1"] == pytest.approx(((nearest == looks.requests["identity"]) & kept).mean(), abs=1e-4)
    assert found["Rank-1"] > 0


def test_few_images_are_whole_subjects_and_scores_do_not_change(context, training, mean_shift) -> None:
    few = Validation(mean_shift, training, context, 14)
    assert sorted(set(few.requests["identity"])) == sorted(context.split.subset("validation"))[:2]
    assert len(few.requests) == 14
    assert len(Validation(mean_shift, training, context, 3).requests) == 7  # one subject at least
    assert few.scores(mean_shift) == few.scores(mean_shift)
    assert len(few.gallery) == 3  # all who validate can be taken for another


def test_references_frame_the_scores(context, training) -> None:
    copy = made("copy", training)
    found = Validation(copy, training, context).scores(copy)
    assert found["Target-cosine"] == 0
    assert found["ECS"] <= 2 / 7  # a neutral face
    assert found["Rank-1"] == 1


def test_who_cannot_answer_labels_is_not_asked(context, training) -> None:
    noise = made("acgan", training)
    looks = Validation(noise, training, context)
    assert len(looks.requests) == 0
    assert looks.scores(noise) == {}


def test_a_run_logs_points_and_its_weights_are_those_of_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    kind = load_method("stargan")
    monkeypatch.setitem(kind.presets, "tiny", replace(kind.presets["tiny"], width=4, blocks=1, start_steps=0))
    told = RunOptions("stargan", PIXELS, preset="tiny", budget="steps=4", size=32, report=False, device="cpu")
    run(replace(told, out=tmp_path / "looked", train="always"))
    monkeypatch.setattr(cell._Work, "_validate", lambda self: None)
    run(replace(told, out=tmp_path / "blind", train="always"))
    (looked, record), (blind, other) = (
        next((path, r) for path, r in find_records(tmp_path / name) if r.cell.method == "stargan")
        for name in ("looked", "blind")
    )
    lines = [line.split(",") for line in (looked / "validation.csv").read_text().splitlines()[1:]]
    assert [(step, name) for _, step, name, _ in lines] == [
        (step, name) for step in ("10", "20") for name in ("images", "ECS", "Target-cosine", "PSNR")
    ]
    assert record.cost["validation_seconds"] > 0
    assert "validation_seconds" not in other.cost
    assert not (blind / "validation.csv").exists()
    for file in ("checkpoint.safetensors", "losses.csv"):
        assert (looked / file).read_bytes() == (blind / file).read_bytes()
