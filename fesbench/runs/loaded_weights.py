"""Weights that are loaded instead of trained: ``fesbench run --weights METHOD=FILE``.

A cell with loaded weights is a row of its own, ``METHOD@<first 8 characters of the file's sha256>``, so that
two files never mix, nor a file with a training.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fesbench.errors import MethodError, UsageError
from fesbench.records.record import NotRun

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.context.context import RunContext
    from fesbench.methods.base import Method
    from fesbench.methods.card import Problem


def parse_weights(values: Iterable[str] | None) -> dict[str, str]:
    """What ``--weights METHOD=FILE``, given once or several times, says: method id -> file.

    Raises:
        UsageError: a value without "=", a method twice, or a file that does not exist.
    """
    found: dict[str, str] = {}
    for value in values or ():
        name, _, file = value.partition("=")
        if not name or not file:
            raise UsageError(f"--weights '{value}' is not of the form METHOD=FILE.safetensors")
        if name in found:
            raise UsageError(f"--weights gives '{name}' twice; run the second file by another command")
        # a shell expands ~ at the beginning of a word alone
        path = Path(file).expanduser()
        if not path.is_file():
            raise UsageError(f"--weights {name}: {path} does not exist")
        found[name] = os.path.abspath(path)
    return found


def check_weights(method: type[Method], path: str) -> None:
    """Refuse what cannot be loaded, before anything long starts.

    Raises:
        UsageError: the method learns nothing, or the file holds another method's weights.
        RecordError: the file is a pickle or no safetensors file.
    """
    from fesbench.methods.base import Method as Base
    from fesbench.training.checkpoints import load_tensors

    card = method.card
    if card.reference or method.phases is Base.phases:
        raise UsageError(f"--weights {card.id}: the method learns nothing, so it has no weights")
    held = load_tensors(Path(path))[1].get("method", card.id)
    if held != card.id:
        raise UsageError(f"--weights {card.id}: {path} holds weights of '{held}'")


def row_name(method: str, path: str, *, zoo: bool = False) -> str:
    """The name of a row: the method's id, with ``zoo`` or the file's digest where weights are loaded."""
    if not path:
        return method
    return f"{method}@{'zoo' if zoo else digest(path)[:8]}"


def digest(path: str) -> str:
    """Sha256 (hex) of a file."""
    status = os.stat(path)
    return _digest(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _digest(path: str, changed: int, size: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def training_known(
    note: Mapping[str, Any], context: RunContext
) -> Literal["fesbench", "declared", "unknown"]:
    """What a file's note says of how its weights were trained.

    ``fesbench``: by fesbench, on the training subjects of this very split and data. ``declared``: the file
    says how, or fesbench trained it on others, so that it may have seen the subjects tested here.
    """
    here = {"split": context.split.hash, "data": context.store.fingerprint}
    if note.get("protocol") and all(note.get(key) == value for key, value in here.items()):
        return "fesbench"
    return "declared" if note.get("protocol") or note.get("trained_on") else "unknown"


def training_note(context: RunContext) -> dict[str, str]:
    """What a checkpoint keeps of where it was trained."""
    return {
        "protocol": context.protocol.name,
        "protocol_hash": context.protocol.hash,
        "split": context.split.hash,
        "data": context.store.fingerprint,
    }


def unknown_to(method: type[Method], path: str, problem: Problem) -> tuple[set[str], set[int]]:
    """The labels and action units of a problem that a file's weights do not know.

    Raises:
        RecordError: the file is missing, damaged or a pickle.
    """
    from fesbench.training.checkpoints import load_tensors

    note = load_tensors(Path(path))[1]
    needs = method.card.needs
    labels = set(problem.labels) - set(note.get("labels") or problem.labels) if "labels" in needs else set()
    units = set(problem.action_units) - set(note.get("action_units") or problem.action_units)
    return labels, units if "action_units" in needs else set()


def known_to_weights(
    method: type[Method], weights: str, problem: Problem, requests: pd.DataFrame
) -> tuple[pd.DataFrame, list[NotRun]]:
    """The requests for labels and action units that loaded weights know, and what is left out.

    Raises:
        RecordError: the file is missing, damaged or a pickle.
    """
    labels, units = unknown_to(method, weights, problem)
    asked = [requests["target_expression"], requests["second_expression"]]
    wanted = asked[0].isin(labels) | asked[1].isin(labels) | requests["action_unit"].isin(units)
    refused = []
    for (task, domain), group in requests[wanted].groupby(["task", "domain"], sort=False):
        named = {name for column in asked for name in column[group.index]} & labels
        named |= {f"AU{unit}" for unit in set(group["action_unit"]) & units}
        reason = f"not applicable: the weights do not know {', '.join(sorted(named))}"
        refused.append(NotRun(task=task, domain=domain, reason=reason))
    if units and not units >= set(problem.action_units):
        left = ", ".join(f"AU{unit}" for unit in sorted(units))
        groups = dict.fromkeys(requests[~wanted][["task", "domain"]].itertuples(index=False, name=None))
        reason = f"made without {left}, which the weights do not know"
        refused += [NotRun(task=task, domain=domain, reason=reason) for task, domain in groups]
    return requests[~wanted].reset_index(drop=True), refused


def load_into(method: Method, path: str) -> dict[str, Any]:
    """Give a method the weights of a safetensors file, whose header says what they were made for.

    Args:
        method: freshly built.
        path: a checkpoint of ours, or one converted to our names of tensors with a header like ours: JSON
            with ``labels`` and ``action_units`` (where the method needs them) and, as far as it is known,
            ``method`` and ``trained_on``.

    Returns:
        the header. Labels and action units that it does not name are 0 in the method: see `unknown_to`.

    Raises:
        RecordError: the file is missing, damaged or a pickle.
        MethodError: weights without labels, or such as do not fit.
    """
    from fesbench.training.checkpoints import load_tensors

    tensors, note = load_tensors(Path(path))
    try:
        method.import_state(tensors, note.get("labels"), note.get("action_units"), partial=True)
    except MethodError as error:
        raise MethodError(f"{path}: {error}") from None
    return note
