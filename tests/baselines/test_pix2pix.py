from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from fesbench.baselines._unet import BatchOfOneNorm, PatchCritic, UNet, batch_norm
from fesbench.baselines.pix2pix import jitter
from fesbench.errors import MethodError
from fesbench.methods.planes import landmark_planes


@pytest.mark.parametrize(
    ("size", "channels", "expected"),
    [
        (128, 3, 41_828_995),
        (128, 6, 41_832_067),
        (128, 11, 41_837_187),
        (256, 3, 54_413_955),
        (256, 6, 54_417_027),
    ],
)
def test_the_unet_has_the_published_size(size, channels, expected, count) -> None:
    assert count(UNet(size, channels, 64, 0.5)) == expected


@pytest.mark.parametrize(("channels", "expected"), [(6, 2_768_705), (9, 2_771_777), (14, 2_776_897)])
def test_the_patch_critic_has_the_published_size(channels, expected, count) -> None:
    assert count(PatchCritic(channels, 64)) == expected


def test_the_patch_critic_sees_70_pixels() -> None:
    logits = PatchCritic(9, 4)(torch.zeros(1, 6, 128, 128), torch.zeros(1, 3, 128, 128))
    assert logits.shape == (1, 1, 14, 14)


def test_its_norm_is_batch_norm_in_training_mode_on_a_batch_of_one() -> None:
    ours, theirs = BatchOfOneNorm(5), nn.BatchNorm2d(5).train()
    theirs.load_state_dict({**theirs.state_dict(), "weight": ours.weight, "bias": ours.bias})
    images = torch.randn(3, 5, 7, 7)
    one_by_one = torch.cat([theirs(image[None]) for image in images])
    torch.testing.assert_close(ours(images), one_by_one, atol=1e-6, rtol=1e-5)


def test_dropout_is_on_at_test_and_follows_the_requests_seed(build, requests) -> None:
    method = build("pix2pix")
    first = method.synthesize(requests)
    other = method.synthesize(replace(requests, noise_seed=requests.noise_seed + 1000))
    assert torch.equal(first, method.synthesize(requests))
    assert not torch.equal(first, other)


def test_dropout_drops_half_and_keeps_the_mean() -> None:
    net = UNet(64, 6, 4, 0.5)
    ones = torch.ones(2, 400, 8, 8)
    kept = net._drop(ones, [torch.Generator().manual_seed(k) for k in range(2)])
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert abs(kept.mean().item() - 1) < 0.02
    assert not torch.equal(kept[0], kept[1])


def test_landmarks_steer_the_output(build, requests) -> None:
    method = build("pix2pix")
    moved = replace(requests, target_landmarks=requests.target_landmarks + 3)
    assert not torch.equal(method.synthesize(requests), method.synthesize(moved))
    unknown = replace(requests, target_landmarks=torch.full_like(requests.target_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        method.synthesize(unknown)


def test_planes_are_bright_on_the_landmarks_and_dark_elsewhere(view) -> None:
    marks = view.images([0]).landmarks.round()
    planes = landmark_planes(marks, 64)
    assert planes.shape == (1, 3, 64, 64)
    groups = {0: range(36), 1: range(36, 48), 2: range(48, 68)}
    for k, members in groups.items():
        for point in members:
            x, y = marks[0, point].int().tolist()
            plane = planes[0, :2].amax(0) if k == 0 else planes[0, k]
            if 0 <= x < 64 and 0 <= y < 64:
                assert plane[y, x] > 0.9
    assert planes[0, 2, 5, 5] == -1


def test_planes_draw_the_segment_between_two_landmarks() -> None:
    marks = torch.full((1, 68, 2), 1000.0)
    marks[0, 0], marks[0, 1] = torch.tensor([10.0, 20.0]), torch.tensor([30.0, 20.0])
    plane = landmark_planes(marks, 64)[0, 0]
    torch.testing.assert_close(plane[20, 10:31], torch.ones(21))
    assert plane[25, 20] < -0.99
    assert plane[20, 5] < -0.99


def test_jitter_moves_image_and_landmarks_alike() -> None:
    torch.manual_seed(0)
    axis = torch.arange(64.0)
    source = torch.exp(-((axis[:, None] - 30) ** 2 + (axis[None] - 22) ** 2) / 18)[None, None].repeat(
        4, 3, 1, 1
    )
    marks = torch.tensor([22.0, 30.0]).expand(4, 68, 2)
    x, y, moved = jitter(source, -source, marks, 286 / 256)
    torch.testing.assert_close(x, -y)
    assert len(moved[:, 0].unique(dim=0)) > 1
    for image, (px, py) in zip(x[:, 0], moved[:, 0], strict=True):
        row, column = divmod(int(image.argmax()), 64)
        assert abs(column - px) <= 0.6
        assert abs(row - py) <= 0.6


def test_batch_norm_keeps_the_published_sizes(count) -> None:
    assert count(UNet(128, 6, 64, norm=batch_norm)) == count(UNet(128, 6, 64))
    assert count(PatchCritic(9, 64, norm=batch_norm)) == count(PatchCritic(9, 64))


def test_dropout_in_training_acts_on_the_chosen_levels_alone() -> None:
    def spread(**options) -> float:
        net = UNet(64, 3, 4, 0.5, **options).train()
        image = torch.randn(1, 3, 64, 64)
        return (net(image) - net(image)).abs().max().item()

    assert spread() > 1e-4
    assert spread(dropped=[4]) > 1e-4
    assert spread(dropped=[]) == 0
    assert torch.equal(*(net(torch.ones(1, 3, 32, 32)) for net in [UNet(32, 3, 4, 0.5).eval()] * 2))


def test_a_size_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(MethodError, match="power of two"):
        UNet(96, 6, 4, 0.5)
