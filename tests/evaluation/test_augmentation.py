"""The augmentation task: what the recognizers see, for how long, and what may be said of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import fesbench.judges.recognizer as training
from fesbench.context.build import build_context
from fesbench.context.context import RunContext
from fesbench.errors import DataError
from fesbench.evaluation.augmentation import score_augmentation
from fesbench.judges.recognizer import Pool, Recipe, pool_of, recipe_for, right, train_recognizer
from fesbench.metrics.augmentation import Outcomes, score_outcomes
from fesbench.protocol.protocol import load_protocol
from fesbench.protocol.schema import SplitRule, Task
from fesbench.records.record import Cell, Record, Score
from tests.end_to_end import MINI
from tests.factories import draw_face

SHOWN = ("happiness", "surprise")


SHORT = Recipe(steps=3, seeds=(0, 1, 2), batch_size=8, checks=1)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three small trainings an arm: what is trained is tested, not how well."""
    monkeypatch.setattr(training, "recipe_for", lambda budget, real: SHORT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the faces of this module are kept."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def context(home: str, tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    """Four embedded subjects train, two validate, three are tested; the judge is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", home)
        patch.setattr("fesbench.context.build.build_judge", lambda *_: (None, {}))
        plain = load_protocol(MINI).with_overrides(size=32)
        task = Task(kind="augmentation", labels=SHOWN, factors=(1, 3))
        data = plain.data.model_copy(update={"options": {"identities": [4, 2, 3]}})
        split = plain.split.model_copy(update={"train": 4, "validation": 2, "test": 3})
        rules = plain.model_copy(update={"tasks": (task,), "data": data, "split": split})
        return build_context(rules, budget="steps=9", out=tmp_path_factory.mktemp("runs"))


def pictures(context: RunContext, folder: Path, shift: int = 1) -> None:
    """Images for all requests: the source, a little changed by what is asked."""
    from PIL import Image

    (folder / "images").mkdir(parents=True, exist_ok=True)
    for row in context.requests.itertuples():
        level = shift * (1 + SHOWN.index(row.target_expression))
        picture = np.clip(context.store.images[row.source].astype(int) + 9 * level, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{row.request}.png")


def cell_of(context: RunContext, method: str = "mean-shift") -> Cell:
    return Cell(
        method=method, protocol=context.protocol.name, protocol_hash=context.protocol.hash,
        data=context.store.data, data_fingerprint=context.store.fingerprint, preset="tiny",
        budget=context.budget, seed=0,
    )  # fmt: skip


def scored(context: RunContext, method: str = "mean-shift", shift: int = 1) -> dict[str, Score]:
    cell = cell_of(context, method)
    folder = context.out / cell.folder
    pictures(context, folder, shift)
    record = Record(cell=cell)
    found = score_augmentation(context, record, context.requests, folder, device="cpu")
    return {score.metric: score for score in found}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Every training that is done from here on: what it was given."""
    seen: list[dict[str, object]] = []
    plain = train_recognizer

    def watched(real: Pool, added: Pool | None, validation: Pool, **rest: object) -> object:
        seen.append({"real": real, "added": added, "validation": validation, **rest})
        return plain(real, added, validation, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_recognizer", watched)
    return seen


MOUTHS = ("anger", "contempt", "disgust", "sadness")


def faces(people: range, *, shuffled: bool = False) -> Pool:
    """Drawn subjects under noise, each with four expressions that are hard to tell apart."""
    images = np.stack([draw_face(who, name, 32)[0] for who in people for name in MOUTHS]).astype(float)
    images += np.random.default_rng(people.start).normal(0, 40, images.shape)
    labels = np.tile(np.arange(4), len(people))
    return pool_of(
        np.clip(images, 0, 255).astype(np.uint8),
        np.arange(len(images)),
        (labels + 1) % 4 if shuffled else labels,
    )


def accuracy(added: Pool | None, seed: int) -> float:
    recipe = Recipe(steps=20, batch_size=16, checks=1)
    real, nobody = faces(range(2)), faces(range(1)).first(0)
    network = train_recognizer(real, added, nobody, classes=4, seed=seed, recipe=recipe)
    return float(right(network, faces(range(100, 115)), "cpu").mean())


def test_pictures_of_further_people_help_and_wrong_labels_hurt() -> None:
    alone, more, wrong = (
        np.mean([accuracy(added, seed) for seed in range(2)])
        for added in (None, faces(range(10, 30)), faces(range(10, 30), shuffled=True))
    )
    assert more > alone + 0.1
    assert wrong < alone - 0.1


def test_the_figures_of_a_method_and_of_the_controls(context: RunContext) -> None:
    found = scored(context)
    base = found["augmentation-accuracy@0"].value
    assert base is not None
    for what in ("@1", "@1[classical]", "@1[repetition]"):
        gain, spent = found[f"augmentation-gain{what}"], found[f"augmentation-accuracy{what}"]
        assert gain.value == pytest.approx(spent.value - base)
        assert gain.low is not None
        assert gain.low <= gain.value <= gain.high
        assert (gain.n_requested, gain.n_valid, gain.identities) == (12, 12, 3)
        assert f"augmentation-gain-seed-sd{what}" in found
    told = found["augmentation-gain@1"].signature
    for part in ("batch:4real+4added", "seeds:0,1,2", "steps:3", "factor:1", "labels:as-requested"):
        assert part in told


def test_a_factor_beyond_what_exists_has_no_figure_but_a_reason(context: RunContext) -> None:
    score = scored(context)["augmentation-gain@3"]
    assert (score.value, score.status) == (None, "n/a")
    assert score.reason == "only 1.0 synthetic images for each real one"


def test_equal_pictures_count_once(context: RunContext, tmp_path: Path) -> None:
    cell = cell_of(context, "collapsed")
    pictures(context, tmp_path)
    one = next((tmp_path / "images").iterdir()).read_bytes()
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(one)
    found = score_augmentation(context, Record(cell=cell), context.requests, tmp_path, device="cpu")
    (reason,) = {s.reason for s in found if s.metric == "augmentation-gain@1"}
    # two labels, and 4 subjects x 2 takes x 2 labels of real images
    assert reason == "only 0.1 synthetic images for each real one"


def test_every_training_is_as_long_and_sees_no_test_person(
    context: RunContext, trained: list[dict[str, object]]
) -> None:
    scored(context, "fresh", shift=2)
    assert len(trained) >= 3
    assert len({run["recipe"].steps for run in trained}) == 1  # type: ignore[attr-defined]
    rows = context.split.rows(context.store.manifest, "test")
    tested = {p.numpy().tobytes() for p in pool_of(context.store.images, rows, np.zeros(len(rows))).inputs}
    for run in trained:
        for part in ("real", "added", "validation"):
            pool = run[part]
            if isinstance(pool, Pool):
                assert tested.isdisjoint(p.numpy().tobytes() for p in pool.inputs)


def test_the_number_of_steps_does_not_depend_on_what_is_added() -> None:
    recipe = Recipe(steps=7, batch_size=8)
    real, added = faces(range(3)), faces(range(10, 13))
    for pool in (None, added, Pool(added.inputs, added.labels, copies=100)):
        batches = list(training._batches(real, pool, recipe, 0, "cpu"))
        assert [len(labels) for _, labels in batches] == [8] * 7


def test_half_of_a_batch_is_added_and_no_picture_is_left_out() -> None:
    real, added = faces(range(4)), faces(range(10, 18))
    own = {p.numpy().tobytes() for p in real.inputs.float()}
    shares, seen = set(), set()
    for inputs, _ in training._batches(real, added, Recipe(steps=8, batch_size=8), 0, "cpu"):
        keys = [p.numpy().tobytes() for p in inputs]
        shares.add(sum(key in own for key in keys))
        seen |= set(keys)
    assert shares == {4}
    assert len(seen) == len(own) + len(added)


def test_the_kept_step_is_the_best_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.2, 0.9, 0.4])
    states = []

    def look(network: torch.nn.Module, *_: object) -> np.ndarray:
        states.append({k: v.clone() for k, v in network.state_dict().items()})
        return np.array([next(accuracies)])

    monkeypatch.setattr(training, "right", look)
    recipe = Recipe(steps=3, batch_size=4, checks=3)
    network = train_recognizer(faces(range(2)), None, faces(range(5, 6)), classes=4, seed=0, recipe=recipe)
    for name, value in network.state_dict().items():
        assert torch.equal(value, states[1][name])


def test_a_training_is_seeded_and_leaves_global_random_state_alone() -> None:
    recipe = Recipe(steps=2, batch_size=4)
    before = torch.random.get_rng_state()
    one, two, other = (
        train_recognizer(faces(range(2)), None, faces(range(2)).first(0), classes=4, seed=s, recipe=recipe)
        for s in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


def test_what_is_trained_is_not_trained_again(context: RunContext, trained: list[dict[str, object]]) -> None:
    first = scored(context, "again", shift=3)
    count = len(trained)
    assert scored(context, "again", shift=3) == first
    assert len(trained) == count
    cell = cell_of(context, "again")
    gone = context.out / cell.folder / "augmentation" / "in" / "synthetic-1-2.json"
    gone.unlink()
    assert scored(context, "again", shift=3) == first
    assert len(trained) == count + 1
    gone.write_text('{"inputs": "of other images"')
    assert scored(context, "again", shift=3) == first
    assert len(trained) == count + 2
    assert json.loads(gone.read_text())["right"].count("0") <= 12


def test_controls_are_shared_and_other_pictures_are_noticed(
    context: RunContext, trained: list[dict[str, object]]
) -> None:
    scored(context, "one")
    before = len(trained)
    scored(context, "two", shift=4)
    assert len(trained) == before + 3
    scored(context, "two", shift=5)
    assert len(trained) == before + 6


def test_material_from_a_test_person_is_refused(context: RunContext, tmp_path: Path) -> None:
    pictures(context, tmp_path)
    tested = context.split.rows(context.store.manifest, "test")[0]
    moved = context.requests.assign(source=tested)
    with pytest.raises(DataError, match="no training subject"):
        score_augmentation(context, Record(cell=cell_of(context)), moved, tmp_path, device="cpu")


def test_budgets() -> None:
    assert recipe_for("standard", 320) == Recipe(steps=200, seeds=(0, 1, 2, 3, 4))
    assert recipe_for("paper", 320).steps == recipe_for("minutes=1", 320).steps == 200
    assert recipe_for("steps=9", 320).steps == 9
    assert len(recipe_for("steps=9", 320).seeds) == 5
    smoke = recipe_for("smoke", 3200)
    assert (smoke.steps, smoke.settings()["seeds"]) == (30, "0,1")


def test_gains_are_paired_by_picture_and_the_spread_is_that_of_the_seeds() -> None:
    base = np.array([[1, 0, 0, 1], [1, 0, 0, 0]], dtype=bool)
    with_more = np.array([[1, 1, 0, 1], [1, 1, 1, 1]], dtype=bool)
    people = np.array(["a", "a", "b", "b"])
    outcomes = Outcomes(people, {("real", 0): base, ("synthetic", 5): with_more})
    found = {f.name: f for f in score_outcomes(outcomes)}
    assert found["augmentation-accuracy@0"].value == pytest.approx(3 / 8)
    assert found["augmentation-accuracy@5"].value == pytest.approx(7 / 8)
    assert found["augmentation-gain@5"].value == pytest.approx(0.5)
    # by seed 0.25 and 0.75
    assert found["augmentation-gain-seed-sd@5"].value == pytest.approx(0.5 / np.sqrt(2))
    # both subjects gain one half: two that are alike prove little, and their images differ
    assert found["augmentation-gain@5"].low < 0 < 1 < found["augmentation-gain@5"].high


def test_images_of_the_task_are_not_scored_one_by_one(context: RunContext) -> None:
    from fesbench.evaluation.score import score_cell

    cell = cell_of(context, "alone")
    pictures(context, context.out / cell.folder)
    record = Record(cell=cell)
    told: list[tuple[int, int, str]] = []
    score_cell(context, record, context.requests, context.out / cell.folder, lambda *step: told.append(step))
    assert {score.task for score in record.scores} == {"augmentation"}
    assert told[-1][:2] == (11, 12)


def test_folds_are_tried_apart_and_everybody_is_tested_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: RunContext, home: str
) -> None:
    from fesbench.context.folded import FoldedContext, open_context

    monkeypatch.setattr("fesbench.context.build.build_judge", lambda *_: (None, {}))
    monkeypatch.setenv("FESBENCH_HOME", home)
    people = sorted(set(context.store.manifest.table["identity"]))
    split = SplitRule(rule="names", fold_names=(tuple(people[:3]), tuple(people[3:6]), tuple(people[6:])))
    rules = context.protocol.model_copy(update={"split": split})
    whole = open_context(rules, budget="steps=9", out=tmp_path / "runs")
    assert isinstance(whole, FoldedContext)
    assert "augmentation" not in set(whole.requests["task"])
    cell = cell_of(whole)
    for fold in whole.folds.values():
        folder = fold.out / cell_of(fold).folder
        pictures(fold, folder)
        fold.requests.to_csv(folder / "requests.csv", index=False)
    nothing = whole.requests.iloc[:0]
    found = score_augmentation(whole, Record(cell=cell), nothing, tmp_path / "whole", device="cpu")
    gain = next(score for score in found if score.metric == "augmentation-gain@1")
    # nine subjects, two takes, two labels
    assert (gain.n_valid, gain.identities) == (36, 9)
    assert gain.value is not None
    assert (gain.protocol, gain.task) == (rules.name, "augmentation")
