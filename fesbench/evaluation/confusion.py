"""What the judges that look at a task saw: of each image, and counted in confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fesbench.extractors.registry import CLIP_JUDGE, JUDGE
from fesbench.records.confusion import UNREADABLE, ConfusionMatrix
from fesbench.records.samples import seen_column

if TYPE_CHECKING:
    from fesbench.metrics.base import Metric
    from fesbench.metrics.inputs import MetricInputs


def judges_of(names: Sequence[str], metrics: Mapping[str, Metric], reasons: Mapping[str, str]) -> list[str]:
    """The judges whose expression scores are among these metrics and can be computed."""
    found = [metrics[n].card.extractor for n in names if n.startswith("ECS") and n not in reasons]
    return list(dict.fromkeys(found))


def seen_by(inputs: MetricInputs, judges: Sequence[str]) -> dict[str, np.ndarray]:
    """Probabilities by column of the samples: float32 (N,), NaN where a judge could not read the image."""
    from fesbench.metrics.expression.score import classes_of, judged_images

    found: dict[str, np.ndarray] = {}
    for judge in judges:
        judged = judged_images(inputs, judge)
        shares = np.where(judged.valid[:, None], judged.values, np.nan).astype(np.float32)
        found |= {seen_column(judge, name): shares[:, k] for k, name in enumerate(classes_of(inputs, judge))}
    return found


def confusion_matrix(inputs: MetricInputs, judge: str, task: str, domain: str) -> ConfusionMatrix:
    """What a judge saw in the outputs, by what was asked for; requests without an expression are left out.

    The class seen is the single highest one; of a tie the first, as in the samples' ``predicted``.
    """
    from fesbench.metrics.expression.score import classes_of, judged_images

    judged, classes = judged_images(inputs, judge), classes_of(inputs, judge)
    first = inputs.requests["target_expression"].to_numpy()
    second = inputs.requests["second_expression"].to_numpy()
    asked = np.array([f"{a}+{b}" if b else a for a, b in zip(first, second, strict=True)], dtype=object)
    seen = np.where(judged.valid, judged.values.argmax(axis=1), len(classes))
    requested = [name for name in dict.fromkeys(asked) if name]
    counts = [np.bincount(seen[asked == name], minlength=len(classes) + 1).tolist() for name in requested]
    signature = judged.signature
    panel = {JUDGE: inputs.judges, CLIP_JUDGE: inputs.clip_judges}.get(judge)
    if panel is not None:
        signature += f":{panel}"
    return ConfusionMatrix(
        task=task,
        domain=domain,
        judge=judge,
        signature=signature,
        requested=requested,
        seen=[*classes, UNREADABLE],
        counts=counts,
    )
