"""A method that adapts to an unlabelled domain is told where none is granted, and given what is granted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.methods.registry import load_method
from fesbench.protocol.describe import describe
from fesbench.protocol.protocol import load_protocol
from fesbench.runs.plan import RunOptions, run
from fesbench.runs.preflight import inapplicable
from tests.end_to_end import PROTOCOLS, find_records

ADAPT = str(PROTOCOLS / "adapt@1.toml")
METHOD = """
from typing import Any, ClassVar

import torch

from fesbench.methods.base import Method
from fesbench.methods.card import MethodCard, Phase
from tests.tiny_method import ShadeHyper


class Adapting(Method):
    card: ClassVar[MethodCard] = MethodCard(
        id="adapting",
        title="Adapting",
        citation="tests",
        year=2030,
        needs=frozenset({"labels", "unlabelled"}),
        controls=frozenset({"expression"}),
    )
    presets: ClassVar[dict[str, Any]] = {"paper": ShadeHyper(), "tiny": ShadeHyper()}

    def build(self):
        self.register_buffer("count", torch.zeros(1))

    def phases(self):
        return (Phase("fit", "unlabelled", 1, 1, paper_steps=1, closed_form=True),)

    def fit(self, phase, view):
        rows = sorted({int(view.batch("unlabelled", 1, step).identity) for step in range(40)})
        assert (view.batch("unlabelled", 40, 0).label == -1).all()
        self.count.fill_(len(rows))

    def synthesize(self, requests):
        return requests.source
"""


def options(tmp_path: Path, protocol: str) -> RunOptions:
    (tmp_path / "adapting.py").write_text(METHOD)
    return RunOptions(
        str(tmp_path / "adapting.py"),
        protocol,
        preset="tiny",
        budget="steps=1",
        size=32,
        out=tmp_path / "runs",
        report=False,
    )


def adapting_record(out: Path):
    (found,) = [(folder, r) for folder, r in find_records(out) if r.cell.method == "adapting"]
    return found


def test_where_a_protocol_grants_no_domain_the_method_is_told_before_the_run_and_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    text = Path(ADAPT).read_text().replace(", styled = 6", "").replace('unlabelled = ["cartoon"]', "")
    (tmp_path / "adapt@1.toml").write_text(text)
    chosen = options(tmp_path, str(tmp_path / "adapt@1.toml"))
    kinds = [load_method(chosen.methods)]
    told = inapplicable(load_protocol(chosen.protocol), kinds)
    assert list(told) == ["adapting"]
    assert "grants none" in told["adapting"]
    assert inapplicable(load_protocol(ADAPT), kinds) == {}
    summary = run(chosen)
    assert summary.exit_code == 0
    _, record = adapting_record(tmp_path / "runs")
    assert not record.scores
    assert {item.reason for item in record.not_run if "needs" in item.reason} == {
        "not applicable: needs unlabelled"
    }
    assert not record.saw_unlabelled_test_domain


def test_where_one_does_it_sees_styled_training_subjects_and_its_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    chosen = options(tmp_path, ADAPT)
    summary = run(replace(chosen, methods=f"{chosen.methods},dai2i"))
    assert summary.exit_code == 0, [record.error for record in summary.records]
    folder, record = adapting_record(tmp_path / "runs")
    assert record.saw_unlabelled_test_domain
    assert {score.domain for score in record.scores} >= {"in", "cartoon"}
    assert float(load_file(folder / "checkpoint.safetensors")["count"]) == 6
    found = [r for _, r in find_records(tmp_path / "runs") if r.cell.method != "adapting"]
    (translated,) = [r for r in found if r.cell.method == "dai2i"]
    assert translated.saw_unlabelled_test_domain
    assert {s.domain for s in translated.scores if s.value is not None} >= {"in", "cartoon"}
    others = [r for r in found if r.cell.method != "dai2i"]
    assert others
    assert not any(r.saw_unlabelled_test_domain for r in others)
    assert "given without labels" in describe(load_protocol(ADAPT))
