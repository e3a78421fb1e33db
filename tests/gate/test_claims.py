"""Claims of papers against records whose order is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fesbench.cli.main import main
from fesbench.gate import claims as module
from fesbench.gate.claims import Claim, Side, judge, judge_claims, known_claims
from fesbench.metrics.explain import card_of
from fesbench.protocol.protocol import load_protocol
from tests.reports.synthetic_records import ROWS, write_runs

ROW = {row.id: row for row in ROWS}
# by construction: ECS of RegGAN .74, MR .71, GANimation .52, US-GAN .14; SSIM .879, .884, .863, .846
CLAIM = Claim(
    words="it is first",
    source="a paper",
    protocols=("cfee",),
    method="reggan",
    place=1,
    among=("ganimation", "usgan"),
    metric="ECS",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [ROW[name] for name in ("copy", "mr", "reggan", "ganimation", "usgan")]
    return write_runs(tmp_path_factory.mktemp("runs"), identities=24, rows=rows, styles=False)


def verdict(runs: Path, monkeypatch: pytest.MonkeyPatch, **change: object) -> tuple[str, str]:
    claim = CLAIM.model_copy(update=change)
    monkeypatch.setattr(module, "known_claims", lambda: {"c": claim})
    (found,) = judge_claims(runs)
    assert not found.papers  # the records are of avatars
    return found.verdict, found.reason


def test_order_decides(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(runs, monkeypatch)[0] == "supported"
    said, why = verdict(runs, monkeypatch, method="usgan", among=("ganimation", "reggan"))
    assert said == "contradicted"
    assert "reggan is better" in why
    assert (
        verdict(runs, monkeypatch, method="ganimation", place=2, among=("reggan", "usgan"))[0] == "supported"
    )
    assert verdict(runs, monkeypatch, place=2)[0] == "contradicted"
    # lower is better, and a record without replicates has no paired interval
    said, why = verdict(runs, monkeypatch, metric="FID")
    assert (said, "neither values per image nor replicates" in why) == ("cannot be judged", True)
    said, why = verdict(runs, monkeypatch, among=("ganimation", "sargan"))
    assert (said, "sargan: not among the records" in why) == ("cannot be judged", True)
    said, why = verdict(runs, monkeypatch, task="transfer")
    assert (said, why) == ("cannot be judged", "there is no ECS under task transfer")
    assert verdict(runs, monkeypatch, method="sargan") == (
        "cannot be judged",
        "no records hold its method and another",
    )


def test_a_metric_that_is_better_lower_turns_the_order(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "direction_of", lambda metric: "lower")
    assert verdict(runs, monkeypatch)[0] == "contradicted"


@pytest.mark.parametrize(
    ("place", "sides", "expected"),
    [
        (1, ["worse", "worse"], "supported"),
        (1, ["worse", "open"], "cannot be judged"),
        (1, ["better", "open"], "contradicted"),
        (2, ["worse", "worse"], "contradicted"),
        (2, ["better", "worse"], "supported"),
        (2, ["open", "worse"], "cannot be judged"),
        (3, ["better", "better"], "supported"),
        (3, ["worse", "open"], "contradicted"),
    ],
)
def test_a_place_among_others(place: int, sides: list[Side], expected: str) -> None:
    assert judge(place, dict(zip("abcdef", sides, strict=False))) == expected


def test_every_claim_names_what_there_is() -> None:
    from fesbench.methods.registry import METHODS

    for name, claim in known_claims().items():
        assert {claim.method, *claim.among} <= set(METHODS.names()), name
        assert claim.method not in claim.among, name
        assert 1 <= claim.place <= len(claim.among) + 1, name
        assert card_of(claim.metric) is not None, name
        for protocol in claim.protocols:
            rules = load_protocol(protocol)
            assert claim.task in {task.kind for task in rules.tasks}, (name, protocol)


def test_the_command_line_prints_them(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["report", str(runs), "--claims", "--json"])
    assert left.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["claim"] for row in found] == list(known_claims())
    identity = next(row for row in found if row["claim"] == "reggan-identity")
    assert identity["board"].startswith("avatars@1+size=64, tiny, ")
    with pytest.raises(SystemExit):
        main(["report", str(runs), "--claims"])
    assert "RegGAN is first in ECS" in " ".join(capsys.readouterr().out.split())
