"""One cell (method x protocol x data x seed) through its stages: train -> synthesize -> cost -> score.

Each stage writes its own part of the record. A stage that is done on the same inputs is not run again, so
the same command after a kill resumes; a changed input (data, split, code of the method,
checkpoint) is noticed by its hash and runs its stage, and those behind it, again.
"""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fesbench
from fesbench.context.context import RunContext
from fesbench.errors import RecordError
from fesbench.files import writing
from fesbench.progress import Reporter
from fesbench.protocol.budget import parse_budget
from fesbench.protocol.training_rows import labelled_rows, problem_of
from fesbench.records.confusion import CONFUSION
from fesbench.records.environment import describe_environment, resolve_device
from fesbench.records.fingerprints import engine_hash, hash_parts, method_hash
from fesbench.records.record import RECORD_NAME, REFERENCE, Cell, Health, NotRun, Record, load_record
from fesbench.records.replicates import REPLICATES

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.methods.base import Method
    from fesbench.methods.card import Problem
    from fesbench.methods.training_set import TrainingSet


CHECKPOINT = "checkpoint.safetensors"
SAMPLES = "samples.parquet"


@dataclass(frozen=True)
class CellPlan:
    """One cell to run."""

    method: type[Method]
    preset: str
    budget: str
    seed: int

    def cell(self, context: RunContext) -> Cell:
        """Its identity in the record."""
        return Cell(
            method=self.method.card.id,
            protocol=context.protocol.name,
            protocol_hash=context.protocol.hash,
            data=context.store.data,
            data_fingerprint=context.store.fingerprint,
            preset=self.preset,
            budget=self.budget,
            seed=self.seed,
        )


def run_cell(plan: CellPlan, context: RunContext, reporter: Reporter, *, device: str = "auto") -> Record:
    """Run what is not yet done of one cell and return its record.

    Raises:
        FesbenchError: the method broke its contract, or the disk gave way; the record keeps what was done.
    """
    work = _Work(plan, context, reporter, device)
    if len(work.requests):
        work.train()
        work.synthesize()
        work.measure_cost()
        work.score()
    work.close()
    return work.record


