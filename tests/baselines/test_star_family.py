"""StarGAN, US-GAN and GANimation: published sizes and the behavior on their cards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fesbench.baselines._blocks import Critic, initialize, one_hot, trunk
from fesbench.baselines._losses import gradient_penalty
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import steps

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)


@pytest.mark.parametrize(
    ("labels", "generator", "critic"),
    [(8, 8_439_936, 44_786_624), (5, 8_430_528, 44_762_048), (7, 8_436_800, 44_778_432)],
)
def test_stargan_has_the_published_size(labels, generator, critic, build, count) -> None:
    method = build("stargan", "paper", Problem(128, EXPRESSIONS[:labels], (), 0))
    assert (count(method.generator), count(method.critic)) == (generator, critic)


def test_the_critic_at_256_px_has_the_published_size(count) -> None:
    assert count(Critic(256, 64, 8)) == 44_983_232


@pytest.mark.parametrize(("labels", "generator"), [(7, 2_533_440), (5, 2_527_168)])
def test_usgan_has_the_published_size(labels, generator, build, count) -> None:
    method = build("usgan", "paper", Problem(128, EXPRESSIONS[:labels], (), 0))
    assert count(method.generator) == generator
    if labels == 7:
        assert count(method.critic) == 44_778_432


@pytest.mark.parametrize(
    ("units", "generator", "critic"), [(17, 8_471_296, 44_860_352), (12, 8_455_616, 44_819_392)]
)
def test_ganimation_has_the_published_size(units, generator, critic, build, count) -> None:
    method = build("ganimation", "paper", Problem(128, EXPRESSIONS, AUS[:units], 0))
    assert (count(method.generator), count(method.critic)) == (generator, critic)


@pytest.mark.parametrize(("size", "side"), [(32, 2), (64, 1), (128, 2), (192, 3)])
def test_the_critic_reads_32_px_and_any_size_that_64_divides(size, side) -> None:
    realism, condition = Critic(size, 4, 8)(torch.zeros(2, 3, size, size))
    assert realism.shape == (2, 1, side, side)
    assert condition.shape == (2, 8)


@pytest.mark.parametrize(
    ("size", "depth", "layers", "side"),
    [
        (32, "side", 4, 2),
        (64, "side", 5, 2),
        (128, "side", 6, 2),
        (64, 4, 4, 4),
        (96, 5, 5, 3),
        (48, 3, 3, 6),
    ],
)
def test_the_critic_takes_a_depth(size, depth, layers, side) -> None:
    critic = Critic(size, 4, 8, depth=depth)
    realism, condition = critic(torch.zeros(2, 3, size, size))
    assert (critic.depth, tuple(realism.shape), tuple(condition.shape)) == (
        layers,
        (2, 1, side, side),
        (2, 8),
    )


def test_the_published_critic_is_that_of_its_authors_depth_at_128_px(count) -> None:
    assert count(Critic(128, 64, 8, depth="side")) == count(Critic(128, 64, 8)) == 44_786_624


@pytest.mark.parametrize(("size", "depth"), [(40, "side"), (64, 7), (32, 6)])
def test_a_depth_that_does_not_divide_the_side_is_refused(size, depth) -> None:
    with pytest.raises(MethodError, match="StarGAN critic needs an image size that is a multiple of"):
        Critic(size, 4, 8, depth=depth)
    with pytest.raises(MethodError, match="at least one strided layer"):
        Critic(size, 4, 8, depth=0)


def test_a_narrow_critic_hears_its_images_with_he_weights() -> None:
    """The framework's default weights leave almost nothing of the images' spread behind six layers."""

    def spread(**options) -> float:
        torch.manual_seed(0)
        critic = Critic(64, 16, 8, **options)
        images = torch.rand(32, 3, 64, 64) * 2 - 1
        return (critic(images)[1].std(dim=0).mean() / images.std()).item()

    assert spread() < 1e-3
    assert spread(he=True) > 0.03
    assert spread(he=True, depth=4) > 0.03


@pytest.mark.parametrize("name", ["stargan", "usgan", "ganimation", "reggan"])
@pytest.mark.parametrize(("size", "choice"), [(48, 64), (16, 64), (100, 64), (160, 128)])
def test_a_size_that_64_does_not_divide_is_refused_with_a_choice(name, size, choice, build) -> None:
    told = f"StarGAN critic needs an image size that is a multiple of 64, not {size}; choose --size {choice}$"
    with pytest.raises(MethodError, match=told):
        build(name, "paper", Problem(size, EXPRESSIONS, AUS, 0))


@pytest.mark.parametrize("name", ["stargan", "usgan", "ganimation"])
def test_tiny_works_on_32_px_of_any_size_and_with_a_critic_that_ends_at_2x2(name, build) -> None:
    for size in (48, 64, 100):
        method = build(name, "tiny", Problem(size, EXPRESSIONS, AUS, 0))
        assert (method.size, method.problem.size, method.critic.depth) == (size, 32, 4)
        assert method.critic(torch.zeros(1, 3, 32, 32))[0].shape == (1, 1, 2, 2)


@pytest.mark.parametrize(("height", "width"), [(30, 32), (32, 31), (2, 4)])
def test_the_trunk_refuses_a_side_that_4_does_not_divide(height, width) -> None:
    with pytest.raises(MethodError, match="multiple of 4, not"):
        trunk(3, 4, [])(torch.zeros(1, 3, height, width))
    assert trunk(3, 4, [])(torch.zeros(1, 3, 12, 20)).shape == (1, 4, 12, 20)


def test_convolutions_start_narrow_and_without_bias() -> None:
    layer = torch.nn.Conv2d(32, 64, 4)
    initialize(layer)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not layer.bias.any()


def test_usgan_without_a_change_image_is_the_input_to_the_bit(build, requests) -> None:
    method = build("usgan")
    torch.nn.init.zeros_(method.generator.last.weight)
    assert torch.equal(method.synthesize(requests), requests.source)


def test_a_gradient_penalty_of_a_linear_critic_is_known() -> None:
    weight = torch.randn(3, 4, 4)
    real, fake = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    found = gradient_penalty(lambda x: (x * weight).sum(dim=(1, 2, 3)), real, fake)
    torch.testing.assert_close(found, (weight.norm() - 1) ** 2)


def test_a_gradient_penalty_keeps_float32_under_autocast() -> None:
    critic, draw = Critic(64, 8, 4), torch.Generator().manual_seed(0)
    real, fake = torch.rand(2, 3, 64, 64, generator=draw), torch.rand(2, 3, 64, 64, generator=draw)

    def penalty(fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
        torch.manual_seed(1)
        found = gradient_penalty(lambda image: critic(image)[0], real, fake)
        return found, *torch.autograd.grad(found, critic.body[0].weight)

    expected = penalty(fake)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = penalty(fake)
        assert critic(real)[0].dtype == torch.bfloat16, "autocast is still on around the penalty"
        assert penalty(fake.bfloat16())[0].dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_one_hot_takes_no_label_and_two() -> None:
    found = one_hot(torch.tensor([1, -1, 0]), 3, torch.tensor([-1, 2, 0]))
    assert found.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_the_generator_moves_once_in_n_critic_steps(build, view) -> None:
    method = build("stargan")
    weight = method.generator.last.weight.clone()
    losses = steps(method, view, 4)
    assert torch.equal(weight, method.generator.last.weight)
    assert "generator_class" not in losses
    losses = steps(method, view, 5)
    assert not torch.equal(weight, method.generator.last.weight)
    assert "generator_class" in losses


def test_attention_one_keeps_the_input_and_zero_paints_all(build, requests) -> None:
    method = build("ganimation")
    _, attention = method.generator(requests.source, requests.target_action_units)
    assert attention.shape == (len(requests), 1, 64, 64)
    assert 0 < attention.min() < attention.max() < 1

    class Constant(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def forward(self, hidden):
            return torch.full_like(hidden[:, :1], self.value)

    method.generator.attention = Constant(1e4)
    assert torch.equal(method.synthesize(requests), requests.source)
    method.generator.attention = Constant(-1e4)
    method.generator.color = torch.nn.Sequential(Constant(0.3), torch.nn.Conv2d(1, 3, 1, bias=False))
    torch.nn.init.ones_(method.generator.color[1].weight)
    painted = method.synthesize(requests)
    torch.testing.assert_close(painted, torch.full_like(painted, 0.3).tanh())


def test_ganimation_follows_the_action_units_not_the_label(build, requests) -> None:
    from dataclasses import replace

    method = build("ganimation")
    same = replace(requests, target_label=requests.target_label.flip(0))
    assert torch.equal(method.synthesize(requests), method.synthesize(same))
    weaker = replace(requests, target_action_units=requests.target_action_units * 0.5)
    assert not torch.equal(method.synthesize(requests), method.synthesize(weaker))


@pytest.mark.parametrize(
    ("name", "critic", "generator"),
    [
        ("stargan", "class_weight", "generator_class_weight"),
        ("usgan", "class_weight", "generator_class_weight"),
        ("ganimation", "condition_weight", "generator_condition_weight"),
    ],
)
def test_paper_has_one_weight_for_both_networks_and_tiny_a_smaller_one_for_the_generator(
    name, critic, generator, build
) -> None:
    paper, tiny = build(name, "paper").hyper, build(name).hyper
    assert getattr(paper, critic) == getattr(paper, generator)
    assert getattr(tiny, critic) > 3 * getattr(tiny, generator) > 0


def test_ganimation_divides_its_condition_weights_by_the_batch(build) -> None:
    paper, tiny = build("ganimation", "paper").hyper, build("ganimation").hyper
    assert paper.condition_weight / paper.batch_size == 160
    assert (tiny.condition_weight / tiny.batch_size, tiny.generator_condition_weight / tiny.batch_size) == (
        80,
        20,
    )


@pytest.mark.parametrize("name", ["stargan", "ganmut"])
def test_a_start_teaches_the_generator_alone_to_return_its_face(name, build, view) -> None:
    """Whatever the label; the critic stays as it was, and the published phase follows."""
    method = build(name, width=4, native="")
    start, adversarial = method.phases()
    assert (start.name, adversarial.name, start.probed) == ("start", "adversarial", False)
    before = {k: v.clone() for k, v in method.named_parameters()}
    torch.manual_seed(0)
    method.bind(method.optimizers(start), torch.Tensor.backward)
    batch = view.images(np.arange(8))
    seen = [method.training_step(start, batch, step) for step in range(60)]
    assert all(losses.keys() == {"generator_start"} for losses in seen)
    first, last = (sum(float(one["generator_start"]) for one in some) for some in (seen[:5], seen[-5:]))
    assert last < 0.6 * first
    moved = {k.split(".")[0] for k, v in method.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {"generator"}


def test_without_a_start_there_is_the_published_phase_alone(build) -> None:
    for name in ("stargan", "usgan", "sargan", "ganmut"):
        assert [phase.name for phase in build(name, "paper").phases()] == ["adversarial"]


def test_the_critic_may_have_a_rate_of_its_own(build) -> None:
    for name in ("stargan", "ganmut"):
        for rate, wanted in ((None, 2e-4), (1e-3, 1e-3)):
            method = build(name, learning_rate=2e-4, critic_rate=rate)
            start, adversarial = method.phases()
            rates = {k: one.param_groups[0]["lr"] for k, one in method.optimizers(adversarial).items()}
            assert rates == {"generator": 2e-4, "critic": wanted}
            assert method.optimizers(start)["generator"].param_groups[0]["lr"] == wanted
