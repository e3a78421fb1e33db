"""Makes the files of the zoo: a training of an ordinary cell, what synthesis needs of it, and its card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fesbench
from fesbench.errors import UsageError
from fesbench.files import atomic_write_bytes
from fesbench.methods.state_import import reads
from fesbench.protocol.budget import parse_budget
from fesbench.records.environment import device_words, resolve_device
from fesbench.runs.cell import train_cell
from fesbench.runs.job import shared_job
from fesbench.runs.loaded_weights import load_into, training_note
from fesbench.runs.validation import Validation
from fesbench.runs.zoo import ZooCard, code_of, zoo_folder

if TYPE_CHECKING:
    from torch import Tensor

    from fesbench.methods.base import Method
    from fesbench.progress import Reporter

LIMIT = 2_500_000
"""Bytes of a file; all of them are in the package."""


def train_for_zoo(
    method: str,
    *,
    protocol: str,
    size: int | None,
    preset: str,
    budget: str,
    seed: int,
    device: str,
    runs: Path,
    out: Path | None,
    reporter: Reporter,
) -> ZooCard:
    """Train a method and write its file and card; what is already trained in ``runs`` is not trained again.

    On one machine and thread count the file is the same to the bit, except under ``minutes=``.

    Args:
        method: id.
        protocol, size, preset, budget, seed, device: as in ``fesbench run``.
        runs: folder of the training, which resumes there.
        out: folder of the files; None = the package's own.
        reporter: shown the progress.

    Raises:
        UsageError: the method has nothing to train step by step, or needs more than the zoo's limit.
    """
    shared = shared_job(protocol, budget=parse_budget(budget).text, size=size, out=runs, device=device)
    job = replace(shared, method=method, preset=preset, seed=seed)
    context = job.open_context(reporter)
    try:
        kind = job.method_class()
        trained = train_cell(job, context, reporter, check=check_storable)
        note: dict[str, Any] = {
            "method": kind.card.id,
            "preset": preset,
            "budget": job.budget,
            "steps": trained.steps,
            "seed": seed,
            "size": trained.method.problem.size,
            "labels": list(trained.method.problem.labels),
            "action_units": list(trained.method.problem.action_units),
            **training_note(context),
        }
        folder = out or zoo_folder()
        path = folder / f"{kind.card.id}.safetensors"
        save_half(path, kept(trained.method), note)
        # what is told is what the written file makes
        fresh = kind(trained.problem, kind.hyper_of(preset))
        load_into(fresh, str(path))
        fresh.to(trained.method.device)
        card = ZooCard(
            method=kind.card.id,
            preset=preset,
            protocol=context.protocol.name,
            protocol_hash=context.protocol.hash,
            training=context.protocol.training_hash,
            data=context.store.fingerprint,
            split=context.split.hash,
            labels=note["labels"],
            action_units=note["action_units"],
            size=note["size"],
            budget=job.budget,
            steps=trained.steps,
            seed=seed,
            code=code_of(kind),
            fesbench=fesbench.__version__,
            device=device_words(resolve_device(device)),
            command=_command(method, protocol, size, preset, job.budget, seed),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            validation=Validation(fresh, trained.training, context).scores(fresh),
        )
    finally:
        context.close()
    text = card.model_dump_json(indent=1) + "\n"
    atomic_write_bytes(folder / f"{kind.card.id}.json", text.encode())
    return card


def _command(method: str, protocol: str, size: int | None, preset: str, budget: str, seed: int) -> str:
    sized = f" --size {size}" if size else ""
    asked = f"--protocol {protocol}{sized} --preset {preset} --budget {budget} --seed {seed}"
    return f"fesbench zoo train {method} {asked}"


def check_storable(method: Method) -> None:
    """Refuse what the zoo does not hold, before it is trained.

    Raises:
        UsageError: nothing is trained step by step, or synthesis needs more than `LIMIT`.
    """
    name = method.card.id
    if all(phase.closed_form for phase in method.phases()):
        raise UsageError(f"'{name}' is fitted in one step or learns nothing; the zoo holds what takes long")
    needed = sum(2 * tensor.numel() for tensor in kept(method).values())
    if needed > LIMIT:
        raise UsageError(
            f"'{name}' needs {needed / 1e6:.1f} MB for synthesis, the zoo has {LIMIT / 1e6:.1f} MB a method; "
            "take a narrower preset, or name what synthesis reads in synthesis_state"
        )


def kept(method: Method) -> dict[str, Tensor]:
    """The tensors that synthesis reads."""
    return {k: v for k, v in method.state_dict().items() if reads(method.synthesis_state, k)}


def save_half(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write tensors in half precision; one that does not fit into its range, and whole numbers, as they are.

    Raises:
        DataError: the disk is full or the folder not writable.
    """
    import torch

    from fesbench.training.checkpoints import save_tensors

    top = torch.finfo(torch.float16).max
    halved = {
        name: t.half() if t.is_floating_point() and (not t.numel() or bool(t.abs().max() <= top)) else t
        for name, t in tensors.items()
    }
    save_tensors(path, halved, note)
