"""Tensors from checked weights files into networks, all of them and no others."""

from __future__ import annotations

import pickle
from typing import Any

from fesbench.errors import WeightsError
from fesbench.extractors.whole_picture import checked_bytes, tensors_of
from fesbench.extractors.weights import WeightsManager


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
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
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


def short_sha256(manager: WeightsManager, name: str) -> str:
    """First 8 digits of the digest that the weights must have, as :meth:`WeightsManager.mark` marks them."""
    return manager.mark(name)
