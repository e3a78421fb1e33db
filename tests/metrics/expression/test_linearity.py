"""CLS: by hand, as numpy's correlation, and what it rises and falls with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fesbench.metrics.expression.linearity import ControlLinearity

LEVELS = (0.25, 0.5, 0.75, 1.0)


@pytest.fixture
def asked(make_inputs):
    """Factory: (subjects, labels, levels) judged intensities of the requested expression."""

    def make(measured, labels=(1, 2), levels=LEVELS, valid=None, **fields):
        measured = np.asarray(measured, dtype=np.float64)
        people, n = measured.shape[0], measured.size
        label = np.tile(np.repeat(labels, len(levels)), people)
        judged = np.zeros((n, 8))
        judged[np.arange(n), label] = measured.ravel()
        level = np.tile(levels, people * len(labels))
        table = pd.DataFrame({"request": [f"r{i}" for i in range(n)], "intensity": level})
        return make_inputs(
            np.repeat(np.arange(people), len(labels) * len(levels)),
            features={("judge", "generated"): (judged, np.ones(n, bool) if valid is None else valid)},
            labels=label,
            requests=table,
            **fields,
        )

    return make


def measure(inputs, rows=None):
    return ControlLinearity().measure(inputs, np.arange(len(inputs)) if rows is None else rows)


def test_by_hand(asked):
    # Over levels in equal steps: a straight line has 1, a constant 0, and 0, 1, 0, 1 has 1 / sqrt(5).
    inputs = asked([[[0.1, 0.2, 0.3, 0.4], [0.7] * 4]] * 2)
    assert measure(inputs).value == pytest.approx(0.5)
    inputs = asked([[[0, 1, 0, 1]]] * 2, labels=(3,))
    assert measure(inputs).value == pytest.approx(1 / np.sqrt(5))


def test_as_numpy_correlates_each_expression(asked):
    rng = np.random.default_rng(0)
    measured = rng.uniform(size=(12, 3, 4)) + np.array(LEVELS)
    inputs = asked(measured / 2, labels=(1, 4, 6))
    wanted = np.tile(LEVELS, 12)
    expected = np.mean([np.corrcoef(wanted, measured[:, i].ravel())[0, 1] for i in range(3)])
    found = measure(inputs)
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert -1 <= found.low < found.value < found.high <= 1
    assert found.replicates is not None
    one = measure(inputs, np.flatnonzero(inputs.labels == 4))
    assert one.value == pytest.approx(np.corrcoef(wanted, measured[:, 1].ravel())[0, 1], abs=1e-6)


def test_it_falls_with_noise_and_turns_with_the_levels(asked):
    rng, line = np.random.default_rng(2), np.broadcast_to(np.array(LEVELS), (30, 2, 4))
    values = [measure(asked(line / 4 + s * rng.uniform(size=line.shape))).value for s in (0, 0.1, 0.3, 0.7)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert measure(asked(line[..., ::-1])).value == pytest.approx(-1)


def test_lost_faces_have_no_intensity(asked):
    kept = np.tile([True, True, True, False], 4)
    inputs = asked(np.broadcast_to(np.array(LEVELS), (2, 2, 4)), face_kept=kept, face_rule="d")
    found = measure(inputs)
    assert found.value == pytest.approx(np.corrcoef(LEVELS, [0.25, 0.5, 0.75, 0])[0, 1], abs=1e-6)
    assert found.n_valid == 12


def test_refusals(asked):
    one = asked(np.ones((3, 2, 1)), levels=(1.0,))
    assert "two levels" in measure(one).reason
    none = asked(np.ones((2, 1, 4)), labels=(1,))
    none.judge_classes = ("neutral", *["x"] * 7)
    assert "no class" in measure(none).reason
    assert measure(one, np.arange(0)).reason == "no request has a value"
