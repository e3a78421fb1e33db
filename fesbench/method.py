"""The Method contract: what a published system declares, learns and makes; and the registry of methods."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from fesbench.batches import ImageBatch, PairBatch, RequestBatch
from fesbench.errors import MethodError, UnknownNameError

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fesbench.data.views import TrainingSet

__all__ = [
    "ImageBatch",
    "Method",
    "MethodCard",
    "PairBatch",
    "Phase",
    "Problem",
    "RequestBatch",
    "applicable",
    "load_method",
    "methods",
]

Control = Literal["expression", "transfer", "intensity", "action-unit", "compound", "sequence", "random"]
Need = Literal["labels", "pairs", "action_units", "landmarks", "sequences", "neutral"]
_ASKS_FOR = {"identity-verification": "expression", "augmentation": "expression"}
"""Tasks that judge otherwise what another task asks for."""
_GIVES = {"landmarks": "landmarks", "action_units": "action_units"}


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

    def __post_init__(self) -> None:
        odd = (self.needs - set(get_args(Need))) | (self.controls - set(get_args(Control)))
        if odd:
            raise MethodError(f"card of '{self.id}': unknown needs or controls {', '.join(sorted(odd))}")


@dataclass(frozen=True)
class Problem:
    """What a method is built for.

    Attributes:
        size: side of the square images, in pixels.
        labels: expression names; a label is an index into them.
        action_units: FACS numbers that the training data codes; empty = none.
        seed: of the initial weights and everything else that is drawn.
    """

    size: int
    labels: tuple[str, ...]
    action_units: tuple[int, ...]
    seed: int

    @property
    def neutral(self) -> int:
        """Index of ``neutral``, -1 where the problem has none."""
        return self.labels.index("neutral") if "neutral" in self.labels else -1


def constant(progress: float) -> float:
    """A learning rate that does not change."""
    return 1.0


def decay_after(share: float) -> Callable[[float], float]:
    """A rate that is constant for the first ``share`` of a phase and then falls linearly to zero."""
    return lambda progress: min(1.0, (1.0 - progress) / (1.0 - share))


@dataclass(frozen=True)
class Phase:
    """One stage of training.

    Attributes:
        name: names the phase in losses and budgets.
        data: what a batch is.
        batch_size: images (or pairs) a step.
        paper_steps: steps of the paper, counted in ``training_step`` calls.
        smoke_steps: steps that take about a minute with preset ``tiny`` at 64 px on two CPU cores.
        learning_rate: factor of the base rate by progress in [0, 1].
        closed_form: fitted at once by ``fit``; counts one step.
    """

    name: str
    data: Literal["image", "pair"]
    batch_size: int
    paper_steps: int
    smoke_steps: int
    learning_rate: Callable[[float], float] = constant
    closed_form: bool = False


class Method(nn.Module, ABC):
    """Base of every method; all learned state is in parameters and buffers.

    Class attributes:
        card: what it is.
        presets: "paper" (defaults of the frozen hyper-parameter dataclass) and "tiny".
        max_batch: largest batch that ``synthesize`` takes; None = any.
    """

    card: ClassVar[MethodCard]
    presets: ClassVar[dict[str, Any]]
    max_batch: ClassVar[int | None] = None

    def __init__(self, problem: Problem, hyper: Any) -> None:
        super().__init__()
        self.problem, self.hyper = problem, hyper
        self._optimizers: dict[str, Optimizer] = {}
        self._backward: Callable[[Tensor], None] = torch.Tensor.backward
        # The initial weights are a function of the seed alone, and drawing them disturbs nobody else's draws.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(problem.seed)
            self.build()

    def build(self) -> None:
        """Create the networks; random draws here follow ``problem.seed``."""

    def phases(self) -> tuple[Phase, ...]:
        """The stages of training, in order; none for a method that learns nothing."""
        return ()

    def optimizers(self, phase: Phase) -> dict[str, Optimizer]:
        """Fresh optimizers of a phase, by the name that ``descend`` takes."""
        return {}

    def training_step(self, phase: Phase, batch: Any, step: int) -> dict[str, Tensor]:
        """One update on an ImageBatch or PairBatch; returns detached scalars by name.

        Names that health monitors read: ``critic_gap`` (mean critic score of real minus generated images),
        ``probability_gap`` (the same of a discriminator's probabilities).
        """
        raise MethodError(f"{self.card.id}: phase '{phase.name}' has no training step")

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """Fit a closed-form phase on the whole training set."""
        raise MethodError(f"{self.card.id}: phase '{phase.name}' has no closed form")

    @abstractmethod
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images for requests: float (N, 3, H, W), clamped to [-1, 1]; row n depends on request n alone."""

    def class_logits(self, images: Tensor) -> Tensor | None:
        """What the method's own discriminator says of images, where it classifies expressions.

        Args:
            images: float (N, 3, H, W) in [-1, 1].

        Returns:
            (N, len(problem.labels)) logits; None where the method has no such class head.
        """
        return None

    def bind(self, optimizers: dict[str, Optimizer], backward: Callable[[Tensor], None]) -> None:
        """Give the method its optimizers and the loop's backward pass; called by the training loop."""
        self._optimizers, self._backward = optimizers, backward

    def descend(self, optimizer: str, loss: Tensor) -> None:
        """Zero the gradients of one optimizer's parameters, go back through ``loss`` and take a step."""
        chosen = self._optimizers[optimizer]
        chosen.zero_grad(set_to_none=True)
        self._backward(loss)
        chosen.step()

    @property
    def device(self) -> torch.device:
        """Where the method's tensors lie; the CPU for one without any."""
        return next((t.device for t in (*self.parameters(), *self.buffers())), torch.device("cpu"))


def applicable(card: MethodCard, task_kind: str, given: str, problem: Problem | None = None) -> str | None:
    """Why a method cannot answer a task, or None.

    Args:
        card: the method's.
        task_kind: such as "transfer".
        given: "label", "landmarks" or "action_units".
        problem: when at hand, what the training data lacks counts too.
    """
    control = _ASKS_FOR.get(task_kind, task_kind)
    if control not in card.controls:
        return f"does not control {control}"
    if not card.reference and given in _GIVES and _GIVES[given] not in card.needs:
        return f"takes no {given}"
    if problem is not None:
        if "action_units" in card.needs and not problem.action_units:
            return "needs action_units"
        if card.needs & {"pairs", "neutral"} and problem.neutral < 0:
            return "needs neutral images"
    return None


def methods() -> dict[str, type[Method]]:
    """Every registered method by id: fesbench's own, then those of outside packages.

    A plug-in that does not import, or takes the id of another method, is named in a warning and left out.
    """
    folder = importlib.import_module("fesbench.baselines")
    found: dict[str, type[Method]] = {}
    for item in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"fesbench.baselines.{item.name}")
        for method in _methods_of(module):
            found[method.card.id] = method
    for point in entry_points(group="fesbench.methods"):
        try:
            loaded = point.load()
            candidates = _methods_of(loaded)
        except Exception as error:  # noqa: BLE001 - somebody else's package must not stop ours
            warnings.warn(f"method plug-in '{point.name}' ({point.value}) is broken: {error!r}", stacklevel=2)
            continue
        for method in candidates:
            if method.card.id in found:
                warnings.warn(
                    f"method plug-in '{point.name}' takes the taken id '{method.card.id}'; left out",
                    stacklevel=2,
                )
                continue
            found[method.card.id] = method
    return dict(
        sorted(found.items(), key=lambda item: (not item[1].card.reference, item[1].card.year, item[0]))
    )


