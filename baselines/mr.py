"""Masked regression (IJCV 2020). Choices: the released ridge (lambda 0.4 on [0, 1] pixels, bias too), one
map from neutral to each label; fixed [0, 1] scaling and clipping in place of the per-image min-max.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis, Release
from fesbench.vocabulary import EXPRESSIONS

from ._ridge import apply_local, fit_local_ridge, inside_image, local_map

if TYPE_CHECKING:
    from fesbench.methods.training_set import TrainingSet


@dataclass(frozen=True)
class MRHyper:
    """The release's values; ``window`` is r, ``penalty`` lambda."""

    window: int = 3
    penalty: float = 0.4
    penalize_bias: bool = True


class LocalLinear(nn.Module):
    """One local affine map per non-neutral label: untied r x r weights and a bias per pixel and channel.

    Parameters hold only the places inside the image, so that their number is the published one.

    Args:
        labels: all labels of the problem.
        neutral: index of neutral among them, which has no map; -1 = none.
        size: side of the images.
        window: r, odd.
    """

    places: Tensor
    row_of: Tensor

    def __init__(self, labels: int, neutral: int, size: int, window: int) -> None:
        super().__init__()
        self.targets = [label for label in range(labels) if label != neutral]
        self.register_buffer("places", inside_image(size, window), persistent=False)
        rows = [self.targets.index(k) if k in self.targets else -1 for k in range(labels)]
        self.register_buffer("row_of", torch.tensor(rows), persistent=False)
        self._dense: tuple[int, Tensor] | None = None
        inside = int(self.places.sum())
        self.weight = nn.Parameter(torch.zeros(len(self.targets), 3, inside), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(len(self.targets), 3, size, size), requires_grad=False)

    def condition_axes(self, prefix: str) -> dict[str, ConditionAxis]:
        """Its tensors' places for labels, by name."""
        places = ConditionAxis("labels", axis=0, neutral=False)
        return {f"{prefix}weight": places, f"{prefix}bias": places}

    def fit(self, view: TrainingSet, hyper: MRHyper) -> None:
        """Fit every label's map on all of its pairs.

        Raises:
            MethodError: a label has no pair.
        """
        for row, label in enumerate(self.targets):
            source, target = view.all_pairs(label)
            if not len(source):
                name = view.problem.labels[label]
                raise MethodError(f"no training pair neutral -> {name}; leave that label out of the protocol")
            weights, biases = fit_local_ridge(
                source,
                target,
                window=hyper.window,
                penalty=hyper.penalty,
                penalize_bias=hyper.penalize_bias,
            )
            self.weight.data[row] = weights[:, self.places.cpu()].to(self.weight)
            self.bias.data[row] = biases.to(self.bias)
        # Writing through .data does not count as a new version of the weight.
        self._dense = None

    def dense(self) -> Tensor:
        """All maps' weights with zeros outside the image: (labels, 3, r*r, H, W)."""
        version = self.weight._version
        if self._dense is None or self.weight.requires_grad or self._dense[0] != version:
            empty = self.weight.new_zeros(len(self.targets), 3, *self.places.shape)
            self._dense = (version, empty.masked_scatter(self.places, self.weight))
        return self._dense[1]

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Each image through its label's map, clipped: (N, 3, H, W) in [-1, 1]; neutral stays as it is."""
        row = self.row_of[label]
        mapped = apply_local((image + 1) / 2, self.dense()[row], self.bias[row])
        return torch.where((row >= 0)[:, None, None, None], 2 * mapped.clamp(0, 1) - 1, image)

    def mixed(self, requests: RequestBatch) -> Tensor:
        """The label's image; for a compound the mean of its two labels' images."""
        found = self(requests.source, requests.target_label)
        both = requests.second_label >= 0
        if bool(both.any()):
            second = self(requests.source[both], requests.second_label[both])
            found[both] = (found[both] + second) / 2
        return found


class MR(Method):
    """Every pixel an affine function of its neighborhood, fitted in closed form."""

    card: ClassVar[MethodCard] = MethodCard(
        id="mr",
        title="MR",
        citation="Khan et al., IJCV 2020, arXiv 2011.09104: "
        "Masked Linear Regression for Learning Local Receptive Fields for Facial Expression Synthesis",
        year=2020,
        needs=frozenset({"pairs", "neutral", "labels"}),
        controls=frozenset({"expression", "compound"}),
        notes="compound: mean of the two labels' images",
    )
    presets: ClassVar[dict[str, Any]] = {"paper": MRHyper(), "tiny": MRHyper()}
    release: ClassVar[Release | None] = Release("a folder LABEL/mr_weights_*_[123].npz")
    hyper: MRHyper

    def build(self) -> None:
        """Reserve the maps; they start at zero."""
        problem = self.problem
        self.layer = LocalLinear(len(problem.labels), problem.neutral, problem.size, self.hyper.window)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """One map a label."""
        return self.layer.condition_axes("layer.")

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the authors' ``mr_weights_*_[123].npz``, three a label, named ``LABEL.1`` to ``LABEL.3``.

        Each is a sparse (n*n, n*n + 1): output pixel by input pixel and bias, row by row, blue first.
        """
        labels = [label for label in EXPRESSIONS if f"{label}.1" in tensors]
        wanted = {f"{label}.{number}" for label in labels for number in (1, 2, 3)}
        if not labels or wanted != set(tensors):
            odd = ", ".join(sorted(wanted ^ set(tensors))) or "nothing"
            raise MethodError(
                f"three matrices a label are needed, LABEL.1 to LABEL.3; wrong or missing: {odd}"
            )
        maps = [[local_map(tensors[f"{label}.{number}"]) for number in (3, 2, 1)] for label in labels]
        window = {weight.shape[0] for channels in maps for weight, _ in channels}
        if len(window) > 1:
            raise MethodError("the matrices have windows of different sizes")
        weights, biases = (torch.stack([torch.stack([c[k] for c in m]) for m in maps]) for k in (0, 1))
        places = inside_image(biases.shape[-1], math.isqrt(window.pop()))
        return {"layer.weight": weights[:, :, places], "layer.bias": biases}

    def phases(self) -> tuple[Phase, ...]:
        """One closed-form phase."""
        return (Phase("ridge", "pair", 1, paper_steps=1, smoke_steps=1, closed_form=True),)

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """Solve for every label."""
        self.layer.fit(view, self.hyper)

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """The target label's map of each source."""
        return self.layer.mixed(requests)
