"""QualiCLIP's image tower against a literal reading of the published computation, on random weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fesbench.errors import DataError, WeightsError
from fesbench.extractors import full_image
from fesbench.extractors.qualiclip import QualiCLIP, image_tower
from tests.extractors.drawn_faces import face_images
from tests.extractors.random_weights import manager_with, serialized

pytest.importorskip("open_clip", reason="open-clip-torch is not installed")

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """A checkpoint in the published key layout: image tower, scale, prompts, and some of the text tower."""
    torch.manual_seed(0)
    found: State = {}
    for key, value in image_tower().state_dict().items():
        # Every batch norm gets statistics of its own, so that train mode would show.
        if key.endswith("running_var") or (".bn" in key and key.endswith("weight")) or key[:2] == "bn":
            value = torch.rand_like(value.float()) + 0.5 if value.is_floating_point() else value
        found[f"clip_model.visual.{key}"] = value.clone()
    prompts = torch.randn(14, 1024)
    return found | {
        "clip_model.logit_scale": torch.tensor(math.log(90.0)),
        "clip_model.text_projection": torch.randn(4, 4),
        "prompts_features": F.normalize(prompts, dim=-1),
    }


@pytest.fixture(scope="module")
def content(state: State) -> bytes:
    return serialized(state)


@pytest.fixture
def extractor(tmp_path: Path, content: bytes) -> QualiCLIP:
    return QualiCLIP(manager_with(tmp_path, qualiclip=content), device="cpu")


def normalized(images: np.ndarray) -> torch.Tensor:
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255.0 - mean) / deviation


class Literal:
    """The published network, written out operation by operation on the checkpoint's tensors."""

    def __init__(self, state: State) -> None:
        prefix = "clip_model.visual."
        self.w = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        self.state = state

    def bn(self, x: torch.Tensor, name: str) -> torch.Tensor:
        parts = [self.w[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
        mean, var, weight, bias = (p.view(1, -1, 1, 1) for p in parts)
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    def block(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        out = F.relu(self.bn(F.conv2d(x, self.w[f"{name}.conv1.weight"]), f"{name}.bn1"))
        out = F.relu(self.bn(F.conv2d(out, self.w[f"{name}.conv2.weight"], padding=1), f"{name}.bn2"))
        out = F.avg_pool2d(out, stride) if stride > 1 else out
        out = self.bn(F.conv2d(out, self.w[f"{name}.conv3.weight"]), f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.w:
            x = F.avg_pool2d(x, stride) if stride > 1 else x
            x = self.bn(F.conv2d(x, self.w[f"{name}.downsample.0.weight"]), f"{name}.downsample.1")
        return F.relu(out + x)

    def pool(self, x: torch.Tensor, heads: int = 32) -> torch.Tensor:
        """Mean token asks, all tokens answer; no positional embedding."""
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1)

        def project(name: str, of: torch.Tensor) -> torch.Tensor:
            found = of @ self.w[f"attnpool.{name}.weight"].T + self.w[f"attnpool.{name}.bias"]
            return found.unflatten(-1, (heads, -1)).transpose(1, 2)

        q, k, v = project("q_proj", tokens[:, :1]), project("k_proj", tokens), project("v_proj", tokens)
        attention = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
        out = (attention @ v).transpose(1, 2).flatten(2)[:, 0]
        return out @ self.w["attnpool.c_proj.weight"].T + self.w["attnpool.c_proj.bias"]

    def cosines(self, images: np.ndarray) -> np.ndarray:
        x = normalized(images)
        x = F.relu(self.bn(F.conv2d(x, self.w["conv1.weight"], stride=2, padding=1), "bn1"))
        x = F.relu(self.bn(F.conv2d(x, self.w["conv2.weight"], padding=1), "bn2"))
        x = F.avg_pool2d(F.relu(self.bn(F.conv2d(x, self.w["conv3.weight"], padding=1), "bn3")), 2)
        for layer, blocks in enumerate((3, 4, 6, 3), start=1):
            for block in range(blocks):
                x = self.block(x, f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1)
        seen = self.pool(x)
        seen = seen / seen.norm(dim=-1, keepdim=True)
        return (seen @ self.state["prompts_features"].T).numpy()


@pytest.mark.parametrize("size", [64, 96])
def test_cosines_are_those_of_the_literal_reading(extractor: QualiCLIP, state: State, size: int) -> None:
    images = face_images(2, size)
    values, valid = extractor.extract(images)
    with torch.inference_mode():
        expected = Literal(state).cosines(images)
    assert values.shape == (2, 15)
    assert values.dtype == np.float32
    assert valid.all()
    assert values[:, :14] == pytest.approx(expected, abs=2e-5)
    assert values[:, 14] == pytest.approx(90.0, rel=1e-6)


def test_open_clips_own_encoder_gives_other_numbers(extractor: QualiCLIP, state: State) -> None:
    stock = image_tower()
    stock.load_state_dict(Literal(state).w)
    stock.eval()
    images = face_images(1, 224)
    with torch.inference_mode():
        seen = F.normalize(stock(normalized(images)), dim=-1)
        # It always adds the positional embedding, and takes no grid but the trained one.
        with pytest.raises(RuntimeError):
            stock(normalized(face_images(1, 64)))
    theirs = (seen @ state["prompts_features"].T).numpy()
    assert np.abs(extractor.extract(images)[0][:, :14] - theirs).max() > 1e-3


def test_batch_and_order_do_not_matter(extractor: QualiCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_image, "_BATCH", 2)
    images = face_images(3, 32)
    values, _ = extractor.extract(images)
    assert np.array_equal(extractor.extract(images[2:])[0], values[2:])
    assert np.array_equal(extractor.extract(images[::-1])[0], values[::-1])
    assert len({row.tobytes() for row in values}) == 3


def test_small_images_are_refused(extractor: QualiCLIP) -> None:
    with pytest.raises(DataError, match="32 px or more, not of 24x24"):
        extractor.extract(face_images(1, 24))


@pytest.mark.parametrize("fault", ["thirteen prompts", "no prompts", "another tower", "no scale", "text"])
def test_a_checkpoint_of_another_kind_is_named(tmp_path: Path, state: State, fault: str) -> None:
    small = {key: value for key, value in state.items() if "visual" not in key}
    if fault == "thirteen prompts":
        # What encoding the published list would give: its missing comma fuses two prompts.
        small["prompts_features"] = small["prompts_features"][:13]
    elif fault == "no prompts":
        del small["prompts_features"]
    elif fault == "no scale":
        del small["clip_model.logit_scale"]
    given: Any = b"text" if fault == "text" else small
    extractor = QualiCLIP(manager_with(tmp_path, qualiclip=given))
    with pytest.raises(WeightsError, match="does not hold QualiCLIP"):
        extractor.extract(face_images(1, 32))


def test_absent_weights_name_the_one_command(manager: Any) -> None:
    extractor = QualiCLIP(manager)
    assert extractor.available() == "weights: qualiclip (fesbench weights pull qualiclip)"
    assert extractor.signature == "qualiclip:5818e085:native-1"
