"""Masked regression and RegGAN's expression layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fesbench.baselines._ridge import apply_local, fit_local_ridge, inside_image
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import EXPRESSIONS


def one_pixel(source, target, y, x, window, penalty, penalize_bias=True) -> np.ndarray:
    """The card's formula, written out for one pixel of one channel: r*r weights and the bias."""
    half, size = window // 2, source.shape[1]
    places = [(y + dy, x + dx) for dy in range(-half, half + 1) for dx in range(-half, half + 1)]
    inside = [0 <= a < size and 0 <= b < size for a, b in places]
    columns = [source[:, a, b] / 255 for (a, b), ok in zip(places, inside, strict=True) if ok]
    A = np.stack([*columns, np.ones(len(source))], axis=1)
    ridge = penalty * np.eye(A.shape[1])
    if not penalize_bias:
        ridge[-1, -1] = 0
    found = np.zeros(window**2 + 1)
    found[np.append(inside, True)] = np.linalg.solve(A.T @ A + ridge, A.T @ (target[:, y, x] / 255))
    return found


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 12),
    size=st.sampled_from([5, 16, 19]),
    window=st.sampled_from([1, 3, 5, 7]),
    penalize_bias=st.booleans(),
)
def test_every_pixel_solves_its_own_ridge_problem(seed, count, size, window, penalize_bias) -> None:
    draw = np.random.default_rng(seed)
    source = draw.integers(0, 256, (count, size, size, 2), dtype=np.uint8)
    target = draw.integers(0, 256, (count, size, size, 2), dtype=np.uint8)
    weights, biases = fit_local_ridge(source, target, window=window, penalty=0.4, penalize_bias=penalize_bias)
    for y, x in [(0, 0), (size - 1, 2), (size // 2, size // 2), (1, size - 1)]:
        expected = one_pixel(source[..., 1], target[..., 1], y, x, window, 0.4, penalize_bias)
        np.testing.assert_allclose(weights[1, :, y, x], expected[:-1], atol=1e-10)
        np.testing.assert_allclose(biases[1, y, x], expected[-1], atol=1e-10)


def test_more_pairs_than_one_exact_block_are_added_up() -> None:
    draw = np.random.default_rng(0)
    source = draw.integers(200, 256, (600, 8, 8, 1), dtype=np.uint8)
    target = draw.integers(200, 256, (600, 8, 8, 1), dtype=np.uint8)
    weights, _ = fit_local_ridge(source, target, window=3, penalty=0.0)
    expected = one_pixel(source[..., 0], target[..., 0], 4, 4, 3, 0.0)
    np.testing.assert_allclose(weights[0, :, 4, 4], expected[:-1], atol=1e-9)


def test_a_known_masked_map_is_recovered() -> None:
    draw = np.random.default_rng(1)
    source = draw.integers(0, 256, (80, 12, 12, 1), dtype=np.uint8)
    # One neighbor, unscaled, is a map that 8-bit targets hold exactly: copy the pixel to the right.
    target = np.zeros_like(source)
    target[:, :, :-1] = source[:, :, 1:]
    weights, biases = fit_local_ridge(source, target, window=3, penalty=1e-9)
    expected = np.zeros((9, 12, 11))
    expected[5] = 1
    np.testing.assert_allclose(weights[0, :, :, :-1], expected, atol=1e-6)
    np.testing.assert_allclose(biases[0], 0, atol=1e-6)


def test_target_equal_to_input_gives_the_identity_up_to_shrinkage() -> None:
    draw = np.random.default_rng(2)
    source = draw.integers(0, 256, (200, 10, 10, 1), dtype=np.uint8)
    weights, _ = fit_local_ridge(source, source, window=3, penalty=0.4)
    identity = torch.zeros(9, 10, 10, dtype=torch.float64)
    identity[4] = 1
    # Independent uniform pixels have variance 1/12: the shrinkage is about penalty / (M / 12).
    assert (weights[0] - identity).abs().max() < 2 * 0.4 / (200 / 12)


def test_applying_is_the_windowed_sum() -> None:
    torch.manual_seed(0)
    image, weights, biases = torch.rand(2, 3, 6, 6), torch.randn(3, 9, 6, 6), torch.randn(3, 6, 6)
    patches = torch.nn.functional.unfold(image, 3, padding=1).reshape(2, 3, 9, 6, 6)
    expected = (patches * weights).sum(dim=2) + biases
    torch.testing.assert_close(apply_local(image, weights, biases), expected)


@pytest.mark.parametrize(("window", "expected"), [(3, 162_308), (1, 32_768), (5, 418_340)])
def test_a_channel_has_the_published_number_of_parameters(window, expected) -> None:
    assert int(inside_image(128, window).sum()) + 128**2 == expected


def test_three_channels_of_one_label_have_the_published_number(build, count) -> None:
    method = build("mr", "paper", Problem(128, ("neutral", "happiness"), (), 0))
    assert count(method) == 486_924
    all_labels = build("reggan", "paper", Problem(128, EXPRESSIONS, (), 0))
    assert count(all_labels.layer) == 7 * 486_924


def test_a_fit_reproduces_its_training_images(build, view) -> None:
    method = build("mr", penalty=1e-6)
    pairs = view.pairs(np.arange(view.n_pairs))
    made = method.layer(pairs.source.image, pairs.target.label)
    before = (pairs.source.image - pairs.target.image).abs().mean()
    assert (made - pairs.target.image).abs().mean() < 0.1 * before


def test_neutral_has_no_map_and_stays(build, requests) -> None:
    layer = build("mr").layer
    neutral = torch.zeros(len(requests), dtype=torch.int64)
    assert torch.equal(layer(requests.source, neutral), requests.source)


def test_a_compound_is_the_mean_of_its_two_images(build, requests) -> None:
    from dataclasses import replace

    method = build("mr")
    mixed = method.synthesize(replace(requests[0:1], second_label=torch.tensor([5])))
    parts = method.synthesize(requests[0:2])
    torch.testing.assert_close(mixed[0], (parts[0] + parts[1]) / 2)


def test_a_label_without_pairs_is_named(view) -> None:
    keep = view.rows[view.labels != EXPRESSIONS.index("fear")]
    part = TrainingSet(view.store, keep, view.problem, 0)
    kind = methods()["mr"]
    method = kind(view.problem, kind.presets["tiny"])
    with pytest.raises(MethodError, match="neutral -> fear"):
        method.fit(method.phases()[0], part)


def test_reggans_layer_is_mr(build, requests) -> None:
    mr, reggan = build("mr"), build("reggan")
    expected = mr.synthesize(requests)
    torch.testing.assert_close(reggan.layer.mixed(requests), expected, atol=1e-6, rtol=0)
    torch.nn.init.zeros_(reggan.refiner.last.weight)
    assert torch.equal(reggan.synthesize(requests), expected)


def test_reggans_refiner_has_its_trunk_and_gates(build, count) -> None:
    method = build("reggan", "paper", Problem(128, EXPRESSIONS, (), 0))
    assert count(method.refiner) == 2_533_440 + 5 + 2 * 49


def test_reggan_joint_goes_on_fitting_the_layer(build, view) -> None:
    from tests.factories import steps

    still, moving = build("reggan"), build("reggan", joint=True)
    weight = still.layer.weight.clone()
    steps(still, view, 5)
    steps(moving, view, 5)
    assert torch.equal(still.layer.weight, weight)
    assert not torch.equal(moving.layer.weight, weight)
