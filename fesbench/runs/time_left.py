"""How long the cells of a run still take, told from those that are done.

Cells that train in steps take about as long as one another under the named budgets, and so do the others; the
two differ tenfold. So one of either kind is run first, and each stands for its kind until more are done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fesbench.records.record import Record


class TimeLeft:
    """An estimate that grows better with each cell that is done.

    Args:
        trains: of each cell, whether it trains in steps.

    Attributes:
        order: in which to run the cells: as given, but with one of the other kind in the second place.
    """

    def __init__(self, trains: Sequence[bool]) -> None:
        self._trains = list(trains)
        self._seconds: dict[int, float] = {}
        self.order = list(range(len(self._trains)))
        other = next((k for k in self.order if self._trains[k] != self._trains[0]), None)
        if other is not None:
            self.order.insert(1, self.order.pop(other))

    def done(self, number: int, record: Record) -> None:
        """Take a cell's record: its stages say how long they took, also in an earlier run."""
        self._seconds[number] = sum(stage.seconds for stage in record.stages.values())

    def seconds(self) -> float:
        """What the cells that are not done take, one after another; infinite as long as nobody knows."""
        total = 0.0
        for kind in (False, True):
            left = sum(k not in self._seconds for k in self.order if self._trains[k] == kind)
            known = [spent for k, spent in self._seconds.items() if self._trains[k] == kind]
            if left:
                total += left * (sum(known) / len(known) if known else math.inf)
        return total
