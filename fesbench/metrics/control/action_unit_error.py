"""AU-error: how far an expression's action units lie from those of the target image.

    AU-error = mean over coded units of |measured level in the output - coded level of the target image|

per request, by the regressor that was trained on the protocol's training subjects. The row ``real`` has such
a
figure too: what the regressor itself gets wrong, below which methods cannot be told apart. An image that the
regressor cannot read counts as level 0 of every unit.
"""

from __future__ import annotations

import numpy as np

from fesbench.metrics.base import Found
from fesbench.metrics.control.action_units import ByRegressor
from fesbench.metrics.inputs import MetricInputs, Rows
from fesbench.vocabulary import ACTION_UNITS


class ActionUnitError(ByRegressor):
    """Mean absolute difference of the output's measured units to the target image's coded ones."""

    name = "AU-error"
    title = "difference to the target image's coded action units"
    direction = "lower"
    needs = frozenset({"action_units"})
    tasks = frozenset({"expression", "intensity", "compound"})
    meanings = ByRegressor.meanings | {"against": "what the error is measured against"}

    def settings(self) -> dict[str, str]:
        """What is compared with what."""
        return {"against": "coded-units", "change": "absolute", "avg": "coded-units", "missing": "0"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Of requests whose target image is coded; the others are counted as not valid."""
        features, made = self.levels(inputs, "generated")
        known = [ACTION_UNITS.index(int(name[2:])) for name in inputs.columns[self.extractor]]
        coded = inputs.action_units.get("target")
        values = np.full(len(rows), np.nan)
        if coded is not None:
            wanted = np.asarray(coded, dtype=np.float64)[rows][:, known]
            some = np.isfinite(wanted).any(axis=1)
            values[some] = np.nanmean(np.abs(made[rows] - wanted)[some], axis=1)
        finite = np.isfinite(values)
        return Found(
            int((finite & features.valid[rows]).sum()),
            values,
            extractor=features.signature,
            reference="truth-action-units",
            reason="" if finite.any() else "no target image of these requests has coded action units",
        )
