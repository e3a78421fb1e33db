"""Do methods that draw faces out of noise learn? What they draw for each label, against the real images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.conditions import request_batch
from fesbench.methods.training_set import TrainingSet


@dataclass(frozen=True)
class Drawn:
    """Drawn and real images.

    Attributes:
        made: float (N, K, C, H, W), one noise a row for all labels.
        real: K tensors (n, C, H, W), the training images of each label.
    """

    made: Tensor
    real: tuple[Tensor, ...]

    @property
    def cosine(self) -> float:
        """Cosine of the labels' mean images, made and real, each less the mean over labels; 0 where the label
        says nothing.
        """
        made, real = self.made.mean(0), torch.stack([images.mean(0) for images in self.real])
        made, real = made - made.mean(0), real - real.mean(0)
        return float(torch.nn.functional.cosine_similarity(made.flatten(), real.flatten(), dim=0))

    @property
    def diversity(self) -> float:
        """Mean distance between images of one label, over that of the real ones; 0 for one image a label."""
        made = sum(_apart(self.made[:, k]) for k in range(len(self.real)))
        return made / sum(_apart(images) for images in self.real)

    @property
    def accuracy(self) -> float:
        """Share of the drawn images that a ridge classifier on pixels gives the label that was asked for."""
        real = torch.cat(self.real).flatten(1)
        labels = torch.cat([torch.full((len(x),), k) for k, x in enumerate(self.real)])
        wanted = torch.nn.functional.one_hot(labels).float()
        center = real.mean(0)
        gram = (real - center) @ (real - center).T
        dual = torch.linalg.solve(gram + 0.05 * gram.trace() / len(real) * torch.eye(len(real)), wanted)
        found = ((self.made.flatten(2) - center) @ (real - center).T @ dual).argmax(2)
        return float((found == torch.arange(len(self.real))).float().mean())

    def __str__(self) -> str:
        return (
            f"drawn: label cosine {self.cosine:+.2f}, accuracy {self.accuracy:.2f}, "
            f"diversity {self.diversity:.2f}"
        )

    def sheet(self, path: Path, rows: int = 8) -> None:
        """Write an image: a row a noise, a column a label; below them as many real images."""
        from PIL import Image

        real = torch.stack([images[:rows] for images in self.real], dim=1)
        grid = torch.cat([self.made[:rows], real])
        pixels = ((torch.cat([torch.cat(list(row), 2) for row in grid], 1) + 1) * 127.5).round()
        pixels = pixels.clamp(0, 255).byte().expand(3, -1, -1).permute(1, 2, 0)
        image = Image.fromarray(pixels.numpy())
        image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(path)


def random_requests(view: TrainingSet, labels: list[int], seeds: list[int]) -> RequestBatch:
    """Requests of task ``random``: every label from each seed, seed by seed."""
    names = view.problem.labels
    table = pd.DataFrame(
        [
            {
                "request": f"random_in_{names[label]}_{seed}",
                "task": "random",
                "given": "label",
                "source": -1,
                "driver": -1,
                "source_expression": "",
                "target_expression": names[label],
                "second_expression": "",
                "intensity": 1.0,
                "noise_seed": seed,
            }
            for seed in seeds
            for label in labels
        ]
    )
    return request_batch(table, view.store, view, view.problem)


def drawn(method: Method, view: TrainingSet, count: int = 32) -> Drawn:
    """``count`` images of each label, and the real ones."""
    labels = list(range(len(view.problem.labels)))
    requests = random_requests(view, labels, list(range(count)))
    made = torch.cat([method.answer(requests[k : k + 32]) for k in range(0, len(requests), 32)])
    real = [view.images((view.labels == label).nonzero()[0]).image for label in labels]
    if method.native is not None and method.native.channels == 1:
        gray = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        made, real = made[:, :1], [(images * gray).sum(1, keepdim=True) for images in real]
    found = Drawn(made.unflatten(0, (count, len(labels))), tuple(real))
    print(found)
    return found


def _apart(images: Tensor) -> float:
    distances = torch.pdist(images.flatten(1))
    return float(distances.mean())
