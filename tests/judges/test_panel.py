"""The panel: means of its members, a digest of all, and what its members have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fesbench.errors import WeightsError
from fesbench.extractors.cache import FeatureCache
from fesbench.judges import build, panel
from fesbench.judges import training as judges
from fesbench.judges.expression import Judge
from fesbench.judges.network import JudgeNetwork
from fesbench.judges.panel import FEWEST, MOST, JudgePanel, members_of, shipped_name, shipped_panel
from fesbench.judges.start import SMALL, start_for
from fesbench.progress import Reporter, Stage
from tests.judges.test_judge import NAMES, QUICK, mouths

ONCE = dataclasses.replace(QUICK, epochs=1)
IMAGES, LABELS = mouths(48, 64, seed=0)


def member(seed: int, **options: Any) -> Judge:
    given = {"label_names": NAMES, "seed": seed, "fingerprint": "f" * 64, "recipe": ONCE} | options
    return judges.train_judge(IMAGES, LABELS, **given)


@pytest.fixture(scope="module")
def three() -> list[Judge]:
    return [member(seed) for seed in range(3)]


def test_probabilities_are_averaged(three: list[Judge]) -> None:
    made, (images, _) = JudgePanel(three), mouths(9, 64, seed=5)
    each = np.stack([judge.extract(images)[0] for judge in three])
    values, valid = made.extract(images)
    assert valid.all()
    assert values.dtype == np.float32
    assert np.allclose(values, each.mean(axis=0), atol=1e-7)
    assert np.array_equal(made.predict(images), values.argmax(axis=1))
    assert np.array_equal(made.base.extract(images)[0], np.concatenate(list(each), axis=1))
    assert made.extract(images[:0])[0].shape == (0, 3)
    assert made.label_names == made.classes == NAMES


def test_no_network_runs_twice_for_the_mean_and_its_members(
    three: list[Judge], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, cache = JudgePanel(three), FeatureCache(tmp_path / "features.sqlite")
    images, _ = mouths(4, 64, seed=5)
    mean = cache.get(made, images)
    monkeypatch.setattr(Judge, "extract", lambda *_: pytest.fail("a network ran twice"))
    each = cache.get(made.base, images)
    assert np.allclose(each.values.reshape(4, 3, 3).mean(axis=1), mean.values)
    assert mean.signature == made.signature == three[0].signature


def test_the_digest_is_that_of_every_member_in_order(three: list[Judge]) -> None:
    made = JudgePanel(three)
    assert made.digest == JudgePanel([member(seed) for seed in range(3)]).digest
    others = (three[:2], [*three[:2], member(3)], [three[1], three[0], three[2]])
    digests = {made.digest, *(JudgePanel(other).digest for other in others)}
    assert len(digests) == 4
    assert str(made.judges) == f"K=3,{QUICK.version},data=ffffffff,digest={made.digest[:8]}"
    assert len({made.cache_key, *(JudgePanel(other).cache_key for other in others)}) == 4


def test_members_that_differ_in_more_than_their_seeds_are_refused(three: list[Judge]) -> None:
    with pytest.raises(WeightsError, match="differ in their seeds"):
        JudgePanel([three[0], three[0]])
    for odd in (member(3, fingerprint="0" * 64), member(3, label_names=(*NAMES[:2], "fear"))):
        with pytest.raises(WeightsError, match="trained on the same images"):
            JudgePanel([three[0], odd])


def test_the_shipped_panel_of_one_size_is_one(
    three: list[Judge], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel.resources, "files", lambda package: tmp_path)
    for judge in three:
        judge.halved().save(tmp_path / shipped_name("avatars", judge.facts.seed), half=True)
    for name in ("avatars", "avatars@1", "avatars@1+size=64"):
        found = shipped_panel(name, 3)
        assert found is not None
        assert found.digest == JudgePanel([judge.halved() for judge in three]).digest
    assert shipped_panel("ck+@1") is None
    with pytest.raises(WeightsError, match="packaged judge cannot be read"):
        shipped_panel("avatars", 4)
    (tmp_path / shipped_name("avatars", 1)).write_bytes(b"cut")
    with pytest.raises(WeightsError, match="judge-avatars-1"):
        shipped_panel("avatars@1", 3)


def test_few_judges_under_the_budgets_of_few_images() -> None:
    assert [members_of(budget) for budget in ("smoke", "short", "steps=9", "minutes=1")] == [FEWEST] * 4
    assert [members_of(budget) for budget in ("standard", "paper")] == [MOST] * 2


class Recorder(Reporter):
    """Remembers what it is shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.updates: list[tuple[int, int | None, str]] = []

    def note(self, text: str, *, warning: bool = False) -> None:
        self.notes.append(text)

    def stage(self, name: str, total: int | None = None) -> Any:
        recorder = self

        class Shown(Stage):
            def __enter__(self) -> Stage:
                recorder.notes.append(name)
                return self

            def __exit__(self, *_: object) -> None:
                return

            def update(
                self, done: int, total: int | None = None, losses: Any = None, detail: str = ""
            ) -> None:
                recorder.updates.append((done, total, detail))

        return Shown()


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Builds the panel of a protocol of mouths under a budget."""
    monkeypatch.setattr(build, "labelled_rows", lambda protocol, store, split, subset: np.arange(24))
    trained: list[int] = []

    def quick(images: np.ndarray, labels: np.ndarray, **options: Any) -> Judge:
        trained.append(options["seed"])
        return TRAIN(images, labels, **options, recipe=ONCE)

    monkeypatch.setattr(judges, "train_judge", quick)
    protocol = SimpleNamespace(
        labels=NAMES,
        id="mouths",
        name="mouths@1",
        metrics=SimpleNamespace(judge="trained"),
        data=SimpleNamespace(set="folder", stand_ins=()),
    )
    table = pd.DataFrame({"expression": [NAMES[label] for label in LABELS]})
    store = SimpleNamespace(
        manifest=SimpleNamespace(table=table), images=IMAGES, fingerprint="a" * 64, data="folder"
    )

    def make(budget: str) -> tuple[JudgePanel, dict[str, Any], Recorder, list[int]]:
        trained.clear()
        reporter = Recorder()
        arguments: Any = (protocol, store, None, tmp_path / "judge", reporter, budget)
        return *build.build_judge(*arguments), reporter, list(trained)

    return make


TRAIN = judges.train_judge


def test_judges_of_little_data_begin_with_the_shipped_ones(
    built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = shipped_panel("avatars")
    assert shipped is not None
    mark = f"{QUICK.version}-from-{shipped.digest[:8]}"
    fine_tuned = built("smoke")[0]
    assert {judge.facts.recipe for judge in fine_tuned.members} == {mark} == {fine_tuned.judges.recipe}
    assert f":{mark}:" in fine_tuned.signature
    assert shipped_panel("avatars", 3).judges.recipe == QUICK.version  # type: ignore[union-attr]
    # Above the bound, kept ones that began otherwise are no longer taken.
    monkeypatch.setattr("fesbench.judges.start.SMALL", 23)
    scratch, _, reporter, trained = built("smoke")
    assert (trained, reporter.notes[0].split()[0]) == ([0, 1, 2], "train")
    assert {judge.facts.recipe for judge in scratch.members} == {QUICK.version}
    assert scratch.digest != fine_tuned.digest


def test_avatars_are_no_set_to_fine_tune_for() -> None:
    def of(data: str) -> Any:
        return SimpleNamespace(data=data)

    assert start_for(of("jaffe"), 192) is not None
    assert start_for(of("jaffe"), SMALL + 1) is None
    assert start_for(of("avatars"), 192) is start_for(of("avatars-video"), 192) is None


def test_a_start_lends_its_layers_and_the_outputs_for_shared_classes() -> None:
    shipped = shipped_panel("avatars")
    assert shipped is not None
    names = ("surprise", "awe", "neutral")
    lender, network = shipped.members[1], JudgeNetwork(3)
    own = network.head.weight.detach().clone()
    lender.lend_to(network, names)
    theirs = lender.network.state_dict()
    mine = network.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine if key.startswith("blocks."))
    for row, name in ((0, "surprise"), (2, "neutral")):
        at = lender.label_names.index(name)
        assert torch.equal(network.head.weight[row], theirs["head.weight"][at])
        assert network.head.bias[row] == theirs["head.bias"][at]
    assert torch.equal(network.head.weight[1], own[1])
    before = lender.weights_sha256
    still = dataclasses.replace(ONCE, learning_rate=1e-12)
    judge = judges.train_judge(IMAGES, LABELS, label_names=NAMES, seed=1, recipe=still, start=shipped)
    assert torch.allclose(judge.network.head.weight[0], theirs["head.weight"][0], atol=1e-6)
    assert lender.weights_sha256 == before


def test_a_begun_judges_file_is_read_back_and_an_unknown_recipes_is_not(tmp_path: Path) -> None:
    judge = member(0)
    for recipe, reads in ((f"{QUICK.version}-from-0a1b2c3d", True), (f"{QUICK.version}0", False)):
        made = Judge(judge.network, dataclasses.replace(judge.facts, recipe=recipe))
        made.save(tmp_path / "judge.safetensors")
        if reads:
            assert Judge.load(tmp_path / "judge.safetensors").facts.recipe == recipe
        else:
            with pytest.raises(WeightsError, match="of recipe"):
                Judge.load(tmp_path / "judge.safetensors")


def test_members_are_trained_once_and_a_larger_panel_takes_up_the_smaller(built: Any) -> None:
    small, card, reporter, trained = built("smoke")
    assert trained == [0, 1, 2]
    assert [(done, total) for done, total, _ in reporter.updates] == [(1, 3), (2, 3), (3, 3)]
    assert reporter.updates[1][2] == "judge 2 of 3"
    assert reporter.notes[0] == "fine-tune 3 judges on 24 images of training subjects"
    assert card["judges"] == str(small.judges)
    assert [each["seed"] for each in card["members"]] == [0, 1, 2]
    accuracy = np.mean(small.predict(IMAGES[:24]) == LABELS[:24])
    assert card["accuracy_on_real_test_images"] == pytest.approx(accuracy)
    assert built("smoke")[3] == []
    large, _, _, trained = built("standard")
    assert trained == [3, 4]
    assert [judge.weights_sha256 for judge in large.members[:3]] == [j.weights_sha256 for j in small.members]


def test_a_damaged_member_alone_is_trained_again(built: Any, tmp_path: Path) -> None:
    before = built("smoke")[0].digest
    (tmp_path / "judge" / "judge-1.safetensors").write_bytes(b"cut")
    after, _, reporter, trained = built("smoke")
    assert trained == [1]
    assert after.digest == before
    assert any("trained again" in note for note in reporter.notes)
