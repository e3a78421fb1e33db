"""DINOv2's class token: against its definition in plain steps, on seeded weights in the published layout."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fesbench.errors import WeightsError
from fesbench.extractors.dinov2 import DinoV2, DinoV2Large, resized_positions
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE
from tests.extractors.drawn_faces import face_images

NAME = "dinov2-vit-b-14"
WIDTH, LAYERS, TRAINED = 128, 2, 37

pytest.importorskip("timm", reason="timm is not installed")


def published_tensors() -> dict[str, torch.Tensor]:
    """The names of the published file (518 px, 37 patches a side), with fewer and narrower layers."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    shapes = {
        "norm1.weight": (WIDTH,),
        "norm1.bias": (WIDTH,),
        "attn.qkv.weight": (3 * WIDTH, WIDTH),
        "attn.qkv.bias": (3 * WIDTH,),
        "attn.proj.weight": (WIDTH, WIDTH),
        "attn.proj.bias": (WIDTH,),
        "ls1.gamma": (WIDTH,),
        "norm2.weight": (WIDTH,),
        "norm2.bias": (WIDTH,),
        "mlp.fc1.weight": (4 * WIDTH, WIDTH),
        "mlp.fc1.bias": (4 * WIDTH,),
        "mlp.fc2.weight": (WIDTH, 4 * WIDTH),
        "mlp.fc2.bias": (WIDTH,),
        "ls2.gamma": (WIDTH,),
    }
    return {
        "cls_token": random(1, 1, WIDTH),
        "pos_embed": random(1, 1 + TRAINED**2, WIDTH),
        "mask_token": random(1, WIDTH),
        "patch_embed.proj.weight": random(WIDTH, 3, 14, 14),
        "patch_embed.proj.bias": random(WIDTH),
        **{f"blocks.{i}.{name}": random(*shape) for i in range(LAYERS) for name, shape in shapes.items()},
        "norm.weight": random(WIDTH),
        "norm.bias": random(WIDTH),
    }


def class_token(tensors: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """The class token after all blocks and the last norm, step by step."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), tensors[f"{name}.weight"], tensors[f"{name}.bias"], 1e-6)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    patches = F.conv2d(
        pixels, tensors["patch_embed.proj.weight"], tensors["patch_embed.proj.bias"], stride=14
    )
    n, side = len(pixels), patches.shape[-1]
    x = torch.cat((tensors["cls_token"].expand(n, 1, WIDTH), patches.flatten(2).transpose(1, 2)), dim=1)
    x = x + resized_positions(tensors["pos_embed"], side)
    for i in range(LAYERS):
        inside = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        q, k, v = inside.reshape(n, -1, 3, WIDTH // 64, 64).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-1, -2) / 8).softmax(dim=-1)
        mixed = linear((attention @ v).transpose(1, 2).reshape(n, -1, WIDTH), f"blocks.{i}.attn.proj")
        x = x + tensors[f"blocks.{i}.ls1.gamma"] * mixed
        wide = F.gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"))
        x = x + tensors[f"blocks.{i}.ls2.gamma"] * linear(wide, f"blocks.{i}.mlp.fc2")
    return norm(x, "norm")[:, 0]


def extractor_of(tmp_path: Path, content: bytes) -> DinoV2:
    entry = replace(TABLE[NAME], sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    manager = WeightsManager(tmp_path / "home", {NAME: entry})
    manager.folder.mkdir(parents=True)
    (manager.folder / entry.file).write_bytes(content)
    return DinoV2(manager)


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_features_are_torch_fidelitys_with_the_networks_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch-fidelity would fetch code and weights; it gets the definition above in their place."""
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    class Published(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return class_token(tensors, pixels)

    tensors = published_tensors()
    monkeypatch.setattr(DinoV2, "dimension", WIDTH)
    monkeypatch.setattr("fesbench.extractors.full_image._BATCH", 2)
    monkeypatch.setattr("torch.hub.load", pytest.fail)
    extractor, images = extractor_of(tmp_path, saved(tensors)), face_images(3, 64)
    values, valid = extractor.extract(images)
    monkeypatch.setattr("torch.hub.load", lambda *asked: Published())
    monkeypatch.setenv("XFORMERS_DISABLED", "1")
    with torch.inference_mode():
        theirs = FeatureExtractorDinoV2(NAME, ["dinov2"])
        (expected,) = theirs(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
    assert valid.all()
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert np.array_equal(extractor.extract(images[2:])[0], values[2:])


def cubic(x: float) -> float:
    """The weight of a sample at distance x in torch's bicubic filter (a = -0.75)."""
    x, a = abs(x), -0.75
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def test_positions_are_sampled_at_the_offset_scale_by_hand() -> None:
    """Place i of the result lies at (i + 1/2) * 37 / 16.1 - 1/2, not at * 37 / 16."""
    positions = torch.randn(1, 1 + TRAINED**2, 3, generator=torch.Generator().manual_seed(1))
    found = resized_positions(positions, 16)
    assert torch.equal(found[:, 0], positions[:, 0])
    grid = positions[0, 1:].reshape(TRAINED, TRAINED, 3).numpy()
    for row, column in ((0, 0), (3, 9), (15, 15)):
        expected = np.zeros(3)
        tops, lefts = ((i + 0.5) * TRAINED / 16.1 - 0.5 for i in (row, column))
        for y in range(int(np.floor(tops)) - 1, int(np.floor(tops)) + 3):
            for x in range(int(np.floor(lefts)) - 1, int(np.floor(lefts)) + 3):
                inside = grid[min(max(y, 0), TRAINED - 1), min(max(x, 0), TRAINED - 1)]
                expected += cubic(tops - y) * cubic(lefts - x) * inside
        np.testing.assert_allclose(found[0, 1 + 16 * row + column], expected, rtol=1e-3, atol=1e-4)


def test_positions_of_the_trained_size_stay() -> None:
    positions = torch.randn(1, 1 + 16**2, 3)
    assert resized_positions(positions, 16) is positions


@pytest.mark.parametrize("fault", ["no state", "other names", "a list"])
def test_a_pinned_file_of_another_kind_is_named(tmp_path: Path, fault: str) -> None:
    tensors = published_tensors()
    if fault == "other names":
        tensors["blocks.0.odd"] = tensors.pop("blocks.0.ls1.gamma")
    content = {"no state": b"plain", "a list": saved([torch.zeros(2)])}.get(fault) or saved(tensors)
    with pytest.raises(WeightsError, match="does not hold DINOv2's vision transformer"):
        extractor_of(tmp_path, content).extract(face_images(1, 64))


def test_absent_weights_name_the_one_command(tmp_path: Path) -> None:
    for made in (DinoV2, DinoV2Large):
        extractor = made(WeightsManager(tmp_path))
        name = extractor.name
        assert extractor.available() == f"weights: {name} (fesbench weights pull {name})"
        assert extractor.signature == f"{name}:unpinned:dino-1"
