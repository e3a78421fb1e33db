"""VGAN: published sizes, two streams and their mask."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.clip_learning import clip_view, learned_clips


@pytest.mark.parametrize(
    ("changes", "generator", "critic"),
    [
        ({"image": False, "width": 64}, [3_577_667, 12_667_716], 11_057_858),
        ({}, [11_021_696, 11_018_883, 46_175_876], 44_135_810),
    ],
)
def test_its_networks_have_the_published_sizes(changes, generator, critic, build, count) -> None:
    with torch.device("meta"):
        method = build("vgan", "paper", Problem(64, EXPRESSIONS, (), 0), labels=False, **changes)
    *makers, judge = method.children()
    assert [count(part) for part in makers] == generator
    assert sum(generator) in (16_245_383, 68_216_455)
    assert count(judge) == critic
    clips, mask = method._made(torch.zeros(2, *((100,) if changes else (3, 64, 64)), device="meta"), None)
    assert clips.shape == (2, 32, 3, 64, 64)
    assert mask.shape == (2, 32, 1, 64, 64)
    assert method.critic(clips).shape == (2, 2)


@pytest.mark.parametrize("image", [True, False])
def test_without_a_mask_every_frame_is_the_background(image, build, requests) -> None:
    """In training mode, whose norms make the small differences of untrained networks large."""
    method = build("vgan", problem=Problem(64, EXPRESSIONS, (), 0), image=image)
    clips = method.natively(replace(requests, length=16, task="sequence"))
    moving = method.synthesize(clips)
    assert (moving - moving[:, :1]).abs().max() > 1e-3
    torch.nn.init.zeros_(method.foreground.mask.weight)
    torch.nn.init.constant_(method.foreground.mask.bias, -100.0)
    still = method.synthesize(clips)
    assert torch.equal(still, still[:, :1].expand_as(still))
    torch.nn.init.constant_(method.foreground.mask.bias, 100.0)
    before = method.synthesize(clips)
    torch.nn.init.constant_(method.background[-2].bias, 0.7)
    assert torch.equal(before, method.synthesize(clips)), "a full mask hides the background"


class Watched:
    """A backward pass that remembers the losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def __call__(self, loss: torch.Tensor) -> None:
        self.losses.append(float(loss.detach()))
        loss.backward()


def test_the_mask_costs_where_noise_is_the_start_and_the_first_frame_where_an_image_is(build) -> None:
    view = clip_view(32, 2)
    for image in (True, False):
        method = build("vgan", problem=view.problem, image=image)
        phase = method.phases()[0]
        batch = method.natively(view.step_batch(phase, 0))
        assert batch.video.shape[:2] == (8, 16)
        seen = Watched()
        method.bind(method.optimizers(phase), seen)
        losses = method.training_step(phase, batch, 0)
        added = 10 * losses["generator_first"] if image else 0.1 * losses["mask"]
        assert seen.losses[1] == pytest.approx(float(losses["generator_realism"] + added), rel=1e-5)
        assert seen.losses[0] == pytest.approx(float(losses["critic_loss"]), rel=1e-5)


def test_two_logits_are_one_probability(build) -> None:
    """Softmax over {fake, real} is log-loss on the difference of the logits."""
    from fesbench.baselines._losses import said
    from fesbench.baselines.vgan import _entropy

    logits = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-1.0, 4.0]])
    torch.testing.assert_close(_entropy(logits, 1), said(logits[:, 1] - logits[:, 0], True))


def test_the_source_counts_where_an_image_is_the_start_and_noise_elsewhere(build, requests) -> None:
    """Untrained networks tell sources apart by little, but noise does not enter, or nothing else does."""
    clips = replace(requests, length=16, task="sequence")
    other = replace(clips, noise_seed=clips.noise_seed + 9)
    dark = replace(clips, source=-clips.source)
    for image in (True, False):
        method = build("vgan", problem=Problem(64, EXPRESSIONS, (), 0), image=image)
        made = method.answer(clips)
        assert torch.equal(made, method.answer(other)) == image
        assert torch.equal(made, method.answer(dark)) == (not image)


@pytest.mark.learn
def test_vgan_learns() -> None:
    """Few steps blur whose face it was; but it starts from the source, and each label moves its own way."""
    found = learned_clips("vgan", steps={"adversarial": 350})
    assert found.label_cosine > 0.3
    assert found.cosine > 0.15
    assert found.first_psnr > 28
