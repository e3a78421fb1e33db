"""Signatures in words."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from fesbench.errors import UsageError
from fesbench.extractors.registry import EXTRACTORS
from fesbench.gate.comparison import direction_of
from fesbench.judges.recognizer import Recipe
from fesbench.metrics import METRICS
from fesbench.metrics.augmentation import CARDS
from fesbench.metrics.explain import (
    OTHER_RECIPE,
    UNKNOWN,
    explain,
    explain_difference,
    meanings,
    recipe_lines,
)
from fesbench.records.signature import FIELDS, Signature
from fesbench.weights.manager import WeightsManager

FID = (
    "FID|x:inception-tf-2015:6726825d:tf1-1|ref:test-real:280|cov:n-1|n:98/100|p:ck+@1:8c1f|a:dlib68|v:0.3.0"
)


def test_every_field_in_order() -> None:
    lines = explain(FID)
    assert [line.field for line in lines] == ["metric", "x", "x: recipe", "ref", "cov", "n", "p", "a", "v"]
    assert lines[0].words == "Fréchet Inception distance"
    assert [line.field for line in lines if not line.compared] == ["v"]
    assert all(line.known for line in lines)


def test_unknown_fields_and_metrics_are_named_as_such() -> None:
    metric, field = explain("Charm|glow:high|n:1/1")[:2]
    assert (metric.known, field.known) == (False, False)
    assert field.words == UNKNOWN


def test_another_extractor_is_part_of_the_title() -> None:
    assert explain("FSS[arcface]|n:1/1")[0].words == "face similarity score, on arcface"


def test_differences_name_field_and_both_values() -> None:
    assert explain_difference(FID, FID.replace("v:0.3.0", "v:9").replace("n:98/", "n:100/")) == []
    assert explain_difference(FID, FID.replace("|cov:n-1", "").replace("/100", "/90")) == [
        "divisor of the covariance (cov): 'n-1' against nothing",
        "images asked for (n): '100' against '90'",
    ]
    one, other = (
        FID.replace("cov:n-1", f"target:E[FD_n]|n:{n}/100").replace("|n:98/100", "") for n in (96, 97)
    )
    (line,) = explain_difference(one, other)
    assert line == "images that counted / that were asked for (n): '96/100' against '97/100'"
    assert explain_difference(FID, FID.replace("FID|", "KID|")) == ["metric (metric): 'FID' against 'KID'"]


@pytest.mark.parametrize("text", ["", "FID", "FID|x"])
def test_no_signature(text: str) -> None:
    with pytest.raises(UsageError, match="not a score signature"):
        explain(text)


def test_every_setting_of_every_metric_has_a_meaning_and_no_meaning_is_left_over() -> None:
    # Those that follow from what was measured.
    found = {
        "ECS-known[fer]": {"over"},
        "ECS-restricted": {"classes"},
        "ID-mean": {"x2", "x3", "x4", "x5"},
        "mSCR": {"pairs"},
    }
    used: set[str] = set()
    for name, metric in METRICS.all().items():
        own = set(metric.settings()) | found.get(name, set())
        assert own <= set(meanings(name)), f"say what they mean in the meanings of {name}"
        assert not set(metric.meanings) & set(FIELDS), "those of all metrics stand with the signature"
        used |= own
    assert {key for metric in METRICS.all().values() for key in metric.meanings} <= used


def test_every_field_of_an_augmentation_is_explained() -> None:
    settings = Recipe(40).settings() | {"classes": "anger,fear", "labels": "as-requested"}
    for name in ("augmentation-accuracy@0", "augmentation-gain@5[classical]", "augmentation-gain-seed-sd@5"):
        signature = Signature.of(
            name,
            n_valid=9,
            n_requested=9,
            protocol="avatars@1",
            reference="test-real",
            alignment="dlib68",
            settings=settings | {"factor": "5", "added": "classical"},
        )
        assert [line.field for line in explain(str(signature)) if not line.known] == []
    assert direction_of("augmentation-gain@5") == "higher"
    assert direction_of("augmentation-gain-seed-sd@5[repetition]") == "lower"


def test_every_field_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
    cards = [*METRICS.all().values(), *CARDS.values()]
    fields = {*FIELDS, *(name for card in cards for name in card.meanings)}
    assert [name for name in sorted(fields) if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("name", list(EXTRACTORS.declared))
def test_every_setting_of_every_extractor_is_explained(name: str, manager: WeightsManager) -> None:
    made = EXTRACTORS.get(name)(manager)
    lines = explain(f"FSS|x:{made.signature}|n:1/1")[2:-1]
    assert [line.field for line in lines] == [
        "x: recipe",
        *(f"x: {own.name}" for own in fields(made.settings)),
    ]
    assert all(line.known and line.compared and line.words for line in lines)


def test_a_setting_off_its_default_is_explained_by_its_value(manager: WeightsManager) -> None:
    kind = EXTRACTORS.get("dlib-hog")
    other = kind(manager, settings=replace(kind.settings, threshold=0.5))
    assert [line.value for line in recipe_lines("face", other.signature)] == ["hog-1", "128", "1", "0.5"]
    (line,) = recipe_lines("x", "dlib-hog:hog-99")
    assert (line.words, line.known) == (OTHER_RECIPE, False)
    assert recipe_lines("x", "judge:cnn64-1:anger,fear") == []
