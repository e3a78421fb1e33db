"""Control over action units: does the unit that was asked for follow the level, and do the others stay?

Levels are measured by a regressor that was trained on the protocol's training subjects (extractor
``au-regressor``). It never saw one unit by itself, so no score of it reaches 1 even on perfect images:
compare methods by it, and do not read it as a percentage. Avatars that really show one unit at four levels
(20 test subjects at 64 px, nine units) get: correlation 0.52, monotonicity 0.74, tau 0.78, leakage 0.04; AU17
alone is not seen at all (tau -0.18), for training subjects raise the chin in whole expressions only. Scores
on the task ``action-unit``:

- ``AU-correlation``: for each requested unit Pearson's r, over its requests, between the requested level and
  the measured one minus the source's (so that the regressor's bias on a face cancels); then the mean over
  units. A measured level that never changes has r = 0.
- ``AU-monotonicity``: share of (source, unit) whose measured levels rise strictly from each requested level
  to the next.
- ``AU-tau``: Kendall's tau-a of (source, unit): concordant minus discordant pairs of levels over all pairs, a
  tie counting 0; the mean over them.
- ``AU-leakage``: mean over the other units of |level in the output - level in the source|.

An image that the regressor cannot read counts as level 0 of every unit.

Sources: Pumarola et al., *GANimation*, ECCV 2018, section 5 (one unit at several levels); Kendall,
*A new measure of rank correlation*, Biometrika 30, 1938.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from fesbench.errors import DataError
from fesbench.metrics.base import Found, Metric, cut_to
from fesbench.metrics.inputs import FeatureSet, Floats, MetricInputs, Rows, Which
from fesbench.statistics.intervals import jackknife

REGRESSOR = "au-regressor"


class ByRegressor(Metric):
    """What the metrics have in common: one extractor, and requests that need a measurable unit."""

    extractor = REGRESSOR
    source = "fesbench; one unit at several levels as in GANimation (ECCV 2018), section 5"
    tasks = frozenset({"action-unit"})
    portable = True
    meanings = {"change": "change that is measured"}

    def levels(self, inputs: MetricInputs, which: Which) -> tuple[FeatureSet, Floats]:
        """The regressor's features of a set of images and float64 (N, units), 0 where not read.

        Raises:
            DataError: the evidence does not name as many units as there are columns.
        """
        found = inputs.feature_set(self.extractor, which)
        names = inputs.columns.get(self.extractor, ())
        if len(names) != found.values.shape[1]:
            raise DataError(
                f"regressor '{self.extractor}' gives {found.values.shape[1]} values for {len(names)} "
                "units; name its columns in the evidence"
            )
        return found, np.where(found.valid[:, None], found.values, 0.0).astype(np.float64)

    def asked(self, inputs: MetricInputs, rows: Rows) -> npt.NDArray[np.int64]:
        """The column of each row's requested unit; -1 where none is asked for or the regressor has none."""
        names = inputs.columns.get(self.extractor, ())
        if "action_unit" not in inputs.requests:
            return np.full(len(rows), -1, dtype=np.int64)
        index = {name: column for column, name in enumerate(names)}
        units = inputs.requests["action_unit"].to_numpy()[rows]
        return np.array([index.get(f"AU{unit}", -1) for unit in units], dtype=np.int64)

    def refused(self, inputs: MetricInputs, rows: Rows, columns: npt.NDArray[np.int64]) -> str:
        """Why requests cannot be measured, "" where they can."""
        if not len(rows):
            return "no request has a value"
        if (columns >= 0).all():
            return ""
        if "action_unit" not in inputs.requests:
            return "no action unit is asked for"
        lacking = np.unique(inputs.requests["action_unit"].to_numpy()[rows[columns < 0]])
        named = ", ".join(f"AU{unit}" for unit in lacking if unit > 0)
        return f"the training data does not show {named}" if named else "no action unit is asked for"


