"""Requests through a method to images on disk; resumable, checked, and the same however it is batched."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import MethodError
from fesbench.files import atomic_write_bytes, writing
from fesbench.methods.clips import clip_rows
from fesbench.methods.conditions import request_batch
from fesbench.methods.task_kinds import TASKS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.methods.base import Method
    from fesbench.methods.training_set import TrainingSet

MARK = "synthesis.json"
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SynthesisResult:
    """What was done: images or clips made now, those found from an earlier try, seconds."""

    made: int
    found: int
    seconds: float


def synthesize(
    method: Method,
    requests: pd.DataFrame,
    store: AlignedStore,
    training: TrainingSet,
    folder: Path,
    *,
    batch_size: int = 16,
    device: str = "auto",
    inputs: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> SynthesisResult:
    """Write ``folder/images/<request>.png`` (RGB, 8 bit) for every request, and for one that asks for a clip
    ``folder/clips/<request>/0000.png`` and so on.

    Batches are cut at fixed places of the table, and one that lacks an image is made whole: a run that was
    killed ends with the same files as one that was not.

    Args:
        method: trained.
        requests: the request table; its column ``target`` is read for the row ``real`` alone.
        store: holds the images.
        training: gives mean displacements and action units.
        folder: the cell's.
        batch_size: requests at a time; the method's ``max_batch`` may lower it.
        device: "auto", "cpu" or "cuda".
        inputs: hash of what the images depend on; images of another one are deleted first.
        on_progress: (done, total), after every batch.

    Raises:
        MethodError: an output of the wrong shape or type, not finite or out of [-1, 1]; names the request,
            and of a clip the frame.
        DataError: the disk is full or the folder not writable.
    """
    started = time.monotonic()
    _prepare(folder, inputs, list(requests["request"]))
    method.to(
        "cuda" if device == "auto" and torch.cuda.is_available() else "cpu" if device == "auto" else device
    )
    made = found = 0
    for rows in _batches(requests, min(batch_size, method.max_batch or batch_size)):
        if is_made(rows, folder):
            found += len(rows)
        else:
            for names, frames in zip(request_files(rows), _make(method, rows, store, training), strict=True):
                for name, frame in zip(names, frames, strict=True):
                    _write_png(folder / name, frame)
            made += len(rows)
        if on_progress is not None:
            on_progress(made + found, len(requests))
    return SynthesisResult(made, found, time.monotonic() - started)


def request_files(requests: pd.DataFrame) -> list[tuple[str, ...]]:
    """The files of each request below a cell's folder: one, or one a frame."""
    lengths = requests["length"] if "length" in requests else [1] * len(requests)
    rows = zip(requests["task"], requests["request"], lengths, strict=True)
    return [TASKS.get(task).files(name, int(length)) for task, name, length in rows]


def is_made(requests: pd.DataFrame, folder: Path) -> bool:
    """Whether a cell's folder holds every file of the requests."""
    return all((folder / name).exists() for names in request_files(requests) for name in names)


def _prepare(folder: Path, inputs: str, names: list[str]) -> None:
    """A folder without images and clips, unless they are of the same inputs."""
    unsafe = [name for name in names if Path(name).name != name or name.startswith(".")]
    if unsafe or len(set(names)) != len(names):
        raise MethodError(
            f"request names must be unique and safe as file names; not so: {(unsafe or names)[:3]}"
        )
    images, clips, mark = folder / "images", folder / "clips", folder / MARK
    with writing(images):
        known = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else None
        if known != {"inputs": inputs}:
            shutil.rmtree(images, ignore_errors=True)
            shutil.rmtree(clips, ignore_errors=True)
        images.mkdir(parents=True, exist_ok=True)
        for left in [*images.glob(".*.tmp"), *clips.glob("*/.*.tmp")]:
            left.unlink()
    atomic_write_bytes(mark, json.dumps({"inputs": inputs}).encode())


def _batches(requests: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Pieces of the table that are alike in task, given and length."""
    kinds = requests["task"].astype(str) + "/" + requests["given"].astype(str)
    if "length" in requests:
        kinds += "/" + requests["length"].astype(str)
    for _, group in requests.groupby(kinds, sort=False):
        for start in range(0, len(group), size):
            yield group.iloc[start : start + size]


def _make(method: Method, rows: pd.DataFrame, store: AlignedStore, training: TrainingSet) -> np.ndarray:
    """Uint8 (n, T, S, S, 3) of some requests; T = 1 for images."""
    if method.card.answers_with_target:
        targets = rows["target"].to_numpy()
        if (targets < 0).any():
            name = rows["request"].iloc[int(np.flatnonzero(targets < 0)[0])]
            who = method.card.id
            raise MethodError(f"request '{name}' has no target image, so the row '{who}' cannot answer it")
        if TASKS.get(rows["task"].iloc[0]).outputs == "clip":
            length = int(rows["length"].iloc[0])
            return np.asarray(store.images[clip_rows(store.manifest.table, targets, length)])
        return np.asarray(store.images[targets])[:, None]
    batch = request_batch(rows, store, training, method.problem).to(method.device)
    output = method.answer(batch)
    frames = (batch.length,) if TASKS.get(batch.task).outputs == "clip" else ()
    _check(method, output, list(rows["request"]), (*frames, 3, store.size, store.size))
    pixels = to_pixels(output.reshape(-1, *output.shape[-3:]))
    return pixels.reshape(len(rows), -1, *pixels.shape[1:])


def to_pixels(images: Tensor) -> np.ndarray:
    """Float (N, 3, H, W) in [-1, 1] -> uint8 (N, H, W, 3), rounded to the nearest."""
    scaled = ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _check(method: Method, output: object, names: list[str], shape: tuple[int, ...]) -> None:
    """Refuse anything but finite floats (requests, *shape) in [-1, 1]."""
    who, first = f"method '{method.card.id}'", names[0]
    if not isinstance(output, Tensor) or not output.is_floating_point():
        kind = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise MethodError(f"{who} returned {kind} for request '{first}'; it must return a float tensor")
    wanted = (len(names), *shape)
    if tuple(output.shape) != wanted:
        raise MethodError(
            f"{who} returned shape {tuple(output.shape)} for the {len(names)} requests from '{first}' on; "
            f"expected {wanted}"
        )
    odd = ~torch.isfinite(output).flatten(-3).all(-1)
    if bool(odd.any()):
        raise MethodError(
            f"{who} returned NaN or infinite pixels for {_first(odd, names)}; its training diverged"
        )
    odd = output.abs().flatten(-3).amax(-1) > 1 + _TOLERANCE
    if bool(odd.any()):
        raise MethodError(
            f"{who} returned pixels outside [-1, 1] for {_first(odd, names)}; clamp them in synthesize"
        )


def _first(odd: Tensor, names: list[str]) -> str:
    """The first request, and of a clip the frame, where bool (N,) or (N, T) is true."""
    name, *frame = (int(place) for place in odd.nonzero()[0])
    return f"request '{names[name]}'" + (f", frame {frame[0]}" if frame else "")


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Lossless, lightly compressed; a kill leaves the whole file or none."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=1)
    with writing(path):
        path.parent.mkdir(exist_ok=True, parents=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(stream.getvalue())
        os.replace(temporary, path)
