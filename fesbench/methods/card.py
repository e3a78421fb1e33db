"""What a method declares: its card, the problem it is built for, its phases of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from fesbench.errors import MethodError
from fesbench.methods.task_kinds import TASKS, control_of, unknown_controls

Control = str
"""A kind of task: a name of `TASKS` that no other kind stands for."""


Need = Literal[
    "labels",
    "pairs",
    "any-pairs",
    "take-pairs",
    "action_units",
    "landmarks",
    "sequences",
    "neutral",
    "intensities",
    "unlabelled",
]
"""What training data must have, besides images: labels; neutral -> expressive pairs of one subject; any two
images of one subject; two labels of one subject in one sequence or take; coded action units; landmarks; clips
from neutral to the peak; neutral images; expressions below their peak; images of another domain without
labels."""

Data = Literal[
    "image", "pair", "any-pair", "take-pair", "driver-pair", "unpaired", "cross-domain", "clip", "unlabelled"
]
"""What a batch is; see `fesbench.methods.training_set.TrainingSet.batch`."""


_GIVES = {"landmarks": "landmarks", "action_units": "action_units"}
"""What a method must have been trained on to take what is granted."""


@dataclass(frozen=True)
class MethodCard:
    """What a method is, needs and can be asked for.

    Attributes:
        id: its name everywhere.
        title, citation, year: of the paper.
        needs: what the training data must have.
        controls: the task kinds that it can answer.
        reference: frames the scale and is no published method.
        dynamic: makes videos.
        notes: one line for readers of the table.
        native: the method's own image form where it has one, such as "28-gray-bicubic-aa" (see
            :class:`fesbench.methods.native.Native`): the engine resizes to it and back. A preset may name
            another by a hyper-parameter ``native``.
        helpers: entries of the weights table whose frozen networks training or synthesis uses, in some preset
            at least; see ``Method.helpers_of``.
        answers_with_target: its images are the target images themselves, which the engine writes.
    """

    id: str
    title: str
    citation: str
    year: int
    needs: frozenset[Need]
    controls: frozenset[Control]
    reference: bool = False
    dynamic: bool = False
    notes: str = ""
    native: str = ""
    helpers: tuple[str, ...] = ()
    answers_with_target: bool = False

    def __post_init__(self) -> None:
        odd = (self.needs - set(get_args(Need))) | unknown_controls(self.controls)
        if odd:
            raise MethodError(f"card of '{self.id}': unknown needs or controls {', '.join(sorted(odd))}")


@dataclass(frozen=True)
class Problem:
    """What a method is built for.

    Attributes:
        size: side of the square images, in pixels; for a method its native one.
        labels: expression names; a label is an index into them.
        action_units: FACS numbers that the training data codes; empty = none.
        seed: of the initial weights and everything else that is drawn.
        channels: of the images: 3, or 1 for a method whose native form is gray.
    """

    size: int
    labels: tuple[str, ...]
    action_units: tuple[int, ...]
    seed: int
    channels: int = 3

    @property
    def neutral(self) -> int:
        """Index of ``neutral``, -1 where the problem has none."""
        return self.labels.index("neutral") if "neutral" in self.labels else -1


Schedule = Callable[[int, float], float]
"""Factor of the base rate by step (calls of ``training_step``, from 0) and progress in [0, 1) of a phase."""


def constant(step: int, progress: float) -> float:
    """A learning rate that does not change."""
    return 1.0


def decay_after(share: float) -> Schedule:
    """A rate that is constant for the first ``share`` of a phase and then falls linearly to zero."""
    return lambda step, progress: min(1.0, (1.0 - progress) / (1.0 - share))


@dataclass(frozen=True)
class Phase:
    """One stage of training.

    Lengths are counted in calls of ``training_step``, each on one batch; budgets that are the same for all
    methods are counted in generator updates.

    Attributes:
        name: names the phase in losses and budgets.
        data: what a batch is.
        batch_size: images (or pairs, or clips) a call.
        smoke_steps: calls that take about a minute with preset ``tiny`` at 64 px on two CPU cores.
        paper_steps: calls of the paper's training.
        paper_epochs: the paper's length in passes over the training set, in place of ``paper_steps``.
        short_steps: calls of ``short``, at most twenty minutes there, where the protocol's multiple of
            ``smoke_steps`` is too few to learn; None = that multiple.
        calls_per_update: calls that make one generator update (a critic method's ``n_critic``).
        learning_rate: factor of the base rate by step and progress.
        closed_form: fitted at once by ``fit``; counts one step.
        labels: only images of these labels, and only pairs with such a target; () = all.
        source_labels: the same of the sources of pairs.
        intensities: below its peak (0.9) an expression serves too, not only at it.
        length: frames of a clip.
        probed: the method's answers are watched for collapses meanwhile; not so where a later phase brings
            what they are made with.

    Raises:
        MethodError: no length, or two.
    """

    name: str
    data: Data
    batch_size: int
    smoke_steps: int
    paper_steps: int | None = None
    paper_epochs: float | None = None
    short_steps: int | None = None
    calls_per_update: int = 1
    learning_rate: Schedule = constant
    closed_form: bool = False
    labels: tuple[str, ...] = ()
    source_labels: tuple[str, ...] = ()
    intensities: bool = False
    length: int = 16
    probed: bool = True

    def __post_init__(self) -> None:
        if (self.paper_steps is None) == (self.paper_epochs is None):
            raise MethodError(f"phase '{self.name}' must have either paper_steps or paper_epochs")
        if self.calls_per_update < 1:
            raise MethodError(f"phase '{self.name}': calls_per_update must be at least 1")

    def paper_calls(self, examples: Callable[[Phase], int]) -> int:
        """Calls of the paper's training; ``examples`` gives the images (or pairs) of the training set."""
        if self.paper_steps is not None:
            return self.paper_steps
        return max(1, round((self.paper_epochs or 0) * math.ceil(examples(self) / self.batch_size)))


def makes_clips(card: MethodCard) -> bool:
    """Whether a method answers a kind of task with clips of its own."""
    return any(TASKS.get(kind).outputs == "clip" for kind in card.controls)


def ramps(card: MethodCard, task_kind: str, given: str) -> bool:
    """Whether a method answers a kind of task by ramped clips; see `fesbench.methods.ramp`."""
    return (
        TASKS.get(task_kind).outputs == "clip"
        and given == "label"
        and bool(card.controls & {"intensity"})
        and not makes_clips(card)
        and not card.answers_with_target
    )


def applicable(card: MethodCard, task_kind: str, given: str, problem: Problem | None = None) -> str | None:
    """Why a method cannot answer a task, or None.

    Args:
        card: the method's.
        task_kind: such as "transfer".
        given: "label", "landmarks" or "action_units".
        problem: when at hand, what the training data lacks counts too.
    """
    control = control_of(task_kind)
    if control not in card.controls and not ramps(card, task_kind, given):
        return f"does not control {control}"
    if not card.reference and given in _GIVES and _GIVES[given] not in card.needs:
        return f"takes no {given}"
    if problem is not None:
        if "action_units" in card.needs and not problem.action_units:
            return "needs action_units"
        if card.needs & {"pairs", "neutral"} and problem.neutral < 0:
            return "needs neutral images"
    return None
