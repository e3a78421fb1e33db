"""The sections of a protocol file: which data, who is tested, what is asked, what is measured."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fesbench.errors import FesbenchError
from fesbench.methods.task_kinds import TASKS
from fesbench.vocabulary import ACTION_UNITS, EXPRESSIONS

Budget = Literal["smoke", "short", "standard", "paper"]
LEVELS = (0.25, 0.5, 0.75, 1.0)
GANIMATION_UNITS = (1, 2, 4, 5, 9, 12, 15, 17, 25)
"""The action units of GANimation's section 5 (Pumarola et al., ECCV 2018)."""


class Strict(BaseModel):
    """Unknown keys are refused; values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StandIn(Strict):
    """Another data set that may serve this protocol's rules (``--data avatars``)."""

    alignment: str = "none@1"
    options: dict[str, Any] = Field(default_factory=dict)


class TestSet(Strict):
    """Another data set that is tested on and never trained on; all of its subjects are test subjects."""

    set: str
    alignment: str
    options: dict[str, Any] = Field(default_factory=dict)
    domain: str = ""
    """The name of its domain; "" keeps the domains that the data set itself tells apart."""
    truth: bool = True
    """Whether a subject's image of an expression is the target image for another image of that subject; false
    for images gathered from many occasions."""


class DataRule(Strict):
    """Which data, prepared how."""

    set: str
    size: int = Field(ge=16, le=1024)
    alignment: str
    pairing: Literal["take", "sequence", "none"]
    """``take``: the source is the subject's neutral image of that take; ``sequence``: the first frame of
    the target's own sequence; ``none``: nobody knows two images of one subject, so nothing is paired."""
    options: dict[str, Any] = Field(default_factory=dict)
    stand_ins: dict[str, StandIn] = Field(default_factory=dict)
    test_sets: tuple[TestSet, ...] = ()
    unlabelled: tuple[str, ...] = ()
    """Domains whose images of training subjects are given, without labels, to methods that adapt to one."""

    @model_validator(mode="after")
    def _other_domains(self) -> DataRule:
        if "in" in self.unlabelled:
            raise ValueError("unlabelled: the images of the domain 'in' are trained on with their labels")
        return self


class SplitRule(Strict):
    """Who trains, who validates, who is tested.

    ``index``: fixed ranges of the sorted subjects. ``hash``: sha256 of "seed:identity" as a number in [0, 1),
    with ``validation`` and ``test`` as fractions, or ``folds``. ``names``: subjects listed by name, or folds
    of names; with ``validation`` as a fraction, that part of the others validates by hash. ``each``: every
    subject is a fold, in the order of their names; ``folds`` is how many subjects there may be. ``official``:
    the subsets of the data set's owner. ``file``: a CSV that the user brought.
    """

    by: Literal["identity", "image"] = "identity"
    """``image``: identities are unknown; near-duplicate images stay together."""
    rule: Literal["index", "hash", "names", "each", "official", "file"]
    seed: int = 0
    train: int | None = None
    validation: float = 0
    test: float = 0
    folds: int | None = Field(default=None, ge=2)
    """k-fold form: in fold k its subjects are tested and the next fold's validate."""
    fold: int | None = Field(default=None, ge=0)
    """The one fold that this is about; set by the program."""
    validation_names: tuple[str, ...] = ()
    test_names: tuple[str, ...] = ()
    fold_names: tuple[tuple[str, ...], ...] = ()
    duplicates: Literal["together", "drop"] = "together"
    """By image: near-duplicates go to one subset together, or all but one of them are dropped."""
    file: str = Field(default="", exclude=True)
    digest: str = ""
    """Sha256 (hex) of the imported assignment."""

    @model_validator(mode="after")
    def _complete(self) -> SplitRule:
        if self.rule == "index" and self.train is None:
            raise ValueError("rule 'index' needs the counts train, validation and test")
        if self.rule == "hash" and self.folds is None and not 0 < self.validation + self.test < 1:
            raise ValueError(
                "rule 'hash' needs validation and test as fractions that leave subjects to train on, or folds"
            )
        if self.rule == "names" and not (self.test_names or self.fold_names):
            raise ValueError("rule 'names' needs test_names (and validation_names), or fold_names")
        if self.rule == "names" and self.validation and (self.validation_names or not self.validation < 1):
            raise ValueError("rule 'names' takes validation_names, or validation as a fraction below 1")
        if self.rule == "each" and self.folds is None:
            raise ValueError("rule 'each' needs folds, how many subjects there may be")
        if self.folds is not None and self.rule not in ("hash", "each", "file"):
            raise ValueError("folds go with rule 'hash'; with rule 'names' list the folds as fold_names")
        return self

    @property
    def n_folds(self) -> int:
        """How many folds there are to run; 0 = this is no k-fold form, or one fold of it."""
        return 0 if self.fold is not None else len(self.fold_names) or self.folds or 0


