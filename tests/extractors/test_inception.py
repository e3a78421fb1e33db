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
from face_pictures import face_images

from fesbench.errors import WeightsError
from fesbench.extractors.inception import Inception
from fesbench.extractors.weights import TABLE, WeightsManager

NAME = "inception-tf-2015"
MODULE = "torch_fidelity.feature_extractor_inceptionv3"


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
    monkeypatch.setattr("fesbench.extractors.inception._BATCH", 2)
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
    assert extractor.signature == "inception-tf-2015:6726825d:299:bilinear-tf1:rgb-128-128"
    with pytest.raises(WeightsError, match=f"fesbench weights pull {NAME}"):
        extractor.extract(face_images(1, 64))
