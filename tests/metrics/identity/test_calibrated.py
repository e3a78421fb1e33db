"""ID-cal and HES: their ends by hand, what they cannot be fooled by, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from fesbench.metrics.expression.harmonic import HarmonicScore, harmonic
from fesbench.metrics.identity.calibrated import CalibratedIdentity
from fesbench.vocabulary import EXPRESSIONS

WHO = np.repeat(np.arange(3), 2)


def unit(*degrees: float) -> np.ndarray:
    """Embeddings in the plane, by their angle."""
    turned = np.deg2rad(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1)


@pytest.fixture
def faces(make_inputs):
    """Three subjects whose galleries lie at 0, 60 and 120 degrees, each source 20 degrees beyond."""

    def make(*outputs: float, labels=(1, 2) * 3, seen=(1, 2) * 3, valid=None, **fields):
        made = unit(*outputs)
        return make_inputs(
            WHO,
            features={
                ("dlib", "generated"): made if valid is None else (made, np.array(valid)),
                ("dlib", "source"): unit(20, 20, 80, 80, 140, 140),
                ("dlib", "gallery"): unit(0, 60, 120),
                ("judge", "generated"): np.eye(len(EXPRESSIONS))[list(seen)],
            },
            labels=np.array(labels),
            **fields,
        )

    return make


def cosine(degrees: float) -> float:
    return float(np.cos(np.deg2rad(degrees)))


def test_the_ends_are_the_medians_of_real_pairs(faces, all_rows) -> None:
    # Own: 20 degrees apart, all of them. Others: 40, 100, 80, 40, 140, 80 degrees, median between 80 and 80.
    inputs = faces(20, 80, 20, 80, 120, 120)
    found = CalibratedIdentity().measure(inputs, all_rows(inputs))
    same, different = cosine(20), cosine(80)

    def scaled(degrees: float) -> float:
        return float(np.clip((cosine(degrees) - different) / (same - different), 0, 1))

    expected = [scaled(20), scaled(80), scaled(40), scaled(20), scaled(0), scaled(0)]
    assert expected[0] == pytest.approx(1)
    assert expected[1] == pytest.approx(0)
    assert 0 < expected[2] < 1
    assert found.per_sample == pytest.approx(expected)
    assert found.value == pytest.approx(np.mean(expected))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_copy_has_one_and_a_lost_face_nothing(faces, all_rows) -> None:
    copy = faces(20, 20, 80, 80, 140, 140)
    assert CalibratedIdentity().measure(copy, all_rows(copy)).value == pytest.approx(1)
    kept = np.array([True, True, True, False, False, False])
    lost = faces(20, 20, 80, 80, 140, 140, face_kept=kept, face_rule="detector:1")
    found = CalibratedIdentity().measure(lost, all_rows(lost))
    assert (found.value, found.n_valid) == (pytest.approx(0.5), 3)


def test_a_subject_without_a_gallery_image_is_left_out_and_counted(faces, all_rows) -> None:
    inputs = faces(20, 20, 80, 80, 140, 140)
    inputs.gallery_identity = np.array([0, 1, 7])
    found = CalibratedIdentity().measure(inputs, all_rows(inputs))
    assert np.isnan(found.per_sample).tolist() == [False] * 4 + [True] * 2
    assert found.n_valid == 4


def test_a_scale_without_length_is_refused(faces, all_rows) -> None:
    inputs = faces(20, 20, 80, 80, 140, 140)
    inputs.gallery_identity = np.array([1, 2, 0])  # each source is nearest to another subject's image
    assert "nothing to calibrate" in CalibratedIdentity().measure(inputs, all_rows(inputs)).reason
    alone = faces(20, 20, 80, 80, 140, 140)
    alone.gallery_identity = np.array([7, 8, 9])
    assert "no two subjects" in CalibratedIdentity().measure(alone, all_rows(alone)).reason


def test_neither_a_copy_nor_another_face_wins_the_harmonic_mean(faces, all_rows) -> None:
    copy = faces(20, 20, 80, 80, 140, 140, seen=(0,) * 6)
    other = faces(200, 200, 260, 260, 320, 320)
    half = faces(20, 20, 80, 80, 140, 140, seen=(1, 0) * 3)
    values = [HarmonicScore().measure(x, all_rows(x)).value for x in (copy, other, half)]
    assert values == pytest.approx([0, 0, harmonic(np.array([1.0, 0.0]), np.ones(2))])


def test_the_harmonic_mean_needs_a_judge_of_the_labels(faces, all_rows) -> None:
    inputs = faces(20, 20, 80, 80, 140, 140, labels=(1, -1) * 3)
    found = HarmonicScore().measure(inputs, all_rows(inputs))
    assert (found.value, found.reason[:9]) == (None, "the judge")
    whole = faces(20, 20, 80, 80, 140, 140)
    assert HarmonicScore().measure(whole, all_rows(whole)).signature.fields
    assert dict(HarmonicScore().measure(whole, all_rows(whole)).signature.fields)["judge"] == "judge:sig:1"
