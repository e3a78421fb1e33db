"""Clips in a k-fold form: each is judged by the clip judges of the fold that had not seen its subject."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator

import numpy as np
import pytest

from fesbench.context.context import RunContext
from fesbench.context.folded import FoldedContext, open_context
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, CLIP_MEMBERS, MEMBERS
from fesbench.judges import clip_training, training
from fesbench.judges.panel import FEWEST
from fesbench.methods.clips import clip_rows
from fesbench.progress import Reporter
from fesbench.protocol.protocol import load_protocol
from fesbench.records.record import REFERENCE, Record
from fesbench.runs.folds import run_jobs
from fesbench.runs.job import Job
from tests.end_to_end import PROTOCOLS, figures

SUBJECTS, CLIPS, FRAMES = 4, 8, 6
BUDGET = "steps=2"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FoldedContext, dict[str, Record]]]:
    """Four subjects, one left out at a time: the rows real and copy, by judges of few steps."""
    place = tmp_path_factory.mktemp("video")
    text = (PROTOCOLS / "video@1.toml").read_text().replace('id = "video"', 'id = "folded-video"')
    text = text.replace("identities = [3, 1, 2]", f"identities = [{SUBJECTS}, 0, 0]")
    text = text.replace('rule = "index"\ntrain = 3\nvalidation = 1\ntest = 2', 'rule = "each"\nfolds = 9')
    head, _, tail = text.partition('[[tasks]]\nkind = "motion-transfer"')
    path = place / "folded-video@1.toml"
    path.write_text(f"{head}[metrics]{tail.partition('[metrics]')[2]}")
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((training, "JUDGE"), (clip_training, "CLIP")):
            few = {"epochs": 1} if name == "JUDGE" else {"steps": 20}
            recipe = dataclasses.replace(getattr(module, f"{name}_RECIPE"), **few)
            train = "train_judge" if name == "JUDGE" else "train_clip_judge"
            patch.setattr(module, train, functools.partial(getattr(module, train), recipe=recipe))
        patch.setitem(os.environ, "FESBENCH_HOME", str(place / "home"))
        context = open_context(load_protocol(str(path)), budget=BUDGET, out=place / "runs")
        assert isinstance(context, FoldedContext)
        rows = [Job(name, str(path), REFERENCE, BUDGET, device="cpu") for name in ("real", "copy")]
        found = run_jobs(rows, context, Reporter())
        yield context, {record.cell.method: record for record in found}
        context.close()


def said(context: RunContext, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What the clip judges of a context say of the real clips, and whose those are."""
    peaks = context.requests["target"].to_numpy(dtype=np.int64)
    rows = clip_rows(context.store.manifest.table, peaks, FRAMES)
    who = context.store.manifest.table["identity"].to_numpy()[rows]
    images = context.store.images[rows.reshape(-1)]
    answers = context.features(MEMBERS, images, None, who.reshape(-1)).values.reshape(*rows.shape, -1)
    return context.clip_answers(name, answers, who[:, 0]).values, who[:, 0]


def test_no_fold_learns_from_whom_it_judges(scored: tuple[FoldedContext, dict[str, Record]]) -> None:
    context, _ = scored
    assert len(context.folds) == SUBJECTS
    digests = set()
    for fold in context.folds.values():
        assert fold.clip_judge is not None
        assert len(fold.clip_judge.members) == FEWEST
        digests.add(fold.clip_judge.digest)
        # two clips and a still one of each of those who train
        assert {judge.facts.trained_on for judge in fold.clip_judge.members} == {3 * len(fold.split.train)}
        assert not fold.split.train & fold.split.test
    assert len(digests) == SUBJECTS
    assert context.clip_judges is not None
    assert context.clip_judges.digest not in {digest[:8] for digest in digests}


@pytest.mark.parametrize("name", [CLIP_JUDGE, CLIP_MEMBERS, CLIP_FEATURES])
def test_a_clip_is_judged_by_its_own_fold(scored: tuple[FoldedContext, dict[str, Record]], name: str) -> None:
    context, _ = scored
    whole, who = said(context, name)
    assert len(whole) == CLIPS
    for fold in context.folds.values():
        own, subjects = said(fold, name)
        assert set(subjects) == fold.split.test
        for subject in subjects:
            assert np.array_equal(whole[who == subject], own[subjects == subject])
    # every fold has its word: no two of them say the same of one clip
    fold, other = list(context.folds.values())[:2]
    answers = np.full((1, FRAMES, FEWEST * 3), 0.3, np.float32)
    assert not np.array_equal(*(c.clip_answers(name, answers, who[:1]).values for c in (fold, other)))


def test_the_pooled_scores_are_of_everybodys_clips(scored: tuple[FoldedContext, dict[str, Record]]) -> None:
    context, rows = scored
    seen, _ = said(context, CLIP_JUDGE)
    labels = [context.columns(CLIP_JUDGE).index(name) for name in context.requests["target_expression"]]
    for name, record in rows.items():
        assert record.status == "scored", record.error
        score = next(s for s in record.scores if s.metric == "ECS-clip" and s.expression == "all")
        assert (score.identities, score.n_requested) == (SUBJECTS, CLIPS)
        assert f"digest={context.clip_judges.digest}" in score.signature  # type: ignore[union-attr]
        if name == "real":
            assert score.value == pytest.approx((seen.argmax(axis=1) == labels).mean())
        check = next(check for check in record.judge_checks if check.judge == CLIP_JUDGE)
        assert (check.images, check.subjects) == (CLIPS, SUBJECTS)


def test_features_of_several_networks_make_no_distance(
    scored: tuple[FoldedContext, dict[str, Record]],
) -> None:
    for record in scored[1].values():
        reasons = {score.reason for score in record.scores if score.metric == "FD-clip"}
        assert reasons == {"each fold's clip judges have features of their own"}
        assert figures(record)["sequence", "in", "all", "FD-clip"][0] is None
