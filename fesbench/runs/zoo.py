"""The zoo: weights that fesbench itself trained, one file a method, loaded where they fit what a run asks.

Beside each ``METHOD.safetensors`` (half precision; what synthesis needs and no more) lies ``METHOD.json``: on
what, how long and where it was trained, and what it scored on the validation subjects. A file serves a cell
only if what training saw of the protocol (`Protocol.training_hash`: not what is asked or measured, so that a
later version of a protocol keeps its zoo), data, split, preset, seed and the method's own source are those of
its card; then its row is ``METHOD@zoo``, never mixed with a training. `fesbench.runs.zoo_training` makes the
files.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fesbench.errors import RecordError, UsageError
from fesbench.records.environment import resolve_device

if TYPE_CHECKING:
    from fesbench.context.context import RunContext
    from fesbench.methods.base import Method
    from fesbench.progress import Reporter
    from fesbench.runs.job import Job

Train = Literal["never", "auto", "always"]
TRAIN: tuple[Train, ...] = ("never", "auto", "always")
QUICK = "smoke"
"""The budget whose trainings a zoo file may stand in for; longer ones are asked for on purpose."""


class ZooCard(BaseModel):
    """What is known of one file of the zoo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    preset: str
    protocol: str
    """Under which it was trained, with every override, such as ``avatars@1+size=64``."""
    protocol_hash: str
    training: str
    """What training saw of the protocol: see `Protocol.training_hash`."""
    data: str
    """Fingerprint of the data."""
    split: str
    labels: tuple[str, ...]
    action_units: tuple[int, ...]
    size: int
    budget: str
    steps: dict[str, int]
    seed: int
    code: str
    """Of the method's own file: see `code_of`."""
    fesbench: str
    device: str
    command: str
    sha256: str
    validation: dict[str, float] = Field(default_factory=dict)
    """Scores on the validation subjects, with the number of their images."""

    @property
    def words(self) -> str:
        """How it was trained, for a reader."""
        steps = " + ".join(f"{count:,}" for count in self.steps.values())
        return f"budget {self.budget}, {steps} steps, seed {self.seed}, on {self.device}"


def zoo_folder() -> Path:
    """The folder of the zoo; it may not be there."""
    return Path(str(files("fesbench.baselines"))) / "zoo"


def weights_file(method: str) -> Path:
    """The file of a method, there or not."""
    return zoo_folder() / f"{method}.safetensors"


def zoo_cards() -> dict[str, ZooCard]:
    """Every card by method.

    Raises:
        RecordError: a card that cannot be read.
    """
    folder = zoo_folder()
    found = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            found[path.stem] = ZooCard.model_validate_json(path.read_bytes())
        except ValidationError as error:
            told = error.errors()[0]
            where = ".".join(str(part) for part in told["loc"])
            raise RecordError(
                f"{path}: '{where}': {told['msg']}; make it anew with 'fesbench zoo train'"
            ) from None
    return found


def code_of(method: type[Method]) -> str:
    """Hash of the lines of a method's own file, without comments, docstrings, budget notes and empty ones.

    Who changes a method wants it trained: weights of before would be scored under the name of the new code.
    """
    import inspect

    source = Path(inspect.getfile(method)).read_text(encoding="utf-8")
    told: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            told |= _lines(node.body[0])
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "budget_notes":
            told |= _lines(node)
    lines = [line.strip() for number, line in enumerate(source.splitlines(), 1) if number not in told]
    kept = "\n".join(line for line in lines if line and not line.startswith("#"))
    return hashlib.sha256(kept.encode()).hexdigest()[:16]


def _lines(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or 0) + 1))


def mismatch(card: ZooCard, job: Job, context: RunContext) -> str:
    """Why a file of the zoo does not fit a cell, in words; "" where it does."""
    asked: dict[str, tuple[Any, Any]] = {
        "preset": (card.preset, job.preset),
        "seed": (card.seed, job.seed),
        "training rule of the protocol": (card.training, context.protocol.training_hash),
        "data": (card.data, context.store.fingerprint),
        "split": (card.split, context.split.hash),
        "code of the method": (card.code, code_of(job.method_class())),
    }
    for what, (theirs, mine) in asked.items():
        if theirs != mine:
            named = f" ({theirs}, not {mine})" if what in ("preset", "seed") else ""
            return f"its zoo file is of another {what}{named}"
    return ""


def settle(jobs: Sequence[Job], context: RunContext, reporter: Reporter) -> list[Job]:
    """The jobs, those that the zoo answers with its weights to load.

    ``always`` trains. ``auto`` takes a file that fits, on a CPU, under budget ``smoke`` or the file's own.
    ``never`` takes it on any device and under any budget; a cell that must train then fails and says why.

    Args:
        jobs: of one context, with seeds of one command.
        context: opened.
        reporter: told which rows are loaded, and which file of the right protocol or training does not fit.
    """
    from fesbench.context.folded import FoldedContext

    if all(job.train == "always" for job in jobs) or isinstance(context, FoldedContext):
        return list(jobs)
    cards = zoo_cards()
    seeds: dict[str, set[int]] = {}
    for job in jobs:
        seeds.setdefault(job.method, set()).add(job.seed)
    found = []
    for job in jobs:
        card = cards.get(job.method)
        if card is None or job.weights or job.train == "always" or not _wanted(job, card):
            found.append(job)
            continue
        reason = mismatch(card, job, context)
        if not reason and len(seeds[job.method]) > 1:
            reason = "its zoo file has one seed"  # a row's seeds must be trained alike
        if reason:
            known = card.protocol == context.protocol.name or card.training == context.protocol.training_hash
            if known and card.preset == job.preset:
                reporter.note(f"{job.method}: {reason}; it is not loaded", warning=True)
            found.append(job)
            continue
        checked_weights(card)
        reporter.note(f"{job.method}: loaded from the zoo ({card.words}); --train always trains it")
        found.append(replace(job, weights=str(weights_file(job.method)), zoo=True))
    return found


def _wanted(job: Job, card: ZooCard) -> bool:
    if job.train == "never":
        return True
    return resolve_device(job.device) == "cpu" and job.budget in (QUICK, card.budget)


def checked_weights(card: ZooCard) -> Path:
    """The file of a card.

    Raises:
        RecordError: it is missing, or not the one that the card speaks of.
    """
    path = weights_file(card.method)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != card.sha256:
        raise RecordError(
            f"{path} is missing or not the file of its card; install fesbench again, or make it anew with "
            f"'fesbench zoo train {card.method}'"
        )
    return path


def refuse_training(job: Job) -> None:
    """Stop a cell that would have to train under ``--train never``.

    Raises:
        UsageError: always.
    """
    held = zoo_cards().get(job.method)
    why = "the zoo has no file of it"
    if held is not None:
        asked = f"{held.protocol}, preset {held.preset}, seed {held.seed}"
        why = f"the zoo's file is for {asked}, its own data, split and code, which are not those of this run"
    raise UsageError(f"--train never, and {why}; give --weights, or leave out --train")
