"""Training a protocol's clip judges, on the clips of training subjects alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from fesbench.data.views import RowsOf
from fesbench.errors import DataError
from fesbench.judges.clips import (
    RECIPE_VERSION,
    STEPS,
    ClipFacts,
    ClipJudge,
    ClipNetwork,
    ClipPanel,
    to_series,
)
from fesbench.judges.kept import keep, kept
from fesbench.judges.training import one_thread
from fesbench.progress import Reporter
from fesbench.protocol.training_rows import labelled_clips
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.extractors.cache import FeatureCache
    from fesbench.judges.expression import Judge
    from fesbench.judges.panel import JudgePanel
    from fesbench.methods.clips import Clip
    from fesbench.protocol.protocol import Protocol

NEUTRAL = "neutral"
FEWEST_CLASSES = 2


@dataclass(frozen=True)
class ClipRecipe:
    """Everything that the training depends on beside data and seed; a change is a new version.

    Attributes:
        version: of the recipe, in the judge's signature.
        steps: optimizer steps.
        batch_size: clips a step.
        learning_rate: the peak of the one-cycle schedule.
        weight_decay: AdamW's.
        noise: deviation of the noise that is added to the inputs, in units of their own.
    """

    version: str = RECIPE_VERSION
    steps: int = 200
    batch_size: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 2e-2
    noise: float = 0.3


CLIP_RECIPE = ClipRecipe()


def train_clip_judge(
    answers: np.ndarray,
    labels: np.ndarray,
    *,
    label_names: Sequence[str],
    frames: str,
    seed: int,
    fingerprint: str = "",
    recipe: ClipRecipe = CLIP_RECIPE,
) -> ClipJudge:
    """Train a clip judge on clips of training subjects.

    Args:
        answers: float (N, T, inputs), probabilities that a judge of images gives to each frame.
        labels: int (N,), indices into label_names.
        label_names: the classes, in the order of the judge's outputs.
        frames: digest of the judge of images.
        seed: of initial weights, order and noise; global random state is left alone.
        fingerprint: of the store, kept in the judge's facts.
        recipe: replaced in tests only.

    Raises:
        DataError: labels that do not fit, or a class without a clip.
    """
    if len(answers) != len(labels):
        raise DataError(
            f"a clip judge is trained on labelled clips; got {len(answers)} and {len(labels)} labels"
        )
    shown = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(label_names))
    if len(label_names) < FEWEST_CLASSES or len(shown) != len(label_names) or not shown.all():
        told = ", ".join(f"{name} {count}" for name, count in zip(label_names, shown.tolist(), strict=False))
        raise DataError(
            f"a clip judge needs clips of two or more classes, and of each of them; it has {told}"
        )
    series, wanted = (
        torch.from_numpy(to_series(answers)),
        torch.from_numpy(np.asarray(labels, dtype=np.int64)),
    )
    generator = torch.Generator().manual_seed(seed)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ClipNetwork(series.shape[1], len(label_names)).train()
        network.mean.copy_(series.mean(dim=(0, 2))[:, None])
        network.deviation.copy_(series.std(dim=(0, 2), correction=0)[:, None] + 1e-3)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=recipe.steps
        )
        for _ in range(recipe.steps):
            rows = torch.randint(len(series), (recipe.batch_size,), generator=generator)
            noise = torch.randn((recipe.batch_size, *series.shape[1:]), generator=generator)
            noisy = series[rows] + recipe.noise * network.deviation * noise
            loss = F.cross_entropy(network(noisy), wanted[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    facts = ClipFacts(
        recipe=recipe.version,
        held_out=0,
        data_fingerprint=fingerprint,
        trained_on=len(series),
        seed=seed,
        classes=tuple(label_names),
        inputs=series.shape[1],
        frames=frames,
    )
    return ClipJudge(network, facts)


def build_clip_judges(
    protocol: Protocol,
    store: AlignedStore,
    split: Split,
    panel: JudgePanel,
    cache: FeatureCache,
    folder: Path,
    reporter: Reporter,
) -> ClipPanel | None:
    """A protocol's clip judges, one for each of its judges of images, kept beside those in ``folder``.

    They learn from the clips of the training subjects and, where ``neutral`` is a label, from one still clip
    a subject: the neutral frame, held.

    Returns:
        None where the training subjects' clips show no two classes.

    Raises:
        DataError: the folder cannot be written.
    """
    clips = labelled_clips(protocol, store, split, "train")
    shown = {EXPRESSIONS[clip.label] for clip in clips} | ({NEUTRAL} if clips else set())
    names = tuple(name for name in protocol.labels if name in shown)
    if len(names) < FEWEST_CLASSES:
        return None
    paths = {
        k: folder / f"clip-judge-{judge.facts.seed}.safetensors" for k, judge in enumerate(panel.members)
    }
    judges = {
        k: kept(path, ClipJudge, store, _fits(names, panel.members[k]), reporter) for k, path in paths.items()
    }
    missing = [k for k, judge in judges.items() if judge is None]
    if missing:
        with reporter.stage(f"train {len(missing)} clip judges on {len(clips)} clips of training subjects"):
            answers, labels = _lessons(clips, names, store, panel, cache)
            each = np.split(answers, len(panel.members), axis=2)
            for k in missing:
                member = panel.members[k]
                made = train_clip_judge(
                    each[k],
                    labels,
                    label_names=names,
                    frames=member.weights_sha256,
                    seed=member.facts.seed,
                    fingerprint=store.fingerprint,
                )
                keep(made, paths[k])
                judges[k] = made
    return ClipPanel([judge for judge in judges.values() if judge is not None])


def _fits(names: tuple[str, ...], member: Judge) -> Callable[[ClipJudge], bool]:
    return lambda found: (
        found.facts.classes == names
        and found.facts.seed == member.facts.seed
        and found.facts.frames == member.weights_sha256
    )


def _lessons(
    clips: Sequence[Clip], names: tuple[str, ...], store: AlignedStore, panel: JudgePanel, cache: FeatureCache
) -> tuple[np.ndarray, np.ndarray]:
    """What the judges of images say of training clips, float32 (N, STEPS, members * classes); labels (N,)."""
    rows = np.array([clip.resampled(STEPS) for clip in clips])
    labels = [names.index(EXPRESSIONS[clip.label]) for clip in clips]
    if NEUTRAL in names:
        who = store.manifest.table["identity"].to_numpy()[rows[:, 0]]
        first = np.sort(np.unique(who.astype(str), return_index=True)[1])
        rows = np.concatenate([rows, np.repeat(rows[first, :1], STEPS, axis=1)])
        labels += [names.index(NEUTRAL)] * len(first)
    frames, places = np.unique(rows, return_inverse=True)
    seen = cache.get(panel.base, RowsOf(store.images, frames)).values
    return seen[places.reshape(rows.shape)], np.array(labels, dtype=np.int64)
