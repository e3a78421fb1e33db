"""How a picture is taken: light, background, pose and clothes, drawn anew for each take."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

_STREAM = 37


def _normal(rng: np.random.Generator, spread: float) -> float:
    return float(np.clip(rng.standard_normal(), -2.0, 2.0)) * spread


def _studio(rng: np.random.Generator) -> dict[str, Any]:
    gray, tint = float(rng.uniform(0.22, 0.68)), rng.uniform(-0.07, 0.07, 3)
    warmth = _normal(rng, 0.04)
    cloth = float(rng.uniform(0.02, 0.40)) * np.exp(rng.normal(0, 0.45, 3))
    return {
        "key_azimuth": float(rng.uniform(-0.6, 0.6)),
        "key_elevation": float(rng.uniform(0.30, 0.72)),
        "key": float(rng.uniform(0.95, 1.30)),
        "fill": float(rng.uniform(0.12, 0.34)),
        "ambient": float(rng.uniform(0.17, 0.34)),
        "key_color": (1 + warmth, 1.0, 1 - warmth),
        "fill_color": (1 - 0.6 * warmth, 1.0, 1 + 0.6 * warmth),
        "background": tuple(float(v) for v in np.clip(gray + tint, 0.03, 0.9)),
        "background_slope": float(rng.uniform(-0.22, 0.22)),
        "background_phase": float(rng.uniform()),
        "cloth": tuple(float(v) for v in np.clip(cloth, 0.012, 0.6)),
        "collar": float(rng.uniform(0.0, 1.0)),
        "yaw": _normal(rng, 0.025),
        "pitch": _normal(rng, 0.025),
        "roll": _normal(rng, 0.015),
        "zoom": 1 + _normal(rng, 0.015),
        "shift_x": 0.0,
        "shift_y": 0.0,
        "gaze_x": 0.0,
        "gaze_y": 0.0,
        "scene": 0.0,
        "sensor_noise": 0.0,
        "blur": 0.0,
    }


def _wild(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "key_azimuth": float(rng.uniform(-1.15, 1.15)),
        "key_elevation": float(rng.uniform(0.0, 1.05)),
        "key": float(rng.uniform(0.65, 1.45)),
        "ambient": float(rng.uniform(0.16, 0.45)),
        "key_color": tuple(float(v) for v in np.clip(rng.normal(0.97, 0.11, 3), 0.65, 1.25)),
        "fill_color": tuple(float(v) for v in np.clip(rng.normal(0.92, 0.13, 3), 0.55, 1.25)),
        "yaw": float(rng.uniform(-0.32, 0.32)),
        "pitch": float(rng.uniform(-0.15, 0.15)),
        "roll": float(rng.uniform(-0.16, 0.16)),
        "zoom": float(rng.uniform(0.84, 1.02)),
        "shift_x": float(rng.uniform(-0.10, 0.10)),
        "shift_y": float(rng.uniform(-0.06, 0.04)),
        "gaze_x": float(rng.uniform(-0.5, 0.5)),
        "gaze_y": float(rng.uniform(-0.25, 0.25)),
        "scene": float(rng.uniform()),
        "sensor_noise": float(rng.uniform(0.004, 0.024)),
        "blur": float(rng.random() < 0.35),
    }


@functools.lru_cache(maxsize=8192)
def _drawn(seed: int, identity: int, take: int, wild: bool, relit: int) -> tuple[tuple[str, Any], ...]:
    # `relit` is 0 for a take's one light, else 1 + the expression's number.
    key = [_STREAM, seed, identity, take, relit]
    values = _studio(np.random.default_rng(key))
    if wild:
        values.update(_wild(np.random.default_rng([*key, 1])))
    return tuple(values.items())


def capture(seed: int, identity: int, take: int, *, wild: bool = False, relit: int = 0) -> dict[str, Any]:
    """Light, background, pose and clothes of one take; shared by all expressions of it unless ``relit``."""
    return dict(_drawn(seed, identity, take, wild, relit))


def sensor_noise(seed: int, identity: int, take: int, size: int) -> np.ndarray:
    """Unit-variance sensor noise of a take, float32 (3, size, size)."""
    rng = np.random.default_rng([_STREAM, seed, identity, take, size, 2])
    return rng.standard_normal((3, size, size), dtype=np.float32)
