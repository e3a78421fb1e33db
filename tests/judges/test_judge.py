from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.errors import DataError, WeightsError
from fesbench.judges.expression import Judge
from fesbench.judges.network import INPUT, to_input
from fesbench.judges.training import JUDGE_RECIPE, augment, one_thread, train_judge

NAMES = ("neutral", "happiness", "surprise")
QUICK = dataclasses.replace(JUDGE_RECIPE, epochs=4, batch_size=16)


def mouths(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of three mouths (line, bow, disc) on heads of random color; labels in turn."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    images = np.zeros((count, size, size, 3))
    labels = np.arange(count) % 3
    for i, label in enumerate(labels):
        x, y = columns - rng.uniform(-0.04, 0.04), rows - 0.2 - rng.uniform(-0.04, 0.04)
        line = np.abs(y) < 0.03
        bow = np.abs(y + 2 * x**2 - 0.1) < 0.04
        disc = x**2 + y**2 < 0.02
        shape = (line & (np.abs(x) < 0.2), bow & (np.abs(x) < 0.25), disc)[label]
        skin = rng.uniform(120, 220, 3)
        images[i] = np.where(shape[..., None], skin * 0.4, skin) + rng.normal(0, 6, (size, size, 3))
    return np.clip(images, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def judge() -> Judge:
    return train_judge(
        *mouths(240, 64, seed=0),
        label_names=NAMES,
        seed=1,
        validation=mouths(60, 64, seed=1),
        fingerprint="f" * 64,
        recipe=QUICK,
    )


def test_it_learns_what_is_there_to_learn(judge: Judge) -> None:
    images, labels = mouths(90, 64, seed=2)
    assert (judge.predict(images) == labels).mean() > 0.9
    assert judge.accuracy is not None
    assert judge.accuracy > 0.9
    assert judge.facts.held_out == 60
    assert judge.facts.trained_on == 240
    assert judge.facts.data_fingerprint == "f" * 64


def test_shuffled_labels_leave_chance() -> None:
    images, labels = mouths(120, 64, seed=0)
    shuffled = np.random.default_rng(0).permutation(labels)
    chance = train_judge(
        images, shuffled, label_names=NAMES, seed=0, validation=mouths(90, 64, seed=2), recipe=QUICK
    )
    assert chance.accuracy is not None
    assert chance.accuracy < 0.6


def test_features_are_probabilities_and_independent_of_the_batch(judge: Judge) -> None:
    images, _ = mouths(70, 64, seed=3)
    values, valid = judge.extract(images)
    assert values.shape == (70, 3)
    assert values.dtype == np.float32
    assert valid.all()
    assert np.allclose(values.sum(axis=1), 1, atol=1e-6)
    for rows in (slice(0, 1), slice(66, 70)):
        assert np.array_equal(judge.extract(images[rows])[0], values[rows])
    assert judge.extract(images[:0])[0].shape == (0, 3)


def test_a_mirror_image_gets_the_same_answer(judge: Judge) -> None:
    images, _ = mouths(12, 64, seed=9)
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    assert not np.array_equal(images, mirrored)
    assert np.allclose(judge.extract(images)[0], judge.extract(mirrored)[0], atol=1e-6)


def test_other_sizes_are_resized_with_antialiasing(judge: Judge) -> None:
    images, labels = mouths(60, 256, seed=4)
    assert (judge.predict(images) == labels).mean() > 0.9
    rows, columns = np.mgrid[:256, :256]
    checkers = np.repeat((((rows + columns) % 2) * 255)[None, ..., None], 3, axis=3).astype(np.uint8)
    checkers[:, :, 128:] //= 2
    # Averaged away, the checkers leave two flat halves; picked apart, they would leave noise.
    assert to_input(checkers)[0, 0, :, 8:24].std() < 0.01


def test_brightness_and_contrast_do_not_reach_the_network(judge: Judge) -> None:
    images, _ = mouths(1, 64, seed=5)
    dimmed = (images // 2 + 20).astype(np.uint8)
    assert torch.allclose(to_input(images), to_input(dimmed), atol=0.08)
    flat = np.full((1, 64, 64, 3), 77, np.uint8)
    assert to_input(flat).abs().max() < 1e-3
    assert np.isfinite(judge.extract(flat)[0]).all()


def test_training_is_a_function_of_data_and_seed_alone(judge: Judge) -> None:
    images, labels = mouths(48, 64, seed=0)
    quick = dataclasses.replace(QUICK, epochs=1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = train_judge(images, labels, label_names=NAMES, seed=7, recipe=quick)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = train_judge(images, labels, label_names=NAMES, seed=7, recipe=quick)
    other = train_judge(images, labels, label_names=NAMES, seed=8, recipe=quick)
    assert first.weights_sha256 == second.weights_sha256 != other.weights_sha256
    assert first.accuracy is None


def test_save_and_load_give_the_same_judge(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    judge.save(path)
    again = Judge.load(path)
    images, _ = mouths(20, 64, seed=6)
    assert np.array_equal(again.extract(images)[0], judge.extract(images)[0])
    assert again.facts == judge.facts
    assert again.label_names == NAMES
    assert again.signature == judge.signature == f"judge:{JUDGE_RECIPE.version}:neutral,happiness,surprise"
    assert again.cache_key == judge.cache_key
    assert path.stat().st_size < 3_000_000
    assert [p.name for p in tmp_path.iterdir()] == ["judge.safetensors"]


def test_two_judges_of_one_recipe_share_a_signature_but_no_cache(judge: Judge) -> None:
    images, labels = mouths(48, 64, seed=0)
    other = train_judge(
        images, labels, label_names=NAMES, seed=7, recipe=dataclasses.replace(QUICK, epochs=1)
    )
    assert other.signature == judge.signature
    assert other.cache_key != judge.cache_key


def _rewrite(path: Path, **changes: object) -> None:
    """Change facts in the header of a judge's file."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    facts = {**json.loads(header["__metadata__"]["judge"]), **changes}
    header["__metadata__"]["judge"] = json.dumps({k: v for k, v in facts.items() if v != "DROP"})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "cnn32-0"}, "is of recipe cnn32-0"),
        ({"seed": "DROP"}, "lacks its facts"),
        ({"extra": 1}, "lacks its facts"),
        ({"classes": ["neutral", "fear"]}, "other tensors"),
        ({"classes": []}, "other tensors|impossible facts"),
        ({"accuracy": 1.5}, "impossible facts"),
    ],
)
def test_wrong_facts_are_refused(
    judge: Judge, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    path = tmp_path / "judge.safetensors"
    judge.save(path)
    _rewrite(path, **changes)
    with pytest.raises(WeightsError, match=words):
        Judge.load(path)


def test_pickles_and_damaged_files_are_refused(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "opened"),))

    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="pickles are never opened"):
        Judge.load(path)
    torch.save(judge.network.state_dict(), path)
    with pytest.raises(WeightsError, match="pickles are never opened"):
        Judge.load(path)
    judge.save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-10]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="no whole safetensors file"):
            Judge.load(path)
    path.write_bytes(whole[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(WeightsError, match=r"not finite|other tensors"):
        Judge.load(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        Judge.load(tmp_path / "absent")


def test_bad_training_rows_is_refused() -> None:
    images, labels = mouths(6, 64, seed=0)
    with pytest.raises(DataError, match="no training image shows fear"):
        train_judge(images, labels, label_names=(*NAMES, "fear"), seed=0)
    with pytest.raises(DataError, match="got 6 and 5 labels"):
        train_judge(images, labels[:5], label_names=NAMES, seed=0)
    with pytest.raises(DataError, match="indices into the 2 classes"):
        train_judge(images, labels, label_names=NAMES[:2], seed=0)
    with pytest.raises(DataError, match="two or more different"):
        train_judge(images, labels * 0, label_names=("neutral",), seed=0)


def test_measured_on_needs_images(judge: Judge) -> None:
    with pytest.raises(DataError, match="measured on labelled images"):
        judge.measured_on(np.zeros((0, 64, 64, 3), np.uint8), np.zeros(0, int))


def test_augmentation_is_seeded_standardized_and_differs_by_image() -> None:
    batch = to_input(np.repeat(mouths(1, 64, seed=0)[0], 8, axis=0))
    first = augment(batch, JUDGE_RECIPE, torch.Generator().manual_seed(3))
    second = augment(batch, JUDGE_RECIPE, torch.Generator().manual_seed(3))
    assert torch.equal(first, second)
    assert first.shape == (8, 1, INPUT, INPUT)
    assert torch.allclose(first.mean(dim=(1, 2, 3)), torch.zeros(8), atol=1e-5)
    assert torch.allclose(first.std(dim=(1, 2, 3)), torch.ones(8), atol=1e-2)
    assert len({tuple(image.flatten()[:50].tolist()) for image in first}) == 8


def test_augmentation_flips_about_half() -> None:
    still = dataclasses.replace(
        JUDGE_RECIPE, shift=0.0, rotation=0.0, scale=0.0, contrast=0.0, soften=0.0, noise=0.0
    )
    batch = to_input(np.repeat(mouths(1, 64, seed=0)[0], 64, axis=0))
    out = augment(batch, still, torch.Generator().manual_seed(0))
    same = [torch.allclose(o, b, atol=2e-2) for o, b in zip(out, batch, strict=True)]
    mirrored = [torch.allclose(o, b.flip(-1), atol=2e-2) for o, b in zip(out, batch, strict=True)]
    assert all(s != m for s, m in zip(same, mirrored, strict=True))
    assert 16 < sum(mirrored) < 48


def test_one_and_two_threads_train_the_same_weights() -> None:
    images, labels = mouths(48, 64, seed=0)
    quick, found = dataclasses.replace(QUICK, epochs=1), set()
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            made = train_judge(images, labels, label_names=NAMES, seed=7, recipe=quick)
            assert torch.get_num_threads() == threads
            found.add(made.weights_sha256)
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_threads_are_given_back_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        1 // (torch.get_num_threads() - 1)
    assert torch.get_num_threads() == before


def test_half_precision_halves_the_file_and_loses_nothing(judge: Judge, tmp_path: Path) -> None:
    halved, path = judge.halved(), tmp_path / "judge.safetensors"
    halved.save(path, half=True)
    again = Judge.load(path)
    assert again.weights_sha256 == halved.weights_sha256 != judge.weights_sha256
    images, _ = mouths(20, 64, seed=6)
    assert np.array_equal(again.extract(images)[0], halved.extract(images)[0])
    assert np.allclose(halved.extract(images)[0], judge.extract(images)[0], atol=0.01)
    whole = tmp_path / "whole.safetensors"
    judge.save(whole)
    assert path.stat().st_size < 0.55 * whole.stat().st_size