class ActionUnitCorrelation(ByRegressor):
    """Mean over units of the correlation between requested and measured level."""

    name = "AU-correlation"
    title = "correlation of requested and measured action-unit level"
    low = -1.0
    needs = frozenset({"source"})
    per_sample = False
    meanings = ByRegressor.meanings | {"constant": "a constant series counts as", "corr": "correlation"}

    def settings(self) -> dict[str, str]:
        """Kind of correlation and of average."""
        return {"corr": "pearson", "change": "from-source", "avg": "units", "constant": "0", "missing": "0"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """The score, with a delete-one-identity interval."""
        (features, levels), (_, before) = (self.levels(inputs, which) for which in ("generated", "source"))
        columns = self.asked(inputs, rows)
        found = Found(int(features.valid[rows].sum()), extractor=features.signature)
        found.reason = self.refused(inputs, rows, columns)
        if found.reason:
            return found
        wanted = inputs.requests["intensity"].to_numpy(dtype=np.float64)[rows]
        if any(np.ptp(wanted[columns == column]) == 0 for column in np.unique(columns)):
            found.reason = "a correlation needs a unit to be asked for at two levels or more"
            return found
        measured = levels[rows, columns] - before[rows, columns]
        interval = jackknife(
            lambda kept: mean_correlation(wanted[kept], measured[kept], columns[kept]),
            inputs.clusters[rows],
        )
        found.interval = cut_to(interval, -1.0, 1.0)
        return found


class _Series(ByRegressor):
    """A value for each series of levels of one unit from one source, told at every request of the series."""

    @abstractmethod
    def of_series(self, wanted: Floats, measured: Floats) -> float:
        """The value of one series: requested levels, ascending and different, and the measured ones."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The range of the score."""
        return self.low, self.high

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Their series' value; a series of one level has none."""
        features, levels = self.levels(inputs, "generated")
        columns = self.asked(inputs, rows)
        values = np.full(len(rows), np.nan)
        found = Found(int(features.valid[rows].sum()), values, extractor=features.signature)
        found.reason = self.refused(inputs, rows, columns)
        if found.reason:
            return found
        table = inputs.requests.iloc[rows]
        wanted, measured = table["intensity"].to_numpy(dtype=np.float64), levels[rows, columns]
        keys = [key for key in ("identity", "domain", "take", "source") if key in table]
        series = table[[*keys, "action_unit"]].groupby([*keys, "action_unit"], sort=False).indices
        for places in series.values():
            order = places[np.argsort(wanted[places], kind="stable")]
            if len(np.unique(wanted[order])) < len(order):
                raise DataError(f"{self.name}: a level of a unit is asked for twice from one source")
            if len(order) > 1:
                values[order] = self.of_series(wanted[order], measured[order])
        if not np.isfinite(values).any():
            found.reason = "no unit is asked for at two levels or more"
        return found


class ActionUnitMonotonicity(_Series):
    """Share of series whose measured levels rise at every step."""

    name = "AU-monotonicity"
    title = "share of action units that rise with the requested level"
    unit = "fraction"
    meanings = {"rise": "what counts as rising"}

    def settings(self) -> dict[str, str]:
        """What counts as rising."""
        return {"rise": "strict", "avg": "series", "missing": "0"}

    def of_series(self, wanted: Floats, measured: Floats) -> float:
        """1 where every step goes up, else 0."""
        return float((np.diff(measured) > 0).all())


class ActionUnitTau(_Series):
    """Mean over series of Kendall's tau-a between requested and measured level."""

    name = "AU-tau"
    title = "rank correlation of requested and measured level"
    low = -1.0
    meanings = {"tau": "form of the rank correlation"}

    def settings(self) -> dict[str, str]:
        """The form of tau."""
        return {"tau": "a", "avg": "series", "missing": "0"}

    def of_series(self, wanted: Floats, measured: Floats) -> float:
        """Concordant minus discordant pairs over all pairs."""
        first, second = np.triu_indices(len(measured), k=1)
        return float(np.sign(measured[second] - measured[first]).mean())


class ActionUnitLeakage(ByRegressor):
    """Mean change of the units that were not asked for, against the source."""

    name = "AU-leakage"
    title = "change of action units that were not asked for"
    direction = "lower"
    needs = frozenset({"source"})

    def settings(self) -> dict[str, str]:
        """What is compared with what."""
        return {"change": "absolute", "avg": "other-units", "missing": "0"}

    def find(self, inputs: MetricInputs, rows: Rows) -> Found:
        """Mean over the other units, a request."""
        (features, made), (_, before) = (self.levels(inputs, which) for which in ("generated", "source"))
        columns = self.asked(inputs, rows)
        values = np.full(len(rows), np.nan)
        found = Found(int(features.valid[rows].sum()), values, extractor=features.signature)
        found.reason = self.refused(inputs, rows, columns)
        if not found.reason and made.shape[1] < 2:
            found.reason = "the regressor knows one unit alone, so nothing can leak"
        if not found.reason:
            change = np.abs(made[rows] - before[rows])
            own = change[np.arange(len(rows)), columns]
            values[:] = (change.sum(axis=1) - own) / (change.shape[1] - 1)
        return found


def mean_correlation(wanted: Floats, measured: Floats, groups: npt.NDArray[np.int64]) -> float:
    """Mean over groups of Pearson's r within each; 0 for a group in which either side does not vary.

    >>> wanted, measured = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.2, 0.6, 0.5, 0.5])
    >>> mean_correlation(wanted, measured, groups=np.array([1, 1, 2, 2]))
    0.5
    """
    found = []
    for group in np.unique(groups):
        x, y = wanted[groups == group], measured[groups == group]
        x, y = x - x.mean(), y - y.mean()
        size = float(np.sqrt((x @ x) * (y @ y)))
        # Rounding leaves a constant with a spread of some 1e-17.
        flat = size <= 1e-12 * max(1.0, float(np.abs(measured).max(initial=0.0))) * len(x)
        found.append(0.0 if flat else float(np.clip(x @ y / size, -1.0, 1.0)))
    return float(np.mean(found))
