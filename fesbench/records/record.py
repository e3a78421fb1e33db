"""The record: everything that a number needs to be believed, in one folder per cell.

``runs/<protocol@version-hash>/<data>-<fingerprint>/<method>-<preset>-<budget>/<seed>/record.json`` is written
atomically after every stage, so that a run killed at any moment finds a whole record when it comes back.
Field order is part of the format; unknown fields are refused.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fesbench.errors import RecordError, UsageError
from fesbench.files import atomic_write_bytes
from fesbench.records.judge_check import JudgeCheck
from fesbench.statistics.null import NullBand

if TYPE_CHECKING:
    from fesbench.progress import Reporter

SCHEMA_VERSION = 1
RECORD_NAME = "record.json"
FOLDS = "folds"
"""Below a runs folder: the folds of k-fold runs, as runs of their own."""
REFERENCE = "reference"
"""The preset of the reference rows, which have no size; they stand in the tables of every preset."""
EXTERNAL = "external"
"""The preset of images that another program made."""
LEVEL = "level "
"""Beginning of a score's ``expression`` where it is of one requested level: "level 0.25"."""
STAGES = ("train", "synthesize", "cost", "score")
_STATUS = ("started", "trained", "synthesized", "synthesized", "scored")
_SAFE = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+@=,-]*")


def safe_name(name: str) -> str:
    """A name that becomes part of a path, as it is.

    Raises:
        UsageError: it holds anything but letters, digits and ``._+@=,-``, or begins with a dot or dash.
    """
    if not _SAFE.fullmatch(name):
        raise UsageError(
            f"the name '{name}' becomes a folder: use letters, digits and . _ + -, and none of . - first"
        )
    return name


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class Cell(_Model):
    """Method x protocol x data x seed: the unit of work, of resuming and of distribution."""

    method: str
    protocol: str
    """Id and version with every override, for example ``avatars@1+size=64``."""
    protocol_hash: str
    data: str
    data_fingerprint: str
    preset: str
    budget: str
    seed: int

    @property
    def folder(self) -> Path:
        """The cell's folder below the runs folder."""
        return (
            Path(f"{self.protocol}-{self.protocol_hash[:8]}")
            / f"{self.data}-{self.data_fingerprint[:8]}"
            / safe_name(f"{self.method}-{self.preset}-{self.budget}")
            / str(self.seed)
        )

    def __str__(self) -> str:
        return f"{self.method} ({self.preset}, {self.budget}, seed {self.seed})"


class Score(_Model):
    """One figure with its 95 % interval, its numbers and its signature."""

    protocol: str
    data: str
    method: str
    preset: str
    seed: int
    budget: str
    given: str
    task: str
    domain: str
    expression: str
    """``all`` for the pooled figure; else an expression, "AU12", or a level (see `LEVEL`)."""
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n_requested: int
    n_valid: int
    identities: int
    judge: str
    status: Literal["ok", "n/a", "collapsed", "failed"]
    signature: str
    reason: str = ""
    """Why there is no value, for example ``weights: inception-tf-2015``."""
    null: NullBand | None = None
    """Of a Fréchet distance: the distance between halves of the real subjects."""
    without_judge: list[float] = Field(default_factory=list)
    """The score without each judge of the panel; empty where no panel had a say."""


class Anchor(_Model):
    """What an identity score is on images that no method made, so that a method's can be read against it."""

    task: str
    domain: str
    metric: str
    kind: Literal["other-take", "other-expression", "other-subject", "noise"]
    """The source against the same subject's image in another take, its target image, another subject's image,
    and noise in the place of the face."""
    value: float
    n: int
    """Pairs."""


class Stage(_Model):
    """One finished stage; ``inputs`` is the hash of what it read, so that a changed input is noticed."""

    seconds: float
    finished_at: str
    inputs: str


class Health(_Model):
    """Something that training did which a reader of the scores should know."""

    kind: str
    step: int
    message: str


class NotRun(_Model):
    """A task that this cell did not answer, or whose answers nothing measures, and why."""

    task: str
    domain: str
    reason: str


