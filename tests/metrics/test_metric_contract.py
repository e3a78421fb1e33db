"""What holds for every metric: its card, its counts, its signature, and its indifference to order."""

import math
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest

from fesbench.errors import DataError, UnknownNameError, UsageError
from fesbench.metrics import METRICS as REGISTRY
from fesbench.metrics import metric, table
from fesbench.metrics.distribution.kernel import KernelDistance
from fesbench.metrics.explain import explain, meanings
from fesbench.metrics.fidelity.ssim_psnr import SSIM
from fesbench.metrics.identity.similarity import Verification
from fesbench.records.signature import Signature

FIRST = ("ECS", "FSS", "TAR@FAR=1%", "TAR@FAR=0.1%", "Rank-1", "SSIM", "PSNR", "FID", "KID", "FD-dlib")
OTHER_EVIDENCE = {"MS-SSIM", "KID-1000"}
"""Refused on this evidence, whose images have 12 px and are fewer than 1000."""

OTHER_KINDS = (
    "AU-",
    "D-acc-",
    "ECS[",
    "ECS-known[",
    "ECS-top2",
    "NME",
    "CLS",
    "Pose-",
    "Background-",
    "Expression-",
)
"""Beginnings of names that need levels, landmarks, compounds or another judge's classes; their own tests have
such evidence.
"""

METRICS = REGISTRY.all()
NAMES = tuple(
    name
    for name, found in METRICS.items()
    if not (found.reads_clips or name in OTHER_EVIDENCE or name.startswith(OTHER_KINDS))
)
"""Those of clips: test_clip_contract.py."""
PEOPLE, PER = 40, 7


class EveryExtractor(dict):
    """The same features for every extractor but the judge's."""

    def __init__(self, sets, judged, real):
        super().__init__({("judge", "generated"): judged, ("judge", "reference"): real})
        self.sets = sets

    def __missing__(self, key):
        return self.sets[key[1]]


def mean_square(a, b):
    return np.square(a.astype(float) - b).mean(axis=(1, 2, 3))


@pytest.fixture
def group(make_inputs):
    """A full group of requests; ``order`` permutes the requests."""

    def make(order=None, **fields):
        n, rng = PEOPLE * PER, np.random.default_rng(3)
        order = np.arange(n) if order is None else order
        who = np.repeat(np.arange(PEOPLE), PER)
        labels = np.tile(np.arange(1, PER + 1), PEOPLE)
        real = np.random.default_rng(4).dirichlet(np.ones(8), n)
        face, judged = rng.normal(size=(PEOPLE, 15)), rng.dirichlet(np.ones(8), n)
        own = face[who] + 0.9 * rng.normal(size=(n, 15))
        target = rng.integers(0, 256, (n, 12, 12, 3)).astype(np.uint8)
        generated = np.clip(target + rng.integers(-20, 21, target.shape), 0, 255).astype(np.uint8)
        sets = {
            "generated": own[order],
            "source": face[who][order],
            "gallery": face,
            "reference": face[who] + 0.7 * rng.normal(size=(n, 15)),
            "training": rng.normal(size=(3 * n, 15)),
        }
        own_fields = {
            "labels": labels[order],
            "target": target[order],
            "source": rng.integers(0, 256, target.shape).astype(np.uint8)[order],
            "generated": generated[order],
            "reference_identity": who,
            "reference_labels": labels,
            "alignment": "dlib68-128",
            "pairs": mean_square,
            "requests": pd.DataFrame({"request": [f"r{i}" for i in order], "target": np.arange(n)}),
        }
        return make_inputs(
            who[order], features=EveryExtractor(sets, judged[order], real), **(own_fields | fields)
        )

    return make


def test_registry_holds_the_known_metrics():
    assert set(METRICS) >= set(FIRST)
    assert list(METRICS) == REGISTRY.names()
    assert set(METRICS) >= OTHER_EVIDENCE
    assert all(name == found.card.name for name, found in METRICS.items())


