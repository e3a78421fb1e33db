"""Weights of another training: permuted by name, cut to a part, and refused in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.errors import MethodError
from fesbench.evaluation.class_head import own_discriminator
from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem
from fesbench.methods.registry import methods
from fesbench.vocabulary import EXPRESSIONS

MINE = ("neutral", "happiness", "anger", "surprise")
THEIRS = ("surprise", "fear", "neutral", "anger", "happiness")
UNITS, THEIR_UNITS = (1, 4, 12), (12, 2, 1, 4)
HEAD = "generator.last.weight"


def built(name: str, labels: tuple[str, ...] = MINE, units: tuple[int, ...] = UNITS, seed: int = 0) -> Method:
    kind = methods()[name]
    hyper = kind.presets["tiny"]
    if hasattr(hyper, "width"):
        hyper = replace(hyper, width=2)
    method = kind(Problem(64, labels, units, seed), hyper)
    with torch.no_grad():
        for tensor in method.state_dict().values():
            if tensor.is_floating_point() and not bool(tensor.any()):
                tensor.copy_(torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed)) / 4)
    return method


def asked(labels: tuple[str, ...], units: tuple[int, ...]) -> RequestBatch:
    """The same faces and targets, in the words of the labels and units."""
    draw = torch.Generator().manual_seed(5)
    names = ["happiness", "anger", "surprise", "anger"]
    levels = {1: 0.2, 4: 0.7, 12: 0.4, 2: 0.0}
    target = torch.tensor([labels.index(name) for name in names])
    wanted = torch.tensor([[levels[unit] for unit in units]] * 4)
    return RequestBatch(
        source=torch.rand(4, 3, 64, 64, generator=draw) * 2 - 1,
        source_label=torch.full((4,), labels.index("neutral")),
        source_landmarks=torch.zeros(4, 68, 2),
        source_action_units=torch.zeros(4, len(units)),
        target_label=target,
        second_label=torch.tensor([-1, labels.index("surprise"), -1, -1]),
        target_action_units=wanted,
        target_landmarks=torch.zeros(4, 68, 2),
        intensity=torch.ones(4),
        noise_seed=torch.arange(4),
    )


@pytest.mark.parametrize(
    "name", ["stargan", "usgan", "reggan", "mr", "mean-shift", "ganimation", "lgpgan", "gafpgan"]
)
def test_labels_and_units_in_another_order_give_the_same_images(name: str) -> None:
    trained = built(name, THEIRS, THEIR_UNITS, seed=1)
    method = built(name)
    own = asked(MINE, UNITS)
    theirs = trained.synthesize(asked(THEIRS, THEIR_UNITS))
    assert (method.synthesize(own) - theirs).abs().max() > 1e-3
    method.import_state(trained.state_dict(), THEIRS, THEIR_UNITS)
    torch.testing.assert_close(method.synthesize(own), theirs, atol=1e-5, rtol=0)
    assert method.absent == ()


def test_the_class_head_is_permuted_with_the_labels() -> None:
    trained, method = built("stargan", THEIRS, seed=1), built("stargan")
    method.import_state(trained.state_dict(), THEIRS)
    images = torch.rand(2, 3, 64, 64)
    order = [THEIRS.index(label) for label in MINE]
    torch.testing.assert_close(method.classify(images), trained.classify(images)[:, order])


def test_a_generator_alone_is_enough_for_synthesis_and_brings_no_class_head() -> None:
    trained, method = built("stargan", seed=1), built("stargan")
    before = method.critic.realism.weight.clone()
    part = {k: v for k, v in trained.state_dict().items() if k.startswith("generator.")}
    method.import_state(part, MINE)
    own = asked(MINE, UNITS)
    assert torch.equal(method.synthesize(own), trained.synthesize(own))
    assert torch.equal(method.critic.realism.weight, before)
    assert set(method.absent) == {k for k in trained.state_dict() if k.startswith("critic.")}
    assert own_discriminator(method, "") is None
    assert own_discriminator(trained, "") is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda s: s | {"extra.weight": torch.zeros(1)},
            "hold 'extra.weight', which the method does not have",
        ),
        (lambda s: s | {"a": torch.zeros(1), "b": torch.zeros(1)}, "hold 'a' and 1 more"),
        (
            lambda s: {k: v for k, v in s.items() if k != "generator.last.weight"},
            "lack 'generator.last.weight'",
        ),
        (
            lambda s: s | {"generator.last.weight": torch.zeros(3, 4, 7, 7)},
            r"shape \(3, 4, 7, 7\), the method",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_taken(change, told: str) -> None:
    method = built("stargan")
    before = {k: v.clone() for k, v in method.state_dict().items()}
    with pytest.raises(MethodError, match=f"method 'stargan': .*{told}"):
        method.import_state(change(built("stargan", seed=1).state_dict()), MINE)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_a_label_or_unit_that_the_weights_do_not_know_is_named() -> None:
    few = ("neutral", "happiness", "anger")
    with pytest.raises(MethodError, match="know no label surprise; they hold neutral, happiness, anger"):
        built("stargan").import_state(built("stargan", few).state_dict(), few)
    with pytest.raises(MethodError, match="know no action unit 4; they hold 1, 12"):
        built("ganimation").import_state(built("ganimation", units=(1, 12)).state_dict(), MINE, (1, 12))
    with pytest.raises(MethodError, match="no room for 8 labels"):
        built("stargan").import_state(built("stargan").state_dict(), EXPRESSIONS)


def test_labels_without_declared_places_are_not_guessed() -> None:
    class Silent(methods()["stargan"]):  # type: ignore[misc]
        def condition_axes(self):
            return {}

    method = Silent(Problem(64, MINE, (), 0), replace(Silent.presets["tiny"], width=2))
    with pytest.raises(MethodError, match="declares no condition_axes for labels"):
        method.import_state(method.state_dict(), MINE[::-1])
    method.import_state(method.state_dict(), MINE)


def test_weights_of_unknown_labels_or_units_are_refused() -> None:
    with pytest.raises(MethodError, match="do not say for which labels they were made"):
        built("stargan").import_state(built("stargan").state_dict())
    with pytest.raises(MethodError, match="do not say for which action_units they were made"):
        built("ganimation").import_state(built("ganimation").state_dict(), MINE)
    built("pix2pix").import_state(built("pix2pix").state_dict())
