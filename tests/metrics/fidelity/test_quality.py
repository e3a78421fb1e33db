import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fesbench.errors import DataError
from fesbench.metrics.fidelity.qualiclip import Quality, QualityGain, QualityT2, positive_share


def features(*differences, scale=80.0):
    """One image whose positive prompts lead by these cosines, seven of them."""
    row = []
    for difference in differences:
        row += [0.1 + difference, 0.1]
    return [*row, scale]


@pytest.fixture
def inputs(make_inputs):
    output = [features(*[0.01] * 7), features(0.02, -0.02, 0, 0, 0, 0, 0.04)]
    source = [features(*[0.0] * 7), features(*[0.0] * 7)]
    return make_inputs([0, 1], features={("qualiclip", "generated"): output, ("qualiclip", "source"): source})


def logistic(x):
    return 1 / (1 + math.exp(-x))


def test_official_form_by_hand(inputs):
    found = Quality().measure(inputs, np.arange(2))
    second = (logistic(2) + logistic(-2) + 4 * 0.5 + logistic(4)) / 7
    assert found.per_sample == pytest.approx([logistic(1), second], rel=1e-5)
    assert found.value == pytest.approx((logistic(1) + second) / 2, rel=1e-5)


def test_temperature_form_halves_the_checkpoints_logits(inputs):
    found = QualityT2().measure(inputs, np.arange(2))
    assert found.per_sample[0] == pytest.approx(logistic(80 * 0.01 / 2), rel=1e-5)


def test_the_two_forms_may_rank_differently_and_never_share_a_column(make_inputs):
    # Five clear pairs and two lost ones, against seven faint ones.
    output = [features(*[0.08] * 4, *[-0.08] * 3), features(*[0.006] * 7)]
    inputs = make_inputs([0, 1], features={("qualiclip", "generated"): output})
    official, halved = (m.measure(inputs, np.arange(2)) for m in (Quality(), QualityT2()))
    assert official.per_sample[0] < official.per_sample[1]
    assert abs(halved.per_sample[1] - 0.5) < abs(official.per_sample[1] - 0.5)
    assert {"metric", "logits", "temp"} <= set(
        official.signature.difference(official.signature, halved.signature)
    )


def test_gain_is_output_minus_source(inputs):
    found = QualityGain().measure(inputs, np.arange(2))
    plain = Quality().measure(inputs, np.arange(2))
    assert found.per_sample == pytest.approx(plain.per_sample - 0.5, abs=1e-6)


def test_a_copy_gains_nothing(make_inputs):
    same = [features(*[0.03] * 7), features(*[-0.01] * 7)]
    inputs = make_inputs([0, 1], features={("qualiclip", "generated"): same, ("qualiclip", "source"): same})
    found = QualityGain().measure(inputs, np.arange(2))
    assert found.per_sample.tolist() == [0, 0]


def test_features_of_another_width_are_refused(make_inputs):
    inputs = make_inputs([0], features={("qualiclip", "generated"): [[0.1] * 14]})
    with pytest.raises(DataError, match="14 columns, not 15"):
        Quality().measure(inputs, np.arange(1))


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=14, max_size=14))
def test_the_share_equals_torchs_softmax(logits):
    import torch

    pairs = torch.tensor(logits, dtype=torch.float64).reshape(1, -1, 2)
    expected = pairs.softmax(dim=-1)[..., 0].mean(dim=1).item()
    assert positive_share(np.array([logits]))[0] == pytest.approx(expected, abs=1e-12)
