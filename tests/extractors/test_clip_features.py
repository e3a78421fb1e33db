"""CLIP's image features: against open-clip on the same seeded weights in the published file's layout."""

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
from fesbench.extractors.clip import ClipFeatures
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE
from tests.extractors.drawn_faces import face_images

NAME = "clip-vit-b-32"
WIDTH, LAYERS, EMBED, TEXT_WIDTH = 128, 2, 48, 64


class Tensors(torch.nn.Module):
    """A TorchScript whose tensors bear the names of another module's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def published_tensors() -> dict[str, torch.Tensor]:
    """The names of OpenAI's ViT-B/32 file, with fewer and narrower layers, in half precision as there."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=generator) * 0.1).half().float()

    def tower(prefix: str, width: int) -> dict[str, torch.Tensor]:
        shapes = {
            "attn.in_proj_weight": (3 * width, width),
            "attn.in_proj_bias": (3 * width,),
            "attn.out_proj.weight": (width, width),
            "attn.out_proj.bias": (width,),
            "ln_1.weight": (width,),
            "ln_1.bias": (width,),
            "mlp.c_fc.weight": (4 * width, width),
            "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (width, 4 * width),
            "mlp.c_proj.bias": (width,),
            "ln_2.weight": (width,),
            "ln_2.bias": (width,),
        }
        return {
            f"{prefix}transformer.resblocks.{i}.{name}": random(*shape)
            for i in range(LAYERS)
            for name, shape in shapes.items()
        }

    return {
        "positional_embedding": random(77, TEXT_WIDTH),
        "text_projection": random(TEXT_WIDTH, EMBED),
        "logit_scale": torch.tensor(4.6),
        "visual.class_embedding": random(WIDTH),
        "visual.positional_embedding": random(50, WIDTH),
        "visual.proj": random(WIDTH, EMBED),
        "visual.conv1.weight": random(WIDTH, 3, 32, 32),
        "visual.ln_pre.weight": random(WIDTH),
        "visual.ln_pre.bias": random(WIDTH),
        **tower("visual.", WIDTH),
        "visual.ln_post.weight": random(WIDTH),
        "visual.ln_post.bias": random(WIDTH),
        **tower("", TEXT_WIDTH),
        "token_embedding.weight": random(100, TEXT_WIDTH),
        "ln_final.weight": random(TEXT_WIDTH),
        "ln_final.bias": random(TEXT_WIDTH),
        "input_resolution": torch.tensor(224),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(100),
    }


def archive(tensors: dict[str, torch.Tensor]) -> bytes:
    root = Tensors()
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        place: torch.nn.Module = root
        for part in path:
            if part not in place._modules:
                place.add_module(part, Tensors())
            place = place._modules[part]  # type: ignore[assignment]
        place.register_buffer(last, tensor)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(root.eval()), buffer)
    return buffer.getvalue()


def extractor_of(tmp_path: Path, content: bytes) -> ClipFeatures:
    entry = replace(TABLE[NAME], sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    manager = WeightsManager(tmp_path / "home", {NAME: entry})
    manager.folder.mkdir(parents=True)
    (manager.folder / entry.file).write_bytes(content)
    return ClipFeatures(manager)


def tensorflow_bilinear(images: np.ndarray, size: int) -> torch.Tensor:
    """TensorFlow 1's filter from its definition: place i of the result lies at i * (old / new)."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    old = pixels.shape[-1]
    at = torch.arange(size) * (old / size)
    low = at.floor().long()
    high, share = (low + 1).clamp(max=old - 1), at - low
    rows = pixels[:, :, low] * (1 - share)[:, None] + pixels[:, :, high] * share[:, None]
    return rows[..., low] * (1 - share) + rows[..., high] * share


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClipFeatures, "dimension", EMBED)


@pytest.mark.usefixtures("narrow")
def test_features_are_open_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = pytest.importorskip("open_clip.model", reason="open-clip-torch is not installed")
    tensors = published_tensors()
    monkeypatch.setattr("fesbench.extractors.full_image._BATCH", 2)
    # Given a checked file, nothing is fetched. Imported first: its modules keep the function that they find.
    pytest.importorskip("torch_fidelity")
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", pytest.fail)
    monkeypatch.setattr("torch_fidelity.feature_extractor_clip.load_state_dict_from_url", pytest.fail)
    extractor, images = extractor_of(tmp_path, archive(tensors)), face_images(3, 64)
    values, valid = extractor.extract(images)
    theirs: Any = model.CLIP(
        EMBED,
        vision_cfg={
            "image_size": 224,
            "layers": LAYERS,
            "width": WIDTH,
            "patch_size": 32,
            "head_width": 64,
        },
        text_cfg={
            "context_length": 77,
            "vocab_size": 100,
            "width": TEXT_WIDTH,
            "heads": 1,
            "layers": LAYERS,
        },
        quick_gelu=True,
    )
    theirs.load_state_dict(
        {k: v for k, v in tensors.items() if not k.endswith(("resolution", "length", "size"))}
    )
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    with torch.inference_mode():
        expected = theirs.eval().encode_image((tensorflow_bilinear(images, 224) / 255 - mean) / deviation)
    assert valid.all()
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert np.array_equal(extractor.extract(images[2:])[0], values[2:])


@pytest.mark.parametrize("fault", ["not TorchScript", "no text", "other names"])
def test_a_pinned_file_of_another_kind_is_named(tmp_path: Path, fault: str) -> None:
    tensors = published_tensors()
    if fault == "no text":
        del tensors["text_projection"]
    if fault == "other names":
        tensors["visual.odd"] = tensors.pop("visual.class_embedding")
    content = b"plain" if fault == "not TorchScript" else archive(tensors)
    with pytest.raises(WeightsError, match=r"does not hold OpenAI's CLIP ViT-B/32"):
        extractor_of(tmp_path, content).extract(face_images(1, 64))


def test_absent_weights_name_the_one_command(tmp_path: Path) -> None:
    extractor = ClipFeatures(WeightsManager(tmp_path))
    assert extractor.available() == f"weights: {NAME} (fesbench weights pull {NAME})"
    assert extractor.signature == f"{NAME}:40d36571:clip-1"
