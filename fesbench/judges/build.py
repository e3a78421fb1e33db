"""A protocol's trained networks: which images they learn from, where they lie, how good they are.

The expression classifier and the action-unit regressor are trained once per protocol and data fingerprint, on
training subjects alone, before any method and never by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fesbench.errors import UsageError, WeightsError
from fesbench.extractors.registry import REGRESSOR
from fesbench.files import writing
from fesbench.judges import training
from fesbench.judges.action_units import ActionUnitRegressor
from fesbench.judges.expression import Judge, shipped_judge
from fesbench.judges.network import TrainedNetwork
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.training_rows import coded_rows, labelled_rows
from fesbench.vocabulary import ACTION_UNITS

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore

FEWEST_IMAGES = 10
"""A unit that fewer training images show is not learned: its values would be noise."""

REGRESSOR_FILE = f"{REGRESSOR}.safetensors"
NOTHING_CODED = "the training subjects' images code no action units"

T = TypeVar("T", bound=TrainedNetwork[Any])


def build_judge(
    protocol: Protocol, store: AlignedStore, split: Split, folder: Path, reporter: Reporter
) -> tuple[Judge, dict[str, Any]]:
    """The protocol's expression classifier with its accuracy on the real images of the test subjects.

    Shipped for ``avatars``; else trained once per protocol and data fingerprint on training subjects alone
    and kept in ``folder``.

    Raises:
        UsageError: the protocol asks for a shipped judge that the package does not hold.
        DataError: a label of the protocol has no training image, or the folder cannot be written.
    """

    def labelled(subset: str) -> tuple[np.ndarray, np.ndarray]:
        rows = labelled_rows(protocol, store, split, subset)
        names = store.manifest.table["expression"].to_numpy()[rows]
        return store.images[rows], np.array([protocol.labels.index(name) for name in names], dtype=np.int64)

    def train(progress: training.TrainingProgress) -> Judge:
        return training.train_judge(
            *labelled("train"),
            label_names=protocol.labels,
            seed=0,
            validation=labelled("validation"),
            fingerprint=store.fingerprint,
            progress=progress,
        )

    if _ships(protocol, store, split):
        judge, origin = _packaged_judge(protocol), "shipped"
    else:
        _refuse_shipped(protocol, store)
        found = _kept(
            folder / "judge.safetensors",
            Judge,
            store,
            lambda judge: judge.label_names == protocol.labels,
            reporter,
        )
        count = len(labelled_rows(protocol, store, split, "train"))
        what = f"{count} images of training subjects"
        judge = found or _train(folder / "judge.safetensors", Judge, what, train, reporter)
        origin = "trained"
    images, labels = labelled("test")
    accuracy = float((judge.predict(images) == labels).mean())
    card = {
        "origin": origin,
        "signature": judge.signature,
        "weights_sha256": judge.weights_sha256,
        "accuracy_on_real_test_images": accuracy,
        "n": len(images),
        "chance": 1 / len(judge.label_names),
    }
    reporter.note(f"judge ({origin}): {accuracy:.1%} on {len(images)} real images of test subjects")
    return judge, card


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
    shown = (np.nan_to_num(codes) > 0).sum(axis=0) >= FEWEST_IMAGES
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
        split: which subjects train and which are tested.
        folder: where it is kept.
        reporter: shown the progress.

    Returns:
        None and no card where the training subjects' images code too few units.

    Raises:
        DataError: the folder cannot be written.
    """
    rows = coded_rows(store, split, "train")
    units = shown_units(np.asarray(store.manifest.action_units[rows]))
    if not units:
        reporter.note(f"{protocol.name}: {NOTHING_CODED}", warning=True)
        return None, {}
    columns = [ACTION_UNITS.index(unit) for unit in units]

    def coded(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return store.images[chosen], np.asarray(store.manifest.action_units[chosen][:, columns])

    def train(progress: training.TrainingProgress) -> ActionUnitRegressor:
        return training.train_regressor(
            *coded(rows), units=units, seed=0, fingerprint=store.fingerprint, progress=progress
        )

    path = folder / REGRESSOR_FILE
    made = _kept(path, ActionUnitRegressor, store, lambda found: found.facts.units == units, reporter)
    made = made or _train(path, ActionUnitRegressor, f"{len(rows)} images", train, reporter)
    tested = coded_rows(store, split, "test")
    if len(tested):
        made = made.measured_on(*coded(tested))
    return made, _regressor_card(made, reporter)


def _regressor_card(made: ActionUnitRegressor, reporter: Reporter) -> dict[str, Any]:
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


def _ships(protocol: Protocol, store: AlignedStore, split: Split) -> bool:
    """Whether the packaged judge serves: under every version of ``avatars``, unless a split of your own tests
    a subject whom it was trained on.
    """
    from fesbench.data.datasets.avatars import identity_name
    from fesbench.judges.packaged import TRAINING

    if not (protocol.metrics.judge == "shipped" and protocol.id == store.data == "avatars"):
        return False
    return not split.test & {identity_name(number) for number in TRAINING}


def _packaged_judge(protocol: Protocol) -> Judge:
    """The shipped judge.

    Raises:
        UsageError: there is none for the avatars of this version.
    """
    from fesbench.data.avatars import source_sha256

    judge = shipped_judge(protocol.id)
    if judge is None or judge.facts.data_fingerprint != source_sha256():
        raise UsageError(
            "the packaged judge was not made for the avatars of this version; "
            "make it again with 'python -m fesbench.judges.packaged'"
        )
    return judge


def _refuse_shipped(protocol: Protocol, store: AlignedStore) -> None:
    """Refuse a protocol that asks for a judge that is not shipped.

    Raises:
        UsageError: says what to write instead.
    """
    own_data = store.data == protocol.data.set and not protocol.data.stand_ins and protocol.id != "avatars"
    if protocol.metrics.judge == "shipped" and own_data:
        raise UsageError(
            f"protocol {protocol.name} asks for a shipped judge, and only avatars has one; "
            'write judge = "trained" in its [metrics]'
        )


def _kept(
    path: Path, kind: type[T], store: AlignedStore, fits: Callable[[T], bool], reporter: Reporter
) -> T | None:
    """The network that an earlier run trained on this very data; None: train one."""
    if not path.exists():
        return None
    try:
        found = kind.load(path)
    except WeightsError as error:
        reporter.note(f"{error}; it is trained again", warning=True)
        return None
    return found if found.facts.data_fingerprint == store.fingerprint and fits(found) else None


def _train(
    path: Path,
    kind: type[T],
    what: str,
    train: Callable[[training.TrainingProgress], T],
    reporter: Reporter,
) -> T:
    """Train a network on ``what`` (in words) and keep it.

    Raises:
        DataError: the folder cannot be written.
    """
    started = time.monotonic()
    with reporter.stage(f"train the {kind.title} on {what}") as stage:
        made = train(lambda done, total: stage.update(done, total))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        made.save(path)
    reporter.note(f"{kind.title} trained in {time.monotonic() - started:.0f} s")
    return made
