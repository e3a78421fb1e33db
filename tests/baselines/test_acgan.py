"""AC-GAN: published sizes, and the behavior on its card."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.methods.precision import exact_float32
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.drawing import drawn, random_requests
from tests.baselines.learning import learned


@pytest.mark.parametrize(("labels", "critic"), [(7, 2_265_976), (8, 2_352_505)])
def test_the_published_size(labels, critic, build, count) -> None:
    method = build("acgan", "paper", Problem(128, EXPRESSIONS[:labels], (), 0))
    assert (count(method.generator), count(method.critic)) == (11_465_728, critic)


def test_the_maps_are_those_of_the_card(build) -> None:
    method = build("acgan", "paper", Problem(128, EXPRESSIONS, (), 0))
    sides: dict[str, list[int]] = {"generator": [], "critic": []}
    for name, kind in (("generator", torch.nn.ConvTranspose2d), ("critic", torch.nn.Conv2d)):
        for layer in getattr(method, name).modules():
            if isinstance(layer, kind):
                layer.register_forward_hook(lambda _, i, o, name=name: sides[name].append(o.shape[-1]))
    images = method.make(torch.randn(2, 110), torch.tensor([0, 1]))
    score, logits = method.critic(images)
    assert sides == {"generator": [5, 13, 29, 61, 128], "critic": [64, 62, 31, 29, 15, 13]}
    assert (score.shape, logits.shape) == ((2,), (2, 8))


@pytest.mark.parametrize("size", [32, 64, 256])
def test_other_sizes_fit_the_problem(size, build) -> None:
    method = build("acgan", "tiny", Problem(size, EXPRESSIONS, (), 0))
    images = method.make(torch.randn(2, 110), torch.tensor([0, 1]))
    assert images.shape == (2, 3, size, size)
    assert method.critic(images)[1].shape == (2, 8)


def test_a_size_that_is_no_power_of_two_is_refused(build) -> None:
    with pytest.raises(MethodError, match="power of two of at least 32 as image size, not 96"):
        build("acgan", "tiny", Problem(96, EXPRESSIONS, (), 0))


def test_the_label_takes_the_place_of_the_first_noise_entries(build) -> None:
    method = build("acgan")
    seen: list[torch.Tensor] = []
    method.generator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    noise = torch.randn(2, 110)
    method.make(noise, torch.tensor([3, 0]))
    assert seen[0][:, :8].tolist() == [[0, 0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]]
    assert torch.equal(seen[0][:, 8:], noise[:, 8:])


@pytest.mark.parametrize("classify_fakes", [True, False])
def test_the_critic_s_loss_is_the_quoted_one(classify_fakes, build, view) -> None:
    """Both kinds are judged; generated images' labels count only under the paper's form."""
    method = build("acgan", classify_fakes=classify_fakes, dropout=0.0)
    batch = view.batch("image", 4, 0)
    fake, label = torch.rand_like(batch.image) * 2 - 1, torch.tensor([1, 2, 3, 4])
    (real_score, real_logits), (fake_score, fake_logits) = method.critic(batch.image), method.critic(fake)
    expected = -F.logsigmoid(real_score).mean() - F.logsigmoid(-fake_score).mean()
    expected = expected - F.log_softmax(real_logits, 1)[range(4), batch.label].mean()
    if classify_fakes:
        expected = expected - F.log_softmax(fake_logits, 1)[range(4), label].mean()
    method.bind(method.optimizers(method.phases()[0]), torch.Tensor.backward)
    with exact_float32():
        found = method._critic_step(batch, fake, label)
    torch.testing.assert_close(found["critic_loss"], expected.detach())


def test_its_faces_need_no_source(build, view, requests) -> None:
    from dataclasses import replace

    method = build("acgan")
    seeds = requests.noise_seed.tolist()
    drawing = random_requests(view, [1, 5, 7], seeds)
    assert not drawing.source.any()
    same = replace(requests, source=torch.rand_like(requests.source))
    assert torch.equal(method.answer(requests), method.answer(same))
    assert torch.equal(drawing.target_label[:3], requests.target_label[:3])
    torch.testing.assert_close(method.answer(drawing)[0], method.answer(requests)[0], atol=2e-5, rtol=0)


def test_the_class_head_is_without_dropout(build, view) -> None:
    method, images = build("acgan"), view.images([0, 5, 9]).image
    method.train()
    assert torch.equal(method.classify(images), method.classify(images))
    assert not torch.equal(method.class_logits(images), method.class_logits(images))


@pytest.mark.learn
def test_acgan_learns() -> None:
    found = learned("acgan", steps={"adversarial": 600})
    faces = drawn(found.method, found.view)
    assert faces.cosine > 0.2
    assert faces.accuracy > 0.6
    assert faces.diversity > 0.15
