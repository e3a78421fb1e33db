"""cGAN-P1: its sizes, what its fusion module must do with landmarks, and that both modules learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fesbench.baselines.cganp1 import ModifiedUNet, between_eyes, drawn, drivers, normalized
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.methods.planes import landmark_planes
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned


def test_it_has_the_chosen_size(build, count) -> None:
    method = build("cganp1", "paper", Problem(128, EXPRESSIONS, (), 0))
    assert count(method.fusion) == 338_824
    assert count(method.generator) == 26_050_627
    assert count(method.critic) == 2_768_833


@pytest.mark.parametrize(("size", "inner"), [(32, 2), (64, 2), (128, 2), (192, 3)])
def test_the_unet_goes_down_to_two_by_two(size, inner) -> None:
    net, seen = ModifiedUNet(size, 4, 2, 0.0), []
    net.bottleneck.register_forward_hook(lambda module, given, made: seen.append(made.shape[-1]))
    assert net(torch.zeros(2, 4, size, size)).shape == (2, 3, size, size)
    assert seen == [inner]


@pytest.mark.parametrize("size", [8, 100, 160])
def test_a_size_that_the_levels_do_not_divide_is_refused(size) -> None:
    with pytest.raises(MethodError, match="modified U-Net needs an image size"):
        ModifiedUNet(size, 4, 2, 0.0)


def test_the_discriminator_has_spectral_norm_one_and_sees_14x14_patches(build, view) -> None:
    method = build("cganp1", "tiny", Problem(128, EXPRESSIONS, (), 0))
    planes, image = torch.randn(2, 4, 128, 128), torch.randn(2, 3, 128, 128)
    for _ in range(30):
        logits = method.critic(planes, image)
    assert logits.shape == (2, 1, 14, 14)
    convolutions = [layer for layer in method.critic.body if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 5
    for layer in convolutions:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert float(largest) == pytest.approx(1.0, abs=0.05)


def test_landmarks_are_normalized_against_place_and_scale_of_a_face(view) -> None:
    marks = view.images(np.array([0, 12])).landmarks
    torch.testing.assert_close(normalized(marks * 3 + 7), normalized(marks), atol=1e-4, rtol=0)
    found = normalized(marks).unflatten(1, (68, 2))
    torch.testing.assert_close(found.mean(1), torch.zeros(2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(between_eyes(found), torch.ones(2, 1, 1))


def test_an_untrained_fusion_keeps_the_face_s_own_landmarks(build, requests) -> None:
    fusion = build("cganp1").fusion
    face, driver = requests.source_landmarks, requests.target_landmarks
    assert torch.equal(fusion(driver, face), face)
    torch.nn.init.constant_(fusion.decoder[-1].bias, 0.1)
    moved = fusion(driver, face) - face
    torch.testing.assert_close(moved, (0.1 * between_eyes(face)).expand_as(face), atol=1e-4, rtol=0)


def test_a_drawing_holds_all_lines_in_one_plane(requests) -> None:
    marks = requests.source_landmarks[:1]
    plane = drawn(marks, 64)
    assert plane.shape == (1, 1, 64, 64)
    assert torch.equal(plane, landmark_planes(marks, 64).amax(1, keepdim=True))


def test_a_driver_is_another_subject_with_the_expression_where_there_is_one(view) -> None:
    batch = view.images(np.arange(24))  # three subjects in eight expressions
    alone = view.images(np.array([0, 1, 2]))
    assert torch.equal(drivers(alone), alone.landmarks)
    torch.manual_seed(0)
    met = set()
    for _ in range(20):
        found = drivers(batch)
        for row in range(24):
            fits = [k for k in range(24) if torch.equal(batch.landmarks[k], found[row])]
            assert fits
            assert all(k % 8 == row % 8 and k != row for k in fits)
            met |= {(row, k) for k in fits}
    assert len(met) == 48, "both other subjects serve"


def test_each_phase_trains_its_module_alone(build, view) -> None:
    method, moved = build("cganp1"), {}
    for phase in method.phases():
        before = {k: v.clone() for k, v in method.named_parameters()}
        method.bind(method.optimizers(phase), torch.Tensor.backward)
        for step in range(2):
            method.training_step(phase, view.step_batch(phase, step, needs=method.card.needs), step)
        moved[phase.name] = {k.split(".")[0] for k, v in method.named_parameters() if not v.equal(before[k])}
    networks = {"generator", "critic"}
    assert moved == {"fusion": {"fusion"}, "transfer": networks, "fused": networks}
    # While the generator is as it was drawn, its images tell nothing of a collapse.
    assert [phase.probed for phase in method.phases()] == [False, True, True]


def test_unknown_landmarks_are_refused(build, requests) -> None:
    method = build("cganp1")
    for name in ("source_landmarks", "target_landmarks"):
        unknown = replace(requests, **{name: torch.full_like(requests.source_landmarks, torch.nan)})
        with pytest.raises(MethodError, match="landmarks are not known"):
            method.answer(unknown)


@pytest.mark.learn
def test_cganp1_learns() -> None:
    found = learned("cganp1", steps={"fusion": 400, "transfer": 800, "fused": 40})
    assert found.cosine > 0.5
    assert found.psnr > found.copy_psnr + 1
    # Fused landmarks are nearer to the truth than the face's own, and than the driver's with its other shape.
    pairs, method = found.view.pairs(np.arange(found.view.n_pairs)), found.method
    face, truth, driver = pairs.source.landmarks, pairs.target.landmarks, drivers(pairs.target)
    with torch.no_grad():
        fused, still = method.fusion(driver, face), method.fusion.deviation(face, face)

    def error(landmarks: torch.Tensor) -> float:
        return float(((landmarks - truth).norm(dim=-1) / between_eyes(truth)[..., 0]).mean())

    assert error(fused) < 0.5 * min(error(face), error(driver))
    assert still.norm(dim=-1).mean() < 0.03
    # A face that is asked for its own landmarks comes back, and expressions move the mouth, not the forehead.
    mouth, forehead = found.made[:, :, :, 22:28, 11:21], found.made[:, :, :, 4:8, 11:21]
    assert (mouth[:, 0] - mouth[:, 1]).abs().mean() > 1.5 * (forehead[:, 0] - forehead[:, 1]).abs().mean()
