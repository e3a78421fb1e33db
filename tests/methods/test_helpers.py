"""Frozen helper networks: said before the run, checked, apart from everything that a method learns."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from fesbench.errors import MethodError, UsageError, WeightsError
from fesbench.evaluation.cost import measure_cost
from fesbench.methods.base import Method
from fesbench.methods.card import MethodCard, Phase, Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.helpers import checked_weights
from fesbench.methods.training_set import TrainingSet
from fesbench.runs.preflight import check_helpers
from fesbench.training.checkpoints import CHECKPOINT, STATE, load_tensors
from fesbench.training.loop import train
from fesbench.vocabulary import EXPRESSIONS
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager
from tests.factories import fake_store, random_helpers

NAME = "tiny-features"


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))


class Perceptual(Method):
    """One convolution, trained on a distance between features of the helper."""

    card: ClassVar = MethodCard(
        "perceptual", "", "", 2000, frozenset({"labels"}), frozenset({"expression"}), helpers=(NAME,)
    )
    presets: ClassVar[dict[str, Any]] = {"paper": 1.0, "tiny": 1.0, "paper-plain": 0.0}

    @classmethod
    def helpers_of(cls, hyper: Any) -> tuple[str, ...]:
        return cls.card.helpers if hyper else ()

    def build(self) -> None:
        self.body = nn.Conv2d(3, 3, 1)

    def build_helper(self, name: str) -> nn.Module:
        assert name == NAME
        return network()

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("only", "image", 2, paper_steps=6, smoke_steps=6),)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        return {"it": torch.optim.Adam(self.parameters(), 1e-2)}

    def training_step(self, phase, batch, step):
        features = self.helper(NAME)
        noise = torch.rand(())
        loss = (features(self.body(batch.image)) - features(batch.image)).square().mean()
        self.descend("it", loss)
        return {"loss": loss.detach(), "noise": noise}

    def synthesize(self, requests):
        return self.body(requests.source).detach().clamp(-1, 1)


@pytest.fixture(scope="module")
def view() -> TrainingSet:
    store = fake_store(4, 64)
    return TrainingSet(store, np.arange(len(store.images)), Problem(64, EXPRESSIONS, (), 0), 0)


@pytest.fixture
def manager(tmp_path: Path) -> WeightsManager:
    """A table of one entry, whose file is not in the weights folder yet."""
    torch.manual_seed(3)
    torch.save(network().state_dict(), tmp_path / "features.pth")
    digest = hashlib.sha256((tmp_path / "features.pth").read_bytes()).hexdigest()
    urls = ("https://example.org/features.pth",)
    entry = WeightsEntry(NAME, "features.pth", urls, None, digest, "CC0-1.0", "", ())
    return WeightsManager(tmp_path / "home", {NAME: entry})


def fit(method: Method, view: TrainingSet, folder: Path, steps: int = 6, **options):
    settings = {"seed": 1, "device": "cpu", "save_seconds": 0.0, **options}
    return train(method, view, steps={"only": steps}, folder=folder, **settings)


def test_missing_weights_are_said_before_the_run(manager: WeightsManager, view, tmp_path: Path) -> None:
    told = rf"'perceptual' needs weights: {NAME} .* pull {NAME}\), or --preset paper-plain, which"
    for preset in ("paper", "tiny"):
        with pytest.raises(WeightsError, match=told):
            check_helpers([Perceptual], preset, manager)
    check_helpers([Perceptual], "paper-plain", manager)
    method = Perceptual(view.problem, 1.0)
    with pytest.raises(MethodError, match=f"needs weights '{NAME}', and was given no loader"):
        fit(method, view, tmp_path / "run")
    method.helpers.load_with(checked_weights(manager))
    with pytest.raises(WeightsError, match=f"fesbench weights pull {NAME}"):
        fit(method, view, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_checked_file_is_used_and_frozen(manager: WeightsManager, view, tmp_path: Path) -> None:
    manager.add(tmp_path / "features.pth")
    check_helpers([Perceptual], "paper", manager)
    method = Perceptual(view.problem, 1.0)
    method.helpers.load_with(checked_weights(manager))
    held = {k: v.clone() for k, v in method.helper(NAME).state_dict().items()}
    expected = torch.load(tmp_path / "features.pth", weights_only=True)
    assert all(torch.equal(value, expected[name]) for name, value in held.items())

    before = method.body.weight.clone()
    fit(method, view, tmp_path / "run")
    assert not torch.equal(before, method.body.weight), "gradients pass through the helper"
    found = method.helper(NAME)
    assert all(torch.equal(value, held[name]) for name, value in found.state_dict().items())
    assert not any(p.requires_grad for p in found.parameters())
    method.train()
    assert not any(module.training for module in found.modules())


def test_a_helper_is_no_part_of_the_method(view, tmp_path: Path) -> None:
    method = Perceptual(view.problem, 1.0)
    method.helpers.load_with(random_helpers(0))
    states: list[set[str]] = []
    fit(method, view, tmp_path, on_progress=lambda p: states.append(set(load_tensors(tmp_path / STATE)[0])))
    own = {"body.weight", "body.bias"}
    assert set(method.state_dict()) == own == set(load_tensors(tmp_path / CHECKPOINT)[0])
    assert all({n for n in s if n.startswith("method/")} == {f"method/{n}" for n in own} for s in states)
    requests = label_requests(view, np.array([0]), [1, 5])
    assert measure_cost(method, lambda n: requests[:n], batch_sizes=(1,), time_limit=0.1).parameters == 12


def test_loading_late_disturbs_no_draw(view, tmp_path: Path) -> None:
    """A resumed training loads its helpers at another time; the draws must not notice."""

    def losses(folder: Path, *, early: bool) -> bytes:
        method = Perceptual(view.problem, 1.0)
        method.helpers.load_with(random_helpers(0))
        if not early:
            step_once = method.training_step

            def step(phase, batch, number):
                method.helpers.load_with(random_helpers(0))
                return step_once(phase, batch, number)

            method.training_step = step
        fit(method, view, folder)
        return (folder / "losses.csv").read_bytes()

    assert losses(tmp_path / "a", early=True) == losses(tmp_path / "b", early=False)


def test_a_helper_that_the_card_does_not_name_or_another_network_is_refused(
    manager: WeightsManager, view, tmp_path: Path
) -> None:
    manager.add(tmp_path / "features.pth")

    class Other(Perceptual):
        def build_helper(self, name: str) -> nn.Module:
            return nn.Linear(2, 2)

    method = Other(view.problem, 1.0)
    with pytest.raises(MethodError, match="asks for helper 'vgg19'; it names tiny-features"):
        method.helper("vgg19")
    method.helpers.load_with(checked_weights(manager))
    with pytest.raises(WeightsError, match=f"does not hold the network that '{NAME}' stands for"):
        method.helper(NAME)


def test_a_preset_without_a_helper_says_so_and_loads_none(view, tmp_path: Path) -> None:
    assert Perceptual.preset_note("paper") == ""
    assert Perceptual.preset_note("paper-plain") == f"without weights {NAME} and all that needs them"
    method = Perceptual(view.problem, Perceptual.hyper_of("paper-plain"))
    with pytest.raises(MethodError, match=f"asks for helper '{NAME}'; it names none"):
        method.helper(NAME)
    with pytest.raises(UsageError, match="'perceptual' has no preset 'huge'; it has paper, tiny"):
        Perceptual.hyper_of("huge")
