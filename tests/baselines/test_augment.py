"""Random views: nothing to draw leaves images as they are, and what is drawn is what was asked for."""

from __future__ import annotations

import pytest
import torch

from fesbench.baselines._augment import color_jitter, random_window, warp


@pytest.fixture
def images() -> torch.Tensor:
    axis = torch.linspace(-1, 1, 16)
    return torch.stack([axis.expand(16, 16), axis[:, None].expand(16, 16), torch.full((16, 16), 0.2)])[None]


def test_no_change_is_the_image(images) -> None:
    same = warp(images, scale=(1.0, 1.0), degrees=0, shift=0)
    torch.testing.assert_close(same, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        color_jitter(images, brightness=0, contrast=0, hue=0), images, atol=1e-5, rtol=0
    )
    found, offsets = random_window(images, 1.0)
    assert not offsets.any()
    torch.testing.assert_close(found, images, atol=1e-5, rtol=0)


def test_a_window_lies_where_it_says(images) -> None:
    torch.manual_seed(0)
    found, offsets = random_window(images.expand(20, -1, -1, -1), 1.5)
    assert found.shape == (20, 3, 16, 16)
    assert offsets.min() >= 0
    assert offsets.max() == 8
    # the first plane grows to the right, the second downwards: a window further on is brighter
    order = offsets[:, 0].argsort()
    assert (found[order, 0].mean(dim=(1, 2)).diff() >= -1e-6).all()


def test_larger_faces_are_stretched_and_a_shift_moves(images) -> None:
    torch.manual_seed(0)
    wide = warp(images, scale=(2.0, 2.0), degrees=0, shift=0)
    torch.testing.assert_close(wide[0, 0, 8], images[0, 0, 8] / 2, atol=0.05, rtol=0)
    moved = [float(warp(images, scale=(1, 1), degrees=0, shift=0.25)[0, 0, 8, 8]) for _ in range(20)]
    assert max(moved) - min(moved) > 0.3
    assert max(map(abs, moved)) < 0.6


def test_a_turn_of_the_hue_keeps_gray_and_luma(images) -> None:
    gray = images[:, 2:].expand(-1, 3, -1, -1)
    turned = color_jitter(gray, brightness=0, contrast=0, hue=0.2)
    torch.testing.assert_close(turned, gray, atol=2e-3, rtol=0)
    torch.manual_seed(1)
    color = 0.3 * images
    found = color_jitter(color, brightness=0, contrast=0, hue=0.2)
    assert (found - color).abs().max() > 0.05
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    torch.testing.assert_close((found * weights).sum(1), (color * weights).sum(1), atol=2e-3, rtol=0)


def test_light_and_contrast_stay_in_their_range(images) -> None:
    torch.manual_seed(0)
    flat = torch.zeros(50, 3, 8, 8)
    light = color_jitter(flat, brightness=0.5, contrast=0, hue=0)[:, 0, 0, 0]
    assert light.min() >= -0.5
    assert light.max() <= 0.5
    assert light.std() > 0.1
    spread = color_jitter(0.3 * images.expand(50, -1, -1, -1), brightness=0, contrast=0.5, hue=0)
    ratio = spread[:, 0].std(dim=(1, 2)) / (0.3 * images[:, 0]).std()
    assert ratio.min() >= 0.49
    assert ratio.max() <= 1.51
