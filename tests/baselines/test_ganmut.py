"""GANmut: published sizes, its plane of points, and what each loss counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.baselines.ganmut import Axes, confidence_loss
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import steps


@pytest.fixture
def build(build):
    """A method by id that works on images as they are and begins with its losses."""

    def make(name: str, preset: str = "tiny", problem: Problem | None = None, **changes):
        return build(name, preset, problem, **{"native": ""} | changes)

    return make


@pytest.mark.parametrize(("labels", "axes", "critic"), [(7, 12, 44_794_816), (8, 14, 44_803_008)])
def test_ganmut_has_the_published_size(labels, axes, critic, build, count) -> None:
    method = build("ganmut", "paper", Problem(128, EXPRESSIONS[:labels], (), 0))
    found = [count(part) for part in (method.generator, method.axes, method.critic)]
    assert found == [8_421_120, axes, critic]


def test_he_weights_are_those_of_the_point_head_too(build) -> None:
    """In units of 1 / sqrt(fan_in) the framework's default has spread sqrt(1 / 3), He's has sqrt(2)."""
    spread = {}
    for he in (False, True):
        weight = build("ganmut", critic_he=he).critic.point.weight
        spread[he] = weight.std().item() * weight[0].numel() ** 0.5
    assert spread[False] == pytest.approx(3**-0.5, rel=0.1)
    assert spread[True] == pytest.approx(2**0.5, rel=0.1)


@pytest.mark.parametrize("neutral", [0, 2, 4])
def test_neutral_is_the_center_and_every_other_label_a_direction(neutral) -> None:
    axes = Axes(5, neutral, 1e-4)
    found = axes()
    others = [k for k in range(5) if k != neutral]
    assert found[neutral].tolist() == [0.0, 0.0]
    torch.testing.assert_close(found.norm(dim=1)[others], torch.ones(4))
    torch.testing.assert_close(
        found[others], axes.directions.weight / axes.directions.weight.norm(dim=1)[:, None]
    )
    assert axes.directions.weight.abs().max() < 1e-4, "so short that a step of Adam turns it"


def test_points_are_drawn_by_label_and_five_of_sixteen_anywhere(build, view) -> None:
    method = build("ganmut", noise=0.0)
    label = torch.arange(16) % 8
    torch.manual_seed(0)
    drawn = [method.draw(label) for _ in range(200)]
    assert {count for _, _, count in drawn} == {5}
    points, strength = (torch.stack([some[k] for some in drawn]).detach() for k in (0, 1))
    torch.testing.assert_close(points[:, 5:], strength[:, 5:, None] * method.axes()[label][5:].detach())
    torch.testing.assert_close(points[:, :5].norm(dim=2), strength[:, :5])
    angles = torch.atan2(points[:, 1:5, 1], points[:, 1:5, 0]).flatten()
    assert angles.abs().max() > 3.1
    assert torch.stack([angles.cos().mean(), angles.sin().mean()]).abs().max() < 0.12
    neutral = strength[:, label == 0]
    assert 0 <= neutral.min() < 0.01 < 0.19 < neutral.max() <= 0.2
    assert 0.2 <= strength[:, label > 0].min() < 0.21
    assert 0.99 < strength[:, label > 0].max() <= 1
    noisy = build("ganmut", noise=0.075)
    spread = torch.cat([noisy.draw(torch.zeros(1000).long())[0][400:] for _ in range(4)]).std(dim=0)
    torch.testing.assert_close(spread, torch.full((2,), 0.075), atol=0.005, rtol=0)


@pytest.mark.parametrize("size", [1, 2, 4, 16])
def test_random_points_are_the_same_share_of_every_batch(size, build) -> None:
    points, _, count = build("ganmut").draw(torch.ones(size).long())
    assert len(points) == size
    assert count == {1: 0, 2: 1, 4: 1, 16: 5}[size]


def test_confidence_is_to_equal_strength_where_it_counts() -> None:
    logits = torch.tensor([[0.0, 0.0], [9.0, -9.0], [1.0, 1.0]])
    found = confidence_loss(logits, torch.tensor([0.2, 1.0, 0.9]), torch.tensor([True, True, False]))
    assert found.item() == pytest.approx((0.5 - 0.2) ** 2 / 2, abs=1e-6)
    nothing = confidence_loss(logits, torch.zeros(3), torch.zeros(3).bool())
    assert nothing.item() == 0.0


def test_random_points_have_no_class_to_be(build, view) -> None:
    method = build("ganmut", batch_size=4)
    *_, phase = method.phases()
    batch, optimizers = view.step_batch(phase, 0), method.optimizers(phase)
    for optimizer in optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.0
    method.bind(optimizers, torch.Tensor.backward)
    points, strength = torch.rand(4, 2), torch.rand(4)

    def classes(*target: int) -> float:
        losses = method._generator_on(batch, torch.tensor(target), points, strength, 1)
        return float(losses["generator_class"])

    assert classes(1, 2, 3, 4) == pytest.approx(classes(5, 2, 3, 4), rel=1e-5)
    assert classes(1, 2, 3, 4) != pytest.approx(classes(1, 5, 3, 4), rel=1e-5)


def test_an_image_lies_as_far_out_as_the_critic_is_sure(build, view) -> None:
    method = build("ganmut")
    batch = view.images(torch.arange(8).numpy())
    sure = method.class_logits(batch.image).softmax(1).amax(1)
    torch.testing.assert_close(method.own_points(batch), sure[:, None] * method.axes()[batch.label])


def test_the_axes_move_with_the_generator_once_in_n_critic_steps(build, view) -> None:
    method = build("ganmut", batch_size=4)
    before = method.axes().detach().clone()
    assert "generator_class" not in steps(method, view, 4)
    assert torch.equal(before, method.axes())
    assert "generator_class" in steps(method, view, 5)
    assert not torch.equal(before, method.axes())


def test_what_is_asked_for_is_a_point(build, requests) -> None:
    method = build("ganmut")
    axes = method.axes()
    torch.testing.assert_close(method.wanted(requests), 0.9 * axes[requests.target_label])
    half = replace(requests, intensity=torch.full((len(requests),), 0.5), task="intensity")
    torch.testing.assert_close(method.wanted(half), 0.5 * axes[requests.target_label])
    one = replace(requests[:1], second_label=torch.tensor([5]), task="compound")
    found = method.wanted(one)
    both = axes[1] + axes[5]
    torch.testing.assert_close(found, 0.9 * (both / both.norm())[None])
    neutral = replace(requests[:1], target_label=torch.tensor([0]))
    assert not method.wanted(neutral).any()
    with torch.no_grad():
        method.axes.directions.weight[4] = -method.axes.directions.weight[0]
    assert not method.wanted(one).any(), "opposite labels make neutral"


def test_weights_of_another_order_of_labels_are_permuted(build, requests) -> None:
    method = build("ganmut")
    order = (2, 0, 1, 3, 4, 5, 6, 7)
    names = tuple(EXPRESSIONS[k] for k in order)
    other = build("ganmut", "tiny", Problem(64, names, (), 0))
    other.import_state(method.state_dict(), labels=EXPRESSIONS)
    torch.testing.assert_close(other.axes(), method.axes()[list(order)])
    logits = method.class_logits(requests.source)
    torch.testing.assert_close(other.class_logits(requests.source), logits[:, list(order)])


@pytest.mark.learn
def test_ganmut_learns() -> None:
    found = learned("ganmut", steps={"start": 400, "adversarial": 1500})
    assert found.cosine > 0.25
    assert found.psnr > found.mean_psnr + 3
    neutral = found.view.rows[found.view.labels == 0]
    requests = replace(label_requests(found.view, neutral, [1, 2]), task="intensity")
    shown = []
    for level in (0.0, 0.2, 0.4, 0.7, 1.0):
        images = found.method.answer(replace(requests, intensity=torch.full((len(requests),), level)))
        sure = found.method.classify(images).softmax(dim=1)
        shown.append(float(sure.gather(1, requests.target_label[:, None]).mean()))
    assert shown == sorted(shown), "its critic sees the label the more, the farther out a point lies"
    assert shown[0] < 0.2
    assert shown[-1] > 0.8
