"""What the measurement command computes, without any model."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.data.avatars import measure, source_sha256


def test_seed_comes_from_the_sources():
    assert measure.measurement_seed() == int(source_sha256()[:16], 16) >> 1
    assert 0 <= measure.measurement_seed() < 2**63


def test_tar_counts_the_share_of_genuine_pairs_below_the_threshold():
    # One far genuine pair of two: subject 1's images lie 30 apart, beyond all impostor distances' 1 % point.
    descriptors = np.array([[0.0], [1.0], [40.0], [70.0]])
    assert measure.tar_at_far(descriptors, np.array([0, 0, 1, 1]), 0.01) == pytest.approx(1.0)
    assert measure.tar_at_far(np.array([[0.0], [1.0], [20.0], [70.0]]), np.array([0, 0, 1, 1]), 0.01) == 0.5