class _Work:
    def __init__(self, plan: CellPlan, context: RunContext, reporter: Reporter, device: str) -> None:
        self.plan, self.context, self.reporter = plan, context, reporter
        self.device = resolve_device(device)
        self.cell = plan.cell(context)
        self.folder = context.out / self.cell.folder
        self.label = self.cell.method
        self.problem = problem_of(context.protocol, context.store, context.split, plan.seed)
        self.training = self._view("train")
        self.requests, refused = _applicable(plan.method, self.problem, self.training, context.requests)
        self.record = self._open(refused)
        hyper = plan.method.presets["paper" if plan.preset == REFERENCE else plan.preset]
        self.record.parameters = asdict(hyper)
        self.method: Method = plan.method(self.problem, hyper)

    def _open(self, refused: list[NotRun]) -> Record:
        record = Record(cell=self.cell)
        if (self.folder / RECORD_NAME).exists():
            try:
                record = load_record(self.folder)
            except RecordError as error:
                aside = self.folder.with_name(f"{self.folder.name}.damaged-{time.time_ns()}")
                self.folder.rename(aside)
                # Under its own name a report would come upon it again.
                (aside / RECORD_NAME).rename(aside / f"{RECORD_NAME}.damaged")
                self.reporter.note(f"{error}; it is kept as {aside}, the cell starts afresh", warning=True)
        record.card = describe_card(self.plan.method)
        record.not_run = [*self.context.not_run, *refused]
        record.judge = self.context.judge_card
        record.action_unit_regressor = self.context.regressor_card
        record.data = self.context.data_card
        return record

    def _view(self, subset: str) -> TrainingSet:
        from fesbench.methods.training_set import TrainingSet

        rows = labelled_rows(
            self.context.protocol, self.context.store, self.context.split, subset, intensities=True
        )
        return TrainingSet(self.context.store, rows, self.problem, self.plan.seed)

    def _stage(self, name: str, inputs: str, work: Callable[[], None]) -> None:
        """Run one stage unless it is done on these inputs; save the record before and behind it."""
        if self.record.done(name, inputs):
            return
        self.record.forget_from(name)
        if not self.record.stages:
            self.record.environment = describe_environment(self.device)
        with writing(self.folder):
            for stale in (SAMPLES, CONFUSION, REPLICATES):
                (self.folder / stale).unlink(missing_ok=True)
        self.record.save(self.folder)
        started = time.monotonic()
        work()
        self.record.finish(name, seconds=time.monotonic() - started, inputs=inputs)
        self.record.save(self.folder)

    def close(self) -> None:
        """The cell is done: an error of an earlier try no longer stands."""
        self.record.status, self.record.error = "scored", ""
        self.record.save(self.folder)

    def train(self) -> None:
        """Train, or take up a training that was interrupted."""
        from fesbench.training.loop import train

        budget = parse_budget(self.plan.budget)
        phases = self.method.phases()
        steps = budget.phase_steps(
            phases,
            self.context.protocol.budget.standard_steps,
            lambda phase: self.training.examples(phase, self.method.card.needs),
        )
        self.train_inputs = hash_parts(
            fesbench.__version__,
            self.cell.model_dump_json(),
            self.context.split.hash,
            self.record.parameters,
            steps,
            self.device,
            method_hash(Path(inspect.getfile(self.plan.method))),
            engine_hash(
                "fesbench.training.loop",
                "fesbench.training.state",
                "fesbench.methods.batches",
                "fesbench.methods.clips",
                "fesbench.methods.pairs",
                "fesbench.methods.planes",
                "fesbench.methods.pools",
                "fesbench.methods.samples",
                "fesbench.methods.sampling",
                "fesbench.methods.training_set",
                "fesbench.protocol.training_rows",
            ),
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

        if phases:
            if not (self.folder / CHECKPOINT).exists():
                self.record.stages.pop("train", None)
            self._stage("train", self.train_inputs, work)

    def synthesize(self) -> None:
        """Make the requested images."""
        from fesbench.synthesis import synthesize

        requests = self.requests
        checkpoint = self.folder / CHECKPOINT
        made = hashlib.sha256(checkpoint.read_bytes()).hexdigest() if self.method.phases() else ""
        engine = engine_hash("fesbench.synthesis", "fesbench.methods.conditions", "fesbench.methods.batches")
        self.image_inputs = inputs = hash_parts(self.train_inputs, made, _table_hash(requests), engine)
        images = self.folder / "images"
        if not all((images / f"{name}.png").exists() for name in requests["request"]):
            self.record.stages.pop("synthesize", None)

        def work() -> None:
            self._load()
            with self.reporter.stage(f"{self.label}: synthesize", total=len(requests)) as stage:
                synthesize(
                    self.method,
                    requests,
                    self.context.store,
                    self.training,
                    self.folder,
                    device=self.device,
                    inputs=inputs,
                    on_progress=lambda done, total: stage.update(done, total),
                )
            requests.to_csv(self.folder / "requests.csv", index=False)

        self._stage("synthesize", inputs, work)

    def _load(self) -> None:
        """Take what was trained, to the device in use."""
        from fesbench.training.checkpoints import load_checkpoint

        if self.method.phases():
            load_checkpoint(self.method, self.folder / CHECKPOINT)
        self.method.to(self.device)

    def measure_cost(self) -> None:
        """Parameters, operations, speed and memory of synthesis; the reference rows have none."""
        from fesbench.evaluation.cost import measure_cost
        from fesbench.methods.conditions import request_batch

        if self.plan.method.card.reference:
            return

        def work() -> None:
            self._load()
            with self.reporter.stage(f"{self.label}: cost"):
                cost = measure_cost(
                    self.method,
                    lambda n: request_batch(
                        self.requests.iloc[np.arange(n) % len(self.requests)],
                        self.context.store,
                        self.training,
                        self.problem,
                    ),
                )
            self.record.cost.update(cost.as_dict())

        where = describe_environment(self.device)["device"]
        self._stage(
            "cost", hash_parts(self.image_inputs, where, engine_hash("fesbench.evaluation.cost")), work
        )

    def score(self) -> None:
        """Compute every metric of the protocol on the images that lie in the folder."""
        from fesbench.evaluation.class_head import own_discriminator
        from fesbench.evaluation.score import score_cell, scoring_inputs

        title = f"{self.cell.method}-{self.cell.preset}-{self.cell.budget}"

        def work() -> None:
            own = own_discriminator(self.method, title)
            if own is not None:
                self._load()
            with self.reporter.stage(f"{self.label}: score") as stage:
                score_cell(
                    self.context,
                    self.record,
                    self.requests,
                    self.folder,
                    on_progress=stage.update_what,
                    device=self.device,
                    discriminator=own,
                )
            scored = describe_environment(self.device)
            scored_with = {key: scored[key] for key in ("fesbench", "git", "device")}
            self.record.environment["scored_with"] = scored_with

        self._stage("score", hash_parts(self.image_inputs, scoring_inputs(self.context)), work)


def _applicable(
    method: type[Method], problem: Problem, training: TrainingSet, requests: pd.DataFrame
) -> tuple[pd.DataFrame, list[NotRun]]:
    """The requests that a method can answer, and the tasks that it cannot, with the reason."""
    from fesbench.methods.card import applicable

    lacking = training.lacks(method.card)
    refused, keep = [], np.ones(len(requests), dtype=bool)
    for (task, domain, given), group in requests.groupby(["task", "domain", "given"], sort=False):
        reason = lacking or applicable(method.card, task, given, problem)
        if method.card.id == "real" and not (group["target"] >= 0).any():
            reason = "no target images"
        if reason:
            keep[group.index.to_numpy()] = False
            refused.append(NotRun(task=task, domain=domain, reason=f"not applicable: {reason}"))
    return requests[keep].reset_index(drop=True), refused


def _table_hash(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]


def describe_card(method: type[Method]) -> dict[str, Any]:
    """A method's card as a record keeps it."""
    card = asdict(method.card)
    return {**card, "needs": sorted(card["needs"]), "controls": sorted(card["controls"])}