class Task(Strict):
    """What is asked: one kind, with what it grants, in which domains."""

    kind: str
    """A name of `fesbench.methods.task_kinds.TASKS`, whose defaults stand where the file says nothing."""
    given: Literal["label", "landmarks", "action_units", "driver"] = "label"
    domains: tuple[str, ...] = ("in",)
    labels: tuple[str, ...] = EXPRESSIONS[1:]
    """Target expressions; for ``compound`` names of compounds, or two labels joined by "+"."""
    smoke_labels: tuple[str, ...] | None = None
    """Fewer labels under ``--budget smoke`` and ``short``."""
    smoke_subjects: int | None = Field(default=None, ge=1)
    """Fewer subjects under ``--budget smoke`` and ``short``: the first by name."""
    levels: tuple[float, ...] = (1.0,)
    """Intensities, for ``intensity`` and ``action-unit``."""
    takes: int = Field(default=1, ge=1)
    """How many takes of a subject are asked for, from the first on."""
    action_units: tuple[int, ...] = GANIMATION_UNITS
    """For ``action-unit``: one at a time, those that the data codes."""
    samples: int = Field(default=0, ge=0)
    """For ``random``: images a label; 0 = as many as the test subset has of it."""
    length: int = Field(default=16, le=9999)
    """For ``sequence`` and ``motion-transfer``: frames of a clip, at equal steps of time from the first
    neutral frame of a sequence to its peak; each is the nearest frame that there is, of two the earlier."""
    standard_length: int = Field(default=0, ge=0, le=9999)
    """The same under ``standard`` and longer budgets; 0 = ``length``."""
    factors: tuple[int, ...] = (1, 5, 10, 100)
    """For ``augmentation``: how many synthetic images for each real one."""
    from_budget: Budget = "smoke"
    """The smallest budget under which the task is run."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: Any) -> Any:
        """What a kind takes where the file says nothing."""
        name = values.get("kind") if isinstance(values, dict) else None
        if not isinstance(name, str):
            return values
        try:
            kind = TASKS.get(name)
        except FesbenchError as error:
            raise ValueError(str(error)) from None
        return {"given": kind.given, **kind.defaults, **values}

    @model_validator(mode="after")
    def _known(self) -> Task:
        TASKS.get(self.kind).check(self)
        odd = [unit for unit in self.action_units if unit not in ACTION_UNITS]
        if odd:
            raise ValueError(f"unknown action unit {odd[0]}; known: {', '.join(map(str, ACTION_UNITS))}")
        if not all(0 < level <= 1 for level in self.levels):
            raise ValueError("levels are intensities in (0, 1]")
        return self


ALWAYS = (
    "Target-cosine",
    "ID-cal",
    "HES",
    "mSCR",
    "CLS",
    "Expression-distance[judge]",
    "ID-mean",
    "ID-mean-sd",
    "FVS@FAR=1%",
    "Pose-distance",
    "Pose-distance[face-mesh]",
    "Background-RMSE",
    "FD-judge",
)
"""Metrics that are measured under every protocol, in the tasks that they mean something for. They are no
part of its rules, so that no protocol's hash moves: they cost no network that is not asked anyway but a
landmark detector (a second a row) and, where its weights are present, a mesh of the face (some seconds),
and tell whether what the judge and the recognizer say of the same images can be believed.
"""


ALWAYS_OF_CLIPS = ("ECS-clip", "IS-clip", "FD-clip", "FVD")
"""The same under every protocol that names a metric of clips."""

WHERE_PRESENT = ("Pose-distance[face-mesh]",)
"""Of these: measured where their weights are present, so that ``--strict`` does not ask for them."""


class MetricRule(Strict):
    """Which metrics, computed with which extractors."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    face: str = "dlib"
    judge: Literal["shipped", "trained"] = "trained"
    gallery: Literal["other-take", "other-sequence", "none"]
    reference: Literal["other-take", "halves"]


class BudgetRule(Strict):
    """Training length under ``--budget standard``, in generator updates, and under ``short``, in smokes."""

    standard_steps: int = Field(gt=0)
    short_smokes: int = Field(default=6, ge=1, le=20)
    """How many times the steps of ``smoke``, which take a minute, ``short`` trains."""