@pytest.mark.parametrize("name", NAMES)
class TestEveryMetric:
    def test_card_says_what_the_metric_does(self, name, group):
        card, inputs = METRICS[name].card, group()
        found = METRICS[name].measure(inputs, np.arange(len(inputs)))
        assert card.title
        assert card.source
        assert card.needs <= {"target", "source", "gallery", "reference", "training"}
        assert card.low <= found.low <= found.value <= found.high <= card.high
        assert (found.per_sample is not None) == card.per_sample
        if card.per_sample:
            assert found.per_sample.shape == (len(inputs),)
        else:
            assert found.replicates is not None, "nothing that the gate could compare in pairs"
        assert (found.n_requested, found.n_valid, found.identities) == (280, 280, PEOPLE)
        assert found.interval_method

    def test_signature_holds_settings_protocol_and_counts(self, name, group):
        inputs = group()
        found = METRICS[name].measure(inputs, np.arange(len(inputs))).signature
        fields = dict(found.fields)
        assert found.name == name
        assert fields["n"] == "280/280"
        assert fields["p"] == "p@1:abcd"
        assert fields["a"] == "dlib68-128"
        assert METRICS[name].settings().items() <= fields.items()
        assert set(fields) <= set(meanings(name)), "say what they mean in the metric's meanings"
        assert ("x" in fields) == bool(METRICS[name].card.extractor)
        assert Signature.parse(str(found)) == found

    def test_equal_signature_means_equal_value_in_any_order(self, name, group):
        order = np.random.default_rng(9).permutation(PEOPLE * PER)
        plain, mixed = (METRICS[name].measure(e, np.arange(280)) for e in (group(), group(order)))
        assert str(plain.signature) == str(mixed.signature)
        assert mixed.value == pytest.approx(plain.value, rel=1e-9)
        assert (mixed.low, mixed.high) == pytest.approx((plain.low, plain.high), rel=1e-7)
        if plain.per_sample is not None:
            assert (mixed.per_sample == plain.per_sample[order]).all()

    def test_protocol_alignment_and_number_of_requests_part_signatures(self, name, group):
        measure, rows = METRICS[name].measure, np.arange(280)
        base = measure(group(), rows).signature
        difference = Signature.difference
        assert difference(base, measure(group(protocol="p@2:ffff"), rows).signature) == ("p",)
        assert difference(base, measure(group(alignment="none"), rows).signature) == ("a",)
        assert difference(base, measure(group(), rows[:-7]).signature) == ("n",)
        assert difference(base, measure(group(seed=8), rows).signature) == ()
        assert measure(group(seed=8), rows).value == measure(group(), rows).value

    def test_the_extractors_signature_parts_signatures(self, name, group):
        if not METRICS[name].card.extractor:
            pytest.skip("compares pixels")
        one, two = (
            METRICS[name].measure(group(signature=s), np.arange(280)).signature for s in ("w:1", "w:2")
        )
        # The judge beside a face model, and every other network of a metric, has a field of its own.
        others = {"judge"} if name == "HES" else set()
        others |= {"x2", "x3", "x4", "x5"} if name.startswith("ID-mean") else set()
        assert set(Signature.difference(one, two)) == {"x", *others}

    def test_no_rows_give_a_reason(self, name, group):
        found = METRICS[name].measure(group(), np.arange(0))
        assert (found.value, found.n_requested) == (None, 0)
        assert found.reason

    def test_one_person_has_a_figure_or_a_reason_but_no_interval(self, name, group):
        found = METRICS[name].measure(group(), np.arange(PER))
        assert (found.low, found.high) == (None, None)
        assert (found.value is None) == bool(found.reason)

    @pytest.mark.parametrize("rows", [[0, 0], [-1], [280], [[0, 1]]])
    def test_wrong_rows_are_refused(self, name, rows, group):
        with pytest.raises(DataError, match="rows to measure"):
            METRICS[name].measure(group(), np.array(rows))

    def test_features_of_the_wrong_number_are_refused(self, name, group):
        if not METRICS[name].card.extractor:
            pytest.skip("compares pixels")
        inputs = group()
        found, pairs = inputs.features, inputs.pair_values
        cut = lambda f: type(f)(f.values[1:], f.valid[1:], f.signature)  # noqa: E731
        inputs.features = lambda *asked: cut(found(*asked))
        inputs.pair_values = lambda *asked: cut(pairs(*asked))
        with pytest.raises(DataError, match="expected 280 rows"):
            METRICS[name].measure(inputs, np.arange(280))


@pytest.mark.parametrize(
    ("path", "value", "name", "field", "moves"),
    [
        ("fesbench.metrics.fidelity.ssim_psnr.WINDOW", 7, "SSIM", "window", True),
        ("fesbench.metrics.fidelity.ssim_psnr.SIGMA", 1.0, "SSIM", "window", True),
        ("fesbench.metrics.distribution.kernel.KID_SCALE", 1.0, "KID", "scale", True),
    ],
)
def test_a_changed_setting_changes_value_and_signature(path, value, name, field, moves, group, monkeypatch):
    before = METRICS[name].measure(group(), np.arange(280))
    monkeypatch.setattr(path, value)
    after = METRICS[name].measure(group(), np.arange(280))
    assert Signature.difference(before.signature, after.signature) == (field,)
    assert (before.value != after.value) == moves


