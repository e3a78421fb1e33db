"""Weights of another training into a method: partial ones, with labels in another order, checked by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor

from fesbench.errors import MethodError
from fesbench.methods.card import Problem


@dataclass(frozen=True)
class ConditionAxis:
    """Which places along an axis of a tensor belong to the labels or the action units, in their order.

    Attributes:
        of: what the places stand for.
        axis: of the tensor.
        start: index of the first place; the others follow.
        neutral: the label ``neutral`` has a place too.
    """

    of: Literal["labels", "action_units"]
    axis: int
    start: int = 0
    neutral: bool = True

    def names(self, labels: Sequence[str], units: Sequence[int]) -> list[str | int]:
        """What the places stand for, in order."""
        if self.of == "action_units":
            return list(units)
        return [label for label in labels if self.neutral or label != "neutral"]

    def take(
        self,
        tensor: Tensor,
        theirs: Sequence[str | int],
        mine: Sequence[str | int],
        name: str,
        *,
        partial: bool = False,
    ) -> Tensor:
        """The tensor with the places of ``mine``, in their order, in place of those of ``theirs``.

        Args:
            tensor: of the weights.
            theirs: what its places stand for.
            mine: what they are to stand for.
            name: of the tensor.
            partial: a place that ``theirs`` does not have becomes 0 in place of an error.

        Raises:
            MethodError: a place is missing, or the axis is too short for ``theirs``.
        """
        what = "label" if self.of == "labels" else "action unit"
        missing = [str(place) for place in mine if place not in theirs]
        if missing and not partial:
            raise MethodError(
                f"the weights know no {what} {', '.join(missing)}; they hold {', '.join(map(str, theirs))}"
            )
        if tensor.ndim <= self.axis or tensor.shape[self.axis] < self.start + len(theirs):
            raise MethodError(
                f"weights '{name}' of shape {tuple(tensor.shape)} have no room for {len(theirs)} {what}s on "
                f"axis {self.axis} from {self.start} on"
            )
        end, nothing = self.start + len(theirs), tensor.shape[self.axis]
        order = [
            *range(self.start),
            *(self.start + theirs.index(place) if place in theirs else nothing for place in mine),
            *range(end, nothing),
        ]
        zeros = torch.zeros_like(tensor.narrow(self.axis, 0, 1))
        return torch.cat([tensor, zeros], dim=self.axis).index_select(self.axis, torch.tensor(order))


@dataclass(frozen=True)
class Release:
    """What is known of the weights that a method's authors published.

    Attributes:
        files: how they name them.
        labels: expressions in the order of the release; () = the user says.
        action_units: FACS numbers, likewise.
        size: side of the images in pixels.
        trained_on: the data, as far as it is known.
    """

    files: str = ""
    labels: tuple[str, ...] = ()
    action_units: tuple[int, ...] = ()
    size: int = 128
    trained_on: str = ""


_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def renamed(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], *, statistics: bool = False
) -> dict[str, Tensor]:
    """Tensors under other names.

    Args:
        tensors: by their names.
        names: pattern of a whole beginning of a name -> what stands there in its place; the first that fits.
        statistics: keep the running statistics of norms, which most releases never use.

    Raises:
        MethodError: a name that no pattern fits.

    >>> list(renamed({"main.0.weight": torch.ones(1)}, {r"main\\.(\\d+)": r"body.\\1"}))
    ['body.0.weight']
    """
    found = {}
    for name, tensor in tensors.items():
        if not statistics and name.rpartition(".")[2] in _STATISTICS:
            continue
        match = next(((m, new) for old, new in names.items() if (m := re.match(rf"{old}(?=\.)", name))), None)
        if match is None:
            raise MethodError(f"the file holds '{name}', which the authors' generator does not have")
        found[match[0].expand(match[1]) + name[match[0].end() :]] = tensor
    return found


def reads(needed: Sequence[str], name: str) -> bool:
    """Whether a tensor is among those that synthesis reads.

    Args:
        needed: beginnings of names, in which ``*`` stands for anything; empty = all.
        name: of the tensor.

    >>> [reads(("pairs.*.there.",), name) for name in ("pairs.fear.there.0.weight", "pairs.fear.critic.bias")]
    [True, False]
    """
    return not needed or any(fnmatchcase(name, f"{beginning}*") for beginning in needed)


def fit_state(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    axes: Mapping[str, ConditionAxis],
    needed: Sequence[str],
    problem: Problem,
    labels: Sequence[str],
    units: Sequence[int],
    *,
    partial: bool = False,
) -> dict[str, Tensor]:
    """The given tensors as they fit a method's own, cut and permuted where labels or action units differ.

    Args:
        own: the method's state by name.
        given: the weights by the same names; any part that covers ``needed``.
        axes: by name, the tensors with places for labels or action units.
        needed: beginnings of the names that must be given (see `reads`); empty = all.
        problem: whose labels and action units the method is built for.
        labels, units: those of the weights, in their order; more than the problem's are cut away.
        partial: fewer are filled up with zeros.

    Raises:
        MethodError: an unknown or missing name, a missing label or action unit, or another shape.
    """
    unknown = sorted(set(given) - set(own))
    if unknown:
        raise MethodError(
            f"the weights hold '{unknown[0]}'{_more(unknown)}, which the method does not have; its own are "
            f"named like '{next(iter(own), '')}'"
        )
    missing = [name for name in own if name not in given and reads(needed, name)]
    if missing:
        raise MethodError(f"the weights lack '{missing[0]}'{_more(missing)}, which synthesis needs")
    fitted = {}
    for name, tensor in given.items():
        axis = axes.get(name)
        if axis is not None:
            mine = axis.names(problem.labels, problem.action_units)
            theirs = axis.names(labels, units)
            tensor = tensor if mine == theirs else axis.take(tensor, theirs, mine, name, partial=partial)
        if tensor.shape != own[name].shape:
            raise MethodError(
                f"weights '{name}' have shape {tuple(tensor.shape)}, the method at {problem.size} px "
                f"{tuple(own[name].shape)}; choose the preset and --size that they were trained with"
            )
        fitted[name] = tensor
    return fitted


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
