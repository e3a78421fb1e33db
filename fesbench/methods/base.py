"""The Method contract: what a published system learns and makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from fesbench.errors import MethodError
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard, Phase, Problem

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fesbench.methods.training_set import TrainingSet


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