def test_the_false_accept_rate_is_in_the_signature(group):
    one, two = (
        Verification(name=f"TAR@FAR={far:%}", far=far).measure(group(), np.arange(280)).signature
        for far in (0.01, 0.02)
    )
    assert Signature.difference(one, two) == ("metric", "far")


@pytest.mark.parametrize("name", ["FID", "KID", "FD-dlib"])
def test_the_reference_is_in_the_signature(name, group):
    one, two = (
        METRICS[name].measure(group(reference_name=r), np.arange(280)).signature for r in ("test-real", "x")
    )
    assert Signature.difference(one, two) == ("ref",)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_overridden_shows(name, group, monkeypatch):
    base = METRICS[name].measure(group(), np.arange(280)).signature
    settings = METRICS[name].settings()
    for key in settings:
        monkeypatch.setattr(type(METRICS[name]), "settings", lambda self, k=key: settings | {k: "other"})
        assert Signature.difference(base, METRICS[name].measure(group(), np.arange(280)).signature) == (key,)
        monkeypatch.undo()


def test_metrics_by_name():
    assert metric("FD-arcface").card.extractor == "arcface"
    assert metric("FSS", "arcface").card.name == "FSS[arcface]"
    assert metric("FSS", "dlib") is METRICS["FSS"]
    assert metric("TAR@FAR=1%", "arcface").card.name == "TAR@FAR=1%[arcface]"
    assert metric("FID", "dlib").card.name == "FD-dlib"
    with pytest.raises(UnknownNameError, match="Did you mean SSIM"):
        metric("SSIMM")
    for own in (SSIM(), KernelDistance()):
        with pytest.raises(UsageError, match="alone"):
            own.with_extractor("dlib")


MINE = """
from fesbench.metrics.base import Found, Metric


class Sum(Metric):
    name = "Sum"
    title = "sum of the pixels"
    source = "here"
    high = 255.0
    meanings = {"of": "what is summed"}

    def settings(self):
        return {"of": "pixels"}

    def find(self, inputs, rows):
        return Found(len(rows), inputs.generated[rows].mean(axis=(1, 2, 3)))


odd = 3
"""


def test_a_metric_of_another_package_takes_one_file(monkeypatch, tmp_path, make_inputs):
    (tmp_path / "my_metrics.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint(name, value, "fesbench.metrics")
        for name, value in (
            ("Sum", "my_metrics:Sum"),
            ("broken", "no_such_module:X"),
            ("odd", "my_metrics:odd"),
            ("other", "my_metrics:Sum"),
            ("FID", "my_metrics:Sum"),
        )
    ]
    monkeypatch.setattr("fesbench.registry.entry_points", lambda group: points)
    monkeypatch.setattr(REGISTRY, "_made", dict(REGISTRY._made))
    with pytest.warns(UserWarning, match="metric plug-in") as caught:
        assert list(REGISTRY.all()) == [*METRICS, "Sum"]
    messages = " ".join(str(w.message) for w in caught)
    for said in ("no_such_module", "3 is no fesbench Metric", "is called 'Sum'", "taken by fesbench"):
        assert said in messages
    inputs = make_inputs([0, 0, 1, 1])
    found = metric("Sum").measure(inputs, np.arange(4))
    assert found.value == pytest.approx(inputs.generated.mean())
    assert [line.known for line in explain(str(found.signature))] == [True] * 5
    assert "Sum" in [row["name"] for row in table.rows()]


def test_the_names_of_metrics_cost_no_import_and_the_list_no_torch():
    code = (
        "import sys; from fesbench.metrics import METRICS;"
        "assert 'TAR@FAR=0.1%' in METRICS.names() and 'FID' in METRICS;"
        "assert not any(name.startswith('fesbench.metrics.') for name in sys.modules);"
        "assert METRICS.declared['SSIM'].facts['title'] == 'structural similarity to the target image';"
        "METRICS.get('SSIM');"
        "assert 'fesbench.metrics.identity.similarity' not in sys.modules;"
        "from fesbench.cli.main import main\n"
        "try:\n    main(['metrics', 'list'])\nexcept SystemExit:\n    pass\n"
        "heavy = ('torch', 'piq', 'scipy', 'sklearn', 'pandas', 'torch_fidelity');"
        "assert not [name for name in heavy if name in sys.modules]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Rank-1" in done.stdout


def test_importing_the_metrics_is_light():
    code = (
        "import sys, fesbench.statistics.intervals; from fesbench.metrics import METRICS; METRICS.all();"
        "heavy = ('torch', 'piq', 'scipy', 'sklearn', 'pandas', 'torch_fidelity');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ranges_are_proper():
    for found in METRICS.values():
        assert found.card.low < found.card.high
        assert found.card.direction in ("higher", "lower")
        assert not math.isnan(found.card.low)
