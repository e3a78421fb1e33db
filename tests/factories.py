"""Small synthetic data for tests: parametric faces whose expressions are really visible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from fesbench.methods.base import Method
from fesbench.methods.helpers import Loader
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS, N_LANDMARKS

# expression -> (mouth corner lift, mouth opening, brow lift, eye opening), in units of a tenth of the face
_FACES = {
    "neutral": (0.0, 0.05, 0.0, 0.5),
    "anger": (-0.3, 0.05, -0.6, 0.4),
    "contempt": (0.3, 0.05, -0.1, 0.35),
    "disgust": (-0.5, 0.3, -0.4, 0.25),
    "fear": (-0.4, 0.5, 0.7, 0.9),
    "happiness": (1.0, 0.4, 0.1, 0.4),
    "sadness": (-1.0, 0.05, 0.3, 0.3),
    "surprise": (0.0, 1.2, 1.0, 1.0),
}
_UNITS = {"happiness": (6, 12), "anger": (4, 7, 23), "sadness": (1, 4, 15), "surprise": (1, 2, 5, 26)}


@dataclass
class FakeManifest:
    table: pd.DataFrame
    action_units: np.ndarray
    landmarks: np.ndarray

    def __len__(self) -> int:
        return len(self.table)


@dataclass
class FakeStore:
    images: np.ndarray
    manifest: FakeManifest
    size: int
    alignment: str = "none@1"
    data: str = "fake"
    fingerprint: str = "0" * 64
    info: dict[str, Any] = field(default_factory=dict)


def fake_store(
    identities: int = 6, size: int = 64, *, takes: int = 1, sequences: bool = False, action_units: bool = True
) -> FakeStore:
    """Every subject x expression x take; with ``sequences`` two frames each of neutral and peak, as CK+."""
    rows, images, marks, units = [], [], [], []
    frames = 2 if sequences else 1
    for who in range(identities):
        for take in range(takes):
            for name in EXPRESSIONS:
                for frame in range(frames):
                    shown = [("neutral", frame), (name, 10 + frame)] if sequences else [(name, 0)]
                    if sequences and name == "neutral":
                        continue
                    for expression, number in shown:
                        image, landmarks = draw_face(who, expression, size, shade=0.05 * take + 0.01 * frame)
                        rows.append(
                            {
                                "identity": f"p{who:03d}",
                                "expression": expression,
                                "intensity": float(expression != "neutral"),
                                "take": take,
                                "sequence": f"p{who:03d}_{name}" if sequences else "",
                                "frame": number,
                                "domain": "in",
                                "publishable": True,
                            }
                        )
                        images.append(image)
                        marks.append(landmarks)
                        units.append([float(unit in _UNITS.get(expression, ())) for unit in ACTION_UNITS])
    coded = np.array(units, dtype=np.float32)
    if not action_units:
        coded[:] = np.nan
    manifest = FakeManifest(pd.DataFrame(rows), coded, np.stack(marks))
    return FakeStore(np.stack(images), manifest, size)


def fake_clips(identities: int = 4, size: int = 64, frames: int = 5) -> FakeStore:
    """A sequence of every subject and expression, whose intensity rises evenly from neutral to the peak."""
    rows, drawn, units = [], [], []
    for who in range(identities):
        for name in EXPRESSIONS[1:]:
            for frame in range(frames):
                level = frame / (frames - 1)
                rows.append(
                    {
                        "identity": f"p{who:03d}",
                        "expression": name if frame else "neutral",
                        "intensity": level,
                        "take": 0,
                        "sequence": f"p{who:03d}_{name}",
                        "frame": frame,
                        "domain": "in",
                        "publishable": True,
                    }
                )
                drawn.append(draw_face(who, name, size, level=level))
                units.append([level * (unit in _UNITS.get(name, ())) for unit in ACTION_UNITS])
    images, marks = zip(*drawn, strict=True)
    manifest = FakeManifest(pd.DataFrame(rows), np.array(units, dtype=np.float32), np.stack(marks))
    return FakeStore(np.stack(images), manifest, size)


def draw_face(
    who: int, expression: str, size: int, *, shade: float = 0.0, level: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A smooth face, uint8 (S, S, 3), with its 68 landmarks, float32 (68, 2); at level 0 a neutral one."""
    lift, opening, brow, eye = (
        still + level * (shown - still)
        for still, shown in zip(_FACES["neutral"], _FACES[expression], strict=True)
    )
    draw = np.random.default_rng(who)
    skin = draw.uniform(0.45, 0.85, 3) * (0.9 + shade)
    width, height = draw.uniform(0.3, 0.36), draw.uniform(0.38, 0.44)
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size - 0.5
    image = np.ones((size, size, 3)) * draw.uniform(0.1, 0.3, 3)
    image += (skin - image) * _soft(1 - (x / width) ** 2 - (y / height) ** 2)[..., None]
    for side in (-1, 1):
        ex, ey = side * 0.15, -0.1
        white = _soft(1 - ((x - ex) / 0.07) ** 2 - ((y - ey) / (0.02 + 0.04 * eye)) ** 2)
        image += (0.95 - image) * white[..., None]
        pupil = _soft(1 - ((x - ex) ** 2 + (y - ey) ** 2) / 0.022**2)
        image += (0.05 - image) * (pupil * white)[..., None]
        line = _soft(1 - ((x - ex) / 0.09) ** 2 - ((y - (ey - 0.09 - 0.04 * brow)) / 0.015) ** 2)
        image += (0.15 - image) * line[..., None]
    bend = 0.2 - 0.05 * lift * (2 * (x / 0.15) ** 2 - 1)
    mouth = _soft(1 - (x / 0.15) ** 2 - ((y - bend) / (0.02 + 0.06 * opening)) ** 2)
    image += (np.array([0.55, 0.1, 0.12]) - image) * mouth[..., None]
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8), _landmarks(
        lift, opening, brow, eye, width, height, size
    )