def load_method(name: str) -> type[Method]:
    """A registered method by id, or the one that a ``.py`` file declares.

    Raises:
        UnknownNameError: no such id; names the nearest.
        MethodError: the file cannot be loaded, or declares no method or several.
    """
    if not name.endswith(".py"):
        known = methods()
        if name not in known:
            raise UnknownNameError("method", name, known)
        return known[name]
    path = Path(name)
    if not path.is_file():
        raise MethodError(f"{path} does not exist; give a method's file or a name from 'fesbench methods'")
    spec = importlib.util.spec_from_file_location(f"fesbench_method_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MethodError(f"{path} is no Python file that can be loaded")
    module = importlib.util.module_from_spec(spec)
    # Where inspect finds a class's file, whose hash a record keeps.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise MethodError(f"{path} does not import: {error!r}") from error
    declared = _methods_of(module)
    if len(declared) != 1:
        raise MethodError(f"{path} must declare exactly one Method with a card; found {len(declared)}")
    return declared[0]


def _methods_of(module: Any) -> list[type[Method]]:
    """The concrete methods that a module itself declares; of a class, itself."""
    if inspect.isclass(module):
        return [module] if issubclass(module, Method) else []
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Method)
        and not inspect.isabstract(value)
        and hasattr(value, "card")
        and value.__module__ == module.__name__
    ]
