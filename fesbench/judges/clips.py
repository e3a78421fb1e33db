"""Judges of whole clips: temporal convolutions over what the protocol's judge of images says of every frame.

A clip judge reads the probabilities that one judge of images gives to the classes, frame by frame, as
logarithms at a fixed number of equal steps of time, so that one network reads clips of any length. Like the
judges of images they are a panel whose members differ in their seeds; the member of a seed reads the judge of
images of that seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.errors import WeightsError
from fesbench.extractors.base import fixed_chunks
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE, CLIP_MEMBERS
from fesbench.judges.stored import ClassFacts, StoredNetwork
from fesbench.records.judges import Judges

RECIPE_VERSION = "clip-conv-1"
STEPS = 16
"""Equal steps of time that a clip is read at."""
LEAST = 1e-3
"""Probabilities below it count as it: what a judge says of what it is sure not to see is noise."""
WIDTH, PARTS = 8, 4
"""Channels, and the parts of a clip over which each is averaged, so that order counts."""
_BATCH = 64


class ClipNetwork(nn.Module):
    """Two convolutions over time, the mean of each channel over each part of the clip, and a linear layer."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs, 1))
        self.register_buffer("deviation", torch.ones(inputs, 1))
        self.blocks = nn.Sequential(
            nn.Conv1d(inputs, WIDTH, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(inplace=True),
            nn.Conv1d(WIDTH, WIDTH, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(PARTS * WIDTH, classes)

    def features(self, series: Tensor) -> Tensor:
        """What it makes of a clip: (N, inputs, STEPS) -> (N, PARTS * WIDTH)."""
        over_time = self.blocks((series - self.mean) / self.deviation)
        return F.adaptive_avg_pool1d(over_time, PARTS).flatten(1)

    def forward(self, series: Tensor) -> Tensor:
        """Logits (N, classes)."""
        logits: Tensor = self.head(self.features(series))
        return logits


@dataclass(frozen=True)
class ClipFacts(ClassFacts):
    """What a clip judge's file says about it.

    Attributes:
        inputs: how many classes the judge of images has that it reads.
        frames: digest of that judge's weights, hex.
    """

    inputs: int
    frames: str

    @property
    def possible(self) -> bool:
        """Two or more names, and as many inputs."""
        return super().possible and isinstance(self.inputs, int) and self.inputs >= 2


class ClipJudge(StoredNetwork[ClipFacts]):
    """One judge of clips."""

    name = CLIP_JUDGE
    title = "clip judge"
    recipe = RECIPE_VERSION
    facts_type = ClipFacts
    network: ClipNetwork

    @classmethod
    def empty(cls, facts: ClipFacts) -> ClipNetwork:
        """A network of as many inputs and outputs."""
        return ClipNetwork(facts.inputs, len(facts.outputs))

    def read(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What it sees in clips, independent of how they are batched.

        Args:
            answers: float (N, T, inputs), probabilities that its judge of images gives to each frame.

        Returns:
            probabilities float32 (N, classes), features float32 (N, PARTS * WIDTH).
        """
        series = to_series(answers)
        seen = np.zeros((len(series), len(self.facts.classes)), dtype=np.float32)
        features = np.zeros((len(series), PARTS * WIDTH), dtype=np.float32)
        with torch.inference_mode():
            for rows, chunk in fixed_chunks(series, _BATCH):
                found = self.network.features(torch.from_numpy(chunk))
                kept = rows.stop - rows.start
                features[rows] = found.numpy()[:kept]
                seen[rows] = F.softmax(self.network.head(found), dim=1).numpy()[:kept]
        return seen, features


def to_series(answers: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities at equal steps of time, linear between the frames.

    Args:
        answers: float (N, T, inputs), T >= 2.

    Returns:
        float32 (N, inputs, STEPS).

    >>> to_series(np.ones((1, 4, 3))).shape
    (1, 3, 16)
    """
    logs = np.log(np.clip(answers.astype(np.float64), LEAST, 1.0))
    places = np.linspace(0, answers.shape[1] - 1, STEPS)
    before = np.minimum(places.astype(int), answers.shape[1] - 2)
    share = (places - before)[None, :, None]
    between = logs[:, before] * (1 - share) + logs[:, before + 1] * share
    return np.ascontiguousarray(between.transpose(0, 2, 1), dtype=np.float32)


class ClipPanel:
    """Clip judges of one recipe, trained on the same clips, a judge of images each.

    Args:
        judges: one or more that differ in their seeds and in the judge that they read.

    Raises:
        WeightsError: they differ in more.
    """

    def __init__(self, judges: Sequence[ClipJudge]) -> None:
        facts = [judge.facts for judge in judges]
        if len({(f.recipe, f.classes, f.inputs, f.data_fingerprint, f.trained_on) for f in facts}) != 1:
            raise WeightsError("a panel's clip judges must be of one recipe, trained on the same clips")
        if len({f.seed for f in facts}) != len(facts):
            raise WeightsError(
                f"a panel's clip judges must differ in their seeds, not {[f.seed for f in facts]}"
            )
        self.members = tuple(judges)
        self.classes = facts[0].classes

    @property
    def signature(self) -> str:
        """Recipe and classes; `judges` has the rest."""
        return self.members[0].signature

    @cached_property
    def digest(self) -> str:
        """Of all members' weights and of those of the judges that they read, hex."""
        parts = [part for judge in self.members for part in (judge.weights_sha256, judge.facts.frames)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @property
    def judges(self) -> Judges:
        """The panel as signatures name it."""
        facts = self.members[0].facts
        return Judges(len(self.members), facts.recipe, facts.data_fingerprint[:8], self.digest[:8])

    def read(self, name: str, answers: np.ndarray) -> np.ndarray:
        """What the panel sees in clips.

        Args:
            name: ``clip-judge`` for mean probabilities (N, classes), ``clip-judge-members`` for those of each
                member, one behind another, ``clip-judge-features`` for the features of each.
            answers: float32 (N, T, members * inputs), of the judges of images, one behind another.
        """
        each = np.split(answers, len(self.members), axis=2)
        found = [judge.read(part) for judge, part in zip(self.members, each, strict=True)]
        if name == CLIP_FEATURES:
            return np.concatenate([features for _, features in found], axis=1)
        seen = [probabilities for probabilities, _ in found]
        return np.concatenate(seen, axis=1) if name == CLIP_MEMBERS else np.mean(seen, axis=0)
