"""LSRF (MTAP 2023). Built from the released code, since the paper's body is not public: its pursuit with the
locality term, lambda 0.4 (bias too), beta 60, f = 5; a map from neutral to each label for all three channels.

Choices: fixed [0, 1] scaling and clipping in place of the per-image min-max; border pixels look at what
lies inside the image (the release adds the top-left pixel); distances below 0.01 count as 0.01, so that with
f = 1 every pixel sees itself (1.6 % of the released f = 1 weights do not); ties go to the first pixel.

Preset ``tiny`` is the paper's: it is fitted in closed form. Preset ``omp``: the paper's ablation, any pixel
of the face may be chosen (beta 0). Preset ``f1``: one pixel each, as in Pixel-based FES (ICPR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fesbench.errors import MethodError
from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import MethodCard, Phase
from fesbench.methods.state_import import ConditionAxis, Release
from fesbench.vocabulary import EXPRESSIONS

from ._ridge import solve_planes, sparse_map

if TYPE_CHECKING:
    from fesbench.methods.training_set import TrainingSet

_NEAREST = 0.01
_WINDOW = 3
"""How far around an output pixel it is looked at first; further only where that may find more."""
_NUMBERS = 24_000_000
"""Numbers of the largest tensor while fitting: some output pixels at a time."""


@dataclass(frozen=True)
class LSRFHyper:
    """The release's values; ``pixels`` is f (1, 5 or 9), ``locality`` beta, ``penalty`` lambda."""

    pixels: int = 5
    locality: float = 60.0
    penalty: float = 0.4


class SparseLinear(nn.Module):
    """One affine map per non-neutral label: each output pixel of f input pixels, alike in all channels.

    Args:
        labels: all labels of the problem.
        neutral: index of neutral among them, which has no map; -1 = none.
        size: side of the images.
        pixels: f.

    Attributes:
        support: int64 (maps, f, size^2), the chosen input pixels, row by row.
        weight: (maps, f, size^2).
        bias: (maps, size^2).
    """

    support: Tensor
    row_of: Tensor

    def __init__(self, labels: int, neutral: int, size: int, pixels: int) -> None:
        super().__init__()
        self.targets = [label for label in range(labels) if label != neutral]
        rows = [self.targets.index(k) if k in self.targets else -1 for k in range(labels)]
        self.register_buffer("row_of", torch.tensor(rows), persistent=False)
        shape = (len(self.targets), pixels, size * size)
        self.register_buffer("support", torch.zeros(shape, dtype=torch.int64))
        self.weight = nn.Parameter(torch.zeros(shape), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(shape[0], shape[2]), requires_grad=False)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Each image through its label's map, clipped: (N, 3, H, W) in [-1, 1]; neutral stays as it is."""
        row = self.row_of[label]
        source = ((image + 1) / 2).flatten(2)
        mapped = self.bias[row][:, None].expand_as(source)
        for place in range(self.weight.shape[1]):
            seen = source.gather(2, self.support[row, place][:, None].expand_as(source))
            mapped = mapped + self.weight[row, place][:, None] * seen
        found = 2 * mapped.reshape_as(image).clamp(0, 1) - 1
        return torch.where((row >= 0)[:, None, None, None], found, image)


