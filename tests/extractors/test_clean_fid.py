"""clean-fid's Inception: its resize, its file's way of being called, and what is no such file."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fesbench.errors import WeightsError
from fesbench.extractors.inception import CleanFidInception, clean_input
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE
from tests.extractors.drawn_faces import face_images

NAME = "inception-clean-fid"


class Published(torch.nn.Module):
    """Called as the published TorchScript is: ``layers`` gives 2048 features an image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 7, stride=8),
            torch.nn.BatchNorm2d(16),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d((2, 2)),
            torch.nn.Conv2d(16, 2048, 2),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + 1000.0


def scripted(module: torch.nn.Module) -> bytes:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module.eval()), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def content() -> bytes:
    torch.manual_seed(0)
    return scripted(Published())


def manager_of(tmp_path: Path, content: bytes) -> WeightsManager:
    digest = hashlib.sha256(content).hexdigest()
    entry = replace(TABLE[NAME], sha256=digest, bytes=len(content), non_commercial=False)
    manager = WeightsManager(tmp_path / "home", {NAME: entry})
    manager.folder.mkdir(parents=True)
    (manager.folder / entry.file).write_bytes(content)
    return manager


@pytest.mark.parametrize("size", [64, 299, 320])
def test_resize_is_clean_fids(size: int) -> None:
    cleanfid = pytest.importorskip("cleanfid.resize", reason="clean-fid is not installed")
    images = face_images(2, size)
    images[1] = np.random.default_rng(0).integers(0, 256, images[1].shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = np.stack([cleanfid.build_resizer("clean")(image) for image in images])
    ours = clean_input(images).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(ours, (theirs - 128) / 128)


def test_resize_keeps_a_flat_image_and_does_not_overshoot() -> None:
    flat = np.full((1, 40, 40, 3), 77, dtype=np.uint8)
    assert clean_input(flat).numpy() == pytest.approx((77 - 128) / 128, abs=1e-6)
    edge = np.zeros((1, 40, 40, 3), dtype=np.uint8)
    edge[:, :, 20:] = 255
    assert (float(clean_input(edge).min()), float(clean_input(edge).max())) == (-1.0, 127 / 128)


def test_features_are_clean_fids(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs: Any = pytest.importorskip("cleanfid.inception_torchscript", reason="clean-fid is not installed")
    resize: Any = pytest.importorskip("cleanfid.resize")
    manager = manager_of(tmp_path, content)
    monkeypatch.setattr("fesbench.extractors.full_image._BATCH", 2)
    extractor, images = CleanFidInception(manager), face_images(3, 64)
    values, valid = extractor.extract(images)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        network = theirs.InceptionV3W(str(manager.folder), download=False)
        resized = np.stack([resize.build_resizer("clean")(image) for image in images])
        expected = network(torch.from_numpy(resized).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    assert valid.all()
    assert np.array_equal(extractor.extract(images[2:])[0], values[2:])


@pytest.mark.parametrize("fault", ["not TorchScript", "no layers"])
def test_a_pinned_file_of_another_kind_is_named(tmp_path: Path, fault: str) -> None:
    wrong = b"plain" if fault == "not TorchScript" else scripted(torch.nn.Linear(2, 2))
    with pytest.raises(WeightsError, match="does not hold clean-fid's Inception"):
        CleanFidInception(manager_of(tmp_path, wrong)).extract(face_images(1, 64))


def test_absent_weights_name_the_one_command(tmp_path: Path) -> None:
    extractor = CleanFidInception(WeightsManager(tmp_path))
    assert extractor.available() == f"weights: {NAME} (fesbench weights pull {NAME})"
    assert extractor.signature == f"{NAME}:f58cb9b6:clean-1"
