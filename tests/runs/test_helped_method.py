"""A whole run of a method with a helper network and an image form of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from fesbench.errors import WeightsError
from fesbench.records.signature import Signature
from fesbench.runs.plan import RunOptions, run
from fesbench.weights import manager as weights
from fesbench.weights.entry import WeightsEntry
from tests.end_to_end import PIXELS, find_records

METHOD = """
from typing import Any, ClassVar

import torch

from fesbench.methods.base import Method
from fesbench.methods.card import MethodCard, Phase
from tests.tiny_method import ShadeHyper


class Helped(Method):
    card: ClassVar[MethodCard] = MethodCard(
        id="helped",
        title="Helped",
        citation="tests",
        year=2030,
        needs=frozenset({"labels"}),
        controls=frozenset({"expression"}),
        native="28-gray-bilinear-aa",
        helpers=("tiny-features",),
    )
    presets: ClassVar[dict[str, Any]] = {"paper": ShadeHyper(), "tiny": ShadeHyper()}

    def build(self):
        self.register_buffer("shift", torch.zeros(1))

    def build_helper(self, name):
        return torch.nn.Conv2d(1, 1, 1)

    def phases(self):
        return (Phase("fit", "image", 1, 1, paper_steps=1, closed_form=True),)

    def fit(self, phase, view):
        self.shift.fill_(float(self.helper("tiny-features").bias))

    def synthesize(self, requests):
        assert requests.source.shape[1:] == (1, 28, 28)
        return (requests.source + self.shift).clamp(-1, 1)
"""


def test_a_run_says_what_is_missing_uses_what_is_there_and_signs_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    network = nn.Conv2d(1, 1, 1)
    torch.save(network.state_dict(), tmp_path / "features.pth")
    digest = hashlib.sha256((tmp_path / "features.pth").read_bytes()).hexdigest()
    entry = WeightsEntry(
        "tiny-features", "features.pth", ("https://example.org/f",), None, digest, "CC0", "", ()
    )
    monkeypatch.setattr(weights, "TABLE", {**weights.TABLE, "tiny-features": entry})
    (tmp_path / "helped.py").write_text(METHOD)
    options = RunOptions(
        str(tmp_path / "helped.py"),
        PIXELS,
        preset="tiny",
        budget="steps=1",
        size=32,
        out=tmp_path / "runs",
        report=False,
    )
    with pytest.raises(WeightsError, match="'helped' needs weights: tiny-features"):
        run(options)
    assert not list(find_records(tmp_path / "runs"))

    weights.WeightsManager(tmp_path / "home").add(tmp_path / "features.pth")
    summary = run(options)
    assert summary.exit_code == 0, [record.error for record in summary.records]
    (record,) = [record for _, record in find_records(tmp_path / "runs") if record.cell.method == "helped"]
    assert record.weights["tiny-features"]["sha256"] == digest[:8]
    signatures = [Signature.parse(score.signature) for score in record.scores if score.signature]
    assert {dict(found.fields)["native"] for found in signatures} == {"28-gray-bilinear-aa"}
    assert all("native" not in found.comparable() for found in signatures)
