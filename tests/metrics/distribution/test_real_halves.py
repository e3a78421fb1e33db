"""The band of real halves beside a Fréchet distance."""

import numpy as np
import pytest

from fesbench.metrics.distribution.frechet_math import frechet_distance
from fesbench.metrics.distribution.real_halves import SEED, SPLITS, band_of, real_halves


def subjects(people, each, d, seed, shift=0.0):
    """Features (people * each, d) of subjects with a level of their own, and whose they are."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    level = rng.normal(size=(people, d))[who]
    return level + rng.normal(size=(len(who), d)) + shift, who


def test_equals_the_definition_written_out():
    a, who = subjects(9, 6, 5, 1, shift=0.3)
    b, others = subjects(9, 6, 5, 2)
    found = real_halves(a, b, who, others, smallest=2)
    rng, null, own = np.random.default_rng(SEED), [], []
    for _ in range(SPLITS):
        drawn = rng.permutation(9)
        first, second = set(drawn[:4].tolist()), set(drawn[4:8].tolist())
        one, two = (np.array([w in half for w in others]) for half in (first, second))
        # The ninth subject is on neither side.
        mine = np.array([w in first for w in who])
        # Both are as many: the permutation that thins the first side changes its order alone.
        rng.permutation(24), rng.permutation(24)
        null.append(frechet_distance(b[one], b[two]))
        own.append(frechet_distance(a[mine], b[two]))
    assert found.n == 24
    np.testing.assert_allclose(found.null, null, rtol=1e-9)
    np.testing.assert_allclose(found.own, own, rtol=1e-9)
    band = band_of([found])
    assert (band.n, band.splits, band.own) == (24, SPLITS, pytest.approx(np.median(own)))
    assert band.low <= band.median <= band.high


def test_showing_the_reference_itself_gains_nothing():
    b, who = subjects(10, 4, 6, 3)
    found = real_halves(b, b, who, who, smallest=2)
    np.testing.assert_array_equal(found.null, found.own)
    assert (found.null > 0.1).all()


def test_both_sides_are_of_one_n_and_other_subjects_stay_on_the_first():
    b, who = subjects(8, 5, 4, 4)
    many, which = subjects(8, 50, 4, 5)
    assert real_halves(many, b, which, who, smallest=2).n == 20
    assert real_halves(b[:25], b, who[:25] + 100, who, smallest=2).n == 20
    assert real_halves(b[:12], b, who[:12] + 100, who, smallest=2).n == 12


@pytest.mark.parametrize(("shift", "inside"), [(0.0, True), (2.0, False)])
def test_equal_distributions_lie_inside_and_others_do_not(shift, inside):
    b, who = subjects(40, 7, 16, 6)
    a, _ = subjects(40, 7, 16, 7, shift=shift)
    assert band_of([real_halves(a, b, who, who, smallest=10)]).inside is inside


def test_there_is_none_without_enough_subjects_or_images():
    b, who = subjects(8, 5, 4, 8)
    assert real_halves(b, b, who, None, smallest=2) is None
    assert real_halves(b, b, who, who, smallest=21) is None
    assert real_halves(b, b, who, who % 3, smallest=2) is None
    assert band_of([]) is None
    assert band_of([real_halves(b, b, who, who, smallest=2), None]) is None


def test_a_mean_of_parts_has_the_band_of_means():
    b, who = subjects(8, 5, 4, 9)
    one, two = (real_halves(b + 3 * k, b, who, who, smallest=2) for k in (0, 1))
    band = band_of([one, two])
    assert band.own == pytest.approx(np.median((one.own + two.own) / 2))
    assert band.median == pytest.approx(np.median((one.null + two.null) / 2))
