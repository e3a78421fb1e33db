"""What metrics of whole sets leave for paired comparisons, from the measurement to the file and back."""

import numpy as np
import pytest

from fesbench.metrics.distribution.frechet_distance import FrechetDistance
from fesbench.metrics.identity.similarity import Verification
from fesbench.records.replicates import read_replicates, replicate_row, write_replicates
from fesbench.statistics.paired import difference_of_deleted, difference_of_draws

PEOPLE, PER = 12, 10
WHO = np.repeat(np.arange(PEOPLE), PER)
NAMES = {code: f"S{code:03d}" for code in range(PEOPLE)}


@pytest.fixture
def measured(make_inputs, tmp_path):
    """A metric on outputs ``noise`` away from the truth: its measurement and its stored replicates."""

    def measure(metric, noise):
        rng = np.random.default_rng(2)
        faces = rng.normal(size=(PEOPLE, 6))
        truth, away = faces[WHO] + 0.3 * rng.normal(size=(len(WHO), 6)), rng.normal(size=(len(WHO), 6))
        features = {
            ("dlib", "generated"): faces[WHO] + noise * away,
            ("dlib", "gallery"): faces,
            ("dlib", "reference"): truth,
        }
        inputs = make_inputs(WHO, features=features, reference_identity=WHO)
        found = metric.measure(inputs, np.arange(len(WHO)))
        key = ("expression", "in", "all", metric.card.name)
        write_replicates(tmp_path, [replicate_row(key, found.replicates, NAMES)])
        return found, read_replicates(tmp_path)[key]

    return measure


def test_a_frechet_distance_is_paired_person_by_person(measured):
    (one, a), (two, b) = (measured(FrechetDistance("dlib"), noise) for noise in (0.8, 0.9))
    assert (a.kind, a.identities, len(a.values), a.people) == (
        "delete-one-identity",
        PEOPLE,
        PEOPLE,
        b.people,
    )
    found = difference_of_deleted(
        one.value - two.value, np.array(a.values), np.array(b.values), clusters=PEOPLE
    )
    assert found.high < 0  # less noise is nearer to the truth, beyond doubt
    assert found.high - found.low < min(one.high - one.low, two.high - two.low)


def test_tar_is_paired_draw_by_draw(measured):
    (one, a), (two, b) = (measured(Verification(name="TAR@FAR=1%"), noise) for noise in (0.6, 1.2))
    assert (a.kind, len(a.values), a.people) == ("identity-bootstrap", 2000, b.people)
    found = difference_of_draws(
        one.value - two.value, np.array(a.values), np.array(b.values), clusters=PEOPLE
    )
    assert found.low < one.value - two.value < found.high
    assert found.low > 0


def test_other_people_have_another_hash(measured):
    found, row = measured(FrechetDistance("dlib"), 0.8)
    others = {code: f"T{code:03d}" for code in range(PEOPLE)}
    assert replicate_row(row.key, found.replicates, others).people != row.people


def test_a_cell_without_such_metrics_leaves_no_file(tmp_path):
    (tmp_path / "replicates.parquet").write_bytes(b"old")
    write_replicates(tmp_path, [])
    assert read_replicates(tmp_path) == {}
    assert not list(tmp_path.iterdir())
