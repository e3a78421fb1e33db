"""Clip judges: what they learn, of what they are a function, their way to a file, their panel."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.errors import DataError, WeightsError
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, CLIP_MEMBERS
from fesbench.judges.clip_training import CLIP_RECIPE, train_clip_judge
from fesbench.judges.clips import LEAST, PARTS, STEPS, WIDTH, ClipJudge, ClipNetwork, ClipPanel, to_series
from fesbench.metrics.distribution.frechet_math import frechet_distance

NAMES = ("neutral", "happiness", "surprise")
QUICK = dataclasses.replace(CLIP_RECIPE, steps=80)


def developments(count: int, seed: int, frames: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """What a judge of images says of clips from neutral to a class: (N, T, 3), labels in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    time = np.linspace(0, 1, frames)
    onset = 1 / (1 + np.exp(-12 * (time[None] - rng.uniform(0.3, 0.6, (count, 1)))))
    logits = np.zeros((count, frames, 3))
    logits[..., 0] = 3 * (1 - onset)
    logits[np.arange(count), :, labels] += 4 * onset
    logits += rng.normal(0, 0.5, logits.shape)
    raised = np.exp(logits)
    return (raised / raised.sum(axis=2, keepdims=True)).astype(np.float32), labels


def trained(seed: int = 0, frames: str = "f" * 64, count: int = 90) -> ClipJudge:
    answers, labels = developments(count, seed=1)
    return train_clip_judge(
        answers, labels, label_names=NAMES, frames=frames, seed=seed, fingerprint="d" * 64, recipe=QUICK
    )


@pytest.fixture(scope="module")
def judge() -> ClipJudge:
    return trained()


def test_series_are_logarithms_at_equal_times_by_hand() -> None:
    answers = np.array([[[1.0, 0.0], [0.5, 0.5], [0.01, 0.99]]])
    found = to_series(answers)
    assert found.shape == (1, 2, STEPS)
    assert found[0, :, 0] == pytest.approx([0, np.log(LEAST)])
    assert found[0, :, -1] == pytest.approx(np.log([0.01, 0.99]))
    # a third of 15 steps is 5, two thirds of a frame's way of 2
    between = np.log(1.0) / 3 + 2 / 3 * np.log(0.5)
    assert found[0, 0, 5] == pytest.approx(between, rel=1e-6)
    same = developments(3, seed=4)[0]
    assert to_series(same) == pytest.approx(np.log(np.clip(same, LEAST, 1)).transpose(0, 2, 1), abs=1e-6)


def test_the_network_is_its_definition() -> None:
    torch.manual_seed(0)
    network = ClipNetwork(2, 3).eval()
    network.mean.copy_(torch.tensor([[0.5], [-1.0]]))
    network.deviation.copy_(torch.tensor([[2.0], [0.5]]))
    series = np.random.default_rng(0).normal(size=(2, STEPS)).astype(np.float32)
    x = (series - [[0.5], [-1.0]]) / [[2.0], [0.5]]
    for layer in (network.blocks[0], network.blocks[2]):
        padded = np.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        x = np.stack(
            [np.einsum("oik,ik->o", weight, padded[:, t : t + 3]) + bias for t in range(STEPS)], axis=1
        )
        x = np.maximum(x, 0)
    parts = np.stack([x[:, part].mean(axis=1) for part in np.split(np.arange(STEPS), PARTS)], axis=1)
    with torch.no_grad():
        found = network.features(torch.from_numpy(series)[None])[0].numpy()
    assert found == pytest.approx(parts.reshape(-1), abs=1e-5)


def test_it_learns_and_order_counts(judge: ClipJudge) -> None:
    answers, labels = developments(90, seed=2)
    seen, features = judge.read(answers)
    assert (seen.argmax(axis=1) == labels).mean() > 0.9
    assert seen.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert features.shape == (90, PARTS * WIDTH)
    backward, others = judge.read(answers[:, ::-1])[1], judge.read(developments(90, seed=5)[0])[1]
    assert frechet_distance(backward, features) > 10 * frechet_distance(others, features)
    # at another length it is the same clip
    longer = developments(90, seed=2, frames=31)
    assert (judge.read(longer[0])[0].argmax(axis=1) == longer[1]).mean() > 0.9


def test_answers_do_not_depend_on_the_batch(judge: ClipJudge) -> None:
    answers, _ = developments(70, seed=3)
    whole = judge.read(answers)
    for rows in (slice(0, 1), slice(66, 70)):
        for part, all_of_them in zip(judge.read(answers[rows]), whole, strict=True):
            assert np.array_equal(part, all_of_them[rows])


def test_training_is_a_function_of_data_and_seed_alone(judge: ClipJudge) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        again = trained()
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)
    assert again.weights_sha256 == judge.weights_sha256 != trained(seed=1).weights_sha256


def test_a_file_gives_the_same_judge_and_damaged_ones_are_refused(judge: ClipJudge, tmp_path: Path) -> None:
    path = tmp_path / "clip-judge.safetensors"
    judge.save(path)
    again = ClipJudge.load(path)
    answers, _ = developments(9, seed=6)
    assert all(np.array_equal(a, b) for a, b in zip(again.read(answers), judge.read(answers), strict=True))
    assert again.facts == judge.facts
    assert again.signature == f"clip-judge:{CLIP_RECIPE.version}:neutral,happiness,surprise"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        ClipJudge.load(path)
    path.write_bytes(whole.replace(b"clip-conv-1", b"clip-conv-0"))
    with pytest.raises(WeightsError, match="is of recipe clip-conv-0"):
        ClipJudge.load(path)
    path.write_bytes(whole.replace(b'\\"inputs\\": 3', b'\\"inputs\\": 4'))
    with pytest.raises(WeightsError, match="other tensors"):
        ClipJudge.load(path)


def test_lessons_that_do_not_fit_are_refused() -> None:
    answers, labels = developments(9, seed=0)
    given = {"frames": "", "seed": 0, "recipe": QUICK}
    with pytest.raises(DataError, match="got 9 and 8 labels"):
        train_clip_judge(answers, labels[:8], label_names=NAMES, **given)
    with pytest.raises(DataError, match="it has neutral 3, happiness 3, surprise 3, fear 0"):
        train_clip_judge(answers, labels, label_names=(*NAMES, "fear"), **given)
    with pytest.raises(DataError, match="two or more classes"):
        train_clip_judge(answers, labels * 0, label_names=NAMES[:1], **given)


def test_a_panel_reads_each_judge_of_images_by_its_own_member(judge: ClipJudge) -> None:
    other = trained(seed=1, frames="e" * 64)
    panel = ClipPanel([judge, other])
    first, second = developments(6, seed=7)[0], developments(6, seed=8)[0]
    answers = np.concatenate([first, second], axis=2)
    (a, x), (b, y) = judge.read(first), other.read(second)
    assert np.array_equal(panel.read(CLIP_MEMBERS, answers), np.concatenate([a, b], axis=1))
    assert panel.read(CLIP_JUDGE, answers) == pytest.approx((a + b) / 2)
    assert np.array_equal(panel.read(CLIP_FEATURES, answers), np.concatenate([x, y], axis=1))
    assert (panel.judges.members, panel.judges.data) == (2, "d" * 8)
    # the digest tells judges of images apart as well
    assert ClipPanel([judge, trained(seed=1)]).digest != panel.digest
    with pytest.raises(WeightsError, match="differ in their seeds"):
        ClipPanel([judge, judge])
    with pytest.raises(WeightsError, match="trained on the same clips"):
        ClipPanel([judge, trained(seed=1, count=60)])
