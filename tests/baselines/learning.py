"""Does a method learn? A training set of eight embedded faces that it must come to fit, and what it makes.

`learned` trains a method on neutral, happiness and surprise of eight subjects in two takes, asks it for
both expressions of those very faces, and compares with the target images. A row that copies its source has
cosine 0 and `copy_psnr`; one that forgets who it was given has `mean_psnr` at most.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fesbench.data.avatars import AvatarSpec, render
from fesbench.methods.base import Method
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet, image_tensor
from fesbench.training.loop import train
from fesbench.vocabulary import ACTION_UNITS
from tests.factories import FakeManifest, FakeStore

LABELS = ("neutral", "happiness", "surprise")
SUBJECTS, TAKES = 8, 2


@dataclass(frozen=True)
class Learned:
    """A trained method and what it makes of the faces that it was trained on.

    Attributes:
        method: trained.
        view: what it was trained on.
        source, made, target: float (16, 2, C, H, W) in [-1, 1]: face, then happiness and surprise; gray
            (C = 1) for a gray method; 16 a style where styles are asked for.
        seconds: CPU time of training.
        losses: name -> the last logged value.
    """

    method: Method
    view: TrainingSet
    source: Tensor
    made: Tensor
    target: Tensor
    seconds: float
    losses: dict[str, float]

    @property
    def cosine(self) -> float:
        """Cosine of the made and the true label-dependent change, mean over faces; 0 for a copy."""
        made, true = self._changes()
        found = torch.nn.functional.cosine_similarity(made, true, dim=1, eps=1e-6)
        return float(found.mean())

    @property
    def ratio(self) -> float:
        """Size of the made label-dependent change over that of the true one, over all faces."""
        made, true = self._changes()
        return float(made.norm() / true.norm())

    @property
    def psnr(self) -> float:
        """Mean PSNR of the made images where expressions change a face, dB."""
        return self._psnr(self.made)

    @property
    def copy_psnr(self) -> float:
        """The same of the sources as they are."""
        return self._psnr(self.source)

    @property
    def mean_psnr(self) -> float:
        """The same of each label's mean target, the best that knows no identity."""
        return self._psnr(self.target.mean(0, keepdim=True).expand_as(self.target))

    def _psnr(self, images: Tensor) -> float:
        """Over the tenth of the pixels that the two expressions change most, on the mean over faces."""
        moved = (self.target - self.source).abs().mean((0, 2))
        mask = moved >= moved.flatten(1).quantile(0.9, dim=1)[:, None, None]
        error = ((images - self.target).square().mean(2) * mask).sum((2, 3)) / mask.sum((1, 2))
        return float((10 * torch.log10(4 / error.clamp(min=1e-10))).mean())

    def _changes(self) -> tuple[Tensor, Tensor]:
        """Made and true change (16, n): what is common to the labels of a face is taken away."""
        made, true = self.made - self.source, self.target - self.source
        return (made - made.mean(1, True)).flatten(1), (true - true.mean(1, True)).flatten(1)

    def __str__(self) -> str:
        return (
            f"{self.method.card.id:12} {self.seconds:5.0f} s  cosine {self.cosine:+.2f}  "
            f"ratio {self.ratio:.2f}  PSNR {self.psnr:.1f} "
            f"(copy {self.copy_psnr:.1f}, label mean {self.mean_psnr:.1f})"
        )

    def sheet(self, path: Path) -> None:
        """Write an image: a row a face; source, then made and target of each label."""
        from PIL import Image

        rows = []
        for face in range(len(self.source)):
            row = [self.source[face, 0]]
            for label in range(self.made.shape[1]):
                row += [self.made[face, label], self.target[face, label]]
            rows.append(torch.cat(row, dim=2))
        pixels = ((torch.cat(rows, dim=1) + 1) * 127.5).round().clamp(0, 255).byte()
        image = Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).numpy())
        image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(path)


