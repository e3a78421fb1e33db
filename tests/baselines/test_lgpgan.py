"""LGP-GAN: its regions, its two stages, and that both learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fesbench.baselines.lgpgan import LGPGAN, REGIONS
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import steps


@pytest.fixture
def build(build):
    """A method by id that works on images as they are."""

    def make(name: str, preset: str = "tiny", problem: Problem | None = None, **changes):
        return build(name, preset, problem, native="", **changes)

    return make


class Constant(torch.nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, hidden):
        return torch.full_like(hidden[:, :1], self.value)


def test_it_is_made_of_stargan_s_networks(build, count) -> None:
    method = build("lgpgan", "paper", Problem(128, EXPRESSIONS, (), 0))
    generator = method.generator
    residual = 2 * 256 * 256 * 9 + 4 * 256
    stargan, attention = 8_439_936, 64 * 49
    for name in ("eye", "mouth"):
        assert count(generator.local[name]) == stargan - 2 * residual + attention == 6_081_728
    assert count(generator.whole) == stargan + 3 * 64 * 49 + attention == 8_452_480
    assert count(method.critic["whole"]) == 44_786_624
    assert count(method.critic["eye"]) == 2_892_224
    assert count(method.critic["mouth"]) == 2_826_688


@pytest.mark.parametrize("name", ["eye", "mouth"])
def test_a_region_lies_around_its_landmarks_and_has_its_size(name, view) -> None:
    marks = view.images(np.array([0])).landmarks
    region = REGIONS[name]
    middle, half = region.place(marks, 64)[0].unbind(0)
    low, high = ((middle - half + 1) * 32 - 0.5, (middle + half + 1) * 32 - 0.5)
    own = marks[0, list(region.landmarks)]
    assert bool((low < own.amin(0)).all())
    assert bool((high > own.amax(0)).all())
    torch.testing.assert_close(high - low, torch.tensor([region.width, region.height + region.below]) / 2)
    center = (own.amin(0) + own.amax(0)) / 2
    below = torch.tensor([0.0, region.below / 4])
    torch.testing.assert_close((low + high) / 2, center + below, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["eye", "mouth"])
def test_what_is_cut_is_pasted_where_it_was_and_nowhere_else(name, view) -> None:
    batch, region = view.images(np.array([0, 9])), REGIONS[name]
    place = region.place(batch.landmarks, 64)
    smooth = torch.nn.functional.avg_pool2d(batch.image, 9, 1, 4)
    found, mask = region.paste(region.cut(smooth, place), place, 64)
    assert float((found - smooth * mask).abs().max()) < 0.03
    assert 0.9 < float(mask.max()) <= 1
    for row, (middle, half) in enumerate(place):
        low, high = ((middle - half + 1) * 32 - 0.5).ceil(), ((middle + half + 1) * 32 - 0.5).floor()
        x, y = torch.arange(64.0), torch.arange(64.0)[:, None]
        inside = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
        assert bool((mask[row, 0][~inside] == 0).all())
        assert bool((mask[row, 0][inside] >= 0).all())
        assert bool((found[row][:, ~inside] == 0).all())


def test_a_mirrored_face_has_mirrored_regions(view) -> None:
    batch = view.images(np.array([0, 9]))
    mirrored = batch.flip(torch.tensor([True, True]))
    for region in REGIONS.values():
        one, other = (region.cut(b.image, region.place(b.landmarks, 64)) for b in (batch, mirrored))
        torch.testing.assert_close(other, one.flip(-1), atol=1e-4, rtol=0)


def test_stage_one_changes_nothing_outside_of_the_regions(build, requests) -> None:
    method = build("lgpgan")
    places = method._places(requests.source_landmarks)
    label = torch.eye(8)[requests.target_label]
    made = method.generator.stage_one(requests.source, places, label)
    change = method.generator.pasted(requests.source, places, made) - requests.source
    masks = sum(REGIONS[name].paste(m.fake, places[name], 64)[1] for name, m in made.items())
    outside = (masks == 0).expand_as(change)
    assert bool((change[outside] == 0).all())
    assert 0.4 < float(outside.float().mean()) < 0.95
    assert float(change.detach().abs().max()) > 0.01


def test_attention_one_keeps_the_input_to_the_bit(build, requests) -> None:
    method = build("lgpgan")
    for generator in (*method.generator.local.values(), method.generator.whole):
        generator.attention = Constant(1e4)
    assert torch.equal(method.synthesize(requests), requests.source)


def test_stage_two_sees_what_stage_one_made(build, requests) -> None:
    method = build("lgpgan")
    before = method.synthesize(requests)
    for generator in method.generator.local.values():
        generator.attention = Constant(1e4)
    assert not torch.equal(before, method.synthesize(requests))


def test_the_global_loss_alone_reaches_the_local_networks(build, view) -> None:
    method = build("lgpgan", local_weight=0.0)
    before = {k: v.clone() for k, v in method.generator.named_parameters()}
    steps(method, view, 5)
    still = [k for k, v in method.generator.named_parameters() if torch.equal(v, before[k])]
    assert still == []


def test_the_first_phase_trains_the_local_networks_alone(build, view) -> None:
    method = build("lgpgan")
    phase = method.phases()[0]
    before = {k: v.clone() for k, v in method.named_parameters()}
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    for step in range(5):
        method.training_step(phase, view.step_batch(phase, step, needs=method.card.needs), step)
    moved = {k.rsplit(".body", 1)[0] for k, v in method.named_parameters() if not torch.equal(v, before[k])}
    assert all("whole" not in name for name in moved)
    assert {"generator.local.eye", "generator.local.mouth", "critic.eye", "critic.mouth"} <= moved


def test_the_rate_falls_over_the_second_half_of_both_phases_together(build) -> None:
    local, joint = build("lgpgan", "paper", Problem(32, EXPRESSIONS, (), 0), width=2).phases()
    assert (local.paper_steps, joint.paper_steps) == (20_000, 180_000)
    (alone,) = build("lgpgan", "no-local").phases()
    assert (alone.paper_steps, alone.learning_rate(0, 0.5), alone.learning_rate(0, 0.75)) == (200_000, 1, 0.5)
    assert local.learning_rate(0, 0.99) == joint.learning_rate(0, 80 / 180 - 1e-6) == 1.0
    assert joint.learning_rate(0, 130 / 180) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("preset", "phases", "parts"),
    [
        ("no-local", ["joint"], []),
        ("no-eye", ["local", "joint"], ["mouth"]),
        ("no-mouth", ["local", "joint"], ["eye"]),
    ],
)
def test_an_ablation_leaves_a_region_out(preset, phases, parts, build, requests) -> None:
    method = build("lgpgan", preset, Problem(64, EXPRESSIONS, (), 0), width=4)
    assert [phase.name for phase in method.phases()] == phases
    assert list(method.generator.local) == parts
    assert list(method.critic) == [*parts, "whole"]
    assert method.synthesize(requests).shape == requests.source.shape
    assert preset in LGPGAN.preset_notes


def test_a_face_without_landmarks_is_refused(build, requests) -> None:
    unknown = replace(requests, source_landmarks=torch.full_like(requests.source_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        build("lgpgan").synthesize(unknown)


@pytest.mark.learn
def test_lgpgan_learns() -> None:
    found = learned("lgpgan", steps={"local": 50, "joint": 450})
    assert found.cosine > 0.35
    assert found.psnr > found.copy_psnr + 0.5
