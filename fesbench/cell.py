"""One cell (method x protocol x data x seed) through its stages: train -> synthesize -> cost -> score.

Each stage writes its own part of the record. A stage that is done on the same inputs is not run again, so
the same command after a kill goes on where it stood; a changed input (data, split, code of the method,
checkpoint) is noticed by its hash and runs its stage, and those behind it, again.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fesbench
from fesbench.bench import Bench, hash_parts, labelled_rows
from fesbench.budget import parse_budget
from fesbench.environment import describe_environment
from fesbench.errors import RecordError
from fesbench.progress import Reporter
from fesbench.record import RECORD_NAME, Cell, Health, NotRun, Record, load_record
from fesbench.vocabulary import ACTION_UNITS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.views import TrainingSet
    from fesbench.method import Method, Problem


REFERENCE = "reference"
"""The preset of the reference rows, which have no size; they stand in the tables of every preset."""


@dataclass(frozen=True)
class CellPlan:
    """One cell to run."""

    method: type[Method]
    preset: str
    budget: str
    seed: int

    def cell(self, bench: Bench) -> Cell:
        """Its identity in the record."""
        return Cell(
            method=self.method.card.id,
            protocol=bench.protocol.name,
            protocol_hash=bench.protocol.hash,
            data=bench.store.data,
            data_fingerprint=bench.store.fingerprint,
            preset=self.preset,
            budget=self.budget,
            seed=self.seed,
        )


def run_cell(plan: CellPlan, bench: Bench, reporter: Reporter, *, device: str = "auto") -> Record:
    """Run what is not yet done of one cell and return its record.

    Raises:
        FesbenchError: the method broke its contract, or the disk gave way; the record keeps what was done.
    """
    work = _Work(plan, bench, reporter, device)
    work.train()
    work.synthesize()
    work.measure_cost()
    work.score()
    return work.record


class _Work:
    def __init__(self, plan: CellPlan, bench: Bench, reporter: Reporter, device: str) -> None:
        self.plan, self.bench, self.reporter, self.device = plan, bench, reporter, device
        self.cell = plan.cell(bench)
        self.folder = bench.out / self.cell.folder
        self.label = self.cell.method
        self.problem = self._problem()
        self.training = self._view("train")
        self.requests, refused = _applicable(plan.method, self.problem, self.training, bench.requests)
        self.record = self._open(refused)
        hyper = plan.method.presets["paper" if plan.preset == REFERENCE else plan.preset]
        self.record.parameters = asdict(hyper)
        self.method: Method = plan.method(self.problem, hyper)

    def _open(self, refused: list[NotRun]) -> Record:
        fresh = Record(cell=self.cell)
        if (self.folder / RECORD_NAME).exists():
            try:
                fresh = load_record(self.folder)
            except RecordError as error:
                self.reporter.note(f"{error}; starting the cell afresh", warning=True)
                shutil.rmtree(self.folder)
        fresh.card = describe_card(self.plan.method)
        fresh.not_run = [*self.bench.not_run, *refused]
        fresh.judge = self.bench.judge_card
        fresh.environment = describe_environment()
        fresh.error = ""
        return fresh

    def _problem(self) -> Problem:
        from fesbench.method import Problem

        rows = labelled_rows(self.bench.protocol, self.bench.store, self.bench.split, "train")
        coded = ~np.isnan(self.bench.store.manifest.action_units[rows]).all(axis=0)
        return Problem(
            size=self.bench.store.size,
            labels=tuple(self.bench.protocol.labels),
            action_units=tuple(unit for unit, known in zip(ACTION_UNITS, coded, strict=True) if known),
            seed=self.plan.seed,
        )

    def _view(self, side: str) -> TrainingSet:
        from fesbench.data.views import TrainingSet

        rows = labelled_rows(self.bench.protocol, self.bench.store, self.bench.split, side)
        return TrainingSet(self.bench.store, rows, self.problem, self.plan.seed)

    def _stage(self, name: str, status: str, inputs: str, work: Callable[[], None]) -> None:
        """Run one stage unless it is done on these inputs; save the record behind it."""
        if self.record.done(name, inputs):
            return
        for stale in list(self.record.stages)[_position(self.record, name) :]:
            del self.record.stages[stale]
        started = time.monotonic()
        work()
        self.record.finish(name, seconds=time.monotonic() - started, inputs=inputs)
        self.record.status = status  # type: ignore[assignment]
        self.record.save(self.folder)

    def train(self) -> None:
        """Train, or take up a training that was interrupted."""
        from fesbench.training import train

        budget = parse_budget(self.plan.budget)
        phases = self.method.phases()
        steps = budget.phase_steps(phases, self.bench.protocol.budget.standard_steps)
        self.train_inputs = hash_parts(
            fesbench.__version__,
            self.cell.model_dump_json(),
            self.bench.split.hash,
            self.record.parameters,
            steps,
            _source_hash(self.plan.method),
        )

        def work() -> None:
            with self.reporter.stage(f"{self.label}: train") as stage:
                result = train(
                    self.method,
                    self.training,
                    validation=self._view("validation"),
                    steps=steps,
                    minutes=budget.minutes,
                    folder=self.folder,
                    seed=self.plan.seed,
                    device=self.device,
                    inputs=self.train_inputs,
                    on_progress=lambda p: stage.update(p.step, p.steps, p.losses, detail=p.phase),
                    on_health=lambda event: self.reporter.note(
                        f"{self.label}: {event.message}", warning=True
                    ),
                )
            self.record.steps = dict(result.steps)
            self.record.losses = {name: dict(found.items()) for name, found in result.losses.items()}
            self.record.health = [Health(kind=e.kind, step=e.step, message=e.message) for e in result.health]
            self.record.cost["training_seconds"] = round(result.seconds, 2)

        if phases and len(self.requests):
            self._stage("train", "trained", self.train_inputs, work)

    def synthesize(self) -> None:
        """Make the requested images."""
        from fesbench.synthesis import load_checkpoint, synthesize

        requests = self.requests
        self.request_hash = _table_hash(requests)
        inputs = hash_parts(self.train_inputs, self.request_hash)

        def work() -> None:
            if self.method.phases():
                load_checkpoint(self.method, self.folder / "checkpoint.safetensors")
            with self.reporter.stage(f"{self.label}: synthesize", total=len(requests)) as stage:
                synthesize(
                    self.method,
                    requests,
                    self.bench.store,
                    self.training,
                    self.folder,
                    device=self.device,
                    inputs=inputs,
                    on_progress=lambda done, total: stage.update(done, total),
                )
            requests.to_csv(self.folder / "requests.csv", index=False)

        if len(requests):
            self._stage("synthesize", "synthesized", inputs, work)

    def measure_cost(self) -> None:
        """Parameters, operations, speed and memory of synthesis; the reference rows have none."""
        from fesbench.metrics.cost import measure_cost
        from fesbench.synthesis import load_checkpoint, request_batch

        if self.plan.method.card.reference or not len(self.requests):
            return

        def work() -> None:
            load_checkpoint(self.method, self.folder / "checkpoint.safetensors")
            with self.reporter.stage(f"{self.label}: cost"):
                cost = measure_cost(
                    self.method,
                    lambda n: request_batch(
                        self.requests.iloc[np.arange(n) % len(self.requests)],
                        self.bench.store,
                        self.training,
                        self.problem,
                    ),
                )
            self.record.cost.update(cost.as_dict())

        self._stage(
            "cost", "synthesized", hash_parts(self.train_inputs, describe_environment()["device"]), work
        )

    def score(self) -> None:
        """Compute every metric of the protocol on the images that lie in the folder."""
        from fesbench.evaluation import score_cell, scoring_inputs

        inputs = hash_parts(
            self.request_hash,
            self.train_inputs,
            scoring_inputs(self.bench),
        )

        def work() -> None:
            with self.reporter.stage(f"{self.label}: score") as stage:
                score_cell(
                    self.bench,
                    self.record,
                    self.requests,
                    self.folder,
                    on_progress=stage.update_what,
                )

        if len(self.requests):
            self._stage("score", "scored", inputs, work)
        else:
            self.record.status = "scored"
            self.record.save(self.folder)


def _position(record: Record, name: str) -> int:
    """Where a stage stands among those done; the ones from there on are stale when it runs again."""
    order = ("train", "synthesize", "cost", "score")
    rank = order.index(name)
    return sum(order.index(done) < rank for done in record.stages)


def _applicable(
    method: type[Method], problem: Problem, training: TrainingSet, requests: pd.DataFrame
) -> tuple[pd.DataFrame, list[NotRun]]:
    """The requests that a method can answer, and the tasks that it cannot, with the reason."""
    from fesbench.method import applicable

    lacking = training.lacks(method.card)
    refused, keep = [], np.ones(len(requests), dtype=bool)
    for (task, domain, given), group in requests.groupby(["task", "domain", "given"], sort=False):
        reason = lacking or applicable(method.card, task, given, problem)
        if reason:
            keep[group.index.to_numpy()] = False
            refused.append(NotRun(task=task, domain=domain, reason=f"not applicable: {reason}"))
    return requests[keep].reset_index(drop=True), refused


def _source_hash(method: type[Method]) -> str:
    """Hash of the source that a method is made of: its file, and for fesbench's own every file beside it.

    Baselines share blocks and inherit from one another; a change that cannot matter costs a training, one
    that goes unnoticed costs the truth of a record.
    """
    own = Path(inspect.getfile(method))
    shared = sorted(own.parent.glob("*.py")) if method.__module__.startswith("fesbench.baselines.") else [own]
    return hashlib.sha256(b"".join(path.read_bytes() for path in shared)).hexdigest()[:16]


def _table_hash(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]


def describe_card(method: type[Method]) -> dict[str, Any]:
    """A method's card as a record keeps it."""
    card = asdict(method.card)
    return {**card, "needs": sorted(card["needs"]), "controls": sorted(card["controls"])}
