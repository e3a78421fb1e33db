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
from typing import TYPE_CHECKING

import numpy as np

import fesbench
from fesbench.context.context import RunContext
from fesbench.errors import UsageError
from fesbench.files import writing
from fesbench.methods.card import ramps
from fesbench.progress import Reporter
from fesbench.protocol.budget import parse_budget
from fesbench.protocol.tasks import outputs_of
from fesbench.protocol.training_rows import labelled_rows, problem_of, unlabelled_rows
from fesbench.records.confusion import CONFUSION
from fesbench.records.environment import describe_environment, resolve_device
from fesbench.records.fingerprints import engine_hash, hash_parts, method_hash
from fesbench.records.frames import FRAMES
from fesbench.records.record import Health, Record, open_record
from fesbench.records.replicates import REPLICATES
from fesbench.records.samples import SAMPLES
from fesbench.runs.answerable import answerable, refused_whole, unbuildable, unscored
from fesbench.runs.job import Job
from fesbench.runs.loaded_weights import digest, known_to_weights, load_into, training_known, training_note
from fesbench.runs.validation import FEW, Validation
from fesbench.runs.zoo import refuse_training, zoo_cards

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.methods.base import Method
    from fesbench.methods.card import Problem
    from fesbench.methods.training_set import TrainingSet


CHECKPOINT = "checkpoint.safetensors"
TRAINING = ("fesbench.training", "fesbench.methods", "fesbench.protocol.training_rows")
"""What runs while a method is trained or loaded, beside the method: a change of it trains again."""
SYNTHESIS = ("fesbench.synthesis", "fesbench.methods")
"""What runs while images are made."""


def run_cell(job: Job, context: RunContext, reporter: Reporter) -> Record:
    """Run what is not yet done of one cell and return its record.

    Raises:
        FesbenchError: the method broke its contract, or the disk gave way; the record keeps what was done.
    """
    from fesbench.methods.precision import exact_float32

    with exact_float32():
        work = _Work(job, context, reporter)
        if len(work.requests):
            work.train()
            work.synthesize()
            work.measure_cost()
            work.score()
        work.close()
    return work.record


@dataclass(frozen=True)
class Trained:
    """What is left of a cell that was trained and goes no further.

    Attributes:
        method: with the weights of its checkpoint, where it is to be used.
        problem: what it was built for, at the protocol's size.
        training: what it was trained on.
        steps: by phase.
    """

    method: Method
    problem: Problem
    training: TrainingSet
    steps: dict[str, int]


def train_cell(
    job: Job, context: RunContext, reporter: Reporter, *, check: Callable[[Method], None]
) -> Trained:
    """Train a cell, or resume or find its training, and stop there.

    Args:
        job: of a method that is trained.
        context: opened.
        reporter: shown the progress.
        check: asked before the training; raises what speaks against it.
    """
    from fesbench.methods.precision import exact_float32

    with exact_float32():
        work = _Work(job, context, reporter)
        if not len(work.requests):
            raise UsageError(f"'{work.label}' cannot be trained here: {work.record.not_run[0].reason}")
        check(work.method)
        work.train()
        work.load()
    return Trained(work.method, work.problem, work.training, dict(work.record.steps))


def training_set(context: RunContext, problem: Problem, seed: int, subset: str = "train") -> TrainingSet:
    """The images of a subset that methods are trained on."""
    from fesbench.methods.training_set import TrainingSet

    rows = labelled_rows(context.protocol, context.store, context.split, subset, intensities=True)
    others = unlabelled_rows(context.protocol, context.store, context.split)
    return TrainingSet(context.store, rows, problem, seed, unlabelled_rows=others)