def learned(
    name: str,
    *,
    size: int = 32,
    steps: Mapping[str, int],
    preset: str = "tiny",
    levels: Sequence[float] = (),
    styles: Sequence[str] = (),
    labels: Sequence[str] = LABELS,
    **changes: Any,
) -> Learned:
    """Train a method on eight faces and ask it for them.

    Args:
        name: the method's.
        size: side of the images; 32 is fast.
        steps: calls of ``training_step`` by phase.
        preset: of the method.
        levels: intensities below the peak that the set holds as well.
        styles: styles whose neutral images stand in the set without labels. They are what the method is asked
            to change then; their targets it has never seen.
        labels: of the set; "neutral" first, at least two others.
        **changes: hyper-parameters in place of the preset's.
    """
    store = faces(size, tuple(labels), tuple(levels), tuple(styles))
    styled = store.manifest.table["domain"].to_numpy() != "in"
    shown = store.manifest.action_units[~styled].max(axis=0) > 0
    units = tuple(unit for unit, coded in zip(ACTION_UNITS, shown, strict=True) if coded)
    problem = Problem(size, tuple(labels), units, 0)
    neutral = store.manifest.table["expression"].to_numpy() == labels[0]
    unlabelled = np.flatnonzero(styled & neutral)
    view = TrainingSet(store, np.flatnonzero(~styled), problem, 0, unlabelled_rows=unlabelled)
    kind = methods()[name]
    method = kind(problem, replace(kind.presets[preset], **changes))
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = train(method, view, steps=dict(steps), folder=Path(folder), seed=0, device="cpu")
    seconds = time.process_time() - began
    asked = _asked(store, labels, styled if styles else ~styled)
    requests = label_requests(view, np.array(list(asked)), list(range(1, len(labels))))
    with torch.inference_mode():
        made = torch.cat([method.answer(requests[k : k + 16]) for k in range(0, len(requests), 16)])
    target = image_tensor(store.images[[row for rows in asked.values() for row in rows]])
    channels = method.native.channels if method.native else 3
    images = [_as_channels(x, channels) for x in (requests.source, made, target)]
    source, made, target = (x.reshape(len(asked), -1, *x.shape[1:]) for x in images)
    found = Learned(
        method, view, source, made, target, seconds, {k: v["last"] for k, v in result.losses.items()}
    )
    print(f"\n{found}")
    return found


def _asked(store: FakeStore, labels: Sequence[str], shown: np.ndarray) -> dict[int, list[int]]:
    """Of the images ``shown``: row of each neutral one -> rows of the same take with the other labels."""
    table = store.manifest.table[shown]
    peak = table[(table["intensity"] == 1.0) | (table["expression"] == labels[0])]
    rows = {tuple(key): row for row, *key in peak[["domain", "identity", "take", "expression"]].itertuples()}
    return {
        row: [rows[(*key, label)] for label in labels[1:]]
        for (*key, expression), row in rows.items()
        if expression == labels[0]
    }


@functools.lru_cache(maxsize=4)
def faces(
    size: int, labels: tuple[str, ...], levels: tuple[float, ...], styles: tuple[str, ...]
) -> FakeStore:
    """Eight embedded faces in the base style and in others; neutral at one level only."""
    specs = [
        AvatarSpec(who, expression=label, intensity=level, take=take, style=style)
        for style in ("base", *styles)
        for who in range(SUBJECTS)
        for take in range(TAKES)
        for label in labels
        for level in (1.0, *levels)
        if level == 1.0 or label != "neutral"
    ]
    batch = render(specs, size)
    rows = [
        {
            "identity": f"a{spec.identity:04d}",
            "expression": spec.expression,
            "intensity": 0.0 if spec.expression == "neutral" else spec.intensity,
            "take": spec.take,
            "sequence": "",
            "frame": 0,
            "domain": "in" if spec.style == "base" else spec.style,
            "publishable": True,
        }
        for spec in specs
    ]
    manifest = FakeManifest(pd.DataFrame(rows), batch.action_units, batch.landmarks)
    return FakeStore(batch.images, manifest, size, data="avatars")


def _as_channels(images: Tensor, channels: int) -> Tensor:
    """(N, 3, H, W) -> (N, channels, H, W); luma for one channel."""
    if channels == 3:
        return images
    weights = images.new_tensor([0.299, 0.587, 0.114])
    return (images * weights[:, None, None]).sum(1, keepdim=True)
