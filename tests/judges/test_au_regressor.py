from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.errors import DataError, UsageError, WeightsError
from fesbench.extractors.registry import extractor
from fesbench.judges.action_units import ActionUnitRegressor, correlations
from fesbench.judges.training import REGRESSOR_RECIPE, train_regressor

UNITS = (12, 26)
QUICK = dataclasses.replace(REGRESSOR_RECIPE, steps=80, batch_size=16, learning_rate=6e-3)


def mouths(count: int, seed: int, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Images of mouths that bend (AU12) and open (AU26) by levels in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    levels = rng.uniform(0, 1, (count, 2)).astype(np.float32)
    images = np.zeros((count, size, size, 3))
    for i, (bend, opening) in enumerate(levels):
        y = rows - 0.15 + bend * 2 * columns**2
        shape = (np.abs(y) < 0.02 + 0.12 * opening) & (np.abs(columns) < 0.25)
        skin = rng.uniform(120, 220, 3)
        images[i] = np.where(shape[..., None], skin * 0.4, skin) + rng.normal(0, 6, (size, size, 3))
    return np.clip(images, 0, 255).astype(np.uint8), levels


@pytest.fixture(scope="module")
def regressor() -> ActionUnitRegressor:
    images, coded = mouths(240, seed=0)
    coded[:20, 1] = np.nan  # not every image codes every unit
    return train_regressor(
        images, coded, units=UNITS, seed=1, held_out=mouths(60, seed=1), fingerprint="f" * 64, recipe=QUICK
    )


def test_it_learns_what_is_there_to_learn(regressor: ActionUnitRegressor) -> None:
    images, coded = mouths(80, seed=2)
    measured = regressor.extract(images)[0]
    assert min(np.corrcoef(measured[:, k], coded[:, k])[0, 1] for k in range(2)) > 0.8
    assert regressor.mean_correlation is not None
    assert regressor.mean_correlation > 0.8
    assert (regressor.facts.held_out, regressor.facts.trained_on) == (60, 240)
    assert regressor.classes == ("AU12", "AU26")


def test_levels_lie_in_range_and_do_not_depend_on_the_batch(regressor: ActionUnitRegressor) -> None:
    images, _ = mouths(70, seed=3)
    values, valid = regressor.extract(images)
    assert values.shape == (70, 2)
    assert values.dtype == np.float32
    assert valid.all()
    assert ((values >= 0) & (values <= 1)).all()
    for rows in (slice(0, 1), slice(66, 70)):
        assert np.array_equal(regressor.extract(images[rows])[0], values[rows])
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    assert np.allclose(regressor.extract(mirrored)[0], values, atol=1e-6)
    assert regressor.extract(images[:0])[0].shape == (0, 2)


def test_training_is_a_function_of_data_and_seed_alone() -> None:
    images, coded = mouths(48, seed=0)
    quick = dataclasses.replace(QUICK, steps=4)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = train_regressor(images, coded, units=UNITS, seed=7, recipe=quick)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = train_regressor(images, coded, units=UNITS, seed=7, recipe=quick)
    other = train_regressor(images, coded, units=UNITS, seed=8, recipe=quick)
    assert first.weights_sha256 == second.weights_sha256 != other.weights_sha256
    assert first.cache_key != other.cache_key
    assert first.signature == other.signature == f"au-regressor:{QUICK.version}:12,26"
    assert first.mean_correlation is None


def test_save_and_load_give_the_same_regressor(regressor: ActionUnitRegressor, tmp_path: Path) -> None:
    path = tmp_path / "au-regressor.safetensors"
    regressor.save(path)
    again = ActionUnitRegressor.load(path)
    images, _ = mouths(20, seed=6)
    assert np.array_equal(again.extract(images)[0], regressor.extract(images)[0])
    assert again.facts == regressor.facts
    assert again.cache_key == regressor.cache_key
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def _rewrite(path: Path, **changes: object) -> None:
    """Change facts in the header of a regressor's file."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    facts = {**json.loads(header["__metadata__"]["au-regressor"]), **changes}
    header["__metadata__"]["au-regressor"] = json.dumps({k: v for k, v in facts.items() if v != "DROP"})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "cnn32-0"}, "is of recipe cnn32-0"),
        ({"seed": "DROP"}, "lacks its facts"),
        ({"extra": 1}, "lacks its facts"),
        ({"units": [1], "correlations": []}, "other tensors"),
        ({"units": []}, "impossible facts"),
        ({"correlations": [1.5, 0.2]}, "impossible facts"),
        ({"correlations": [0.2]}, "impossible facts"),
    ],
)
def test_wrong_facts_are_refused(
    regressor: ActionUnitRegressor, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    path = tmp_path / "au-regressor.safetensors"
    regressor.save(path)
    _rewrite(path, **changes)
    with pytest.raises(WeightsError, match=words):
        ActionUnitRegressor.load(path)


def test_pickles_and_damaged_files_are_refused(regressor: ActionUnitRegressor, tmp_path: Path) -> None:
    path = tmp_path / "au-regressor.safetensors"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "opened"),))

    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="pickles are never opened"):
        ActionUnitRegressor.load(path)
    assert not (tmp_path / "opened").exists()
    regressor.save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-10]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="no whole safetensors file"):
            ActionUnitRegressor.load(path)
    path.write_bytes(whole[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(WeightsError, match=r"not finite|other tensors"):
        ActionUnitRegressor.load(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        ActionUnitRegressor.load(tmp_path / "absent")


def test_bad_training_rows_is_refused(regressor: ActionUnitRegressor) -> None:
    images, coded = mouths(6, seed=0)
    with pytest.raises(DataError, match="no training image codes AU26"):
        train_regressor(images, np.where([True, False], coded, np.nan), units=UNITS, seed=0)
    with pytest.raises(DataError, match=r"6 images and codes \(5, 2\)"):
        train_regressor(images, coded[:5], units=UNITS, seed=0)
    with pytest.raises(DataError, match=r"must lie in \[0, 1\]"):
        train_regressor(images, coded * 5, units=UNITS, seed=0)
    with pytest.raises(DataError, match="different action units"):
        train_regressor(images, coded, units=(12, 12), seed=0)
    with pytest.raises(DataError, match="measured on images"):
        regressor.measured_on(images, coded[:, :1])


def test_correlations_by_hand() -> None:
    measured = np.array([[0.1, 0.5, 0.5], [0.2, 0.4, 0.5], [0.3, 0.9, 0.5]])
    coded = np.array([[0.0, 1.0, 0.0], [0.5, np.nan, 1.0], [1.0, 0.0, 0.5]])
    assert correlations(measured, coded) == (pytest.approx(1), pytest.approx(-1), None)


def test_the_name_stands_for_what_is_given(regressor: ActionUnitRegressor) -> None:
    assert extractor("au-regressor", regressor=regressor) is regressor
    with pytest.raises(UsageError, match="codes action units"):
        extractor("au-regressor")
    with pytest.raises(UsageError, match="belongs to a trained method"):
        extractor("discriminator")
