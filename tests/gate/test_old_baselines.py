"""A baseline outlives the fesbench that wrote it: what was written before still loads and compares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fesbench.gate.check import GateReport, check
from fesbench.gate.collect import open_row
from fesbench.gate.snapshot import Snapshot, load_snapshot, save_snapshot
from tests.reports.synthetic_records import ROWS, requests_table, write_cell

FILE = ["kind", "schema_version", "cell", "seeds", "people", "figures", "cost", "versions"]
CELL = ["method", "protocol", "protocol_hash", "data", "data_fingerprint", "preset", "budget", "seed"]
FIGURE = [
    *("task", "domain", "expression", "metric", "given", "signature", "values", "reason"),
    *("sums", "counts", "replicates", "kind", "resampled", "identities"),
]
COST = [
    *("parameters", "parameters_synthesis", "flops", "images_per_second", "quartiles"),
    *("latency_p50_ms", "memory_mb", "memory_kind", "device", "threads", "reference"),
]
OLD = """{
"kind": "fesbench-baseline",
"schema_version": 1,
"cell": {"method": "mr", "protocol": "avatars@1+size=64", "protocol_hash": "0a1b2c3d4e5f",
 "data": "avatars", "data_fingerprint": "5d90aa17", "preset": "tiny", "budget": "smoke", "seed": 0},
"seeds": [0],
"people": ["a", "b", "c", "d"],
"figures": [
{"task":"expression","domain":"in","expression":"all","metric":"SSIM","given":"label",\
"signature":"SSIM|x:piq|n:8/8|p:avatars@1+size=64:0a1b2c3d|b:smoke|v:0.1.0","values":[0.85],"reason":"",\
"sums":[1.6,1.7,1.7,1.8],"counts":[2,2,2,2],"replicates":null,"kind":"","resampled":"","identities":0},
{"task":"expression","domain":"in","expression":"all","metric":"FID","given":"label",\
"signature":"FID|x:inception-tf-2015:6726825d|ref:test-real|n:8/8|p:avatars@1+size=64:0a1b2c3d|b:smoke|v:0.1.0",\
"values":[50.0],"reason":"","sums":null,"counts":null,"replicates":[49.0,50.0,51.0,null],\
"kind":"delete-one-identity","resampled":"p","identities":4}
],
"cost": [{"parameters": 1000, "parameters_synthesis": 900, "flops": 1000000,
 "images_per_second": {"1": 20.0, "8": 40.0}, "quartiles": {"1": [19.0, 21.0], "8": [39.0, 41.0]},
 "latency_p50_ms": 50.0, "memory_mb": 100.0, "memory_kind": "cuda-allocated-peak", "device": "cpu",
 "threads": 1, "reference": {"workload": "w",
  "before": {"latency_p50_ms": 10.0, "images_per_second": 100.0},
  "after": {"latency_p50_ms": 10.0, "images_per_second": 100.0}}}],
"versions": {"fesbench": "0.1.0"}
}
"""
"""As fesbench 0.1.0 wrote it."""


@pytest.fixture
def old(tmp_path: Path) -> Snapshot:
    (tmp_path / "old.json").write_text(OLD)
    return load_snapshot(tmp_path / "old.json")


def statuses(report: GateReport) -> dict[str, str]:
    return {verdict.metric: verdict.status for verdict in report.verdicts}


def test_an_old_baseline_compares(old: Snapshot) -> None:
    assert old.figures[0].value == pytest.approx(0.85)
    found = statuses(check(old, old))
    assert set(found.values()) == {"same"}
    assert {"SSIM", "FID", "parameters", "images_per_second"} <= set(found)
    ssim, fid = old.figures
    assert ssim.sums is not None
    lower = ssim.model_copy(update={"sums": [1.4, 1.49, 1.51, 1.6], "values": [0.75]})
    report = check(old.model_copy(update={"figures": [lower, fid]}), old)
    assert (statuses(report)["SSIM"], statuses(report)["FID"]) == ("worse", "same")
    assert report.exit_code == 3


def test_an_old_baseline_is_written_as_it_was(old: Snapshot, tmp_path: Path) -> None:
    save_snapshot(old, tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    assert json.dumps(again) == json.dumps(json.loads(OLD))  # the order of keys counts too


def test_a_new_baseline_has_the_keys_of_the_old_ones(tmp_path: Path) -> None:
    row = next(row for row in ROWS if row.id == "mr")
    write_cell(tmp_path / "runs", row, requests_table(4, styles=False))
    save_snapshot(open_row(tmp_path / "runs"), tmp_path / "new.json")
    raw = json.loads((tmp_path / "new.json").read_text())
    assert list(raw) == FILE
    assert list(raw["cell"]) == CELL
    assert {tuple(figure) for figure in raw["figures"]} == {tuple(FIGURE)}
    assert {tuple(cost) for cost in raw["cost"]} == {tuple(COST)}
