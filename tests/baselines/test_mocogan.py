"""MoCoGAN: published sizes, content and motion apart, critics of frames and of clips, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.baselines.mocogan import VideoCritic, _joined, _one_of
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.clip_learning import clip_view, learned_clips

SEVEN = tuple(name for name in EXPRESSIONS if name != "contempt")


def test_its_networks_have_the_published_sizes(build, count) -> None:
    with torch.device("meta"):
        method = build("mocogan", "paper", Problem(64, SEVEN, (), 0))
    assert count(method.generator) == 3_298_836
    assert count(method.generator.recurrent) == 660
    assert count(method.image_critic) == 663_296
    assert count(method.video_critic) == 11_253_504
    assert not hasattr(method, "encoder")
    frames = method.generator(torch.zeros(2, 16, 66, device="meta"))
    assert frames.shape == (2, 16, 3, 64, 64)
    assert method.image_critic(frames[:, 0]).shape == (2, 1, 4, 4)
    realism, categories = method.video_critic(frames)
    assert (realism.shape, categories.shape) == ((2,), (2, 6))


def test_longer_clips_are_judged_by_the_mean_over_time() -> None:
    critic = VideoCritic(64, 4, 6).eval()
    clips = torch.randn(2, 18, 3, 64, 64)
    realism, categories = critic(clips)
    pieces = [critic(clips[:, k : k + 16]) for k in range(3)]
    torch.testing.assert_close(realism, torch.stack([p[0] for p in pieces]).mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(categories, torch.stack([p[1] for p in pieces]).mean(0), atol=1e-5, rtol=0)


def test_motion_codes_are_the_recurrent_network_s_states(build) -> None:
    generator = build("mocogan", problem=Problem(64, SEVEN, (), 0)).generator
    start, draws = torch.randn(2, 10), torch.randn(2, 3, 10)
    state, found = start, generator.motion(start, draws)
    for frame in range(3):
        state = generator.recurrent(draws[:, frame], state)
        torch.testing.assert_close(found[:, frame], state)


def test_content_and_category_are_the_same_in_all_frames() -> None:
    content, wanted = torch.randn(2, 50), torch.eye(6)[:2].bool()
    codes = _joined(content, wanted, torch.randn(2, 4, 10))
    assert codes.shape == (2, 4, 66)
    assert torch.equal(codes[:, :, :56], codes[:, :1, :56].expand(-1, 4, -1))
    assert torch.equal(codes[:, 2, 50:56], wanted.float())
    clips = torch.arange(12.0).reshape(3, 4)
    torch.manual_seed(0)
    drawn = {tuple(_one_of(clips).tolist()) for _ in range(60)}
    assert all([k // 4 for k in one] == [0, 1, 2] for one in drawn)
    assert len(drawn) > 20


def test_new_motion_changes_a_clip_less_than_new_content(build) -> None:
    """Right after the start, too: ten of the numbers of a code move, fifty stay."""
    method = build("mocogan", "paper", Problem(64, SEVEN, (), 0), width=16).eval()
    torch.manual_seed(0)
    content, wanted = torch.randn(8, 50), torch.zeros(8, 6)
    motion = method.generator.motion(torch.randn(8, 10), torch.randn(8, 16, 10))
    with torch.no_grad():
        base, moved, changed = (
            method.generator(_joined(c, wanted, m)).mean(1)
            for c, m in ((content, motion), (content, motion.flip(0)), (content.flip(0), motion))
        )
    assert (moved - base).square().mean() < 0.5 * (changed - base).square().mean()


def test_the_face_is_anybody_s_but_in_the_variant_that_encodes_the_source(build, requests) -> None:
    clips = replace(requests, length=16, task="sequence")
    dark = replace(clips, source=-clips.source)
    for preset, seen in (("paper", False), ("image", True)):
        method = build("mocogan", preset, Problem(64, EXPRESSIONS, (), 0), width=8)
        assert torch.equal(method.answer(clips), method.answer(dark)) != seen
        other = replace(clips, noise_seed=clips.noise_seed + 7)
        assert not torch.equal(method.answer(clips), method.answer(other))


def test_each_step_moves_its_networks_and_the_first_frame_costs_in_the_variant(build) -> None:
    view = clip_view(32, 2)
    method = build("mocogan", problem=view.problem)
    phase = method.phases()[0]
    batch = method.natively(view.step_batch(phase, 0))
    assert batch.video.shape == (8, 16, 3, 32, 32)
    seen: list[float] = []
    method.bind(method.optimizers(phase), lambda loss: (seen.append(float(loss.detach())), loss.backward()))
    losses = {k: float(v) for k, v in method.training_step(phase, batch, 0).items()}
    image, video, generator = seen
    assert image == pytest.approx(losses["image_critic"], rel=1e-5)
    assert video == pytest.approx(losses["video_critic"] + losses["critic_class"], rel=1e-5)
    parts = [losses[f"generator_{name}"] for name in ("image", "video", "class")]
    assert generator == pytest.approx(sum(parts) + 10 * losses["generator_first"], rel=1e-5)
    held = method.optimizers(phase)["generator"].param_groups[0]
    assert held["weight_decay"] == 1e-5
    assert len(held["params"]) == len([*method.generator.parameters(), *method.encoder.parameters()])


@pytest.mark.learn
def test_mocogan_learns() -> None:
    """Few steps keep little of whose face it was; but it moves as far as faces do, and each label its way."""
    found = learned_clips("mocogan", steps={"adversarial": 560})
    assert found.label_cosine > 0.3
    assert 0.5 < found.motion[-1] < 2
