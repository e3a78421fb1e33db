"""What the trainings of a runs folder learned, step by step: logged, or scored now from a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fesbench.errors import FesbenchError, RecordError
from fesbench.progress import Reporter
from fesbench.reports.boards import Board, BoardKey, Run, read_runs
from fesbench.reports.learning_curves import LearningCurve, Look, logged_curve
from fesbench.training.checkpoints import CHECKPOINT

_ALIKE = ("protocol", "protocol_hash", "data", "data_fingerprint", "preset", "budget")


def curves_of(folder: Path, reporter: Reporter) -> list[LearningCurve]:
    """The curve of every training below a folder, reference rows left out.

    A row whose weights were loaded from the zoo has the one point of its card; a training of which nothing
    was logged the one of its checkpoint, which is scored here.

    Args:
        folder: of runs, or of one of them.
        reporter: told which record or checkpoint cannot be read, and why.

    Raises:
        RecordError: no record, or nothing that was trained.
    """
    runs, unreadable = read_runs(folder)
    for message in unreadable:
        reporter.note(message, warning=True)
    shown = [run for run in runs if not run.reference]
    found = [curve_of(run, _title(run, shown), folder, reporter) for run in shown]
    curves = [curve for curve in found if curve is not None]
    if not curves:
        raise RecordError(f"nothing below {folder} was trained with validation subjects; nothing is drawn")
    return curves


def _title(run: Run, runs: list[Run]) -> str:
    """The method's title, with all of the cell in which runs of one title differ."""
    cell, others = run.record.cell, [other.record.cell for other in runs if other.title == run.title]

    def differ(name: str) -> bool:
        return len({getattr(other, name) for other in others}) > 1

    parts = [getattr(cell, name) for name in ("protocol", "preset", "budget") if differ(name)]
    parts += [f"seed {cell.seed}"] if differ("seed") else []
    return ", ".join([run.title, *parts])


def curve_of(run: Run, title: str, folder: Path, reporter: Reporter) -> LearningCurve | None:
    """The curve of one run, see `curves_of`; None where nothing was trained or nobody validates.

    Args:
        run: with its record.
        title: of the curve.
        folder: of runs, in which a checkpoint's context is opened.
        reporter: told why a checkpoint cannot be scored.
    """
    logged = logged_curve(run, title)
    if logged is not None:
        return logged
    card = run.record.loaded.get("zoo")
    if card and card["validation"]:
        return LearningCurve(title, (Look(sum(card["steps"].values()), card["validation"]),), "zoo")
    if run.record.loaded or not (run.folder / CHECKPOINT).is_file():
        return None
    try:
        scores = score_checkpoint(run, folder, reporter)
    except RecordError as error:
        reporter.note(f"{title}: {error}", warning=True)
        return None
    steps = sum(run.record.steps.values())
    return LearningCurve(title, (Look(steps, scores),), "checkpoint") if scores else None


def score_checkpoint(run: Run, folder: Path, reporter: Reporter) -> dict[str, float]:
    """The scores of a training's checkpoint on the validation subjects.

    Args:
        run: with a checkpoint.
        folder: of runs, in which its context is opened.
        reporter: shown the progress.

    Raises:
        RecordError: the rules, the data or the method of the run are not those that are here.
    """
    from fesbench.methods.registry import load_method
    from fesbench.protocol.training_rows import problem_of
    from fesbench.runs.cell import training_set
    from fesbench.runs.job import shared_job
    from fesbench.runs.validation import FEW, Validation
    from fesbench.training.checkpoints import load_checkpoint

    cell = run.record.cell
    board = Board(BoardKey(**{name: getattr(cell, name) for name in _ALIKE}))
    try:
        kind, (rules, reason) = load_method(cell.method), board.protocol
        if rules is None:
            raise RecordError(reason)
        name, changes = board.key.rules
        job = shared_job(
            name, budget=cell.budget, size=rules.data.size, data=changes.get("data"), out=folder, device="cpu"
        )
        context = replace(job, store=cell.data_fingerprint).open_context(reporter)
        try:
            problem = problem_of(context.protocol, context.store, context.split, cell.seed)
            method = kind(problem, kind.hyper_of(cell.preset))
            load_checkpoint(method, run.folder / CHECKPOINT)
            training = training_set(context, problem, cell.seed)
            return Validation(method, training, context, FEW).scores(method)
        finally:
            context.close()
    except FesbenchError as error:
        raise RecordError(f"its checkpoint cannot be scored here: {error}") from None
