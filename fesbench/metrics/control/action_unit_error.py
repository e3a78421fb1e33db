"""AU-error: how far an expression's action units lie from those of the target image.

    AU-error = mean over coded units of |measured level in the output - coded level of the target image|

per request, by the regressor that was trained on the protocol's training subjects. The row ``real`` has such
a
figure too: what the regressor itself gets wrong, below which methods cannot be told apart. An image that the
regressor cannot read counts as level 0 of every unit.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Measurement, mean_measurement, refusal
from fesbench.metrics.control.action_units import ByRegressor, unit_card
from fesbench.metrics.inputs import MetricInputs, Rows, checked_rows
from fesbench.vocabulary import ACTION_UNITS

TASKS = frozenset({"expression", "intensity", "compound"})


class ActionUnitError(ByRegressor):
    """Mean absolute difference of the output's measured units to the target image's coded ones."""

    def __init__(self) -> None:
        self.card = unit_card(
            "AU-error",
            "difference to the target image's coded action units",
            direction="lower",
            needs=frozenset({"action_units"}),
            per_sample=True,
            tasks=TASKS,
        )

    def settings(self) -> dict[str, str]:
        """What is compared with what."""
        return {"against": "coded-units", "change": "absolute", "avg": "coded-units", "missing": "0"}

    def measure(self, inputs: MetricInputs, rows: Rows) -> Measurement:
        """Mean over requests whose target image is coded; the others are counted as not valid."""
        rows = checked_rows(inputs, rows)
        found, made = self.levels(inputs, "generated")
        known = [ACTION_UNITS.index(int(name[2:])) for name in inputs.columns[self.card.extractor]]
        coded = inputs.action_units.get("truth")
        values = np.full(len(rows), np.nan)
        if coded is not None:
            true = np.asarray(coded, dtype=np.float64)[rows][:, known]
            some = np.isfinite(true).any(axis=1)
            values[some] = np.nanmean(np.abs(made[rows] - true)[some], axis=1)
        n_valid = int((np.isfinite(values) & found.valid[rows]).sum())
        signature = self.signature(
            inputs, n_valid, len(rows), extractor=found.signature, reference="truth-action-units"
        )
        if not np.isfinite(values).any():
            reason = "no target image of these requests has coded action units"
            return refusal(self, values, rows, n_valid, signature, reason)
        return mean_measurement(self, inputs, rows, values, n_valid=n_valid, signature=signature)
