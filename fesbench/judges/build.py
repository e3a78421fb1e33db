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

from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, REGRESSOR
from fesbench.judges import training
from fesbench.judges.action_units import ActionUnitRegressor
from fesbench.judges.expression import Judge
from fesbench.judges.kept import keep, kept
from fesbench.judges.network import TrainedNetwork
from fesbench.judges.panel import JudgePanel, members_of
from fesbench.judges.shipped import packaged_panel, refuse_shipped, shipped_serve
from fesbench.judges.start import begun, start_for
from fesbench.progress import Reporter, Stage
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
NO_CLIPS = "the training subjects' clips do not show two of the protocol's labels"
OWN_FEATURES = "each fold's clip judges have features of their own"
NOTHING_CODED = "the training subjects' images code no action units"

T = TypeVar("T", bound=TrainedNetwork[Any])


def build_judge(
    protocol: Protocol, store: AlignedStore, split: Split, folder: Path, reporter: Reporter, budget: str
) -> tuple[JudgePanel, dict[str, Any]]:
    """The protocol's judges with their accuracy on the real images of the test subjects.

    Shipped for protocols of avatars (`fesbench.judges.shipped`); else trained once per protocol and data
    fingerprint on training subjects alone, on little data from the shipped ones on (`fesbench.judges.start`),
    and kept in ``folder``.

    Raises:
        UsageError: the protocol asks for a shipped judge that the package does not hold.
        DataError: a label of the protocol has no training image, or the folder cannot be written.
    """

    def labelled(subset: str) -> tuple[np.ndarray, np.ndarray]:
        rows = labelled_rows(protocol, store, split, subset)
        names = store.manifest.table["expression"].to_numpy()[rows]
        return store.images[rows], np.array([protocol.labels.index(name) for name in names], dtype=np.int64)

    members = members_of(budget)
    if shipped_serve(protocol, store, split):
        panel, origin = packaged_panel(members), "shipped"
    else:
        refuse_shipped(protocol, store)
        panel, origin = _trained_panel(protocol, store, labelled, folder, members, reporter), "trained"
    return panel, _judge_card(panel, origin, *labelled("test"), reporter)


def _trained_panel(
    protocol: Protocol,
    store: AlignedStore,
    labelled: Callable[[str], tuple[np.ndarray, np.ndarray]],
    folder: Path,
    members: int,
    reporter: Reporter,
) -> JudgePanel:
    """So many judges with the first seeds; those that an earlier run trained are taken as they are."""
    images, labels = labelled("train")
    start = start_for(store, len(images))
    recipe = begun(training.JUDGE_RECIPE.version, start)
    paths = {seed: folder / f"judge-{seed}.safetensors" for seed in range(members)}
    fits = {seed: _fits(protocol, seed, recipe) for seed in paths}
    judges = {seed: kept(path, Judge, store, fits[seed], reporter) for seed, path in paths.items()}
    missing = [seed for seed, judge in judges.items() if judge is None]
    if missing:
        validation = labelled("validation")
        started = time.monotonic()
        how = "train" if start is None else "fine-tune"
        with reporter.stage(
            f"{how} {len(missing)} judges on {len(images)} images of training subjects"
        ) as stage:
            for number, seed in enumerate(missing):
                made = training.train_judge(
                    images,
                    labels,
                    label_names=protocol.labels,
                    seed=seed,
                    validation=validation,
                    fingerprint=store.fingerprint,
                    progress=_part_of(stage, number, len(missing)),
                    start=start,
                )
                keep(made, paths[seed])
                judges[seed] = made
        reporter.note(f"{len(missing)} judges trained in {time.monotonic() - started:.0f} s")
    return JudgePanel([judge for judge in judges.values() if judge is not None])


def _fits(protocol: Protocol, seed: int, recipe: str) -> Callable[[Judge], bool]:
    def fits(found: Judge) -> bool:
        facts = found.facts
        return (found.label_names, facts.seed, facts.recipe) == (protocol.labels, seed, recipe)

    return fits


def _part_of(stage: Stage, number: int, of: int) -> training.TrainingProgress:
    """Shows one training of several that go on one after another."""
    return lambda done, total: stage.update(
        number * total + done, of * total, detail=f"judge {number + 1} of {of}"
    )


def _judge_card(
    panel: JudgePanel, origin: str, images: np.ndarray, labels: np.ndarray, reporter: Reporter
) -> dict[str, Any]:
    """What a record keeps of the judges: who they are, and how right they are on real images."""
    answers = panel.base.extract(images)[0]
    accuracy = float((panel.derive(answers).argmax(axis=1) == labels).mean())
    each = answers.reshape(len(images), len(panel.members), len(panel.classes)).argmax(axis=2)
    own = (each == labels[:, None]).mean(axis=0)
    reporter.note(
        f"{len(panel.members)} judges ({origin}): {accuracy:.1%} on {len(images)} real images of test "
        f"subjects, each alone {own.min():.1%} to {own.max():.1%}"
    )
    return {
        "origin": origin,
        "signature": panel.signature,
        "judges": str(panel.judges),
        "weights_sha256": panel.digest,
        "accuracy_on_real_test_images": accuracy,
        "n": len(images),
        "chance": 1 / len(panel.label_names),
        "members": [
            {
                "seed": judge.facts.seed,
                "weights_sha256": judge.weights_sha256,
                "accuracy_on_real_test_images": float(right),
            }
            for judge, right in zip(panel.members, own, strict=True)
        ],
    }


def regressor_wanted(protocol: Protocol, requests: pd.DataFrame) -> bool:
    """Whether a metric of the protocol measures action units in a task that is asked for."""
    return bool(_read(protocol, requests) & {REGRESSOR})


def clips_judged(protocol: Protocol, requests: pd.DataFrame) -> bool:
    """Whether a metric of the protocol reads its clip judges in a task that is asked for."""
    return bool(_read(protocol, requests) & {CLIP_JUDGE, CLIP_FEATURES})


def _read(protocol: Protocol, requests: pd.DataFrame) -> set[str]:
    """The extractors that the metrics of the tasks that are asked for read."""
    from fesbench.metrics.selection import metrics_of, protocol_metrics

    metrics = protocol_metrics(protocol)
    tasks = [str(task) for task in requests["task"].unique()]
    return {metrics[name].card.extractor for task in tasks for name in metrics_of(task, metrics)}


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
    made = kept(path, ActionUnitRegressor, store, lambda found: found.facts.units == units, reporter)
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
    keep(made, path)
    reporter.note(f"{kind.title} trained in {time.monotonic() - started:.0f} s")
    return made
