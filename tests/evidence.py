"""A small evidence whose features are written by hand."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from fesbench.metrics.inputs import MetricInputs


@dataclass(frozen=True)
class FakeFeatures:
    values: np.ndarray
    valid: np.ndarray
    signature: str


def pair_lookup(inputs, compare, signature):
    def values(extractor, first, second, pairs):
        a, b = (getattr(inputs, which)[pairs[:, side]] for side, which in enumerate((first, second)))
        found = np.asarray(compare(a, b), dtype=np.float32)[:, None]
        return FakeFeatures(found, np.ones(len(found), dtype=bool), f"{extractor}:{signature}")

    return values


@pytest.fixture
def make_inputs():
    """Factory: ``make_inputs(identities=[0, 0, 1], features={("dlib", "source"): values, ...}, ...)``.

    A feature entry is an array, or a pair (array, valid). ``pairs`` is a function of two stacks of images
    that stands for every pair extractor. All fields of MetricInputs can be overridden.
    """

    def make(identities, *, features=None, pairs=None, signature="sig:1", size=16, **fields):
        clusters = np.asarray(identities)
        n, rng = len(clusters), np.random.default_rng(0)
        table = pd.DataFrame(
            {
                "request": [f"r{i}" for i in range(n)],
                "target": np.arange(n),
            }
        )

        def lookup(extractor, which):
            found = features[extractor, which]
            values, valid = found if isinstance(found, tuple) else (found, np.ones(len(found), dtype=bool))
            return FakeFeatures(
                np.asarray(values, dtype=np.float32), np.asarray(valid), f"{extractor}:{signature}"
            )

        images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
        given = {
            "requests": table,
            "generated": images,
            "target": images.copy(),
            "source": images.copy(),
            "clusters": clusters,
            "seed": 7,
            "protocol": "p@1:abcd",
            "features": lookup,
            "labels": np.zeros(n, dtype=np.int64),
            "gallery_identity": np.unique(clusters),
            "reference_name": "test-real",
        }
        inputs = MetricInputs(**(given | fields))
        if pairs is not None:
            inputs.pair_values = pair_lookup(inputs, pairs, signature)
        return inputs

    return make


@pytest.fixture
def all_rows():
    return lambda inputs: np.arange(len(inputs))
