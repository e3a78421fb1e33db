"""Learned state on disk: safetensors only, written atomically, and never half a pair of files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fesbench.errors import MethodError, RecordError
from fesbench.files import atomic_write_bytes
from fesbench.methods.base import Method

CHECKPOINT, STATE = "checkpoint.safetensors", "training-state.safetensors"
_PICKLE_SUFFIXES = {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"}
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write tensors and a JSON note (into the file's header) as one file, atomically.

    Raises:
        DataError: the disk is full or the folder not writable.
    """
    from safetensors.torch import save

    content = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    atomic_write_bytes(path, save(content, metadata={"fesbench": json.dumps(note)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and note.

    Raises:
        RecordError: missing, damaged, or a pickle, which is never opened.
    """
    from safetensors import SafetensorError, safe_open

    refuse_pickle(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            note = json.loads((file.metadata() or {}).get("fesbench", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, note  # noqa: SIM118 - no dict
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist; train the method first") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RecordError(
            f"{path} is no readable safetensors file ({error}); delete it and train again"
        ) from None


def refuse_pickle(path: Path) -> None:
    """Raise for a pickle, by its name or its first bytes; opening one would run whatever code is in it.

    Raises:
        RecordError: it is one.
    """
    start = b""
    if path.is_file():
        with path.open("rb") as stream:
            start = stream.read(9)
    # A safetensors file starts with the length of its header, which may look like a pickle (640: 80 02).
    pickled = start.startswith(_PICKLE_STARTS) and not start.endswith(b"{")
    if path.suffix.lower() in _PICKLE_SUFFIXES or pickled:
        raise RecordError(
            f"{path} is a pickle, and a pickle can run any code when it is opened; fesbench reads weights "
            "from safetensors files only (convert it with safetensors.torch.save_file where you trust it)"
        )


def save_checkpoint(method: Method, path: Path, note: Mapping[str, Any] | None = None) -> None:
    """Write a method's learned state.

    Raises:
        DataError: the disk is full or the folder not writable.
    """
    save_tensors(path, method.state_dict(), {"method": method.card.id, **(note or {})})


def load_checkpoint(method: Method, path: Path) -> None:
    """Load a method's learned state.

    Raises:
        RecordError: missing, damaged or a pickle.
        MethodError: the file holds another method's or another size's weights.
    """
    tensors, note = load_tensors(Path(path))
    trained = note.get("method", method.card.id)
    if trained != method.card.id:
        raise MethodError(f"{path} holds weights of '{trained}', not of '{method.card.id}'")
    put_state(method, tensors, Path(path))


def put_state(method: Method, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into a method.

    Raises:
        MethodError: names or shapes differ.
    """
    try:
        method.load_state_dict(dict(tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise MethodError(
            f"{path} does not fit '{method.card.id}' at {method.problem.size} px with "
            f"{len(method.problem.labels)} labels ({first}); train it for this protocol and preset"
        ) from None


def flatten_optimizers(optimizers: Mapping[str, torch.optim.Optimizer]) -> tuple[dict[str, Tensor], Any]:
    """Optimizer states as named tensors, and what of them is not a tensor as JSON."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for name, optimizer in optimizers.items():
        state = optimizer.state_dict()
        rest[name] = {"groups": state["param_groups"], "state": {}}
        for index, values in state["state"].items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{name}/{index}/{key}"] = value
                else:
                    rest[name]["state"].setdefault(str(index), {})[key] = value
    return tensors, rest


def restore_optimizers(
    optimizers: Mapping[str, torch.optim.Optimizer], tensors: Mapping[str, Tensor], rest: Mapping[str, Any]
) -> None:
    """Undo ``flatten_optimizers``."""
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in rest[name]["state"].items()}
        for full, value in tensors.items():
            kind, _, place = full.partition("/")
            owner, _, place = place.partition("/")
            if kind == "optimizer" and owner == name:
                index, _, key = place.partition("/")
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": rest[name]["groups"]})


def flatten_extra(method: Method) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A method's state beyond its weights as named tensors, and the rest of it as JSON.

    Raises:
        MethodError: a value that is no tensor and would not come back from JSON as it was.
    """
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for name, value in method.extra_state().items():
        if isinstance(value, Tensor):
            tensors[f"extra/{name}"] = value
            continue
        try:
            same = json.loads(json.dumps(value)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise MethodError(
                f"'{method.card.id}': extra_state '{name}' is neither a tensor nor plain JSON "
                "(lists, texts, numbers, true, false, null, and objects with texts as keys)"
            )
        rest[name] = value
    return tensors, rest


def restore_extra(
    method: Method, tensors: Mapping[str, Tensor], rest: Mapping[str, Any], device: torch.device
) -> None:
    """Undo ``flatten_extra``; tensors come back on ``device``."""
    mine = {n.removeprefix("extra/"): t.to(device) for n, t in tensors.items() if n.startswith("extra/")}
    if mine or rest:
        method.load_extra_state({**mine, **rest})
