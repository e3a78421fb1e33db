"""Every setting of every metric stands in its signature, and nothing else changes it."""

from types import SimpleNamespace

import numpy as np
import pytest

from fesbench.metrics import METRICS as REGISTRY
from fesbench.records.signature import Signature

METRICS = REGISTRY.all()
GIVEN = {"extractor": "x:0", "resize": "none", "reference": "test-real:10"}
PLACE = SimpleNamespace(
    protocol="ck+@1:8c1f:ck+-5d90:standard",
    alignment="dlib68-128-gray",
    face_kept=None,
    face_rule="",
    judges=None,
    clip_judges=None,
)


def signed(metric, place=PLACE, n=(9, 10), **parts):
    return metric.signature(place, *n, **(GIVEN | parts))


@pytest.mark.parametrize("name", list(METRICS))
def test_changing_any_setting_changes_the_key(name, monkeypatch):
    metric = METRICS[name]
    before, settings = signed(metric), metric.settings()
    for key in settings:
        monkeypatch.setattr(metric, "settings", lambda key=key: {**settings, key: "another"})
        assert Signature.difference(before, signed(metric)) == (key,)
        monkeypatch.undo()
    assert Signature.difference(before, signed(metric)) == ()


@pytest.mark.parametrize("name", list(METRICS))
def test_changing_what_it_was_measured_on_changes_the_key(name):
    metric = METRICS[name]
    before = signed(metric)
    for part, field in (("extractor", "x"), ("resize", "r"), ("reference", "ref")):
        assert Signature.difference(before, signed(metric, **{part: "another"})) == (field,)
    for part, field in (("protocol", "p"), ("alignment", "a")):
        other = SimpleNamespace(**{**vars(PLACE), part: "another"})
        assert Signature.difference(before, signed(metric, other)) == (field,)
    assert Signature.difference(before, signed(metric, n=(9, 11))) == ("n",)
    assert Signature.difference(before, signed(metric, n=(3, 10))) == (
        ("n",) if "target" in metric.settings() else ()
    )


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.wants_face])
def test_who_looks_for_faces_changes_the_key(name):
    looked = [SimpleNamespace(**{**vars(PLACE), "face_kept": True, "face_rule": rule}) for rule in ("a", "b")]
    metric = METRICS[name]
    for one, other in ((PLACE, looked[0]), looked):
        assert Signature.difference(signed(metric, one), signed(metric, other)) == ("face",)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.by_judges])
def test_another_panel_changes_the_key(name):
    panels = ("K=3,a", "K=3,b")
    judged = [SimpleNamespace(**{**vars(PLACE), "judges": p, "clip_judges": p}) for p in panels]
    metric = METRICS[name]
    for one, other in ((PLACE, judged[0]), judged):
        assert Signature.difference(signed(metric, one), signed(metric, other)) == ("judges",)


def test_two_metrics_never_share_a_key():
    keys = [signed(metric).key() for metric in METRICS.values()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["SSIM", "PSNR"])
def test_order_of_the_pictures_changes_neither_signature_nor_value(name, make_inputs):
    inputs = make_inputs([0, 0, 1, 1, 2, 2], size=16)
    inputs.target[...] = inputs.generated // 2
    forward, backward = (METRICS[name].measure(inputs, rows) for rows in (np.arange(6), np.arange(6)[::-1]))
    assert str(forward.signature) == str(backward.signature)
    assert (forward.value, forward.low, forward.high) == (backward.value, backward.low, backward.high)
