"""The table of metrics says what the declarations say, and the docs' copy is current."""

from __future__ import annotations

import json

import pytest

from fesbench.cli.main import main
from fesbench.metrics import METRICS
from fesbench.metrics.table import PAGE, page, rows


def test_the_page_in_the_docs_is_current() -> None:
    told = "run 'python -m fesbench.metrics.table' and commit docs/metrics.md"
    assert PAGE.read_text(encoding="utf-8") == page(), told


def test_every_metric_has_a_row_with_its_declaration() -> None:
    found = {row["name"]: row for row in rows()}
    assert list(found) == METRICS.names()
    for name, metric in METRICS.all().items():
        assert found[name]["direction"] == metric.card.direction
        assert found[name]["source"] == metric.card.source
    assert found["ECS"]["range"] == "0 to 1"
    assert found["FID"]["range"] == "0 to ∞"
    assert found["FSS"]["needs"] == ["source"]
    assert found["NME"]["needs"] == ["landmarks"]
    assert found["AU-error"]["needs"] == ["action_units"]


def test_weights_and_their_licenses_stand_with_the_metric() -> None:
    found = {row["name"]: row for row in rows()}
    assert found["FSS"]["license"] == "CC0-1.0"
    assert found["IS"]["weights"] == ["inception-tf-2015"]
    assert found["LPIPS"]["weights"] == ["lpips-alex", "alexnet"]
    assert found["SSIM"]["weights"] == []


def test_every_extractor_with_weights_is_found_in_their_table() -> None:
    without = {"", "judge", "au-regressor", "discriminator", "dlib-hog", "clip-judge", "clip-judge-features"}
    for row in rows():
        assert bool(row["weights"]) == (row["extractor"] not in without), row["name"]


def test_the_verb_prints_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["metrics", "list", "--json"])
    assert not left.value.code
    assert json.loads(capsys.readouterr().out) == rows()
    with pytest.raises(SystemExit):
        main(["metrics"])
    assert "Rank-1" in capsys.readouterr().out
