"""A small evidence of clips whose features and landmarks are written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fesbench.metrics.inputs import Clips, MetricInputs
from tests.evidence import FakeFeatures, pair_lookup


def clip_inputs(
    generated: np.ndarray,
    *,
    target: np.ndarray | None = None,
    source: np.ndarray | None = None,
    features: Mapping[tuple[str, str], Any] | None = None,
    intensity: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    identities: np.ndarray | None = None,
    pairs: Any = None,
    landmarks: np.ndarray | None = None,
    **frames: Any,
) -> MetricInputs:
    """Evidence of N clips of T frames.

    Args:
        generated: uint8 (N, T, S, S, 3).
        target: the real clips, the same shape; None: there are none.
        source: uint8 (N, S, S, 3); None: the first frames.
        features: (extractor, which) -> (N * T, D) of frames, (N, D) of "source"; or a pair with validity.
        intensity: (N, T) of the real clips.
        labels: (N,).
        identities: (N,).
        pairs: stands for every pair extractor.
        landmarks: float32 (N, 68, 2) of the sources.
        frames: further fields of the evidence of frames.
    """
    n, length = generated.shape[:2]
    clusters = np.arange(n) if identities is None else np.asarray(identities)
    asked = np.ones(n, dtype=np.int64) if labels is None else labels
    given = {
        k: v if isinstance(v, tuple) else (v, np.ones(len(v), bool)) for k, v in (features or {}).items()
    }

    def lookup(extractor: str, which: str) -> FakeFeatures:
        values, valid = given[extractor, which]
        return FakeFeatures(np.asarray(values, np.float32), np.asarray(valid), f"{extractor}:sig:1")

    def evidence(repeat: int, stack: np.ndarray, true: np.ndarray | None, **more: Any) -> MetricInputs:
        names = (
            [f"r{i}" for i in range(n)]
            if repeat == 1
            else [f"r{i}/{t}" for i in range(n) for t in range(length)]
        )
        rows = -1 if true is None else np.arange(len(names))
        table = pd.DataFrame({"request": names, "target": rows, "driver": -1})
        starts = generated[:, 0] if source is None else source
        found = MetricInputs(
            requests=table,
            generated=stack,
            target=true,
            source=np.repeat(starts, repeat, axis=0),
            clusters=np.repeat(clusters, repeat),
            seed=7,
            protocol="p@1:abcd",
            features=lookup,
            labels=np.repeat(asked, repeat),
            gallery_identity=np.zeros(0, np.int64),
            reference_name="test-real",
            **more,
        )
        if pairs is not None:
            found.pair_values = pair_lookup(found, pairs, "sig:1")
        return found

    flat = None if target is None else target.reshape(-1, *target.shape[2:])
    every = evidence(length, generated.reshape(-1, *generated.shape[2:]), flat, **frames)
    whole = evidence(1, generated[:, -1], None if target is None else target[:, -1])
    if landmarks is not None:
        whole.landmarks = {"source": landmarks}
    truth = np.full((n, length), np.nan) if intensity is None else intensity
    whole.clips = Clips(length, every, truth)
    return whole
