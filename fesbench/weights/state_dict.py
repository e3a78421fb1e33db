"""Tensors from checked weights files into networks, all of them and no others."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from fesbench.errors import WeightsError
from fesbench.weights.manager import WeightsManager


def read_state(manager: WeightsManager, name: str, holds: str) -> dict[str, Any]:
    """The tensors of a weights file by name; no code in it is ever run.

    Args:
        manager: knows where the file lies and its digest.
        name: of the weights.
        holds: what it should hold, for the message.

    Raises:
        WeightsError: the file is missing, changed while it was read, or holds something else.
    """
    content = checked_bytes(manager, name)
    try:
        return tensors_of(content)
    except RuntimeError as error:
        raise unfit(manager, name, holds, error) from error


def fill(network: Any, state: dict[str, Any], manager: WeightsManager, name: str, holds: str) -> Any:
    """Put tensors into a network and freeze it for inference.

    Raises:
        WeightsError: keys or shapes differ.
    """
    try:
        network.load_state_dict(state, assign=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise unfit(manager, name, holds, error) from error
    return network.eval().requires_grad_(False)


def unfit(manager: WeightsManager, name: str, holds: str, why: object) -> WeightsError:
    """The error of a file that holds something else than it should."""
    first = " ".join(str(why).split())[:200]
    return WeightsError(f"{manager.path(name)} does not hold {holds} ({first})")


def checked_bytes(manager: WeightsManager, name: str) -> bytes:
    """The bytes of a weights file: those that are opened are those that were checked.

    Raises:
        WeightsError: absent, not the right file, or changed meanwhile.
    """
    path = manager.path(name)
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != manager.sha256(name):
        raise WeightsError(f"{path} changed while it was read; run: fesbench weights verify")
    return raw


def tensors_of(content: bytes) -> dict[str, Any]:
    """A file of tensors by name, never opened as a full pickle.

    Raises:
        RuntimeError: it holds something else.
    """
    state = saved_by_torch(io.BytesIO(content))
    if not isinstance(state, dict):
        raise RuntimeError(f"a {type(state).__name__} instead of tensors by name")
    return state


def saved_by_torch(file: Path | BinaryIO) -> Any:
    """What ``torch.save`` wrote, of tensors and plain containers alone; no code in it is ever run.

    Raises:
        RuntimeError: it holds something else, or is damaged.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the protocol of its pickle
            return torch.load(file, map_location="cpu", weights_only=True)
    # The restricted reader stumbles over arbitrary bytes in as many classes as there are ways to do so.
    except Exception as error:
        raise RuntimeError(f"no file of tensors: {error}") from error
