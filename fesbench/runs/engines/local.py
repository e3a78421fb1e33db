"""Run cells on this machine, one after another: each uses every core, and one that fails stops no other."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from fesbench.context.context import RunContext
from fesbench.runs.cell import CellPlan, describe_card, run_cell
from fesbench.errors import FesbenchError
from fesbench.progress import Reporter
from fesbench.records.record import RECORD_NAME, Record, load_record


def run_cells(plans: Sequence[CellPlan], context: RunContext, reporter: Reporter, *, device: str) -> list[Record]:
    """Run every cell; a failed one leaves a record with its error, and the others go on."""
    records = []
    with reporter.stage("cells", total=len(plans)) as stage:
        for number, plan in enumerate(plans):
            stage.update(number, detail=plan.method.card.id)
            try:
                records.append(run_cell(plan, context, reporter, device=device))
            except Exception as error:  # noqa: BLE001 - whatever a method does, the other cells go on
                records.append(_note_failure(plan, context, error))
                reporter.note(f"{plan.method.card.id} failed: {error}", warning=True)
    return records


def _note_failure(plan: CellPlan, context: RunContext, error: Exception) -> Record:
    """Keep what the cell had done, with the error; a crash keeps its traceback too."""
    cell = plan.cell(context)
    folder = context.out / cell.folder
    record = load_record(folder) if (folder / RECORD_NAME).exists() else Record(cell=cell)
    record.card = describe_card(plan.method)
    record.status = "failed"
    mendable = isinstance(error, FesbenchError)
    record.error = str(error) if mendable else "".join(traceback.format_exception(error))
    record.save(folder)
    return record
