"""G2-GAN: published sizes, removal before synthesis, the terms of its loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fesbench.baselines.g2gan import gray_crops, heat_map
from fesbench.errors import MethodError
from fesbench.extractors.lightcnn import gray_crop, light_cnn_29_v2
from fesbench.methods.card import Problem
from fesbench.methods.planes import heat_maps
from fesbench.methods.registry import methods
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import draw_face, random_helpers

HAPPINESS = EXPRESSIONS.index("happiness")


def test_its_networks_have_the_published_sizes(build, count) -> None:
    with torch.device("meta"):
        method = build("g2gan", "paper", Problem(128, EXPRESSIONS, (), 0))
    assert [count(network) for network in method.generator.values()] == [41_830_019] * 2
    assert [count(network) for network in method.critic.values()] == [2_769_729] * 2
    assert count(method) == 89_199_496
    planes, image = (torch.zeros(1, channels, 128, 128, device="meta") for channels in (4, 3))
    assert method.critic["add"](planes, image).shape == (1, 1, 14, 14)
    assert method.generator["add"](planes).shape == (1, 3, 128, 128)


def test_the_heat_map_is_bright_at_each_landmark_alone() -> None:
    marks = torch.full((1, 68, 2), 20.0)
    marks[0, 48], marks[0, 54] = torch.tensor([30.0, 90.0]), torch.tensor([80.0, 70.0])
    plane = heat_map(marks, 128, 2 / 128)[0, 0]
    assert plane[90, 30] == plane[70, 80] == plane[20, 20] == 1
    assert plane[90, 32] == pytest.approx(2 * np.exp(-0.5) - 1, abs=1e-5)
    assert plane[60, 60] == -1
    torch.testing.assert_close(plane, 2 * heat_maps(marks, 128, 2.0).amax(1)[0] - 1)


def test_gray_crops_are_those_of_the_recognizer() -> None:
    drawn = [draw_face(who, "happiness", 96) for who in range(3)]
    images = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image, _ in drawn]).float()
    marks = torch.from_numpy(np.stack([landmarks for _, landmarks in drawn]))
    crops = gray_crops(images / 127.5 - 1, marks)
    for ours, (image, landmarks) in zip(crops[:, 0].numpy(), drawn, strict=True):
        np.testing.assert_allclose(ours, gray_crop(image, landmarks), atol=1e-4)


def test_a_neutral_source_is_taken_as_it_is_and_any_other_is_made_neutral_first(build, requests) -> None:
    method, size = build("g2gan").eval(), 64
    own = heat_map(requests.source_landmarks, size, 2 / 128)
    wanted = heat_map(requests.target_landmarks, size, 2 / 128)

    def synthesized(label: int) -> torch.Tensor:
        return method.synthesize(
            replace(requests, source_label=torch.full_like(requests.source_label, label))
        )

    with torch.no_grad():
        bare = method.generator["remove"](torch.cat([requests.source, own], 1))
        direct = method.generator["add"](torch.cat([requests.source, wanted], 1))
        through = method.generator["add"](torch.cat([bare, wanted], 1))
    assert (direct - through).abs().max() > 1e-3
    torch.testing.assert_close(synthesized(0), direct)
    torch.testing.assert_close(synthesized(HAPPINESS), through)
    torch.testing.assert_close(synthesized(-1), through)
    neutral = replace(requests, target_label=torch.zeros_like(requests.target_label))
    assert torch.equal(method.synthesize(neutral), requests.source)
    shown = replace(neutral, source_label=torch.full_like(neutral.source_label, HAPPINESS))
    torch.testing.assert_close(method.synthesize(shown), bare)


def test_unknown_landmarks_are_refused(build, requests) -> None:
    unknown = replace(requests, source_landmarks=torch.full_like(requests.source_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        build("g2gan").synthesize(unknown)


def test_every_term_of_the_loss_is_that_of_the_card(build, view) -> None:
    method = build("g2gan", jitter=1.0)
    method.generator.eval()
    batch = view.pairs(np.arange(3))
    sent: list[tuple[str, torch.Tensor]] = []
    method.descend = lambda name, loss: sent.append((name, loss.detach()))
    found = method.training_step(method.phases()[0], batch, 0)
    neutral, shown = batch.source.image, batch.target.image
    heat = heat_map(batch.target.landmarks, 64, 2 / 128)

    def make(name, image):
        return method.generator[name](torch.cat([image, heat], 1))

    def entropy(name, given, image, truth):
        logits = method.critic[name](torch.cat([given, heat], 1), image)
        return -(logits if truth else -logits).sigmoid().log().mean()

    with torch.no_grad():
        made, bare = make("add", neutral), make("remove", shown)
        pixel = (made - shown).abs().mean() + (bare - neutral).abs().mean()
        cycle = (make("remove", made) - neutral).abs().mean() + (make("add", bare) - shown).abs().mean()
        fooled = entropy("add", neutral, made, True) + entropy("remove", shown, bare, True)
        critic = (
            entropy("add", neutral, shown, True)
            + entropy("add", neutral, made, False)
            + entropy("remove", shown, neutral, True)
            + entropy("remove", shown, bare, False)
        ) / 2
    torch.testing.assert_close(found["generator_pixel"], pixel)
    torch.testing.assert_close(found["generator_cycle"], cycle)
    assert [name for name, _ in sent] == ["critic", "generator"]
    torch.testing.assert_close(sent[0][1], critic)
    torch.testing.assert_close(sent[1][1], fooled + 10 * pixel + 5 * cycle)


def test_the_identity_term_reaches_the_generators_through_light_cnn(build, view) -> None:
    method = build("g2gan", identity_weight=0.1, jitter=1.0)
    method.helpers.load_with(random_helpers(0))
    batch = view.pairs(np.arange(1))
    method.bind(method.optimizers(method.phases()[0]), torch.Tensor.backward)
    found = method.training_step(method.phases()[0], batch, 0)
    assert found["generator_identity"] > 0
    recognizer = method.helper("lightcnn-29-v2")
    assert all(p.grad is None for p in recognizer.parameters())
    made = batch.target.image.clone().requires_grad_()
    recognizer(gray_crops(made, batch.target.landmarks)).abs().sum().backward()
    assert made.grad.abs().max() > 0


def test_only_the_papers_preset_needs_the_recognizer() -> None:
    kind = methods()["g2gan"]
    used = {name: kind.helpers_of(hyper) for name, hyper in kind.presets.items()}
    assert used == {"paper": ("lightcnn-29-v2",), "paper-noid": (), "tiny": ()}
    paper, without = kind.presets["paper"], kind.presets["paper-noid"]
    assert without == replace(paper, identity_weight=0.0)


def test_the_recognizer_takes_its_published_checkpoint(build) -> None:
    network = build("g2gan").build_helper("lightcnn-29-v2")
    own = light_cnn_29_v2().state_dict()
    saved = {f"module.{name}": value for name, value in own.items()} | {
        "module.fc2.weight": torch.ones(3, 256)
    }
    network.load_state_dict({"epoch": 1, "arch": "LightCNN", "state_dict": saved})
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())


@pytest.mark.learn
def test_g2gan_learns() -> None:
    found = learned("g2gan", steps={"adversarial": 600})
    assert found.cosine > 0.5
    assert found.psnr > found.copy_psnr + 1
