"""What a reader must know before reading a leaderboard, said first and plainly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fesbench.statistics.intervals import FEW_CLUSTERS

from .boards import Board, Run
from .ranking import above_real
from .table_model import Table
from .tables import shipped_words

REFERENCE_ROWS = ("real", "copy", "mean-shift", "warp")


MANY_LOST = 0.1
"""Share of images without a detectable face from which a reader is told above the table."""


@dataclass(frozen=True)
class Note:
    """One sentence; ``alert`` ones question a score, the others limit what it means."""

    head: str
    text: str
    alert: bool = False


def notes(board: Board, tables: Sequence[Table], unreadable: list[str]) -> list[Note]:
    """All notes of a board, alerts first; of its tables the headline's is the first."""
    found = [*_rows(tables[0]), *_above_real(tables), *_records(board), *_shipped(board), *_size(board)]
    present = set(board.methods)
    absent = [name for name in REFERENCE_ROWS if name not in present]
    if absent:
        command = f"--methods {','.join(absent)}"
        text = f"{', '.join(absent)}: without them the scale has no frame; run them with {command}."
        found.append(Note("Reference rows missing", text, alert=True))
    found += [Note("Unreadable record", text, alert=True) for text in unreadable]
    return sorted(found, key=lambda note: not note.alert)


def _shipped(board: Board) -> list[Note]:
    """Which rows came with fesbench, by where they were made."""
    rows: dict[str, list[str]] = {}
    for run in board.runs:
        if run.shipped:
            rows.setdefault(shipped_words(run), []).append(run.title)
    return [Note("Reference results", f"{', '.join(titles)}: {words}.") for words, titles in rows.items()]


def _rows(table: Table) -> list[Note]:
    heads = {
        "suspicious": "Suspicious",
        "judge-only": "Judge-only",
        "collapsed": "Collapsed",
        "failed": "Failed",
        "unfinished": "Unfinished",
    }
    found = [
        Note(f"{heads[word]}: {row.title}", f"{text[0].upper()}{text[1:].rstrip('.')}.", alert=True)
        for word in heads
        for row in table.rows
        for kind, text in row.marks
        if kind == word
    ]
    for row in table.rows:
        odd = [f"{m} ({c.reason})" for m, c in row.cells.items() if c.reason.startswith("not comparable")]
        if odd:
            found.append(
                Note(
                    f"Not comparable: {row.title}",
                    f"{'; '.join(odd)}. Not shown beside the others.",
                    alert=True,
                )
            )
    return found


def _above_real(tables: Sequence[Table]) -> list[Note]:
    """One note a table in which rows lie above the real images by more than the judges' own error."""
    found = []
    for table in tables:
        rows = above_real(table)
        if rows:
            told = [f"{row.title} by {100 * more:.1f} (error {100 * error:.1f})" for row, more, error in rows]
            text = (
                "Points of ECS above the real images by more than the judges' own error, significant or not: "
                f"{', '.join(told)}. Here the judges know real images less well than these."
            )
            found.append(Note(f"Above the real images: {table.task}, {table.domain}", text, alert=True))
    return found


def _unseen(board: Board) -> float:
    """The share of the real images in which the detector finds no face."""
    counts = [run.record.counts for run in board.methods.get("real", [])]
    return max((c.get("faces_not_found", 0) / _looked_at(c) for c in counts if _looked_at(c)), default=0.0)


def _looked_at(counts: Mapping[str, int]) -> int:
    """In how many images, or frames of clips, a face was looked for."""
    return counts.get("frames", counts.get("images", 0))


