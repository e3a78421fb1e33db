"""Does a method that makes clips learn? Clips of embedded faces that it must come to fit, and what it makes.

`learned_clips` trains a method on happiness and surprise of some subjects, from neutral to the peak, asks it
for both from those very faces, and compares frame by frame. A still copy has cosine 0 and `copy_psnr`.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fesbench.data.avatars import AvatarSpec, render
from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet, image_tensor
from fesbench.training.loop import train
from fesbench.vocabulary import ACTION_UNITS
from tests.factories import FakeManifest, FakeStore

LABELS = ("neutral", "happiness", "surprise")
FRAMES = 9
"""Of a clip, as recorded; its intensity rises slowly, fast, slowly."""


@dataclass(frozen=True)
class LearnedClips:
    """A trained method and the clips that it makes of the faces that it was trained on.

    Attributes:
        method: trained.
        view: what it was trained on.
        requests: what it was asked for, subject by subject, happiness and surprise.
        made, true: float (subjects, 2, T, 3, H, W) in [-1, 1].
        seconds: CPU time of training.
        losses: name -> the last logged value.
    """

    method: Method
    view: TrainingSet
    requests: RequestBatch
    made: Tensor
    true: Tensor
    seconds: float
    losses: dict[str, float]

    @property
    def still(self) -> Tensor:
        """The sources, held for every frame."""
        return self.true[:, :, :1].expand_as(self.true)

    @property
    def cosine(self) -> float:
        """Cosine of the made and the true change from the source, mean over the clips' later halves."""
        return self._cosine(*(clips - self.still for clips in (self.made, self.true)))

    @property
    def label_cosine(self) -> float:
        """The same of what is left when the mean over labels is taken away."""
        return self._cosine(*(clips - clips.mean(1, keepdim=True) for clips in (self.made, self.true)))

    def _cosine(self, made: Tensor, true: Tensor) -> float:
        late = slice(self.true.shape[2] // 2, None)
        a, b = (change[:, :, late].flatten(3) for change in (made, true))
        return float(torch.nn.functional.cosine_similarity(a, b, dim=3, eps=1e-6).mean())

    @property
    def motion(self) -> list[float]:
        """By frame, how far the made clips are from their first frame, over how far the true ones come."""
        far = (self.true - self.true[:, :, :1]).square().mean((0, 1, 3, 4, 5)).max()
        found = (self.made - self.made[:, :, :1]).square().mean((0, 1, 3, 4, 5))
        return [round(float(value), 3) for value in (found / far).sqrt()]

    @property
    def psnr(self) -> float:
        """Of the later half of the clips, where expressions change a face, dB."""
        return self._psnr(self.made)

    @property
    def copy_psnr(self) -> float:
        """The same of the sources held still."""
        return self._psnr(self.still)

    @property
    def first_psnr(self) -> float:
        """Of the first frames against the sources, whole, dB."""
        error = (self.made[:, :, 0] - self.true[:, :, 0]).square().mean((2, 3, 4))
        return float((10 * torch.log10(4 / error.clamp(min=1e-10))).mean())

    def _psnr(self, clips: Tensor) -> float:
        moved = (self.true - self.still).abs().mean((0, 2, 3))
        mask = (moved >= moved.flatten(1).quantile(0.9, dim=1)[:, None, None])[:, None]
        late = slice(self.true.shape[2] // 2, None)
        error = (clips - self.true)[:, :, late].square().mean(3) * mask
        error = error.sum((3, 4)) / mask.sum((2, 3))
        return float((10 * torch.log10(4 / error.clamp(min=1e-10))).mean())

    def __str__(self) -> str:
        return (
            f"{self.method.card.id:12} {self.seconds:5.0f} s  cosine {self.cosine:+.2f}  "
            f"by label {self.label_cosine:+.2f}  PSNR {self.psnr:.1f} (copy {self.copy_psnr:.1f})  "
            f"first {self.first_psnr:.1f}  motion {self.motion}"
        )

    def sheet(self, path: Path) -> None:
        """Write an image: a row a clip, made above true; a column a frame."""
        rows = torch.stack([self.made, self.true], dim=2).flatten(0, 2)
        save_strips(rows, path)


def save_strips(clips: Tensor, path: Path) -> None:
    """Write clips (N, T, 3, H, W): a row a clip, a column a frame."""
    from PIL import Image

    pixels = torch.cat([torch.cat(list(clip), dim=2) for clip in clips], dim=1)
    pixels = ((pixels + 1) * 127.5).round().clamp(0, 255).byte()
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(path)


def learned_clips(
    name: str,
    *,
    size: int = 32,
    steps: Mapping[str, int],
    preset: str = "tiny",
    subjects: int = 6,
    length: int = 8,
    **changes: Any,
) -> LearnedClips:
    """Train a method on clips and ask it for them.

    Args:
        name: the method's.
        size: side of the images.
        steps: calls of ``training_step`` by phase; 1 is enough for a closed form.
        preset: of the method.
        subjects: how many.
        length: frames of the clips that it is asked for.
        **changes: hyper-parameters in place of the preset's.
    """
    method, view, seconds, losses = _trained(name, size, steps, preset, subjects, changes)
    sources = np.array([2 * FRAMES * who for who in range(subjects)])
    requests = replace(label_requests(view, sources, [1, 2]), task="sequence", length=length)
    with torch.inference_mode():
        made = torch.cat([method.answer(requests[k : k + 4]) for k in range(0, len(requests), 4)])
    true = _true(view, length)
    found = LearnedClips(method, view, requests, made.reshape(true.shape), true, seconds, losses)
    print(f"\n{found}")
    return found


def _trained(
    name: str, size: int, steps: Mapping[str, int], preset: str, subjects: int, changes: Mapping[str, Any]
) -> tuple[Method, TrainingSet, float, dict[str, float]]:
    """The method, what it saw, CPU seconds and last losses."""
    view = clip_view(size, subjects)
    kind = methods()[name]
    method = kind(view.problem, replace(kind.presets[preset], **changes))
    began = time.process_time()
    closed = {phase.name: 1 for phase in method.phases() if phase.closed_form}
    with tempfile.TemporaryDirectory() as folder:
        result = train(method, view, steps={**closed, **steps}, folder=Path(folder), seed=0, device="cpu")
    losses = {k: v["last"] for k, v in result.losses.items()}
    return method, view, time.process_time() - began, losses


def _true(view: TrainingSet, length: int) -> Tensor:
    """All clips of the set: (subjects, 2, T, 3, H, W)."""
    rows = np.arange(len(view.store.images)).reshape(-1, FRAMES)[:, _places(length)]
    size = view.problem.size
    return image_tensor(view.store.images[rows.ravel()]).reshape(-1, 2, length, 3, size, size)


def _places(length: int) -> list[int]:
    return [round(place) for place in np.linspace(0, FRAMES - 1, length).tolist()]


def clip_view(size: int, subjects: int) -> TrainingSet:
    """All clips of `recorded` as a training set."""
    store = recorded(size, subjects)
    shown = store.manifest.action_units.max(axis=0) > 0
    units = tuple(unit for unit, coded in zip(ACTION_UNITS, shown, strict=True) if coded)
    return TrainingSet(store, np.arange(len(store.images)), Problem(size, LABELS, units, 0), 0)


@functools.lru_cache(maxsize=4)
def recorded(size: int, subjects: int) -> FakeStore:
    """Clips of embedded faces, subject by subject, happiness before surprise, frame by frame."""
    levels = [float(np.sin(np.pi / 2 * frame / (FRAMES - 1)) ** 2) for frame in range(FRAMES)]
    shown = [
        (who, label, frame) for who in range(subjects) for label in LABELS[1:] for frame in range(FRAMES)
    ]
    batch = render([AvatarSpec(who, expression=label, intensity=levels[t]) for who, label, t in shown], size)
    rows = [
        {
            "identity": f"a{who:04d}",
            "expression": label if frame else "neutral",
            "intensity": levels[frame],
            "take": 0,
            "sequence": f"a{who:04d}_{label}",
            "frame": frame,
            "domain": "in",
            "publishable": True,
        }
        for who, label, frame in shown
    ]
    manifest = FakeManifest(pd.DataFrame(rows), batch.action_units, batch.landmarks)
    return FakeStore(batch.images, manifest, size, data="avatars")
