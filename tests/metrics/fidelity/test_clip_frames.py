"""Scores of frames and of what should be still, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.metrics import metric
from fesbench.metrics.fidelity.flicker import face_region
from fesbench.metrics.fidelity.ssim_psnr import PSNR, SSIM
from tests.clip_evidence import clip_inputs


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("name", "inner"), [("SSIM-frames", SSIM), ("PSNR-frames", PSNR)])
def test_a_clip_has_the_mean_of_its_frames(name: str, inner: type) -> None:
    made, true = noise(3, 4, 16, 16, 3), noise(3, 4, 16, 16, 3, seed=1)
    found = metric(name).measure(clip_inputs(made, target=true), np.arange(3))
    each = inner().per_image(made.reshape(-1, 16, 16, 3), true.reshape(-1, 16, 16, 3), np.ones(12, bool))
    assert found.per_sample == pytest.approx(each.reshape(3, 4)[:, 1:].mean(axis=1))
    assert found.value == pytest.approx(each.reshape(3, 4)[:, 1:].mean())
    assert (found.n_requested, found.n_valid, found.identities) == (3, 3, 3)
    assert "over:frames-but-first-mean" in str(found.signature)
    part = metric(name).measure(clip_inputs(made, target=true), np.array([2, 0]))
    assert part.per_sample == pytest.approx(found.per_sample[[2, 0]])


def test_frames_of_a_pair_extractor() -> None:
    made, true = noise(2, 3, 16, 16, 3), noise(2, 3, 16, 16, 3, seed=1)
    inputs = clip_inputs(
        made, target=true, pairs=lambda a, b: np.abs(a.astype(float) - b).mean(axis=(1, 2, 3))
    )
    found = metric("LPIPS-frames").measure(inputs, np.arange(2))
    assert found.per_sample == pytest.approx(
        np.abs(made[:, 1:].astype(float) - true[:, 1:]).mean(axis=(1, 2, 3, 4))
    )


def test_without_a_real_clip_there_is_no_score() -> None:
    made = noise(2, 3, 16, 16, 3)
    for name in ("SSIM-frames", "Flicker"):
        found = metric(name).measure(clip_inputs(made), np.arange(2))
        assert found.value is None
        assert found.reason


def test_the_first_frame_is_held_against_the_source() -> None:
    made = noise(2, 3, 16, 16, 3)
    source = made[:, 0].copy()
    source[1] = 255 - source[1]
    found = metric("First-frame").measure(clip_inputs(made, source=source), np.arange(2))
    assert found.per_sample is not None
    assert found.per_sample[0] == pytest.approx(1)
    assert found.per_sample[1] < 0


def face(center: float = 16.0, radius: float = 4.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    return (center + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)


def test_the_face_is_a_hull_grown_by_half() -> None:
    region = face_region(face(), 32)
    y, x = np.mgrid[0:32, 0:32]
    distance = np.hypot(x - 16, y - 16)
    assert region[distance < 5].all()
    assert not region[distance > 8].any()


def test_flicker_is_what_changes_outside_of_the_face_beyond_the_real_clip() -> None:
    still = np.full((1, 3, 32, 32, 3), 100, np.uint8)
    trembling, talking = still.copy(), still.copy()
    trembling[:, 1] += 4
    talking[:, 1, 14:18, 14:18] += 100
    points = face()[None]
    for made, true, expected in (
        (still, still, 0),
        (talking, still, 0),
        (trembling, still, 4),
        (still, trembling, 4),
        (trembling, trembling, 0),
    ):
        found = metric("Flicker").measure(clip_inputs(made, target=true, landmarks=points), np.arange(1))
        assert found.per_sample == pytest.approx([expected])
    unknown = clip_inputs(still, target=still, landmarks=np.full((1, 68, 2), np.nan, np.float32))
    assert metric("Flicker").measure(unknown, np.arange(1)).value is None
