"""Libraries that fetch weights by themselves get checked files, and no network.

torch-fidelity, piq, torchvision, deepface and open-clip download what they do not find, mostly without a
checksum, and load whatever lies in their caches. Inside :func:`only_checked` their caches hold the checked
files of the weights manager and nothing else, and a connection that this thread would open is refused.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fesbench.errors import WeightsError
from fesbench.weights.manager import WeightsManager, link_checked

_EVENTS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto")
_LOCK = threading.RLock()
_THREAD = threading.local()


@contextmanager
def only_checked(manager: WeightsManager, *names: str) -> Iterator[Path]:
    """Let libraries load the named weights from their own caches, and nothing else from anywhere.

    Args:
        manager: knows the files.
        names: weights of the table; each lies in torch's hub cache under all names that libraries give it.

    Yields:
        the folder of torch's hub checkpoints.

    Raises:
        WeightsError: a file is missing or not the right one, or a library tried to fetch another.
    """
    paths = {name: manager.path(name) for name in names}
    with _LOCK, tempfile.TemporaryDirectory(prefix="fesbench-") as folder:
        checkpoints = Path(folder) / "torch" / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        for name, path in paths.items():
            for alias in manager.entry(name).known_names:
                link_checked(path, checkpoints / alias)
        homes = {"TORCH_HOME": str(Path(folder) / "torch"), "DEEPFACE_HOME": folder}
        with environment(**homes), _hugging_face_cache(folder), no_network("a library"):
            _check_hub(checkpoints)
            yield checkpoints


@contextmanager
def no_network(what: str) -> Iterator[None]:
    """Refuse every connection that this thread would open.

    A library that hides the refusal, or goes on without its weights, is found out at the end of the block.

    Args:
        what: who is kept from the network, for the message.

    Raises:
        WeightsError: something in the block wanted the network.
    """
    _install()
    before: list[str] | None = getattr(_THREAD, "wanted", None)
    wanted: list[str] = []
    _THREAD.wanted = wanted
    try:
        yield
    except Exception as error:
        if wanted:
            raise WeightsError(_refusal(what, wanted)) from error
        raise
    finally:
        _THREAD.wanted = before
    if wanted:
        raise WeightsError(_refusal(what, wanted))


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables, and put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _refusal(what: str, wanted: list[str]) -> str:
    hosts = ", ".join(dict.fromkeys(wanted))
    return (
        f"{what} wanted to fetch from {hosts}, but fesbench loads checked weights only; "
        "see what is missing with: fesbench weights list"
    )


@cache
def _install() -> None:
    # An audit hook sees every library that goes through Python's sockets; it cannot be taken out again, and
    # does nothing in threads outside the block.
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    wanted = getattr(_THREAD, "wanted", None)
    if wanted is None:
        return
    target = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    if isinstance(target, str | bytes) and event == "socket.connect":
        return  # a socket file of this machine
    host = target[0] if isinstance(target, tuple) else target
    wanted.append(host.decode() if isinstance(host, bytes) else str(host))
    raise WeightsError(_refusal("a library", wanted))


def _check_hub(checkpoints: Path) -> None:
    """torch.hub.set_dir outdoes the environment: refuse rather than load from there."""
    hub = sys.modules.get("torch.hub")
    if hub is not None and Path(hub.get_dir()) != checkpoints.parent:
        raise WeightsError(
            f"torch.hub.set_dir({hub.get_dir()!r}) was called in this process, so checked weights cannot be "
            "put in its place; run fesbench in a fresh process"
        )


@contextmanager
def _hugging_face_cache(folder: str) -> Iterator[None]:
    """An empty cache for the hub of Hugging Face, which reads its environment once only, when imported."""
    if find_spec("huggingface_hub") is None:
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_CACHE
    constants.HF_HUB_CACHE = str(Path(folder) / "hugging-face")
    try:
        yield
    finally:
        constants.HF_HUB_CACHE = before
