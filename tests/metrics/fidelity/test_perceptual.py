import numpy as np
import pytest

from fesbench.errors import DataError
from fesbench.metrics.fidelity.perceptual import PerceptualDistance

NAMES = ("LPIPS", "LPIPS-vgg", "DISTS")


def gap(a, b):
    return np.abs(a.astype(float) - b).mean(axis=(1, 2, 3))


@pytest.mark.parametrize("name", NAMES)
class TestEveryPerceptualDistance:
    def test_by_hand(self, name, make_inputs):
        target = np.zeros((4, 4, 4, 3), dtype=np.uint8)
        made = target + np.array([0, 10, 20, 50], dtype=np.uint8)[:, None, None, None]
        inputs = make_inputs([0, 0, 1, 1], generated=made, target=target, pairs=gap)
        found = PerceptualDistance(name=name).measure(inputs, np.arange(4))
        assert found.per_sample.tolist() == [0, 10, 20, 50]
        assert found.value == 20
        assert (found.n_valid, found.n_requested) == (4, 4)
        fields = dict(found.signature.fields)
        assert fields["x"] == f"{PerceptualDistance(name=name).card.extractor}:sig:1"
        assert fields["ref"] == "truth"

    def test_requests_without_truth_are_counted_and_never_compared(self, name, make_inputs):
        asked = []
        inputs = make_inputs([0, 1, 2], pairs=lambda a, b: asked.append(len(a)) or gap(a, b))
        inputs.requests.loc[1, "target"] = -1
        found = PerceptualDistance(name=name).measure(inputs, np.arange(3))
        assert np.isnan(found.per_sample).tolist() == [False, True, False]
        assert (found.n_valid, found.n_requested) == (2, 3)
        PerceptualDistance(name=name).measure(inputs, np.array([0]))
        assert asked == [2]

    def test_no_truth_at_all_gives_a_reason(self, name, make_inputs):
        found = PerceptualDistance(name=name).measure(
            make_inputs([0, 1], target=None, pairs=gap), np.arange(2)
        )
        assert (found.value, found.n_valid) == (None, 0)
        assert found.reason == "no target image exists for these requests"

    def test_values_that_are_not_finite_are_refused(self, name, make_inputs):
        inputs = make_inputs([0, 1], pairs=lambda a, b: np.full(len(a), np.nan))
        with pytest.raises(DataError, match="not finite"):
            PerceptualDistance(name=name).measure(inputs, np.arange(2))

    def test_evidence_without_pair_values_is_refused(self, name, make_inputs):
        with pytest.raises(DataError, match="no pair values"):
            PerceptualDistance(name=name).measure(make_inputs([0, 1]), np.arange(2))


def test_the_names_say_the_trunk():
    assert [PerceptualDistance(name=name).extractor for name in NAMES] == [
        "lpips-alex",
        "lpips-vgg",
        "dists",
    ]
