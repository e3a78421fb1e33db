from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from fesbench.errors import WeightsError
from fesbench.extractors.cache import FeatureCache
from fesbench.extractors.inception import Inception, InceptionClean, InceptionLogits
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE
from tests.extractors.drawn_faces import face_images

NAME = "inception-tf-2015"
MODULE = "torch_fidelity.feature_extractor_inceptionv3"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is filled up with copies, which cost as much as images."""
    monkeypatch.setattr("fesbench.extractors.full_image._BATCH", 1)


@pytest.fixture(scope="module")
def random_network() -> Any:
    """torch-fidelity's own class with seeded random weights."""
    pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    with (
        mock.patch(f"{MODULE}.load_state_dict_from_url", return_value={}),
        mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        network = FeatureExtractorInceptionV3("random", ["2048"])
    return network


@pytest.fixture(scope="module")
def weights(random_network: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(random_network.state_dict(), buffer)
    return buffer.getvalue()


def _manager(tmp_path: Path, content: bytes, sha256: str) -> WeightsManager:
    entry = replace(TABLE[NAME], sha256=sha256, bytes=len(content))
    manager = WeightsManager(tmp_path / "home", {NAME: entry})
    manager.folder.mkdir(parents=True)
    (manager.folder / entry.file).write_bytes(content)
    return manager


def test_features_are_torch_fidelitys_and_independent_of_the_batch(
    tmp_path: Path, weights: bytes, random_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fesbench.extractors.full_image._BATCH", 2)
    extractor = Inception(_manager(tmp_path, weights, hashlib.sha256(weights).hexdigest()))
    images = face_images(3, 64)
    values, valid = extractor.extract(images)
    assert extractor.available() is None
    assert valid.all()
    assert values.shape == (3, 2048)
    with torch.inference_mode():
        (theirs,) = random_network(torch.from_numpy(images[:2]).permute(0, 3, 1, 2).contiguous())
    assert np.array_equal(theirs.numpy(), values[:2])
    assert np.array_equal(extractor.extract(images[2:])[0], values[2:])


def test_a_planted_file_is_refused_unopened(tmp_path: Path, weights: bytes) -> None:
    extractor = Inception(_manager(tmp_path, weights, str(TABLE[NAME].sha256)))
    with mock.patch("torch.load") as opened, pytest.raises(WeightsError, match=r"expected 6726825d0af5"):
        extractor.extract(face_images(1, 64))
    opened.assert_not_called()
    assert extractor.available() == f"weights: {NAME} (fesbench weights pull {NAME})"


@pytest.mark.parametrize("fault", ["not a state dict", "other tensors", "a pickle"])
def test_a_pinned_file_of_another_kind_is_named(tmp_path: Path, fault: str) -> None:
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(1)} if fault == "other tensors" else [mock.sentinel], buffer)
    content = b"plain" if fault == "not a state dict" else buffer.getvalue()
    extractor = Inception(_manager(tmp_path, content, hashlib.sha256(content).hexdigest()))
    with pytest.raises(WeightsError, match="does not hold torch-fidelity's Inception"):
        extractor.extract(face_images(1, 64))


def test_absent_weights_name_the_one_command(tmp_path: Path) -> None:
    extractor = Inception(WeightsManager(tmp_path))
    assert extractor.available() == f"weights: {NAME} (fesbench weights pull {NAME})"
    assert extractor.signature == "inception-tf-2015:6726825d:tf1-1"
    with pytest.raises(WeightsError, match=f"fesbench weights pull {NAME}"):
        extractor.extract(face_images(1, 64))


def test_logits_are_torch_fidelitys(tmp_path: Path, weights: bytes, random_network: Any) -> None:
    extractor = InceptionLogits(_manager(tmp_path, weights, hashlib.sha256(weights).hexdigest()))
    images = face_images(3, 64)
    values, valid = extractor.extract(images)
    assert valid.all()
    with (
        torch.inference_mode(),
        mock.patch.object(random_network, "features_list", ["2048", "logits_unbiased"]),
    ):
        _, theirs = random_network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
    assert values.shape == (3, 1008)
    # The bias would show: it is of the size of the scores.
    np.testing.assert_allclose(values, theirs.numpy(), rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))
    assert float(random_network.fc.bias.abs().max()) > 1e-3
    assert np.array_equal(extractor.derive(extractor.base.extract(images[2:])[0]), values[2:])


def test_logits_run_no_network_where_the_features_are_known(tmp_path: Path, weights: bytes) -> None:
    manager = _manager(tmp_path, weights, hashlib.sha256(weights).hexdigest())
    cache, images = FeatureCache(tmp_path / "features.sqlite"), face_images(2, 64)
    cache.get(Inception(manager), images)
    extractor = InceptionLogits(manager)
    with mock.patch.object(Inception, "extract") as asked:
        found = cache.get(extractor, images)
    asked.assert_not_called()
    assert found.values.shape == (2, 1008)
    assert found.signature == extractor.signature
    assert extractor.signature.endswith(":tf1-1:1008-unbiased")


def test_the_clean_variant_is_the_same_network_on_another_resize(tmp_path: Path, weights: bytes) -> None:
    manager = _manager(tmp_path, weights, hashlib.sha256(weights).hexdigest())
    large = face_images(1, 299)
    pixels = (torch.from_numpy(large).permute(0, 3, 1, 2).float() - 128) / 128
    with torch.inference_mode():
        same = InceptionClean(manager)._load()(pixels).numpy()
    np.testing.assert_allclose(same, Inception(manager).extract(large)[0], rtol=1e-5, atol=1e-7)
    small = face_images(1, 64)
    plain, clean = (made(manager).extract(small)[0] for made in (Inception, InceptionClean))
    assert np.abs(clean - plain).max() > 1e-3 * np.abs(plain).max()
    assert InceptionClean(manager).signature.endswith(":clean-1")
