"""Numbers of subjects: as published tables have them, and as simulated studies find them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from fesbench.errors import UsageError
from fesbench.statistics.paired import difference_of_means
from fesbench.statistics.power import power_of, smallest_effect, subjects_needed


@pytest.mark.parametrize(("effect", "needed"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_as_in_published_tables(effect, needed):
    """Two-sided paired t at 5 %, 80 % power: the numbers that G*Power prints for Cohen's d."""
    assert subjects_needed(effect, 1.0) == needed
    assert subjects_needed(-5 * effect, 5.0) == needed
    assert power_of(effect, 1.0, needed) >= 0.8 > power_of(effect, 1.0, needed - 1)


def test_by_hand_two_subjects():
    """With one degree of freedom T = z / |w|, z around the shift: power by integrating over w."""
    effect, sd, cut = 10.0, 1.0, 12.706204736
    w = np.abs(np.random.default_rng(0).standard_normal(400_000))
    z = np.random.default_rng(1).standard_normal(400_000) + effect / sd * np.sqrt(2)
    assert power_of(effect, sd, 2) == pytest.approx(np.mean(np.abs(z / w) > cut), abs=0.004)


@pytest.mark.parametrize(("effect", "sd"), [(5.0, 8.0), (0.02, 0.09)])
def test_simulated_studies_find_the_stated_power(effect, sd):
    subjects = subjects_needed(effect, sd)
    studies = np.random.default_rng(2).normal(effect, sd, (4000, subjects))
    seen = (ttest_1samp(studies, 0, axis=1).pvalue < 0.05).mean()
    assert seen == pytest.approx(power_of(effect, sd, subjects), abs=0.02)
    # fesbench's own test takes the outer bounds of t and bootstrap: it sees a little less, never much.
    ones = np.ones(subjects)
    ours = [difference_of_means(study, ones, 0 * ones, ones, seed=0).p < 0.05 for study in studies[:400]]
    assert 0.72 < np.mean(ours) < 0.85


def test_fewer_are_needed_for_more_and_the_smallest_effect_is_the_inverse():
    needed = [subjects_needed(effect, 1.0) for effect in (0.1, 0.3, 0.5, 2.0, 50.0)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == 2
    for subjects in (2, 5, 40, 300):
        assert power_of(smallest_effect(3.0, subjects), 3.0, subjects) == pytest.approx(0.8)
    assert subjects_needed(smallest_effect(3.0, 40), 3.0) in (40, 41)
    assert power_of(1.0, 1.0, 1) == 0


@pytest.mark.parametrize(
    ("effect", "sd", "power"), [(0.0, 1.0, 0.8), (1.0, 0.0, 0.8), (1.0, 1.0, 1.0), (1e-9, 1.0, 0.8)]
)
def test_no_number_is_refused(effect, sd, power):
    with pytest.raises(UsageError):
        subjects_needed(effect, sd, power=power)
