"""The judge: a small expression classifier, trained on a protocol's training subjects alone, that scores ECS.

A judge enters a score's signature by its recipe, not by its weights: training it again on another machine
gives another file of the same recipe. Its accuracy on real held-out images stands beside every ECS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import DataError, WeightsError
from fesbench.judges.network import (
    FrozenNetwork,
    JudgeNetwork,
    filled_network,
    read_safetensors,
    write_network,
)

RECIPE_VERSION = "cnn64-1"


@dataclass(frozen=True)
class JudgeFacts:
    """What a judge's file says about it.

    Attributes:
        recipe: version of network, input and training recipe.
        classes: expression names in the order of its outputs.
        accuracy: on real held-out images of subjects it never saw, in [0, 1]; None when none were given.
        held_out: how many those were.
        data_fingerprint: of the store that it was trained on, or "".
        trained_on: number of training images.
        seed: of the training.
    """

    recipe: str
    classes: tuple[str, ...]
    accuracy: float | None
    held_out: int
    data_fingerprint: str
    trained_on: int
    seed: int


class Judge(FrozenNetwork):
    """An expression classifier; its features are the probabilities of its classes."""

    name = "judge"

    def __init__(self, network: JudgeNetwork, facts: JudgeFacts) -> None:
        super().__init__(network, facts.classes)
        self.facts = facts

    @property
    def label_names(self) -> tuple[str, ...]:
        """Expression names in the order of the columns of its features."""
        return self.facts.classes

    @property
    def accuracy(self) -> float | None:
        """Share of real held-out images that it names rightly."""
        return self.facts.accuracy

    @property
    def signature(self) -> str:
        """Recipe and classes; not the weights."""
        return f"judge:{self.facts.recipe}:{','.join(self.facts.classes)}"

    @staticmethod
    def answers(logits: Tensor) -> Tensor:
        """Probabilities of the classes."""
        return torch.softmax(logits, dim=1)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The most probable class of each image, as an index into :attr:`label_names`: int64 (N,)."""
        return self.extract(images)[0].argmax(axis=1)

    def measured_on(self, images: np.ndarray, labels: np.ndarray) -> Judge:
        """The same judge with its accuracy on these real images, of subjects it never saw, in its facts.

        Args:
            images: uint8 (N, H, W, 3).
            labels: int (N,), indices into :attr:`label_names`.
        """
        if len(images) == 0 or len(images) != len(labels):
            raise DataError(
                f"a judge is measured on labelled images; got {len(images)} and {len(labels)} labels"
            )
        accuracy = float((self.predict(images) == np.asarray(labels)).mean())
        return Judge(self.network, replace(self.facts, accuracy=accuracy, held_out=len(images)))

    def save(self, path: Path) -> None:
        """One safetensors file with the facts in its header, written atomically."""
        write_network(path, self.network, {"judge": json.dumps(asdict(self.facts), sort_keys=True)})

    @classmethod
    def load(cls, path: Path) -> Judge:
        """Read and check a judge's file.

        Raises:
            WeightsError: absent, not safetensors (pickles are never opened), incomplete, of another recipe.
        """
        path = Path(path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise WeightsError(f"judge {path} cannot be read ({error.strerror}); train it again") from None
        return _parse(raw, str(path))


def shipped_judge(protocol_id: str) -> Judge | None:
    """The judge that comes inside the package for a protocol, or None.

    Args:
        protocol_id: as in the protocol file, with or without version and overrides ("avatars", "avatars@1").

    Raises:
        WeightsError: the packaged file is damaged.
    """
    name = f"judge-{protocol_id.partition('@')[0]}.safetensors"
    found = resources.files("fesbench.judges").joinpath(name)
    return _parse(found.read_bytes(), name) if found.is_file() else None


def _parse(raw: bytes, origin: str) -> Judge:
    state, metadata = read_safetensors(raw, f"judge {origin}")
    facts = _facts(metadata, origin)
    return Judge(filled_network(state, len(facts.classes), f"judge {origin}", RECIPE_VERSION), facts)


def _facts(metadata: Mapping[str, str], origin: str) -> JudgeFacts:
    try:
        read = json.loads(metadata["judge"])
        facts = JudgeFacts(**{**read, "classes": tuple(read["classes"])})
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"judge {origin} lacks its facts; train it again") from None
    if facts.recipe != RECIPE_VERSION:
        raise WeightsError(
            f"judge {origin} is of recipe {facts.recipe}, this version uses {RECIPE_VERSION}; train it again"
        )
    classes_ok = len(facts.classes) >= 2 and all(isinstance(name, str) and name for name in facts.classes)
    accuracy_ok = facts.accuracy is None or (
        isinstance(facts.accuracy, float | int) and 0.0 <= facts.accuracy <= 1.0
    )
    if not (classes_ok and accuracy_ok):
        raise WeightsError(f"judge {origin} states impossible facts; train it again")
    return facts
