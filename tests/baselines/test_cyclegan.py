"""CycleGAN: published sizes, one translation an expression, its pools, and a cycle of identities."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned

TWO = ("neutral", "happiness")


@pytest.fixture
def build(build):
    """A method by id that works on images as they are."""

    def make(name: str, preset: str = "tiny", problem: Problem | None = None, **changes):
        return build(name, preset, problem, native="", **changes)

    return make


@pytest.mark.parametrize(("size", "generator", "side"), [(128, 7_837_699, 14), (256, 11_378_179, 30)])
def test_it_has_the_published_size(size, generator, side, build, count) -> None:
    method = build("cyclegan", "paper", Problem(size, TWO, (), 0))
    pair = method.translations["happiness"]
    assert count(pair.there) == count(pair.back) == generator
    assert count(pair.shown) == count(pair.neutral) == 2_764_737
    assert pair.shown(torch.zeros(1, 3, size, size)).shape == (1, 1, side, side)
    if size == 128:
        assert count(method) == 21_204_872


def test_eight_expressions_make_seven_models(build, count) -> None:
    one, all_of_them = (
        build("cyclegan", "tiny", Problem(64, labels, (), 0)) for labels in (TWO, EXPRESSIONS)
    )
    assert count(all_of_them) == 7 * count(one)
    phases = all_of_them.phases()
    assert [phase.name for phase in phases] == list(EXPRESSIONS[1:])
    assert all(p.labels == (p.name,) and p.source_labels == ("neutral",) for p in phases)


@pytest.mark.parametrize("size", [30, 28, 0])
def test_a_size_that_it_cannot_halve_twice_or_judge_is_refused(size, build) -> None:
    with pytest.raises(MethodError, match="CycleGAN"):
        build("cyclegan", "tiny", Problem(size, TWO, (), 0))


def test_a_step_moves_the_translation_of_its_phase_alone(build, view) -> None:
    method = build("cyclegan")
    before = {k: v.clone() for k, v in method.named_parameters()}
    phase = method.phases()[4]
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    batch = view.step_batch(phase, 0)
    assert (batch.source.label == 0).all()
    assert (batch.target.label == EXPRESSIONS.index(phase.name)).all()
    method.training_step(phase, batch, 0)
    moved = {k for k, v in method.named_parameters() if not torch.equal(v, before[k])}
    assert {k.split(".")[1] for k in moved} == {phase.name}
    assert {k.split(".")[2] for k in moved} == {"there", "back", "shown", "neutral"}


def test_generators_that_do_nothing_cost_nothing_but_realism(build, view) -> None:
    method = build("cyclegan")
    phase = method.phases()[0]
    pair = method.translations[phase.name]

    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, image):
            return image * self.weight

    pair.there = pair.back = Same()
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    losses = method.training_step(phase, view.step_batch(phase, 0), 0)
    assert losses["generator_cycle"] == losses["generator_identity"] == losses["change"] == 0
    assert losses["generator_realism"] > 0


@pytest.mark.parametrize("chained", [False, True])
def test_a_chained_expression_begins_where_the_one_before_it_ended(chained, build, view) -> None:
    method = build("cyclegan", chained=chained, learning_rate=0.0)
    first, second = method.phases()[:2]
    before = {k: v.clone() for k, v in method.state_dict().items()}
    for phase in (first, second):
        method.bind(method.optimizers(phase), torch.Tensor.backward)
        method.training_step(phase, view.step_batch(phase, 0), 0)
    found = method.translations[second.name].state_dict()
    own, other = ({name: before[f"translations.{p.name}.{name}"] for name in found} for p in (second, first))
    assert any(not torch.equal(own[name], other[name]) for name in found)
    torch.testing.assert_close(found, other if chained else own, rtol=0, atol=0)


def test_a_full_pool_gives_old_faces_half_of_the_time_and_keeps_its_size(build) -> None:
    method = build("cyclegan", pool=4)
    torch.manual_seed(0)
    faces = torch.arange(200.0)[:, None, None, None].expand(-1, 3, 64, 64)
    given = torch.cat([method._pooled("shown", face[None]) for face in faces])[:, 0, 0, 0]
    assert torch.equal(given[:4], faces[:4, 0, 0, 0])
    old = given[4:] != faces[4:, 0, 0, 0]
    assert 0.4 < old.float().mean() < 0.6
    assert (given[4:] <= faces[4:, 0, 0, 0]).all()
    assert len(method.extra_state()["shown"]) == 4
    assert len(method.extra_state()["neutral"]) == 0


def test_a_new_phase_starts_with_empty_pools(build, view) -> None:
    method = build("cyclegan", batch_size=2)
    for phase in method.phases()[:2]:
        method.bind(method.optimizers(phase), torch.Tensor.backward)
        for step in range(2):
            method.training_step(phase, view.step_batch(phase, step), step)
            assert len(method.extra_state()["shown"]) == 2 * (step + 1)


def test_a_face_that_is_not_neutral_goes_back_by_its_own_expression_first(build, requests) -> None:
    method = build("cyclegan")
    happy, surprised = method.translations["happiness"], method.translations["surprise"]
    one = replace(requests[0:1], target_label=torch.tensor([5]))
    with torch.inference_mode():
        torch.testing.assert_close(method.synthesize(one), happy.there(one.source))
        other = replace(one, source_label=torch.tensor([7]))
        torch.testing.assert_close(method.synthesize(other), happy.there(surprised.back(one.source)))
        unknown = replace(one, source_label=torch.tensor([-1]))
        torch.testing.assert_close(method.synthesize(unknown), happy.there(one.source))
        neutral = replace(other, target_label=torch.tensor([0]))
        torch.testing.assert_close(method.synthesize(neutral), surprised.back(one.source))


@pytest.mark.learn
def test_cyclegan_learns() -> None:
    found = learned("cyclegan", steps={"happiness": 900, "surprise": 900})
    assert found.cosine > 0.2
    assert found.psnr > found.mean_psnr + 2
