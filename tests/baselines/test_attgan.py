"""AttGAN: published sizes, where the attributes go in, and what its strength and intensity do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned


@pytest.fixture
def method(build):
    return build("attgan").eval()


def asked_of(method) -> list[torch.Tensor]:
    """The attribute vectors that the generator is given from now on."""
    seen: list[torch.Tensor] = []
    method.generator.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    return seen


@pytest.mark.parametrize(
    ("labels", "generator", "critic"), [(8, 43_336_323, 44_713_865), (7, 43_311_747, 44_712_840)]
)
def test_it_has_the_published_size(labels, generator, critic, build, count) -> None:
    method = build("attgan", "paper", Problem(128, EXPRESSIONS[:labels], (), 0))
    assert (count(method.generator), count(method.critic)) == (generator, critic)


def test_with_the_papers_thirteen_attributes_it_counts_as_the_official_script_prints(build, count) -> None:
    names = tuple(f"attribute{k}" for k in range(13))
    method = build("attgan", "paper", Problem(128, names, (), 0))
    moving = sum(v.numel() for k, v in method.generator.named_buffers() if "running" in k)
    assert count(method.generator) == 43_459_203
    assert count(method.generator) + moving == 43_467_011
    assert count(method.critic) == 44_718_990


@pytest.mark.parametrize("size", [32, 48, 100])
def test_a_size_that_the_published_layers_do_not_divide_is_refused(size, build) -> None:
    with pytest.raises(MethodError, match="AttGAN needs an image size"):
        build("attgan", "paper", Problem(size, EXPRESSIONS, (), 0))


def test_one_critic_step_in_six_gives_way_to_a_generator_step(build, view) -> None:
    method = build("attgan")
    (phase,) = method.phases()
    assert phase.calls_per_update == 6
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    moved = []
    for step in range(12):
        before = method.generator.last.weight.clone(), method.critic.realism[0].weight.clone()
        method.training_step(phase, view.step_batch(phase, step), step)
        after = method.generator.last.weight, method.critic.realism[0].weight
        moved.append([not torch.equal(a, b) for a, b in zip(before, after, strict=True)])
    assert moved == [[k % 6 == 5, k % 6 != 5] for k in range(12)]


def test_asked_attributes_are_doubled_and_the_others_are_minus_one(method, requests) -> None:
    seen = asked_of(method)
    method.synthesize(requests[0:1])
    method.synthesize(replace(requests[0:1], second_label=torch.tensor([4])))
    assert seen[0].tolist() == [[-1, 2, -1, -1, -1, -1, -1, -1]]
    assert seen[1].tolist() == [[-1, 2, -1, -1, 2, -1, -1, -1]]


def test_no_intensity_is_the_source_s_own_attributes_and_half_lies_in_the_middle(method, requests) -> None:
    seen = asked_of(method)
    for share in (0.0, 0.5):
        method.synthesize(replace(requests[0:1], intensity=torch.tensor([share])))
    assert seen[0].tolist() == [[1, -1, -1, -1, -1, -1, -1, -1]]
    assert seen[1].tolist() == [[0, 0.5, -1, -1, -1, -1, -1, -1]]
    unknown = replace(requests[0:1], intensity=torch.tensor([0.0]), source_label=torch.tensor([-1]))
    method.synthesize(unknown)
    assert seen[2].tolist() == [[-1] * 8]


def test_attributes_enter_the_code_and_again_behind_the_skip(method) -> None:
    """Either place alone moves the image."""
    image, change = torch.rand(1, 3, 64, 64), torch.tensor([[1.0, *[-1.0] * 7]])
    axes = method.condition_axes()
    for kept in ("generator.decoder.0.0.weight", "generator.decoder.1.0.weight"):
        found = [name for name in axes if name.startswith("generator.")]
        weights = dict(method.named_parameters())
        (other,) = (name for name in found if name != kept)
        saved = weights[other].detach().clone()
        with torch.no_grad():
            weights[other][axes[other].start :] = 0
            assert (method.generator(image, change) - method.generator(image, -change)).abs().max() > 1e-4
            weights[other].copy_(saved)


def test_the_critic_has_no_batch_statistics(method) -> None:
    images = torch.rand(3, 3, 64, 64)
    method.critic.train()
    alone = [method.critic(image[None]) for image in images]
    for part, found in enumerate(method.critic(images)):
        torch.testing.assert_close(found, torch.cat([one[part] for one in alone]), atol=1e-5, rtol=0)


@pytest.mark.learn
def test_attgan_learns() -> None:
    found = learned("attgan", steps={"adversarial": 3000})
    assert found.cosine > 0.35
    assert found.psnr > found.copy_psnr + 0.3
