"""ID-mean: the mean of what each recognizer says, how far they disagree, and who is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fesbench.extractors import registry
from fesbench.metrics import METRICS
from fesbench.metrics.explain import explain, title_of
from fesbench.metrics.identity.calibrated import CalibratedIdentity
from fesbench.metrics.identity.several import RECOGNIZERS, IdentitySpread, MeanIdentity
from fesbench.metrics.selection import protocol_metrics
from fesbench.protocol.protocol import load_protocol

WHO = np.repeat(np.arange(10), 3)
TWO = ("dlib", "arcface")


@pytest.fixture
def faces(make_inputs):
    """Ten subjects; each recognizer has embeddings and an error of its own."""

    def make(noise=(0.3, 0.8), names=TWO, valid=None, alike=False, **fields):
        features: dict[tuple[str, str], Any] = {}
        for number, (name, size) in enumerate(zip(names, noise, strict=True)):
            rng = np.random.default_rng(0 if alike else number)
            center = rng.normal(size=(10, 16))
            source = center[WHO] + 0.2 * rng.normal(size=(30, 16))
            made = source + size * rng.normal(size=source.shape)
            ok = np.ones(30, bool) if valid is None or name != names[-1] else valid
            features[name, "generated"] = (made, ok)
            features[name, "source"] = source
            features[name, "gallery"] = center + 0.2 * rng.normal(size=center.shape)
        return make_inputs(WHO, features=features, **fields)

    return make


def mean(inputs, names=TWO, kind=MeanIdentity):
    return kind().over(names).measure(inputs, np.arange(30))


def test_the_mean_and_the_spread_of_what_each_says(faces):
    inputs = faces()
    alone = [CalibratedIdentity(extractor=name).measure(inputs, np.arange(30)) for name in TWO]
    both, spread = mean(inputs), mean(inputs, kind=IdentitySpread)
    assert both.per_sample == pytest.approx((alone[0].per_sample + alone[1].per_sample) / 2)
    assert both.value == pytest.approx((alone[0].value + alone[1].value) / 2)
    # Of two values the standard deviation is their difference over the square root of 2.
    assert spread.value == pytest.approx(abs(alone[0].value - alone[1].value) / np.sqrt(2))
    assert (both.card.name, spread.card.name) == ("ID-mean[2]", "ID-mean-sd[2]")
    assert 0 <= both.low < both.value < both.high <= 1
    assert spread.replicates is not None


def test_recognizers_that_agree_have_no_spread_and_a_copy_is_near_one(faces):
    inputs = faces(noise=(0.0, 0.0))
    assert mean(inputs).value > 0.95
    assert mean(faces(noise=(0.5, 0.5), alike=True), kind=IdentitySpread).value == 0
    order = [mean(faces(noise=(size, size))).value for size in (0.2, 0.6, 1.5)]
    assert order == sorted(order, reverse=True)


def test_the_signature_lists_the_recognizers(faces):
    fields = dict(mean(faces()).signature.fields)
    assert fields["over"] == "dlib,arcface"
    assert (fields["x"], fields["x2"]) == ("dlib:sig:1", "arcface:sig:1")
    assert title_of("ID-mean[2]") == "calibrated identity, mean over recognizers (2 of them)"
    told = explain(str(mean(faces()).signature))
    assert all(line.known for line in told if ": " not in line.field)  # of no real network's recipe
    assert MeanIdentity().over(TWO).networks == TWO


def test_a_face_that_one_of_them_loses_counts_and_a_scale_without_length_is_named(faces):
    kept = np.arange(30) < 20
    found = mean(faces(valid=kept))
    assert found.n_valid == 20
    full = mean(faces())
    assert (found.per_sample[20:] < full.per_sample[20:]).all()
    upset = faces()
    upset.gallery_identity = np.roll(np.arange(10), 1)
    assert mean(upset).reason.startswith("dlib: sources are no more like")
    assert mean(upset, kind=IdentitySpread).value is None


def test_all_that_are_present_are_asked_and_one_alone_is_not(monkeypatch):
    present = {"dlib": None, "arcface": None, "vgg-face": "weights: vgg-face"}

    def network(name: str) -> SimpleNamespace:
        smallest = 200 if name == "facenet512" else 1
        return SimpleNamespace(smallest=smallest, available=lambda: present.get(name, None))

    monkeypatch.setattr(registry, "network", network)
    rules = load_protocol("avatars@1")
    found = protocol_metrics(rules)
    assert found["ID-mean[3]"].networks == ("dlib", "arcface", "lightcnn-29-v2")
    assert found["ID-mean-sd[3]"].name == "ID-mean-sd[3]"
    present |= dict.fromkeys(RECOGNIZERS[1:], "no weights")
    assert not [name for name in protocol_metrics(rules) if name.startswith("ID-mean")]
    assert METRICS.get("ID-mean").name == "ID-mean"