class LSRF(Method):
    """Every pixel an affine function of a few pixels near it, chosen one by one."""

    card: ClassVar[MethodCard] = MethodCard(
        id="lsrf",
        title="LSRF",
        citation="Akram and Khan, MTAP 2023, doi 10.1007/s11042-023-16822-8: Localized and Sparse "
        "Receptive Fields for Linear Facial Expression Synthesis based on Global Face Context",
        year=2023,
        needs=frozenset({"pairs", "neutral", "labels"}),
        controls=frozenset({"expression"}),
    )
    presets: ClassVar[dict[str, Any]] = {
        "paper": LSRFHyper(),
        "tiny": LSRFHyper(),
        "omp": LSRFHyper(locality=0.0),
        "f1": LSRFHyper(pixels=1),
    }
    preset_notes: ClassVar[Mapping[str, str]] = {
        "omp": "the paper's ablation: no locality term, pixels anywhere on the face",
        "f1": "one input pixel each, as in Pixel-based Facial Expression Synthesis (ICPR 2020)",
    }
    release: ClassVar[Release | None] = Release("a folder LABEL/{lsrf,omp}_weights_*.npz")
    hyper: LSRFHyper

    def build(self) -> None:
        """Reserve the maps; they start at zero."""
        problem = self.problem
        self.layer = SparseLinear(len(problem.labels), problem.neutral, problem.size, self.hyper.pixels)

    def condition_axes(self) -> dict[str, ConditionAxis]:
        """One map a label."""
        places = ConditionAxis("labels", axis=0, neutral=False)
        return {f"layer.{name}": places for name in ("support", "weight", "bias")}

    @classmethod
    def convert_keys(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the authors' matrices, one a label, named ``LABEL.`` and any number.

        Each is a sparse (n*n, n*n + 1): output pixel by input pixel and bias, row by row, for all channels.
        """
        named = {name.partition(".")[0]: matrix for name, matrix in tensors.items()}
        if not named or len(named) < len(tensors) or set(named) - set(EXPRESSIONS):
            raise MethodError(f"one matrix a label is needed; found {', '.join(tensors) or 'none'}")
        maps = [sparse_map(named[label]) for label in EXPRESSIONS if label in named]
        if len({part[0].shape for part in maps}) > 1:
            raise MethodError("the matrices have different sizes or numbers of pixels")
        parts = (torch.stack(part) for part in zip(*maps, strict=True))
        return dict(zip(("layer.support", "layer.weight", "layer.bias"), parts, strict=True))

    def phases(self) -> tuple[Phase, ...]:
        """One closed-form phase."""
        return (Phase("pursuit", "pair", 1, paper_steps=1, smoke_steps=1, closed_form=True),)

    def fit(self, phase: Phase, view: TrainingSet) -> None:
        """Choose and solve for every label.

        Raises:
            MethodError: a label has no pair.
        """
        layer = self.layer
        for row, label in enumerate(layer.targets):
            source, target = view.all_pairs(label)
            if not len(source):
                name = view.problem.labels[label]
                raise MethodError(f"no training pair neutral -> {name}; leave that label out of the protocol")
            found = fit_sparse(source, target, self.hyper, device=self.device)
            layer.support[row], layer.weight.data[row], layer.bias.data[row] = (
                part.to(own)
                for part, own in zip(found, (layer.support, layer.weight, layer.bias), strict=True)
            )

    @torch.inference_mode()
    def synthesize(self, requests: RequestBatch) -> Tensor:
        """The target label's map of each source."""
        found: Tensor = self.layer(requests.source, requests.target_label)
        return found


def fit_sparse(
    source: np.ndarray, target: np.ndarray, hyper: LSRFHyper, *, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor, Tensor]:
    """Orthogonal matching pursuit with a locality term, for every output pixel.

    Each step takes the input pixel j of the largest |<Xn_j, R>| + beta / D(j), where Xn is centered and of
    unit length over the images, R what is not explained yet, and D the distance from the places where the
    pixel and its neighbors look at first; then all weights are solved for anew. Channels are more images.

    Args:
        source, target: uint8 (M, S, S, C), M >= 1.
        hyper: f, beta and lambda.
        device: where to compute.

    Returns:
        Support int64 (f, S^2), weights float64 (f, S^2), biases float64 (S^2,), of pixel values in [0, 1].
    """
    size, channels = source.shape[1], source.shape[3]
    x, t = (_columns(images).to(device) for images in (source, target))
    by_channel = x.unflatten(0, (channels, -1))
    centered = by_channel - by_channel.mean(1, keepdim=True)
    length = centered.norm(dim=1, keepdim=True)
    # A pixel that is the same in all images says nothing.
    looks = (centered / torch.where(length > 0, length, 1.0)).flatten(0, 1).float()
    support = torch.zeros(hyper.pixels, size * size, dtype=torch.int64, device=device)
    solved = torch.zeros(hyper.pixels + 1, size * size, dtype=torch.float64, device=device)
    left = torch.arange(size * size, device=device)
    # The window first, where locality decides; then the whole image for the pixels that it may not suffice.
    for reach in (min(_WINDOW, size - 1), size) if hyper.locality else (size,):
        each = max(
            len(x) * (2 * reach + 1) ** 2 if reach < size else size * size, len(x) * (hyper.pixels + 2)
        )
        unsure = [left[:0]]
        for some in left.split(max(1, _NUMBERS // each)):
            near = nearness(some, size, hyper, reach)
            support[:, some], solved[:, some], sure = _pursue(x, t[:, some], looks, channels, near, hyper)
            unsure.append(some[~sure])
        left = torch.cat(unsure)
    return support, solved[1:], solved[0]


def _columns(images: np.ndarray) -> Tensor:
    """Uint8 (M, S, S, C) -> float64 (C M, S^2) in [0, 1], channel by channel."""
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(3, 0, 1, 2)))
    return planes.flatten(2).flatten(0, 1).double() / 255


@dataclass(frozen=True)
class Nearness:
    """beta / D of what some output pixels may choose from.

    Attributes:
        bonus: float32 (P, K); -inf for a place outside the image.
        places: int64 (P, K), the input pixels; None = all, in order.
        beyond: float32 (P,), at least as much as any other input pixel has; -inf where there is no other.
    """

    bonus: Tensor
    places: Tensor | None
    beyond: Tensor


def _pursue(
    x: Tensor, wanted: Tensor, looks: Tensor, channels: int, near: Nearness, hyper: LSRFHyper
) -> tuple[Tensor, Tensor, Tensor]:
    """Support (f, P), solution (f + 1, P), the bias first, and where no other pixel could have won (P,)."""
    seen = None if near.places is None else looks[:, near.places].permute(1, 2, 0).contiguous()
    terms, rest = [torch.ones_like(wanted)], wanted
    systems = wanted.new_zeros(hyper.pixels + 1, hyper.pixels + 2, wanted.shape[1])
    systems[0, 0], systems[0, -1] = len(wanted), wanted.sum(0)
    taken: list[Tensor] = []
    support: list[Tensor] = []
    sure = torch.ones_like(wanted[0], dtype=torch.bool)
    for step in range(1, hyper.pixels + 1):
        single = rest.T.float()
        score = single @ looks if seen is None else (seen @ single[..., None])[..., 0]
        score = score.abs_().add_(near.bonus)
        for place in taken:
            score.scatter_(1, place[:, None], -torch.inf)
        best, place = score.max(dim=1)
        # |<Xn_j, R>|, summed over channels, is at most the sum of their |R|; a little more for rounding.
        at_most = single.unflatten(1, (channels, -1)).norm(dim=2).sum(1)
        sure &= best > near.beyond + 1.001 * at_most
        taken.append(place)
        support.append(place if near.places is None else near.places.gather(1, place[:, None])[:, 0])
        terms.append(x[:, support[-1]])
        for row, term in enumerate(terms):
            systems[row, step] = (term * terms[-1]).sum(0)
        systems[step, -1] = (terms[-1] * wanted).sum(0)
        part = torch.cat([systems[: step + 1, : step + 1], systems[: step + 1, -1:]], dim=1)
        solved = solve_planes(part, hyper.penalty)
        rest = wanted - torch.stack([w * term for w, term in zip(solved, terms, strict=True)]).sum(0)
    return torch.stack(support), solved, sure


def first_places(pixels: int, row: tuple[int, int], column: tuple[int, int]) -> list[tuple[int, int]]:
    """The places (dy, dx) where a pixel looks at first: itself, its diagonals, or all around it.

    Args:
        pixels: f, 1, 5 or 9.
        row, column: how many pixels the image goes on before and behind it.

    Raises:
        MethodError: another f.
    """
    if pixels not in (1, 5, 9):
        raise MethodError(f"lsrf takes 1, 5 or 9 pixels, not {pixels}")
    if pixels == 1:
        return [(0, 0)]
    around = [(y, x) for y in _steps(row) for x in _steps(column)]
    return [(y, x) for y, x in around if pixels == 9 or len(around) == 4 or abs(y) == abs(x)]


def _steps(room: tuple[int, int]) -> range:
    return range(-min(1, room[0]), min(1, room[1]) + 1)


def distance_table(size: int, pixels: int, row: tuple[int, int], column: tuple[int, int]) -> Tensor:
    """D of an output pixel by the step to the input pixel: the sum over it and its neighbors in the image.

    Args:
        size: S, of the images.
        pixels: f; with f = 1 a pixel has no neighbors.
        row, column: how many pixels the image goes on before and behind it; more than 2 are alike.

    Returns:
        Float32 (2 S - 1, 2 S - 1); the output pixel is in the middle.
    """
    axis = torch.arange(1 - size, size, dtype=torch.float32)
    total = torch.zeros(len(axis), len(axis))
    for dy in _steps(row) if pixels > 1 else (0,):
        for dx in _steps(column) if pixels > 1 else (0,):
            room = (row[0] + dy, row[1] - dy), (column[0] + dx, column[1] - dx)
            first = first_places(pixels, *room)
            total += torch.stack([torch.hypot(axis[:, None] - dy - y, axis - dx - x) for y, x in first]).amin(
                0
            )
    return total


def nearness(pixels: Tensor, size: int, hyper: LSRFHyper, reach: int) -> Nearness:
    """What some output pixels may choose from: a window, or with ``reach`` = ``size`` the whole image."""
    device = pixels.device
    y, x = pixels // size, pixels % size
    if reach == size:
        nothing = torch.full((len(pixels),), -torch.inf, device=device)
        bonus, places = torch.zeros(len(pixels), size * size, device=device), None
    else:
        nothing = torch.zeros(len(pixels), device=device)
        step = torch.arange(-reach, reach + 1, device=device)
        down, across = (y[:, None] + step)[:, :, None], (x[:, None] + step)[:, None]
        inside = (down >= 0) & (down < size) & (across >= 0) & (across < size)
        places = torch.where(inside, down * size + across, 0).flatten(1)
        bonus = torch.where(inside, 0.0, -torch.inf).flatten(1)
    if not hyper.locality:
        return Nearness(bonus, places, nothing)
    room = torch.stack([y, size - 1 - y, x, size - 1 - x], dim=1).clamp(max=2)
    for kind in room.unique(dim=0):
        rows = (room == kind).all(dim=1).nonzero()[:, 0]
        above, below, left, right = kind.tolist()
        table = distance_table(size, hyper.pixels, (above, below), (left, right)).to(device)
        table = hyper.locality / table.clamp(min=_NEAREST)
        if reach == size:
            views = table.unfold(0, size, 1).unfold(1, size, 1)
            bonus[rows] += views[size - 1 - y[rows], size - 1 - x[rows]].flatten(1)
        else:
            middle = slice(size - 1 - reach, size + reach)
            bonus[rows] += table[middle, middle].flatten()
            table[middle, middle] = 0.0
            nothing[rows] = table.max()
    return Nearness(bonus, places, nothing)
