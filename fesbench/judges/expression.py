"""The judge: small expression classifiers, trained on a protocol's training subjects alone, that score ECS.

A judge's seed moves its answers, so that a protocol's judge is a panel of several that differ in their seeds
alone; their probabilities are averaged (`fesbench.judges.panel`). Their accuracy on real held-out images
stands beside every ECS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fesbench.errors import DataError
from fesbench.judges.network import JudgeNetwork, TrainedNetwork
from fesbench.judges.stored import ClassFacts

RECIPE_VERSION = "cnn64-1"
BEGUN = "-from-"
"""Behind a recipe's version: the judges that it begins with, by 8 digits of their digest."""


@dataclass(frozen=True)
class JudgeFacts(ClassFacts):
    """What a judge's file says about it.

    Attributes:
        accuracy: on real held-out images of subjects it never saw, in [0, 1]; None when none were given.
    """

    accuracy: float | None

    @property
    def possible(self) -> bool:
        """Two or more names, and an accuracy in [0, 1] if any."""
        return super().possible and (
            self.accuracy is None or (isinstance(self.accuracy, float | int) and 0.0 <= self.accuracy <= 1.0)
        )


class Judge(TrainedNetwork[JudgeFacts]):
    """One expression classifier; its features are the probabilities of its classes."""

    name = title = "judge"
    recipe = RECIPE_VERSION
    facts_type = JudgeFacts

    def __init__(self, network: JudgeNetwork, facts: JudgeFacts) -> None:
        super().__init__(network, facts)
        self.classes = facts.classes

    @property
    def label_names(self) -> tuple[str, ...]:
        """Expression names in the order of the columns of its features."""
        return self.facts.classes

    @property
    def accuracy(self) -> float | None:
        """Share of real held-out images that it names rightly."""
        return self.facts.accuracy

    @classmethod
    def states(cls, recipe: str) -> bool:
        """Its recipe, from random weights or begun with other judges."""
        return recipe.partition(BEGUN)[0] == cls.recipe

    @staticmethod
    def answers(logits: Tensor) -> Tensor:
        """Probabilities of the classes."""
        return torch.softmax(logits, dim=1)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The most probable class of each image, as an index into :attr:`label_names`: int64 (N,)."""
        return self.extract(images)[0].argmax(axis=1)

    def lend_to(self, network: JudgeNetwork, names: Sequence[str]) -> None:
        """Give a network this one's layers, and its outputs for the classes that both know, in place.

        Args:
            network: is changed.
            names: of its classes, in the order of its outputs.
        """
        network.blocks.load_state_dict(self.network.blocks.state_dict())
        with torch.no_grad():
            for ours, name in enumerate(names):
                if name in self.label_names:
                    theirs = self.label_names.index(name)
                    network.head.weight[ours] = self.network.head.weight[theirs]
                    network.head.bias[ours] = self.network.head.bias[theirs]

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
