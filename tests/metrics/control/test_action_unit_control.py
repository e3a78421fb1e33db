"""The action-unit metrics on levels that a planted regressor gives."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, pearsonr

from fesbench.errors import DataError
from fesbench.metrics.control.action_unit_error import ActionUnitError
from fesbench.metrics.control.action_units import (
    REGRESSOR,
    ActionUnitCorrelation,
    ActionUnitLeakage,
    ActionUnitMonotonicity,
    ActionUnitTau,
)
from fesbench.vocabulary import ACTION_UNITS

UNITS = ("AU1", "AU12", "AU25")
LEVELS = (0.25, 0.5, 0.75, 1.0)
CONTROL = (ActionUnitCorrelation, ActionUnitMonotonicity, ActionUnitTau, ActionUnitLeakage)


@pytest.fixture
def planted(make_inputs):
    """Requests for every subject, unit and level; ``measured`` (N, 3) is what the regressor says of them."""

    def make(measured=None, people=3, units=(1, 12), source=0.0, valid=None, **fields):
        table = pd.DataFrame(
            [
                {
                    "identity": f"p{who}",
                    "source": who,
                    "domain": "in",
                    "take": 0,
                    "action_unit": unit,
                    "intensity": level,
                }
                for who in range(people)
                for unit in units
                for level in LEVELS
            ]
        )
        table["request"], table["target"] = [f"r{i}" for i in range(len(table))], -1
        if measured is None:
            measured = obedient(table)
        valid = np.ones(len(table), dtype=bool) if valid is None else valid
        return make_inputs(
            np.array([int(name[1:]) for name in table["identity"]]),
            features={
                (REGRESSOR, "generated"): (measured, valid),
                (REGRESSOR, "source"): np.full((len(table), 3), source),
            },
            **{"requests": table, "columns": {REGRESSOR: UNITS}, **fields},
        )

    return make


def obedient(table):
    """The requested unit at the requested level, the others at 0."""
    names = [f"AU{unit}" for unit in table["action_unit"]]
    return np.array(
        [
            [level * (name == unit) for unit in UNITS]
            for name, level in zip(names, table["intensity"], strict=True)
        ]
    )


def measure(kind, inputs, rows=None):
    return kind().measure(inputs, np.arange(len(inputs)) if rows is None else rows)


def test_perfect_control(planted):
    inputs = planted()
    assert measure(ActionUnitCorrelation, inputs).value == pytest.approx(1)
    assert measure(ActionUnitMonotonicity, inputs).value == 1
    assert measure(ActionUnitTau, inputs).value == 1
    assert measure(ActionUnitLeakage, inputs).value == 0


def test_a_method_that_does_nothing(planted):
    inputs = planted(np.full((24, 3), 0.3), source=0.3)
    assert [measure(kind, inputs).value for kind in CONTROL] == [0, 0, 0, 0]


def test_the_opposite_of_what_was_asked(planted):
    table = planted().requests
    inputs = planted(1 - obedient(table), source=1.0)
    assert measure(ActionUnitCorrelation, inputs).value == pytest.approx(-1)
    assert measure(ActionUnitMonotonicity, inputs).value == 0
    assert measure(ActionUnitTau, inputs).value == -1


def test_series_by_hand(planted):
    # One subject, two units: the first rises, falls, rises; the second stays, rises, rises.
    measured = np.zeros((8, 3))
    measured[:4, 0], measured[4:, 1] = [0.1, 0.3, 0.2, 0.4], [0.2, 0.2, 0.5, 0.9]
    inputs = planted(measured, people=1)
    assert measure(ActionUnitMonotonicity, inputs).per_sample.tolist() == [0] * 8
    # Pairs of the first: 5 up, 1 down of 6; of the second: 5 up, 1 tie of 6.
    tau = measure(ActionUnitTau, inputs).per_sample
    assert tau[:4] == pytest.approx([4 / 6] * 4)
    assert tau[4:] == pytest.approx([5 / 6] * 4)
    assert measure(ActionUnitTau, inputs).value == pytest.approx(4.5 / 6)


def test_leakage_by_hand(planted):
    measured = np.tile([0.5, 0.2, 0.9], (8, 1))
    found = measure(ActionUnitLeakage, planted(measured, people=1, source=0.4))
    # AU1 asked for: AU12 moved by 0.2, AU25 by 0.5; AU12 asked for: AU1 by 0.1, AU25 by 0.5.
    assert found.per_sample == pytest.approx([0.35] * 4 + [0.3] * 4)
    assert found.value == pytest.approx(0.325)


def test_agreement_with_scipy_and_order(planted):
    rng = np.random.default_rng(0)
    base = planted(people=12)
    measured = 0.5 * obedient(base.requests) + rng.normal(0, 0.2, (96, 3))
    inputs = planted(measured, people=12)
    table, r, tau = base.requests, [], []
    for unit, column in ((1, 0), (12, 1)):
        mine = np.flatnonzero(table["action_unit"] == unit)
        levels, seen = table["intensity"].to_numpy()[mine], measured[mine, column]
        r.append(pearsonr(levels, seen).statistic)
        tau += [kendalltau(levels[i : i + 4], seen[i : i + 4]).statistic for i in range(0, len(mine), 4)]
    found = measure(ActionUnitCorrelation, inputs)
    assert found.value == pytest.approx(np.mean(r), abs=1e-6)
    assert -1 <= found.low < found.value < found.high <= 1
    assert measure(ActionUnitTau, inputs).value == pytest.approx(np.mean(tau))
    order = rng.permutation(96)
    for kind in CONTROL:
        plain, mixed = measure(kind, inputs), measure(kind, inputs, order)
        assert (mixed.value, mixed.low, mixed.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_noise_makes_every_figure_worse(planted):
    rng, last = np.random.default_rng(1), None
    clean = obedient(planted(people=10).requests)
    for noise in (0.02, 0.3, 3.0):
        inputs = planted(clean + rng.normal(0, noise, clean.shape), people=10)
        values = np.array(
            [measure(kind, inputs).value * (-1 if kind is ActionUnitLeakage else 1) for kind in CONTROL]
        )
        assert last is None or (values < last).all()
        last = values


def test_an_unreadable_picture_counts_as_nothing_shown(planted):
    valid = np.ones(24, dtype=bool)
    valid[3] = False  # the highest level of the first series
    inputs = planted(valid=valid)
    found = measure(ActionUnitMonotonicity, inputs)
    assert (found.n_valid, found.n_requested) == (23, 24)
    assert found.per_sample[:4].tolist() == [0] * 4
    assert found.value == pytest.approx(5 / 6)


def test_one_unit_by_itself(planted):
    measured = obedient(planted().requests)
    measured[12:16] = 0  # the second subject's AU12 never moves
    inputs = planted(measured)
    asked = inputs.requests["action_unit"].to_numpy()
    assert measure(ActionUnitMonotonicity, inputs, np.flatnonzero(asked == 1)).value == 1
    assert measure(ActionUnitMonotonicity, inputs, np.flatnonzero(asked == 12)).value == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", CONTROL)
def test_what_cannot_be_measured_is_refused(kind, planted):
    unknown = measure(kind, planted(units=(1, 9)))
    assert (unknown.value, unknown.reason) == (None, "the training data does not show AU9")
    nothing = measure(kind, planted(units=(0,)))
    assert (nothing.value, nothing.reason) == (None, "no action unit is asked for")
    assert measure(kind, planted(), np.arange(0)).value is None
    with pytest.raises(DataError, match="name its columns"):
        measure(kind, planted(columns={REGRESSOR: ("AU1",)}))


@pytest.mark.parametrize("kind", [ActionUnitCorrelation, ActionUnitMonotonicity, ActionUnitTau])
def test_one_level_is_no_series(kind, planted):
    inputs = planted()
    highest = np.flatnonzero(inputs.requests["intensity"] == 1)
    found = measure(kind, inputs, highest)
    assert found.value is None
    assert "two levels or more" in found.reason


def test_a_level_twice_is_an_error(planted):
    inputs = planted()
    inputs.requests["intensity"] = 0.5
    with pytest.raises(DataError, match="asked for twice"):
        measure(ActionUnitTau, inputs)


class TestError:
    @pytest.fixture
    def coded(self, make_inputs):
        def make(measured, target, **fields):
            codes = np.full((len(target), len(ACTION_UNITS)), np.nan)
            codes[:, [ACTION_UNITS.index(1), ACTION_UNITS.index(12), ACTION_UNITS.index(25)]] = target
            return make_inputs(
                np.arange(len(target)),
                features={(REGRESSOR, "generated"): np.asarray(measured, dtype=float)},
                columns={REGRESSOR: UNITS},
                action_units={"target": codes},
                **fields,
            )

        return make

    def test_by_hand_over_what_is_coded(self, coded):
        nan = np.nan
        found = measure(
            ActionUnitError,
            coded([[0.5, 0.5, 0.5]] * 3, [[0.5, 1.0, 0.0], [0.25, nan, nan], [nan, nan, nan]]),
        )
        assert found.per_sample[:2] == pytest.approx([1 / 3, 0.25])
        assert np.isnan(found.per_sample[2])
        assert found.value == pytest.approx((1 / 3 + 0.25) / 2)
        assert (found.n_valid, found.n_requested) == (2, 3)

    def test_nothing_coded_has_a_reason(self, coded, make_inputs):
        found = measure(ActionUnitError, coded([[0.5] * 3] * 2, np.full((2, 3), np.nan)))
        assert (found.value, found.n_valid) == (None, 0)
        assert "no target image" in found.reason
