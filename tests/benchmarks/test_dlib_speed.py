"""dlib's face descriptor in torch against dlib itself, on the same chips and threads.

Run with ``pytest tests/benchmarks/test_dlib_speed.py -s``. The ratio is printed and stored, never asserted.
"""

import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.extractors.dlib_resnet import CHIP, DlibResNet

FACES = 64


def test_against_dlib(benchmark):
    dlib = pytest.importorskip("dlib")
    package = find_spec("face_recognition_models")
    if package is None:
        pytest.skip("package face-recognition-models is not installed")
    file = Path(package.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    chips = np.random.default_rng(0).integers(0, 256, (FACES, CHIP, CHIP, 3), dtype=np.uint8)
    theirs, ours = dlib.face_recognition_model_v1(str(file)), DlibResNet(file.read_bytes())
    start = time.perf_counter()
    wanted = np.array([np.array(theirs.compute_face_descriptor(chip)) for chip in chips])
    seconds = time.perf_counter() - start

    def describe():
        with torch.inference_mode():
            parts = torch.from_numpy(chips).permute(0, 3, 1, 2).split(16)
            return torch.cat([ours(part) for part in parts]).numpy()

    found = benchmark.pedantic(describe, rounds=3, warmup_rounds=1)
    ratio = seconds / benchmark.stats.stats.median
    benchmark.extra_info["ratios"] = {"descriptor, speed against dlib": ratio}
    print(f"\n{FACES} faces on {torch.get_num_threads()} threads: {ratio:.1f} times as fast as dlib")
    assert np.abs(found - wanted).max() < 1e-5