def _soft(inside: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-12 * np.clip(inside, -3, 3)))


def _landmarks(
    lift: float, opening: float, brow: float, eye: float, width: float, height: float, size: int
) -> np.ndarray:
    points = np.zeros((N_LANDMARKS, 2))
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([width * np.cos(angle), height * np.sin(angle)], axis=1)
    for side, start, eye_start in ((-1, 17, 36), (1, 22, 42)):
        points[start : start + 5, 0] = side * 0.15 + np.linspace(-0.08, 0.08, 5)
        points[start : start + 5, 1] = -0.19 - 0.04 * brow
        turn = np.array([np.pi, 4 * np.pi / 3, 5 * np.pi / 3, 0, np.pi / 3, 2 * np.pi / 3])
        points[eye_start : eye_start + 6, 0] = side * 0.15 + 0.07 * np.cos(turn)
        points[eye_start : eye_start + 6, 1] = -0.1 + (0.02 + 0.04 * eye) * np.sin(turn)
    points[27:31] = [(0, -0.08), (0, -0.03), (0, 0.02), (0, 0.07)]
    points[31:36] = [(dx, 0.1) for dx in np.linspace(-0.05, 0.05, 5)]
    turn = np.pi - np.linspace(0, -2 * np.pi, 12, endpoint=False)
    thick = 0.02 + 0.06 * opening
    points[48:60, 0] = 0.15 * np.cos(turn)
    points[48:60, 1] = 0.2 - 0.05 * lift * (2 * np.cos(turn) ** 2 - 1) - thick * np.sin(turn - np.pi)
    turn = np.pi - np.linspace(0, -2 * np.pi, 8, endpoint=False)
    points[60:68, 0] = 0.1 * np.cos(turn)
    points[60:68, 1] = 0.2 - 0.05 * lift * (2 * np.cos(turn) ** 2 - 1) - 0.5 * thick * np.sin(turn - np.pi)
    return ((points + 0.5) * size - 0.5).astype(np.float32)


def steps(method: Method, view: TrainingSet, number: int) -> dict[str, float]:
    """Train the last phase for some steps, outside of the loop; the last value of each loss."""
    phase = method.phases()[-1]
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    found: dict[str, float] = {}
    torch.manual_seed(0)
    for step in range(number):
        batch = method.natively(view.step_batch(phase, step, needs=method.card.needs))
        found |= {k: float(v) for k, v in method.training_step(phase, batch, step).items()}
    return found


def random_helpers(seed: int) -> Loader:
    """Seeded random weights in place of pretrained ones."""

    def load(name: str, network: nn.Module) -> nn.Module:
        draw = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=draw) * 0.1
        return network

    return load
