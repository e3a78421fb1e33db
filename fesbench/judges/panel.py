"""The panel: judges that differ in their seeds alone, their probabilities averaged.

One judge's seed is worth several points of ECS, so that the panel's spread is a part of every interval
(`fesbench.statistics.judges`), and its digest a part of every signature (`fesbench.records.judges`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import resources

import numpy as np

from fesbench.errors import WeightsError
from fesbench.extractors.base import DerivedExtractor, Extractor
from fesbench.extractors.registry import JUDGE, MEMBERS
from fesbench.judges.expression import Judge
from fesbench.records.judges import Judges

MOST, FEWEST = 5, 3


def members_of(budget: str) -> int:
    """How many judges a panel has under a budget: fewer where it is a trial.

    >>> members_of("smoke"), members_of("steps=100"), members_of("standard")
    (3, 3, 5)
    """
    return MOST if budget in ("standard", "paper") else FEWEST


class PanelMembers(Extractor):
    """What each judge says: the probabilities of one behind those of another, float32 (N, K * classes)."""

    name = MEMBERS

    def __init__(self, judges: Sequence[Judge], signature: str) -> None:
        self.judges, self._signature = tuple(judges), signature

    @property
    def signature(self) -> str:
        """The panel's, with the digest of its weights."""
        return self._signature

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Every judge's probabilities; every image is valid."""
        found = [judge.extract(images, landmarks) for judge in self.judges]
        return np.concatenate([values for values, _ in found], axis=1), found[0][1]


class JudgePanel(DerivedExtractor):
    """Judges of one recipe, trained on the same images; its features are their mean probabilities.

    Args:
        judges: two or more that differ in nothing but their seeds.

    Raises:
        WeightsError: they differ in more.
    """

    name = JUDGE

    def __init__(self, judges: Sequence[Judge]) -> None:
        facts = [judge.facts for judge in judges]
        if len({(f.recipe, f.classes, f.data_fingerprint, f.trained_on) for f in facts}) != 1:
            raise WeightsError("a panel's judges must be of one recipe, trained on the same images")
        if len({f.seed for f in facts}) != len(facts):
            raise WeightsError(f"a panel's judges must differ in their seeds, not {[f.seed for f in facts]}")
        self.members = tuple(judges)
        self.classes = self.label_names = facts[0].classes
        super().__init__(PanelMembers(judges, f"{MEMBERS}:{facts[0].recipe}:{len(judges)}:{self.digest}"))

    @property
    def signature(self) -> str:
        """Recipe and classes; `judges` has the rest."""
        return self.members[0].signature

    @cached_property
    def digest(self) -> str:
        """Of all members' weights, in the order of the members, hex."""
        return hashlib.sha256("".join(judge.weights_sha256 for judge in self.members).encode()).hexdigest()

    @property
    def judges(self) -> Judges:
        """The panel as signatures name it."""
        facts = self.members[0].facts
        return Judges(len(self.members), facts.recipe, facts.data_fingerprint[:8], self.digest[:8])

    @property
    def cache_key(self) -> str:
        """Changes with any member's weights."""
        return f"{self.signature}:{self.judges}"

    def derive(self, values: np.ndarray) -> np.ndarray:
        """Mean over the members: (N, K * classes) -> float32 (N, classes)."""
        each = values.reshape(len(values), len(self.members), len(self.classes))
        mean: np.ndarray = each.mean(axis=1)
        return mean

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The most probable class of each image, as an index into `label_names`: int64 (N,)."""
        return self.extract(images)[0].argmax(axis=1)


def shipped_panel(protocol_id: str, members: int = MOST) -> JudgePanel | None:
    """The first so many judges that come inside the package for a protocol, or None.

    Args:
        protocol_id: as in the protocol file, with or without version and overrides ("avatars", "avatars@1").
        members: how many; panels of one size are one panel.

    Raises:
        WeightsError: a packaged file is damaged or absent.
    """
    folder = resources.files("fesbench.judges")
    names = [shipped_name(protocol_id.partition("@")[0], seed) for seed in range(members)]
    if not folder.joinpath(names[0]).is_file():
        return None
    try:
        return JudgePanel([Judge.parse(folder.joinpath(name).read_bytes(), name) for name in names])
    except OSError as error:
        raise WeightsError(f"a packaged judge cannot be read ({error}); install fesbench again") from None


def shipped_name(protocol_id: str, seed: int) -> str:
    """The file of a packaged judge.

    >>> shipped_name("avatars", 0)
    'judge-avatars-0.safetensors'
    """
    return f"judge-{protocol_id}-{seed}.safetensors"
