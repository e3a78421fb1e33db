"""Seeded inputs for the outside judges, and where this machine's pulled weights lie.

``outside_judges.json`` holds what others' programs answer to these inputs with the published weights:

- face-api: npm's @vladmandic/face-api 1.7.15 itself, in node 20, by tensorflow.js' CPU backend (a
  ``FaceExpressionNet``, its weights out of the package's manifest, ``forwardInput`` of a ``NetInput``);
- facex: ai-edge-litert 2.3.0's interpreter on ``model_optimized.tflite``, by its three kinds of kernels
  (default: XNNPACK; plain: without delegates; reference).
- face-mesh: the same interpreter's default kernels on ``face_landmark.tflite``: every 40th number of the
  points, then the log odds of a face.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fesbench.errors import WeightsError
from fesbench.files import fesbench_home
from fesbench.weights.manager import WeightsManager

# Read before a test gets a home of its own: what its user pulled serves these tests, and nothing else of it.
_HOME = fesbench_home() if os.environ.get("FESBENCH_HOME") or os.environ.get("HOME") else None


def answers() -> dict[str, Any]:
    """What the others' programs answer."""
    text = Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def inputs(size: int, channels: int) -> np.ndarray:
    """Eight smooth images float32 (8, size, size, channels) in whole numbers from 0 to 255."""
    coarse = np.random.default_rng(11).uniform(-40, 295, (8, channels, 7, 7)).astype(np.float32)
    fine = F.interpolate(torch.from_numpy(coarse), size=(size, size), mode="bilinear", align_corners=True)
    found: np.ndarray = fine.clamp(0, 255).round().permute(0, 2, 3, 1).numpy()
    return found


def pulled(*names: str) -> WeightsManager:
    """A manager that has these weights; skips the test where nobody has pulled them."""
    if _HOME is None:
        pytest.skip("no home of the user's; fesbench weights pull --for judges")
    manager = WeightsManager(_HOME)
    try:
        for name in names:
            manager.path(name)
    except WeightsError:
        pytest.skip("the judges' weights are not here; fesbench weights pull --for judges")
    return manager