class Record(_Model):
    """What one cell did."""

    schema_version: Literal[1] = 1
    cell: Cell
    card: dict[str, Any] = Field(default_factory=dict)
    status: Literal["started", "trained", "synthesized", "scored", "failed"] = "started"
    stages: dict[str, Stage] = Field(default_factory=dict)
    trained_on: Literal["fesbench", "declared", "unknown"] = "fesbench"
    trained_with: list[str] | None = None
    """Networks of others that had a part in its training or selection, by entries of the weights table, or
    ``judge`` for the protocol's own; None: nobody has said."""
    saw_unlabelled_test_domain: bool = False
    ramped: bool = False
    """Whether its clips are images at rising intensity; see `fesbench.methods.ramp`."""
    loaded: dict[str, Any] = Field(default_factory=dict)
    """The weights file that was loaded instead of training: name, sha256, its own note; else empty."""
    submitted: dict[str, Any] = Field(default_factory=dict)
    """Of a row that others handed in: the file's sha256, the words on its training, how many scores were made
    again here, and which metrics are only reported; else empty."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """The method's hyper-parameters as used."""
    steps: dict[str, int] = Field(default_factory=dict)
    health: list[Health] = Field(default_factory=list)
    losses: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    cost: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    """The data set's files, what of it could not be used and why, and how it was split."""
    counts: dict[str, int] = Field(default_factory=dict)
    """Identical images under different requests, faces not found, and the like."""
    judge: dict[str, Any] = Field(default_factory=dict)
    """The expression classifier: recipe, accuracy on real held-out images."""
    judge_checks: list[JudgeCheck] = Field(default_factory=list)
    """How each judge does on the real images of the test subjects, in each domain that was scored."""
    action_unit_regressor: dict[str, Any] = Field(default_factory=dict)
    """What measured action units: recipe, correlations on real held-out images; empty where nothing did."""
    weights: dict[str, Any] = Field(default_factory=dict)
    """Pretrained files that figures stand on: license, whether it excludes commercial use, how it was
    accepted, digest."""
    scores: list[Score] = Field(default_factory=list)
    anchors: list[Anchor] = Field(default_factory=list)
    """Of identity scores, by real images and noise: the same for all rows of a board."""
    not_run: list[NotRun] = Field(default_factory=list)
    environment: dict[str, Any] = Field(default_factory=dict)
    error: str = ""

    @property
    def collapsed(self) -> bool:
        """Whether training noticed that the method collapsed; it is scored all the same, and marked."""
        return any(event.kind.endswith("collapse") or event.kind == "nan" for event in self.health)

    def finish(self, stage: str, *, seconds: float, inputs: str) -> None:
        """Note a finished stage."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.stages[stage] = Stage(seconds=round(seconds, 3), finished_at=now, inputs=inputs)
        self.status = _STATUS[STAGES.index(stage) + 1]  # type: ignore[assignment]

    def forget_from(self, stage: str) -> None:
        """Drop what a stage and those behind it wrote: it must not stand beside what will be written now."""
        rank = STAGES.index(stage)
        self.stages = {done: kept for done, kept in self.stages.items() if STAGES.index(done) < rank}
        if rank == 0:
            self.health, self.losses, self.steps, self.cost = [], {}, {}, {}
        if rank <= STAGES.index("cost"):
            trained = ("training_seconds", "validation_seconds")
            self.cost = {key: kept for key, kept in self.cost.items() if key in trained}
        self.scores, self.anchors, self.counts, self.weights, self.error = [], [], {}, {}, ""
        self.judge_checks = []
        self.status = _STATUS[rank]  # type: ignore[assignment]

    def done(self, stage: str, inputs: str) -> bool:
        """Whether a stage was finished on exactly these inputs."""
        return stage in self.stages and self.stages[stage].inputs == inputs

    def save(self, folder: Path) -> None:
        """Write ``record.json`` atomically.

        Raises:
            DataError: the folder cannot be written or the disk is full.
        """
        atomic_write_bytes(folder / RECORD_NAME, self.model_dump_json(indent=1).encode())


def load_record(folder: Path) -> Record:
    """Read a cell's record.

    Raises:
        RecordError: absent, damaged, or of another schema version.
    """
    path = folder / RECORD_NAME
    try:
        raw = json.loads(path.read_bytes())
        json.dumps(raw, ensure_ascii=False).encode()  # halves of characters, which no page can hold
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist; give the folder that 'fesbench run' wrote") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{path} cannot be read ({error}); delete its folder and run the cell again"
        ) from None
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path} has record schema {version!r}, this fesbench reads {SCHEMA_VERSION}; "
            "run the cell again or use the fesbench that wrote it"
        )
    try:
        return Record.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(
            f"{path}: field '{where}': {first['msg']}; delete its folder and run again"
        ) from None


def open_record(cell: Cell, runs: Path, reporter: Reporter) -> Record:
    """The record of a cell: the one in its folder, else a new one.

    One that cannot be read is set aside with the cell's whole folder, and said.

    Args:
        cell: whose record it is.
        runs: the runs folder.
        reporter: told what was set aside.
    """
    folder = runs / cell.folder
    if not (folder / RECORD_NAME).exists():
        return Record(cell=cell)
    try:
        return load_record(folder)
    except RecordError as error:
        aside = folder.with_name(f"{folder.name}.damaged-{time.time_ns()}")
        folder.rename(aside)
        # Under its own name a report would come upon it again.
        (aside / RECORD_NAME).rename(aside / f"{RECORD_NAME}.damaged")
        reporter.note(f"{error}; it is kept as {aside}, the cell starts afresh", warning=True)
        return Record(cell=cell)
