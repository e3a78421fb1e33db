"""The Method contract: what a published system learns and makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from fesbench.errors import MethodError, UsageError
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard, Phase, Problem, makes_clips
from fesbench.methods.helpers import Helpers
from fesbench.methods.native import Batch, Native
from fesbench.methods.ramp import ramped
from fesbench.methods.state_import import ConditionAxis, Release, fit_state

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fesbench.methods.training_set import TrainingSet


class Method(nn.Module, ABC):
    """Base of every method; all that synthesis needs is in parameters and buffers.

    ``training_step`` and ``fit`` run in train mode, ``synthesize``, ``class_logits`` and
    ``realism_logits`` in eval mode; the engine switches.

    Class attributes:
        card: what it is.
        presets: hyper-parameters by name: "paper" (defaults of the frozen dataclass), "tiny" and
            such as a method has beside them: an ablation, or the paper's without a term that needs weights.
        preset_notes: for readers of the table, what a preset leaves out or changes, by its name.
        budget_notes: for them too, what a budget is known not to be enough for, by its name; not inherited.
        max_batch: largest batch that ``synthesize`` takes; None = any.
        release: what is known of the weights that the authors published; not inherited.
        synthesis_state: beginnings of the names of the tensors that ``synthesize`` reads, with ``*`` for
            anything; empty = all.

    Attributes:
        problem: what it is built for, at the method's native size.
        size: side of the protocol's images.
        native: the method's own image form, None = the protocol's.
        classes: how many its own class head tells apart, where it has one; the problem's labels by default.
        helpers: the frozen networks that it uses; a loader gives them their weights.
        absent: names of the tensors that ``import_state`` was not given, or not for every label and unit.
    """

    card: ClassVar[MethodCard]
    presets: ClassVar[dict[str, Any]]
    preset_notes: ClassVar[Mapping[str, str]] = {}
    budget_notes: ClassVar[Mapping[str, str]] = {}
    max_batch: ClassVar[int | None] = None
    synthesis_state: ClassVar[tuple[str, ...]] = ()
    absent: tuple[str, ...] = ()
    release: ClassVar[Release | None] = None

    def __init__(self, problem: Problem, hyper: Any) -> None:
        super().__init__()
        form = self.native_of(hyper)
        self.size, self.native = problem.size, Native.parse(form) if form else None
        if self.native is not None:
            problem = replace(problem, size=self.native.size, channels=self.native.channels)
        self.problem, self.hyper, self.classes = problem, hyper, len(problem.labels)
        self.helpers = Helpers(self.card.id, self.helpers_of(hyper), self.build_helper)
        self._optimizers: dict[str, Optimizer] = {}
        self._backward: Callable[[Tensor], None] = torch.Tensor.backward
        # The initial weights are a function of the seed alone, and drawing them disturbs nobody else's draws.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(problem.seed)
            self.build()

    def build(self) -> None:
        """Create the networks; random draws here follow ``problem.seed``."""

    @classmethod
    def helpers_of(cls, hyper: Any) -> tuple[str, ...]:
        """The helpers of the card that these hyper-parameters call for: all, unless a method says else."""
        return cls.card.helpers

    @classmethod
    def native_of(cls, hyper: Any) -> str:
        """The method's own image form under these hyper-parameters: their ``native`` where they have one that
        is not empty, else the card's; "" = the protocol's.
        """
        return getattr(hyper, "native", "") or cls.card.native

    @classmethod
    def hyper_of(cls, preset: str) -> Any:
        """The hyper-parameters of a preset; a reference row has but one set, whatever the preset.

        Raises:
            UsageError: the method has no preset of that name.
        """
        if cls.card.reference:
            return cls.presets["paper"]
        if preset not in cls.presets:
            known = ", ".join(cls.presets)
            raise UsageError(f"method '{cls.card.id}' has no preset '{preset}'; it has {known}")
        return cls.presets[preset]

    @classmethod
    def preset_note(cls, preset: str) -> str:
        """What readers of the table must know of a preset: what it leaves out above all; "" for nothing."""
        used = cls.helpers_of(cls.hyper_of(preset))
        absent = ", ".join(name for name in cls.card.helpers if name not in used)
        told = f"without weights {absent} and all that needs them" if absent else ""
        return cls.preset_notes.get(preset, told)

    @classmethod
    def budget_note(cls, budget: str) -> str:
        """What a budget is known not to be enough for; "" for nothing. A subclass says it for itself."""
        notes: Mapping[str, str] = cls.__dict__.get("budget_notes", {})
        return notes.get(budget, "")

    def build_helper(self, name: str) -> nn.Module:
        """The network of a helper that the card names, with the tensor names of its file and any weights."""
        raise MethodError(f"'{self.card.id}' names helper '{name}' and does not build it")

    def helper(self, name: str) -> nn.Module:
        """A helper network, loaded and frozen, where the method's tensors lie; gradients pass through it."""
        return self.helpers.get(name, self.device)

    def phases(self) -> tuple[Phase, ...]:
        """The stages of training, in order; none for a method that learns nothing."""
        return ()

    def optimizers(self, phase: Phase) -> dict[str, Optimizer]:
        """Fresh optimizers of a phase, by the name that ``descend`` takes."""
        return {}

    def training_step(self, phase: Phase, batch: Any, step: int) -> dict[str, Tensor]:
        """One update on an ImageBatch, PairBatch or ClipBatch; returns detached scalars by name.

        Names that health monitors read: ``critic_gap`` (mean critic score of real minus generated images),
        ``probability_gap`` (the same of a discriminator's probabilities), ``critic_class`` (cross-entropy of
        its head for ``classes`` classes on real images), ``critic_unit_error`` (squared error of its action
        units on real images over the variance of the batch's, 1 for their mean).
        """
        raise MethodError(f"{self.card.id}: phase '{phase.name}' has no training step")

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """Fit a closed-form phase on the whole training set."""
        raise MethodError(f"{self.card.id}: phase '{phase.name}' has no closed form")

    @abstractmethod
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """Images for requests: float (N, 3, H, W), clamped to [-1, 1]; row n depends on request n alone.

        Where ``requests.length`` is T > 1, clips: (N, T, 3, H, W), from the source to the expression.
        """

    def class_logits(self, images: Tensor) -> Tensor | None:
        """What the method's own discriminator says of images, where it classifies expressions.

        Args:
            images: float (N, 3, H, W) in [-1, 1].

        Returns:
            (N, len(problem.labels)) logits; None where the method has no such class head.
        """
        return None

    def realism_logits(self, images: Tensor) -> Tensor | None:
        """What the method's own discriminator says of whether images are real, where it gives a probability.

        Args:
            images: float (N, 3, H, W) in [-1, 1].

        Returns:
            (N,) logits, above 0 for real; None where there is no such output, as of a Wasserstein critic.
        """
        return None

    def answer(self, requests: RequestBatch) -> Tensor:
        """``synthesize`` in eval mode, from and to images of the protocol's size: float (N, 3, H, W), or
        (N, T, 3, H, W) for clips, which a method that makes images is ramped to.
        """
        if requests.length > 1 and not makes_clips(self.card):
            return ramped(self.answer, requests)
        with evaluating(self):
            made = self.synthesize(self.natively(requests))
            return made if self.native is None else self.native.outputs(made, self.size)

    def classify(self, images: Tensor) -> Tensor | None:
        """``class_logits`` in eval mode, of images of the protocol's size."""
        with evaluating(self):
            return self.class_logits(images if self.native is None else self.native.images(images))

    def call_real(self, images: Tensor) -> Tensor | None:
        """``realism_logits`` in eval mode, of images of the protocol's size."""
        with evaluating(self):
            return self.realism_logits(images if self.native is None else self.native.images(images))

    def natively(self, batch: Batch) -> Batch:
        """A batch in the method's own image form."""
        return batch if self.native is None else self.native.batch(batch)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """The tensors of ``state_dict`` with places for labels or action units, by name."""
        return {}

    def import_state(
        self,
        tensors: Mapping[str, Tensor],
        labels: Sequence[str] | None = None,
        units: Sequence[int] | None = None,
        *,
        partial: bool = False,
    ) -> None:
        """Take the weights of another training in place of one's own.

        Args:
            tensors: by the names of ``state_dict``: all of them, or at least those of ``synthesis_state``.
            labels: of that training, in its order; its places are permuted to those of the problem.
            units: FACS numbers of that training, in its order. None = not known, which is refused where the
                method needs labels or action units.
            partial: the weights may know fewer labels or action units than the problem; their places
                become 0, and the caller asks for none of them.

        Raises:
            MethodError: an unknown or missing name, a label or action unit that the weights do not know,
                another shape; nothing is taken then.
        """
        who, axes = f"method '{self.card.id}'", self.condition_axes()
        pairs = {"labels": (labels, self.problem.labels), "action_units": (units, self.problem.action_units)}
        for need in sorted(self.card.needs & set(pairs)):
            theirs, mine = pairs[need]
            if theirs is None:
                raise MethodError(f"{who}: the weights do not say for which {need} they were made")
            if tuple(theirs) != tuple(mine) and not any(axis.of == need for axis in axes.values()):
                raise MethodError(
                    f"{who} declares no condition_axes for {need}, so weights for {_list(theirs)} cannot be "
                    f"used for {_list(mine)}"
                )
        own, known = self.state_dict(), (labels or (), units or ())
        gaps = {
            need for need, (theirs, mine) in pairs.items() if theirs is not None and set(mine) - set(theirs)
        }
        try:
            fitted = fit_state(
                own, tensors, axes, self.synthesis_state, self.problem, *known, partial=partial
            )
        except MethodError as error:
            raise MethodError(f"{who}: {error}") from None
        self.load_state_dict({**own, **fitted})
        empty = {name for name, axis in axes.items() if axis.of in gaps}  # a class head with gaps is none
        self.absent = tuple(name for name in own if name not in fitted or name in empty)

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The authors' tensors by the names of ``state_dict``, without what the released network never reads.

        Raises:
            MethodError: the authors' names are not known, or a tensor has a name that is none of them.
        """
        raise MethodError(
            f"'{cls.card.id}' does not know its authors' names of tensors, so it converts no file"
        )

    def extra_state(self) -> dict[str, Any]:
        """What training must remember beyond parameters and buffers, to resume to the bit.

        Tensors and plain JSON values by name: image pools, counters, averages that only training uses. The
        training state alone keeps them; what synthesis needs belongs in buffers, which checkpoints hold.
        """
        return {}

    def load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take back what ``extra_state`` gave; the tensors lie where the method's do."""
        raise MethodError(f"'{self.card.id}' gives an extra_state and does not take it back")

    def bind(self, optimizers: dict[str, Optimizer], backward: Callable[[Tensor], None]) -> None:
        """Give the method its optimizers and the loop's backward pass; called by the training loop."""
        self._optimizers, self._backward = optimizers, backward

    def descend(self, optimizer: str, loss: Tensor, *others: str, clip: float | None = None) -> None:
        """Zero the gradients of an optimizer's parameters, go back through ``loss`` and take a step.

        Args:
            optimizer: its name.
            loss: a scalar.
            others: further optimizers that take a step on the same loss.
            clip: scale the gradients down to this norm, taken over all of them, where theirs is larger.
        """
        chosen = [self._optimizers[name] for name in (optimizer, *others)]
        for one in chosen:
            one.zero_grad(set_to_none=True)
        self._backward(loss)
        if clip is not None:
            groups = [group["params"] for one in chosen for group in one.param_groups]
            nn.utils.clip_grad_norm_([parameter for group in groups for parameter in group], clip)
        for one in chosen:
            one.step()

    @property
    def device(self) -> torch.device:
        """Where the method's tensors lie; the CPU for one without any."""
        return next((t.device for t in (*self.parameters(), *self.buffers())), torch.device("cpu"))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode for the block: running statistics in batch norm, no dropout; then the mode of before."""
    before = module.training
    if before:
        module.eval()
    try:
        yield
    finally:
        if before:
            module.train()


def _list(names: Sequence[object]) -> str:
    return ", ".join(map(str, names)) or "none"
