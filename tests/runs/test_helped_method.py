"""A whole run of a method with a helper network and an image form of its own."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fesbench.errors import UsageError, WeightsError
from fesbench.progress import Reporter
from fesbench.records.signature import Signature
from fesbench.runs import plan
from fesbench.runs.plan import RunOptions, run
from fesbench.weights import manager as weights
from fesbench.weights.entry import WeightsEntry
from tests.end_to_end import PIXELS, find_records

METHOD = """
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from fesbench.methods.base import Method
from fesbench.methods.card import MethodCard, Phase


@dataclass(frozen=True)
class Hyper:
    features: bool = True


class Helped(Method):
    card: ClassVar[MethodCard] = MethodCard(
        id="helped",
        title="Helped",
        citation="tests",
        year=2030,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression"}),
        native="28-gray-bicubic-aa",
        helpers=("tiny-features",),
    )
    presets: ClassVar[dict[str, Any]] = {"paper": Hyper(), "tiny": Hyper(), "plain": Hyper(False)}
    preset_notes: ClassVar[dict[str, str]] = {"plain": "without the shift of tiny-features"}

    @classmethod
    def helpers_of(cls, hyper):
        return cls.card.helpers if hyper.features else ()

    def build(self):
        self.register_buffer("shift", torch.zeros(1))

    def build_helper(self, name):
        return torch.nn.Conv2d(1, 1, 1)

    def phases(self):
        return (Phase("fit", "image", 1, 1, paper_steps=1, closed_form=True),)

    def fit(self, phase, view):
        self.shift.fill_(float(self.helper("tiny-features").bias) if self.hyper.features else 0.0)

    def synthesize(self, requests):
        assert requests.source.shape[1:] == (1, 28, 28)
        return (requests.source + self.shift).clamp(-1, 1)
"""


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    """Of a run of the method above; the file of its weights lies in the folder, and is not added yet."""
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    torch.save(nn.Conv2d(1, 1, 1).state_dict(), tmp_path / "features.pth")
    digest = hashlib.sha256((tmp_path / "features.pth").read_bytes()).hexdigest()
    entry = WeightsEntry(
        "tiny-features", "features.pth", ("https://example.org/f",), None, digest, "CC0", "", ()
    )
    monkeypatch.setattr(weights, "TABLE", {**weights.TABLE, "tiny-features": entry})
    (tmp_path / "helped.py").write_text(METHOD)
    return RunOptions(
        str(tmp_path / "helped.py"),
        PIXELS,
        preset="tiny",
        budget="steps=1",
        size=32,
        out=tmp_path / "runs",
        report=False,
    )


def test_a_run_says_what_is_missing_uses_what_is_there_and_signs_the_form(
    options: RunOptions, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"needs weights: tiny-features .*, or --preset plain, which"):
        run(options)
    assert not list(find_records(tmp_path / "runs"))

    weights.WeightsManager(tmp_path / "home").add(tmp_path / "features.pth")
    summary = run(options)
    assert summary.exit_code == 0, [record.error for record in summary.records]
    (record,) = [record for _, record in find_records(tmp_path / "runs") if record.cell.method == "helped"]
    digest = hashlib.sha256((tmp_path / "features.pth").read_bytes()).hexdigest()
    assert record.weights["tiny-features"]["sha256"] == digest[:8]
    assert record.card["preset_note"] == ""
    signatures = [Signature.parse(score.signature) for score in record.scores if score.signature]
    assert {dict(found.fields)["native"] for found in signatures} == {"28-gray-bicubic-aa"}
    assert all("native" not in found.comparable() for found in signatures)


def test_a_preset_without_the_helper_runs_and_its_row_says_so(options: RunOptions, tmp_path: Path) -> None:
    summary = run(replace(options, preset="plain", report=True))
    assert summary.exit_code == 0, [record.error for record in summary.records]
    (record,) = [record for _, record in find_records(tmp_path / "runs") if record.cell.method == "helped"]
    assert (record.card["helpers"], record.parameters) == ([], {"features": False})
    assert record.card["preset_note"] == "without the shift of tiny-features"
    assert "tiny-features" not in record.weights
    assert summary.page is not None
    assert "<b>Helped, preset plain.</b> Without the shift of tiny-features." in summary.page.read_text()


def test_a_preset_that_some_methods_lack_is_refused_by_name_and_noted_for_all(
    options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = replace(options, methods=f"{options.methods},mr", preset="plain")
    with pytest.raises(UsageError, match="--preset plain: mr has no such preset; helped has it"):
        run(both)
    with pytest.raises(UsageError, match="--preset 'huge' is none of paper, tiny, plain, auto"):
        run(replace(options, preset="huge"))
    chosen = plan.select_methods(both.methods)
    monkeypatch.setattr(plan, "select_methods", lambda *_: chosen)
    told: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "note", lambda text, **_: told.append(text))
    summary = run(replace(options, methods="all", preset="plain"), reporter)
    assert "preset plain: only helped has it; left out: mr" in told
    assert {record.cell.method for record in summary.records if not record.card["reference"]} == {"helped"}