def _records(board: Board) -> list[Note]:
    found = []
    unseen = _unseen(board)
    for runs in board.methods.values():
        run = runs[0]
        if handed := run.record.submitted:
            differing = f" {handed['differs']} scores differ from those that were reported." * bool(
                handed["differs"]
            )
            text = f"Handed in by others, who say that it was trained on: {handed['trained_on']}.{differing}"
            found.append(Note(f"Submitted row: {run.title}", text, alert=bool(handed["differs"])))
        elif run.external:
            text = f"Images made elsewhere; what it was trained on is {run.record.trained_on}."
            found.append(Note(f"External row: {run.title}", text))
        elif run.record.trained_on != "fesbench":
            text = f"Its weights were loaded; what they were trained on is {run.record.trained_on}."
            found.append(Note(f"Loaded weights: {run.title}", text))
        if zoo := run.record.loaded.get("zoo"):
            text = f"Loaded, not trained in this run: fesbench trained it before ({zoo['words']})."
            found.append(Note(f"From the zoo: {run.title}", text))
        if told := str(run.record.card.get("preset_note") or ""):
            found.append(
                Note(f"{run.title}, preset {run.record.cell.preset}", f"{told[0].upper()}{told[1:]}.")
            )
        if form := str(run.record.card.get("native") or ""):
            text = f"It works on {form}: images are resized to that and back, and what is finer is lost."
            found.append(Note(f"Own form: {run.title}", text))
        if (told := str(run.record.card.get("budget_note") or "")) and not run.record.loaded:
            text = f"{told[0].upper()}{told[1:]}."
            found.append(Note(f"{run.title}, budget {run.record.cell.budget}", text, alert=True))
        if run.record.ramped:
            text = (
                "It makes images: every frame of its clips is one, asked for at the mean intensity that the "
                "label's training clips have at that time."
            )
            found.append(Note(f"Ramped: {run.title}", text))
        if run.record.saw_unlabelled_test_domain:
            found.append(
                Note(
                    f"Saw the test domain: {run.title}", "It was given unlabelled images of the test styles."
                )
            )
        if any(r.record.status == "scored" and r.record.scores and r.samples is None for r in runs):
            text = "samples.parquet is missing, so it is ranked by intervals alone and shown in no image."
            found.append(Note(f"No values per image: {run.title}", text, alert=True))
        alike = _identical(run)
        if alike:
            found.append(
                Note(
                    f"Identical images: {run.title}",
                    f"{alike} images equal another one under a different request.",
                    alert=not run.reference,
                )
            )
        lost, images = run.record.counts.get("faces_not_found", 0), _looked_at(run.record.counts)
        # where the detector misses the real faces too (28 pixels, drawings), it says nothing of this row
        if images and lost / images > MANY_LOST + unseen:
            what = "frames" if "frames" in run.record.counts else "images"
            text = f"A face detector finds no face in {lost} of its {images} {what}."
            found.append(Note(f"Faces lost: {run.title}", text, alert=True))
    return found


def _identical(run: Run) -> int:
    # `copy` answers every expression with the same source, as it must.
    if run.reference:
        return 0
    return run.record.counts.get("identical", 0)


def _size(board: Board) -> list[Note]:
    found = []
    subjects = board.subjects(*board.headline)
    if 0 < subjects < FEW_CLUSTERS:
        text = (
            f"The scores are of {subjects} test subject{'s' * (subjects > 1)}: anecdotes. Nothing is "
            "ranked; a protocol of folds (5fold, loso) tests every subject."
        )
        found.append(Note("Few subjects", text, alert=True))
    if board.key.budget == "smoke":
        text = "About a minute of training a method: it shows that all works; the scores are not for papers."
        if any(run.record.loaded.get("zoo") for run in board.runs):
            text += " Rows from the zoo were trained longer than the others."
        found.append(Note("Smoke budget", text))
    elif board.key.budget == "short":
        text = "Minutes of training a method, the published wiring narrowed; the scores are not for papers."
        found.append(Note("Short budget", text))
    elif board.key.budget.startswith("minutes="):
        found.append(
            Note(
                "Budget by the clock",
                "Training length depends on the machine; the scores do not repeat exactly.",
            )
        )
    if board.key.preset == "tiny":
        found.append(
            Note("Preset tiny", "Narrow networks with the published wiring, not the published size.")
        )
    return found
