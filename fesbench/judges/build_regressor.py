"""The protocol's action-unit regressor: which images it learns from, where it lies, how good it is.

Trained once per protocol and data fingerprint, on training subjects alone, and kept beside the judge.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import WeightsError
from fesbench.extractors.registry import REGRESSOR
from fesbench.files import writing
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.training_rows import coded_rows
from fesbench.vocabulary import ACTION_UNITS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.judges.action_units import ActionUnitRegressor

LEAST_PICTURES = 10
"""A unit that fewer training images show is not learned: its figure would be noise."""

FILE = f"{REGRESSOR}.safetensors"
NOTHING_CODED = "the training subjects's images code no action units"


def regressor_wanted(protocol: Protocol, requests: pd.DataFrame) -> bool:
    """Whether a metric of the protocol measures action units in a task that is asked for."""
    from fesbench.metrics.selection import metrics_of, protocol_metrics

    metrics = protocol_metrics(protocol)
    return any(
        metrics[name].card.extractor == REGRESSOR
        for task in requests["task"].unique()
        for name in metrics_of(str(task), metrics)
    )


def shown_units(codes: np.ndarray) -> tuple[int, ...]:
    """The units that enough images show: codes float (N, len(ACTION_UNITS)) -> FACS numbers."""
    shown = (np.nan_to_num(codes) > 0).sum(axis=0) >= LEAST_PICTURES
    varied = np.nan_to_num(codes, nan=-np.inf).max(axis=0, initial=-np.inf) > np.nan_to_num(
        codes, nan=np.inf
    ).min(axis=0, initial=np.inf)
    return tuple(unit for unit, some in zip(ACTION_UNITS, shown & varied, strict=True) if some)


def build_regressor(
    protocol: Protocol, store: AlignedStore, split: Split, folder: Path, reporter: Reporter
) -> tuple[ActionUnitRegressor | None, dict[str, Any]]:
    """The regressor of a protocol with its correlations on real images of the test subjects.

    Args:
        protocol: for the name in messages.
        store: holds the images and their codes.
        split: who trains and who is tested.
        folder: where it is kept.
        reporter: shown the progress.

    Returns:
        None and no card where the training subjects's images code too few units.

    Raises:
        DataError: the folder cannot be written.
    """
    from fesbench.judges.regressor_training import train_regressor

    rows = coded_rows(store, split, "train")
    units = shown_units(np.asarray(store.manifest.action_units[rows]))
    if not units:
        reporter.note(f"{protocol.name}: {NOTHING_CODED}", warning=True)
        return None, {}
    columns = [ACTION_UNITS.index(unit) for unit in units]
    path = folder / FILE
    made = _ready(path, units, store, reporter)
    if made is None:
        started = time.monotonic()
        with reporter.stage(f"train the action-unit regressor on {len(rows)} images") as stage:
            made = train_regressor(
                store.images[rows],
                np.asarray(store.manifest.action_units[rows][:, columns]),
                units=units,
                seed=0,
                fingerprint=store.fingerprint,
                progress=lambda done, total: stage.update(done, total),
            )
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            made.save(path)
        reporter.note(f"action-unit regressor trained in {time.monotonic() - started:.0f} s")
    tested = coded_rows(store, split, "test")
    if len(tested):
        made = made.measured_on(
            store.images[tested], np.asarray(store.manifest.action_units[tested][:, columns])
        )
    return made, _card(made, reporter)


def _card(made: ActionUnitRegressor, reporter: Reporter) -> dict[str, Any]:
    """What a record keeps of it."""
    mean = made.mean_correlation
    each = zip(made.classes, made.facts.correlations, strict=False)
    if mean is not None:
        reporter.note(
            f"action-unit regressor: mean correlation {mean:.2f} over {len(made.classes)} units on "
            f"{made.facts.held_out} real images of test subjects"
        )
    return {
        "signature": made.signature,
        "weights_sha256": made.weights_sha256,
        "mean_correlation_on_real_test_images": mean,
        "correlations_on_real_test_images": dict(each),
        "n": made.facts.held_out,
        "trained_on": made.facts.trained_on,
    }


def _ready(
    path: Path, units: tuple[int, ...], store: AlignedStore, reporter: Reporter
) -> ActionUnitRegressor | None:
    """The one that an earlier run trained on this very data; None: train one."""
    from fesbench.judges.action_units import ActionUnitRegressor

    if not path.exists():
        return None
    try:
        found = ActionUnitRegressor.load(path)
    except WeightsError as error:
        reporter.note(f"{error}; it is trained again", warning=True)
        return None
    fits = found.facts.data_fingerprint == store.fingerprint and found.facts.units == units
    return found if fits else None
