"""A job says everything that an engine needs, as text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.errors import UsageError
from fesbench.runs.job import Job, shared_job
from fesbench.runs.plan import RunOptions, plan_jobs, select_methods

JOB = Job(
    method="/somewhere/mine.py",
    protocol="ck+",
    preset="tiny",
    budget="steps=3",
    seed=2,
    data="avatars",
    size=32,
    split="/somewhere/split.csv",
    source={"": "/somewhere/CK+", "oulu-casia": "/elsewhere"},
    store="0" * 64,
    weights="/somewhere/mine.safetensors",
    zoo=True,
    train="never",
    fold=2,
    out="/runs",
    device="cpu",
)


def test_a_job_survives_its_text() -> None:
    assert all(getattr(JOB, name) != getattr(Job("", "", "", ""), name) for name in vars(JOB))
    assert Job.from_json(JOB.to_json()) == JOB
    assert "\n" not in JOB.to_json()
    assert set(json.loads(JOB.to_json())) == set(vars(JOB))


@pytest.mark.parametrize("text", ["", "[]", '"job"', '{"method": "mr"}', '{"speed": 3}'])
def test_what_is_no_job_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"not a job .*its keys are method, protocol"):
        Job.from_json(text)


def test_jobs_of_one_command_share_a_context_and_others_do_not() -> None:
    same = replace(
        JOB, method="mr", seed=0, preset="paper", weights="", zoo=False, train="auto", device="auto"
    )
    assert same.shared == JOB.shared
    for change in ({"size": 64}, {"budget": "smoke"}, {"out": "/other"}, {"data": None}, {"store": "1" * 64}):
        assert replace(JOB, **change).shared != JOB.shared  # type: ignore[arg-type]


def test_paths_are_absolute_wherever_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = shared_job(
        "mine@1.toml", budget="smoke", split=Path("split.csv"), source=Path("CK+"), out=Path("runs")
    )
    assert job.protocol == str(tmp_path / "mine@1.toml")
    assert (job.split, job.source) == (str(tmp_path / "split.csv"), {"": str(tmp_path / "CK+")})
    assert job.out == str(tmp_path / "runs")
    assert shared_job("ck+", budget="smoke").protocol == "ck+"


def test_what_has_no_seed_is_run_once(tmp_path: Path) -> None:
    options = RunOptions("mr,stargan", "avatars", seeds=(3, 4), preset="tiny", budget="smoke", out=tmp_path)
    jobs = plan_jobs(options, select_methods(options.methods))
    planned = [(job.method, job.preset, job.seed) for job in jobs]
    assert planned[-2:] == [("mr", "tiny", 4), ("stargan", "tiny", 4)]
    assert planned[4:6] == [("mr", "tiny", 3), ("stargan", "tiny", 3)]
    assert all(preset == "reference" and seed == 3 for _, preset, seed in planned[:4])
