"""Authors' checkpoints into ours: ``fesbench weights convert``. No code of a file is ever run."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fesbench
from fesbench.errors import DataError, MethodError, UsageError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS, canonical_expression
from fesbench.weights.state_dict import saved_by_torch

if TYPE_CHECKING:
    from torch import Tensor

    from fesbench.methods.base import Method

_WRAPPERS = ("state_dict", "G", "generator", "netG", "net_G", "model")
"""Under which names training scripts keep the generator's tensors among others."""


def convert(
    method: type[Method],
    file: Path,
    out: Path,
    *,
    labels: Sequence[str] = (),
    action_units: Sequence[int] = (),
    size: int | None = None,
    preset: str = "paper",
    trained_on: str = "",
) -> dict[str, Any]:
    """Write an authors' checkpoint by our names of tensors, with a header that says what it was made for.

    Args:
        method: whose network it holds.
        file: as the authors' code saved it; a folder with one folder a label for MR and CycleGAN.
        out: a new ``.safetensors`` file.
        labels: in the order of that training; default: the release's, if it is known. One that is no
            expression keeps its place, and nothing asks for it.
        action_units: FACS numbers, likewise.
        size: side of its images in pixels, if not the release's.
        preset: of the network.
        trained_on: on what, in words.

    Returns:
        the header.

    Raises:
        UsageError: no labels or action units are known, or ``out`` has another ending.
        DataError: the file is no file of tensors.
        MethodError: the tensors are not those of the authors' network, or do not fit the preset and size.
    """
    from fesbench.training.checkpoints import save_tensors

    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: the converted file must be named .safetensors")
    card, release = method.card, vars(method).get("release")  # not that of a method that it derives from
    if release is None:
        raise MethodError(
            f"no weights that the authors of '{card.id}' published are known, so none are converted"
        )
    tensors, found = read_authors(file)
    names = [_spelled(name) for name in labels] or found or list(release.labels)
    units = list(action_units) or list(release.action_units)
    for need, given, option in (("labels", names, "--labels"), ("action_units", units, "--action-units")):
        if need in card.needs and not given:
            raise UsageError(
                f"{file}: for which {need} it was trained, in which order, is not known; say it with {option}"
            )
    converted = method.convert_keys(tensors)
    side = size or release.size
    note = {
        "method": card.id,
        "labels": names,
        "action_units": units,
        "size": side,
        "preset": preset,
        "trained_on": trained_on or release.trained_on or f"by its authors, as {file.name}",
        "converted": {"file": file.name, "sha256": _digest(file), "fesbench": fesbench.__version__},
    }
    problem = Problem(side, tuple(names), tuple(units), seed=0)
    if preset not in method.presets:
        raise UsageError(f"--preset '{preset}' is none of {', '.join(method.presets)}")
    method(problem, method.presets[preset]).import_state(converted, names, units)
    save_tensors(out, converted, note)
    return note


def _spelled(label: str) -> str:
    """The vocabulary's name of an expression; any other name as it is."""
    try:
        return canonical_expression(label)
    except DataError:
        return label.strip()


def _digest(file: Path) -> str:
    parts = sorted(p for p in file.rglob("*") if p.is_file()) if file.is_dir() else [file]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


def read_authors(file: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of an authors' file by their names, and the labels that a folder's names say.

    Wrappers such as ``state_dict`` and the ``module.`` of data-parallel training are taken off.

    Raises:
        UsageError: it does not exist.
        DataError: it is no file of tensors; a pickled object of any class is refused.
    """
    if file.is_dir():
        return _read_folder(file)
    return _read_file(file), []


def _read_file(file: Path) -> dict[str, Tensor]:
    """See `read_authors`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise UsageError(f"{file} does not exist; give the authors' checkpoint")
    try:
        state: Any = load_file(file) if file.suffix == ".safetensors" else saved_by_torch(file)
    except (SafetensorError, RuntimeError, OSError, ValueError, KeyError) as error:
        first = " ".join(str(error).split())[:160]
        raise DataError(
            f"{file} holds more than tensors, or is damaged ({first}); save the network's state_dict() alone "
            "where you trust the file, and convert that"
        ) from None
    state = _unwrapped(state)
    if not state:
        raise DataError(f"{file} holds no tensors by name; save the network's state_dict() and convert that")
    return {re.sub(r"^module\.", "", name): tensor.float() for name, tensor in state.items()}


def _unwrapped(state: Any) -> dict[str, Tensor]:
    """The named tensors in a file, {} where there are none."""
    import torch

    while isinstance(state, Mapping):
        tensors = {str(name): t for name, t in state.items() if isinstance(t, torch.Tensor)}
        if tensors:
            return tensors
        state = next((state[key] for key in _WRAPPERS if key in state), None)
    return {}


def _read_folder(folder: Path) -> tuple[dict[str, Tensor], list[str]]:
    """One folder a label: networks ``*_X.pth`` as ``LABEL.X.<name>``, matrices ``*_N.npz`` as ``LABEL.N``;
    and the labels, ``neutral`` first.
    """
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*/*")):
        key = f"{canonical_expression(path.parent.name)}.{path.stem.rpartition('_')[2]}"
        if path.suffix == ".npz":
            found[key] = _read_matrix(path)
        elif path.suffix in (".pth", ".pt", ".ckpt"):
            found |= {f"{key}.{name}": tensor for name, tensor in _read_file(path).items()}
    if not found:
        raise DataError(f"{folder} holds no LABEL/*.npz or *.pth; give a folder with one folder a label")
    shown = {name.partition(".")[0] for name in found}
    return found, ["neutral", *(label for label in EXPRESSIONS if label in shown)]


def _read_matrix(path: Path) -> Tensor:
    """A sparse matrix of scipy as a CSR tensor."""
    import torch
    from scipy.sparse import load_npz

    try:
        matrix = load_npz(path).tocsr()  # without pickles
    # A damaged zip file, array or index fails in many classes.
    except Exception as error:  # noqa: BLE001
        raise DataError(f"{path} is no sparse matrix of scipy ({error})") from None
    parts = [torch.from_numpy(part.copy()) for part in (matrix.indptr, matrix.indices, matrix.data)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls the layout new
        return torch.sparse_csr_tensor(
            parts[0].long(), parts[1].long(), parts[2], matrix.shape, check_invariants=True
        )
