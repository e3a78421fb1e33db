"""CAFP-GAN: its sizes, what its networks see and learn from, and that intensity leads away from the face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fesbench.baselines.gafpgan import CAFPGAN, PARTS, UNet
from fesbench.errors import MethodError
from fesbench.methods.batches import PairBatch
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.planes import PARSING, parsing_planes
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import random_helpers


def test_it_has_the_chosen_size(build, count) -> None:
    method = build("gafpgan", "paper", Problem(128, EXPRESSIONS, (), 0))
    assert count(method.parser) == 29_277_898
    assert count(method.painter) == 29_263_555
    sizes = [count(critic) for critic in (*method.map_critics.values(), *method.critics.values())]
    assert sizes == [2_762_561 + 1024 * channels for channels in (3 + 10, 8 + 10, 3 + 3, 10 + 3)]


@pytest.mark.parametrize(("size", "inner"), [(32, 2), (64, 2), (128, 2), (192, 3)])
def test_its_unets_go_down_to_two_by_two(size, inner) -> None:
    net, seen = UNet(size, 4, 5, 2), []
    net.down[-1].register_forward_hook(lambda module, given, made: seen.append(made.shape[-1]))
    assert net(torch.zeros(2, 4, size, size)).shape == (2, 5, size, size)
    assert seen == [inner]


@pytest.mark.parametrize("size", [8, 100, 160])
def test_a_size_that_the_levels_do_not_divide_is_refused(size) -> None:
    with pytest.raises(MethodError, match="U-Net of CAFP-GAN needs an image size"):
        UNet(size, 4, 5, 2)


def test_a_pair_becomes_parts_and_a_condition_as_strong_as_its_target(build, view) -> None:
    batch = view.pairs(np.arange(14))
    weak = torch.linspace(0.1, 1, 14)
    batch = PairBatch(batch.source, replace(batch.target, intensity=weak))
    sample = build("gafpgan", resting=0.0)._sample(batch)
    assert torch.equal(sample.image, batch.target.image)
    assert torch.equal(sample.parts, parsing_planes(batch.source.landmarks, 64))
    assert torch.equal(sample.wanted, parsing_planes(batch.target.landmarks, 64))
    assert not torch.equal(sample.parts, sample.wanted)
    torch.testing.assert_close(sample.condition.sum(1), weak)
    assert torch.equal(sample.condition.argmax(1), batch.target.label)


def test_a_resting_pair_is_the_neutral_start_of_its_sequence(build, view) -> None:
    batch = view.pairs(np.arange(14))
    sample = build("gafpgan", resting=1.0)._sample(batch)
    assert torch.equal(sample.image, batch.source.image)
    assert torch.equal(sample.wanted, sample.parts)
    assert not sample.condition.any()
    torch.manual_seed(0)
    method = build("gafpgan", resting=0.25)
    share = np.mean([float((method._sample(batch).condition.sum(1) == 0).float().mean()) for _ in range(60)])
    assert share == pytest.approx(0.25, abs=0.05)


def test_each_phase_trains_what_it_is_said_to_train(build, view) -> None:
    method, moved = build("gafpgan"), {}
    for phase in method.phases():
        before = {k: v.clone() for k, v in method.named_parameters()}
        method.bind(method.optimizers(phase), torch.Tensor.backward)
        for step in range(2):
            method.training_step(phase, view.step_batch(phase, step, needs=method.card.needs), step)
        moved[phase.name] = {k.split(".")[0] for k, v in method.named_parameters() if not v.equal(before[k])}
    assert moved == {
        "parsing": {"parser", "map_critics"},
        "painting": {"painter", "critics"},
        "joint": {"parser", "painter", "critics"},
    }


def test_the_parser_learns_on_at_a_tenth_of_the_rate(build) -> None:
    method = build("gafpgan")
    painter = method.optimizers(method.phases()[2])["painter"]
    rates = {id(p): group["lr"] for group in painter.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in method.painter.parameters()} == {5e-4}
    assert [rates[id(p)] for p in method.parser.parameters()] == pytest.approx(
        [5e-5] * len(list(method.parser.parameters()))
    )


def test_the_target_s_own_landmarks_are_not_looked_at(build, requests) -> None:
    method = build("gafpgan")
    hidden = replace(requests, target_landmarks=torch.full_like(requests.target_landmarks, torch.nan))
    assert torch.equal(method.synthesize(requests), method.synthesize(hidden))
    unknown = replace(requests, source_landmarks=torch.full_like(requests.source_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        method.synthesize(unknown)


def test_without_intensity_no_label_is_seen(build, requests) -> None:
    method = build("gafpgan")
    still = method.synthesize(replace(requests, intensity=torch.zeros(6)))
    torch.testing.assert_close(still[0], still[1], atol=1e-6, rtol=0)
    moved = method.synthesize(requests)
    assert (moved[0] - moved[1]).abs().max() > 1e-3


def test_the_identity_term_is_light_cnn_s_and_a_preset_leaves_it_out(view) -> None:
    problem = Problem(64, EXPRESSIONS, (), 0)
    helped = CAFPGAN(problem, replace(CAFPGAN.presets["paper"], width=2))
    helped.helpers.load_with(random_helpers(0))
    phase = helped.phases()[1]
    helped.bind(helped.optimizers(phase), torch.Tensor.backward)
    losses = helped.training_step(phase, view.pairs(np.arange(2)), 0)
    assert losses["identity"] > 0
    assert CAFPGAN.helpers_of(CAFPGAN.presets["paper"]) == ("lightcnn-29-v2",)
    for preset in ("paper-noid", "tiny"):
        assert CAFPGAN.helpers_of(CAFPGAN.presets[preset]) == ()
        assert "lightcnn-29-v2" in CAFPGAN.preset_note(preset)


@pytest.mark.learn
def test_gafpgan_learns() -> None:
    found = learned("gafpgan", steps={"parsing": 400, "painting": 600, "joint": 200}, levels=(0.35, 0.7))
    assert found.cosine > 0.6
    assert found.psnr > found.copy_psnr + 3
    view, method = found.view, found.method
    neutral = sorted(set(view.pair_rows[:, 0].tolist()))
    requests = label_requests(view, np.array(neutral), [2])
    apart, mouths = [], []
    parts = parsing_planes(requests.source_landmarks, 32)
    for level in (0.0, 0.5, 1.0):
        asked = replace(requests, intensity=torch.full_like(requests.intensity, level))
        apart.append(float((method.answer(asked) - requests.source).abs().mean()))
        with torch.no_grad():
            condition = torch.eye(3)[asked.target_label] * level
            made = method.predicted(requests.source, parts, condition).softmax(1)
        lips = [PARSING.index(name) for name in ("upper_lip", "lower_lip", "mouth")]
        mouths.append(float(made[:, lips].sum((1, 2, 3)).mean()))
    assert apart[0] < 0.05, "without intensity it gives the face back"
    assert apart[0] < apart[1] < apart[2]
    assert mouths[0] < mouths[1] < mouths[2], "surprise opens the mouth"
    assert made.shape[1] == PARTS
