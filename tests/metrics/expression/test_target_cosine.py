"""Target-cosine: a case by hand, a literal re-implementation, and what it must not react to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fesbench.errors import DataError
from fesbench.metrics.expression.target_cosine import ALIKE, TargetCosine
from fesbench.metrics.fidelity.ssim_psnr import NO_TARGET
from fesbench.records.signature import Signature


def one_pixel(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.array(colors, dtype=np.uint8)[:, None, None, :]


@pytest.fixture
def faces(make_inputs):
    """Ten subjects in five expressions; ``made`` is a function of (source, target) in float."""
    rng = np.random.default_rng(0)
    who, label = np.repeat(np.arange(10), 5), np.tile(np.arange(1, 6), 10)
    source = rng.integers(60, 196, (10, 8, 8, 3))[who]
    pattern = rng.integers(-30, 31, (6, 8, 8, 3))
    target = (source + pattern[label] + rng.integers(-5, 6, source.shape)).astype(np.uint8)

    def make(made, order=None):
        order = np.arange(50) if order is None else order
        images = np.clip(np.round(made(source.astype(float), target.astype(float))), 0, 255)
        return make_inputs(
            who[order],
            source=source[order].astype(np.uint8),
            target=target[order],
            generated=images[order].astype(np.uint8),
            labels=label[order],
        )

    return make


def literal(inputs) -> np.ndarray:
    """The definition, word for word, in float64."""
    values = np.zeros(len(inputs))
    changes = {
        "made": inputs.generated.astype(np.float64) - inputs.source,
        "true": inputs.target.astype(np.float64) - inputs.source,
    }
    for row in range(len(inputs)):
        same = inputs.clusters == inputs.clusters[row]
        made, true = (change[row] - change[same].mean(axis=0) for change in changes.values())
        values[row] = (made * true).sum() / np.sqrt((made**2).sum()) / np.sqrt((true**2).sum())
    return values


def test_a_case_by_hand(make_inputs) -> None:
    inputs = make_inputs(
        [0, 0],
        source=one_pixel((100, 100, 100), (100, 100, 100)),
        target=one_pixel((110, 100, 100), (90, 100, 100)),  # less the mean: (10, 0, 0) and (-10, 0, 0)
        generated=one_pixel((116, 108, 100), (110, 100, 100)),  # (3, 4, 0) and (-3, -4, 0)
    )
    found = TargetCosine().measure(inputs, np.arange(2))
    assert found.per_sample == pytest.approx([0.6, 0.6])
    assert found.value == pytest.approx(0.6)
    assert (found.low, found.high) == (None, None), "one subject allows no interval"


def test_equals_the_definition(faces, all_rows) -> None:
    rng = np.random.default_rng(1)
    inputs = faces(lambda source, target: source + 0.4 * (target - source) + rng.normal(0, 12, source.shape))
    found = TargetCosine().measure(inputs, all_rows(inputs))
    assert found.per_sample == pytest.approx(literal(inputs), abs=1e-12)
    assert found.value == pytest.approx(literal(inputs).mean())
    assert 0.3 < found.low < found.value < found.high < 0.9
    assert found.identities == 10


@pytest.mark.parametrize(
    ("made", "value"),
    [
        (lambda source, target: target, 1.0),
        (lambda source, target: source, 0.0),
        (lambda source, target: source + 40, 0.0),
        (lambda source, target: target - 20, 1.0),
        (lambda source, target: 2 * source - target, -1.0),
    ],
    ids=["real", "copy", "a tint alone", "the target, tinted", "the opposite"],
)
def test_what_does_not_depend_on_the_label_counts_nothing(made, value, faces, all_rows) -> None:
    inputs = faces(made)
    assert TargetCosine().measure(inputs, all_rows(inputs)).value == pytest.approx(value, abs=1e-12)


def test_size_counts_nothing_and_noise_takes_away(faces, all_rows) -> None:
    half = faces(lambda source, target: source + 0.5 * (target - source))
    assert TargetCosine().measure(half, all_rows(half)).value > 0.99
    rng, found = np.random.default_rng(2), []
    for noise in (0, 5, 15, 45):
        inputs = faces(lambda source, target, noise=noise: target + noise * rng.normal(size=target.shape))
        found.append(TargetCosine().measure(inputs, all_rows(inputs)).value)
    assert (np.diff(found) < -0.02).all()


def test_a_pattern_that_belongs_to_no_expression_is_worth_nothing(faces, all_rows) -> None:
    """What fools a judge: one texture a label, the same on everybody, that no face shows."""
    rng, label = np.random.default_rng(3), np.tile(np.arange(5), 10)
    textures = rng.normal(0, 25, (5, 8, 8, 3))
    inputs = faces(lambda source, target: source + textures[label])
    found = TargetCosine().measure(inputs, all_rows(inputs))
    assert abs(found.value) < 0.12


def test_order_and_grouping_do_not_matter_to_the_bit(faces, all_rows) -> None:
    made = lambda source, target: 0.7 * source + 0.3 * np.roll(target, 1, axis=2)  # noqa: E731
    order = np.random.default_rng(4).permutation(50)
    plain, mixed = faces(made), faces(made, order)
    every = TargetCosine().measure(plain, all_rows(plain)).per_sample
    assert (TargetCosine().measure(mixed, all_rows(mixed)).per_sample == every[order]).all()
    few = np.array([3, 17, 4])
    assert (TargetCosine().measure(plain, few).per_sample == every[few]).all(), (
        "of all the subject's requests"
    )


def test_what_has_no_value_says_why(faces, make_inputs, all_rows) -> None:
    inputs = faces(lambda source, target: target)
    inputs.requests = inputs.requests.assign(target=np.where(inputs.labels == 1, -1, 0))
    found = TargetCosine().measure(inputs, all_rows(inputs))
    assert (found.n_valid, found.n_requested) == (40, 50)
    assert found.value == pytest.approx(1.0)
    assert TargetCosine().measure(inputs, np.flatnonzero(inputs.labels == 1)).reason == NO_TARGET

    nothing = make_inputs([0, 1], target=None)
    assert TargetCosine().measure(nothing, np.arange(2)).reason == NO_TARGET
    one_each = make_inputs([0, 1, 2])
    assert TargetCosine().measure(one_each, np.arange(3)).reason == ALIKE
    with pytest.raises(DataError, match="images of one shape"):
        TargetCosine().measure(
            make_inputs(
                [0, 0], requests=pd.DataFrame({"target": [0, 0]}), source=np.zeros((2, 4, 4, 3), np.uint8)
            ),
            np.arange(2),
        )


def test_the_signature_says_what_was_compared(faces, all_rows) -> None:
    inputs = faces(lambda source, target: target)
    fields = dict(TargetCosine().measure(inputs, all_rows(inputs)).signature.fields)
    assert fields.items() >= {"change": "minus-source", "center": "subject-mean", "ref": "truth"}.items()
    text = str(TargetCosine().measure(inputs, all_rows(inputs)).signature)
    assert Signature.parse(text).name == "Target-cosine"