class _Work:
    def __init__(self, job: Job, context: RunContext, reporter: Reporter) -> None:
        from fesbench.files import fesbench_home
        from fesbench.methods.helpers import checked_weights
        from fesbench.weights.manager import WeightsManager

        self.job, self.context, self.reporter = job, context, reporter
        self.device = resolve_device(job.device)
        self.kind = job.method_class()
        self.cell = job.cell(context)
        self.folder = context.out / self.cell.folder
        self.label = self.cell.method
        self.problem = problem_of(context.protocol, context.store, context.split, job.seed)
        self.training = self._view("train")
        self.requests, refused = answerable(self.kind, self.problem, self.training, context.requests)
        if job.weights:
            self.requests, beyond = known_to_weights(self.kind, job.weights, self.problem, self.requests)
            refused += beyond
        hyper = self.kind.hyper_of(job.preset)
        self.weights = WeightsManager(fesbench_home())
        if reason := unbuildable(self.kind, self.problem, hyper):
            self.requests, refused = refused_whole(context.requests, reason)
        else:
            self.method: Method = self.kind(self.problem, hyper)
            self.method.helpers.load_with(checked_weights(self.weights))
        self.record = open_record(self.cell, context.out, reporter)
        context.describe(self.record, job.card(), [*refused, *unscored(context.protocol, self.requests)])
        self.record.saw_unlabelled_test_domain = self._saw_a_tested_domain()
        asked = self.requests[["task", "given"]].drop_duplicates().to_numpy()
        self.record.ramped = any(ramps(self.kind.card, task, given) for task, given in asked)
        self.record.parameters = asdict(hyper)
        # A training uses the method's helpers and is selected by nothing.
        if not job.weights and not reason:
            self.record.trained_with = sorted(self.method.helpers.names)

    def _view(self, subset: str) -> TrainingSet:
        return training_set(self.context, self.problem, self.job.seed, subset)

    def _saw_a_tested_domain(self) -> bool:
        """Whether training was given unlabelled images of a domain that is asked for."""
        granted = set(self.context.protocol.data.unlabelled) & set(self.requests["domain"])
        return bool(granted) and "unlabelled" in self.kind.card.needs and not self.job.weights

    def _stage(self, name: str, inputs: str, work: Callable[[], None]) -> None:
        """Run one stage unless it is done on these inputs; save the record before and behind it."""
        if self.record.done(name, inputs):
            return
        self.record.forget_from(name)
        if not self.record.stages:
            self.record.environment = describe_environment(self.device)
        with writing(self.folder):
            for stale in (SAMPLES, CONFUSION, REPLICATES, FRAMES):
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
        """Train, or resume a training that was interrupted; where weights are given, load them instead."""
        budget = parse_budget(self.job.budget)
        phases = self.method.phases()
        steps = budget.phase_steps(
            phases,
            self.context.protocol.budget.standard_steps,
            lambda phase: self.training.examples(phase, self.method.card.needs),
            self.context.protocol.budget.short_smokes,
        )
        self.train_inputs = hash_parts(
            fesbench.__version__,
            self.cell.model_dump_json(),
            self.context.split.hash,
            self.record.parameters,
            digest(self.job.weights) if self.job.weights else steps,
            self.device,
            method_hash(Path(inspect.getfile(self.kind))),
            {name: self.weights.mark(name) for name in self.method.helpers.names},
            engine_hash(*TRAINING),
        )
        if self.job.weights:
            self._stage("train", self.train_inputs, self._import)
        elif phases:
            if self.job.train == "never" and not all(phase.closed_form for phase in phases):
                refuse_training(self.job)
            if not (self.folder / CHECKPOINT).exists():
                self.record.stages.pop("train", None)
            self._stage("train", self.train_inputs, lambda: self._train(steps, budget.minutes))

    def _train(self, steps: dict[str, int], minutes: float | None) -> None:
        from fesbench.training.loop import train

        with self.reporter.stage(f"{self.label}: train") as stage:
            result = train(
                self.method,
                self.training,
                validation=self._view("validation"),
                steps=steps,
                minutes=minutes,
                folder=self.folder,
                seed=self.job.seed,
                device=self.device,
                inputs=self.train_inputs,
                note=training_note(self.context),
                on_progress=lambda p: stage.update(p.step, p.steps, p.losses, detail=p.phase),
                on_health=lambda event: self.reporter.note(f"{self.label}: {event.message}", warning=True),
                find_faces=self._find_faces(),
                validate=self._validate(),
            )
        self.record.steps = dict(result.steps)
        self.record.losses = {name: dict(found.items()) for name, found in result.losses.items()}
        self.record.health = [Health(kind=e.kind, step=e.step, message=e.message) for e in result.health]
        self.record.cost["training_seconds"] = round(result.seconds, 2)
        if result.validation_seconds:
            self.record.cost["validation_seconds"] = round(result.validation_seconds, 2)
        self.record.trained_on, self.record.loaded = "fesbench", {}

    def _find_faces(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """What counts lost faces in the scores, where it can run."""
        from fesbench.metrics.selection import DETECTOR

        detector = self.context.extractor(DETECTOR)
        return None if detector.available() else lambda images: detector.extract(images)[1]

    def _validate(self) -> Callable[[], dict[str, float]] | None:
        """What scores the method on some validation subjects, where there are any."""
        looks = Validation(self.method, self.training, self.context, FEW)
        return (lambda: looks.scores(self.method)) if len(looks.requests) else None

    def _import(self) -> None:
        file = Path(self.job.weights)
        with self.reporter.stage(f"{self.label}: load {file.name}"):
            note = load_into(self.method, self.job.weights)
        self.record.trained_on = training_known(note, self.context)
        own = self.record.trained_on == "fesbench"
        self.record.trained_with = sorted(self.method.helpers.names) if own else None
        self.record.loaded = {"file": file.name, "sha256": digest(self.job.weights), "note": note}
        if self.job.zoo:
            card = zoo_cards()[self.job.method]
            self.record.loaded["zoo"] = card.model_dump(mode="json") | {"words": card.words}

    def synthesize(self) -> None:
        """Make the requested images and clips."""
        from fesbench.synthesis import is_made, synthesize

        requests = self.requests
        checkpoint = self.folder / CHECKPOINT
        learned = self.method.phases() and not self.job.weights  # loaded ones stand in train_inputs
        made = hashlib.sha256(checkpoint.read_bytes()).hexdigest() if learned else ""
        self.image_inputs = inputs = hash_parts(
            self.train_inputs, made, _table_hash(requests), engine_hash(*SYNTHESIS)
        )
        if not is_made(requests, self.folder):
            self.record.stages.pop("synthesize", None)

        def work() -> None:
            self.load()
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

    def load(self) -> None:
        """Take what was trained or given, to the device in use."""
        from fesbench.training.checkpoints import load_checkpoint

        if self.job.weights:
            load_into(self.method, self.job.weights)
        elif self.method.phases():
            load_checkpoint(self.method, self.folder / CHECKPOINT)
        self.method.to(self.device)

    def measure_cost(self) -> None:
        """Parameters, operations, speed and memory of synthesizing images, or clips if it makes nothing else;
        the reference rows have none.
        """
        from fesbench.evaluation.cost import measure_cost
        from fesbench.methods.conditions import request_batch

        if self.kind.card.reference:
            return
        of_images = outputs_of(self.requests) != "clip"
        rows = self.requests[of_images] if of_images.any() else _like_the_first(self.requests)
        frames = 1 if of_images.any() else int(rows["length"].iloc[0])

        def work() -> None:
            self.load()
            with self.reporter.stage(f"{self.label}: cost"):
                cost = measure_cost(
                    self.method,
                    lambda n: request_batch(
                        rows.iloc[np.arange(n) % len(rows)],
                        self.context.store,
                        self.training,
                        self.problem,
                    ),
                    frames=frames,
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
            if self.job.weights:
                self.load()  # a part of a method's weights brings no class head
            own = own_discriminator(self.method, title)
            if own is not None:
                self.load()
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


def _table_hash(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]


def _like_the_first(requests: pd.DataFrame) -> pd.DataFrame:
    """The requests of the first one's task and length: clips of two lengths cannot be made together."""
    first = requests.iloc[0]
    return requests[(requests["task"] == first["task"]) & (requests["length"] == first["length"])]
