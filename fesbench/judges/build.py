"""The protocol's expression classifier: which images it learns from, where it lies, how good it is.

Trained once per protocol and data fingerprint, on training subjects alone, before any method and never by
one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import UsageError, WeightsError
from fesbench.files import writing
from fesbench.judges.expression import Judge, JudgeFacts, shipped_judge
from fesbench.judges.training import JUDGE_RECIPE, JudgeRecipe, train_judge
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.training_rows import labelled_rows

if TYPE_CHECKING:
    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.judges.expression import Judge


def build_judge(
    protocol: Protocol, store: AlignedStore, split: Split, folder: Path, reporter: Reporter
) -> tuple[Judge, dict[str, Any]]:
    """The protocol's expression classifier with its accuracy on the real images of the test subjects.

    Shipped for ``avatars@1``; else trained once per protocol and data fingerprint on training subjects alone
    and kept in ``folder``.

    Raises:
        UsageError: the protocol asks for a shipped judge that the package does not hold.
        DataError: a label of the protocol has no training image, or the folder cannot be written.
    """
    from fesbench.judges.training import train_judge

    def material(subset: str) -> tuple[np.ndarray, np.ndarray]:
        rows = labelled_rows(protocol, store, split, subset)
        names = store.manifest.table["expression"].to_numpy()[rows]
        return store.images[rows], np.array([protocol.labels.index(name) for name in names], dtype=np.int64)

    path = folder / "judge.safetensors"
    judge, origin = _ready_judge(protocol, store, path, reporter), "shipped"
    if not _ships(protocol, store):
        origin = "trained"
    if judge is None:
        started = time.monotonic()
        images, labels = material("train")
        with reporter.stage(f"train the judge on {len(images)} images of training subjects") as stage:
            judge = train_judge(
                images,
                labels,
                label_names=protocol.labels,
                seed=0,
                validation=material("validation"),
                fingerprint=store.fingerprint,
                progress=lambda done, total: stage.update(done, total),
            )
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            judge.save(path)
        reporter.note(f"judge trained in {time.monotonic() - started:.0f} s")
    images, labels = material("test")
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


def _ships(protocol: Protocol, store: AlignedStore) -> bool:
    """Whether the packaged judge serves: it knows the training subjects of avatars@1, and them alone."""
    return (
        protocol.metrics.judge == "shipped"
        and protocol.id == store.data == "avatars"
        and protocol.version == 1
    )


def _ready_judge(protocol: Protocol, store: AlignedStore, path: Path, reporter: Reporter) -> Judge | None:
    """The shipped judge, or the one that an earlier run trained on this very data; None: train one.

    Raises:
        UsageError: a shipped judge is asked for, and there is none for this protocol or these avatars.
    """
    from fesbench.judges.expression import Judge, shipped_judge

    if _ships(protocol, store):
        from fesbench.data.avatars import source_sha256

        judge = shipped_judge(protocol.id)
        if judge is None or judge.facts.data_fingerprint != source_sha256():
            raise UsageError(
                "the packaged judge was not made for the avatars of this version; "
                "make it again with 'python -m fesbench.judges.packaged'"
            )
        return judge
    if (
        protocol.metrics.judge == "shipped"
        and store.data == protocol.data.set
        and not protocol.data.stand_ins
    ):
        raise UsageError(
            f"protocol {protocol.name} asks for a shipped judge, and only avatars@1 has one; "
            'write judge = "trained" in its [metrics]'
        )
    if not path.exists():
        return None
    try:
        judge = Judge.load(path)
    except WeightsError as error:
        reporter.note(f"{error}; it is trained again", warning=True)
        return None
    fits = judge.facts.data_fingerprint == store.fingerprint and judge.label_names == protocol.labels
    return judge if fits else None


__all__ = ["JUDGE_RECIPE", "Judge", "JudgeFacts", "JudgeRecipe", "shipped_judge", "train_judge"]
