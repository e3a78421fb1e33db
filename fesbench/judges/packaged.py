"""How the judge of ``avatars@1`` is made and measured: ``python -m fesbench.judges.packaged [FILE]``.

The judge is trained on the 200 training subjects of the protocol alone, both takes, at 64 and at 128 px, and
measured on the real images of the 20 validation and 40 test subjects, none of whom it saw. The recipe runs
with three seeds; seed 0 is shipped. Beside it stands what a linear probe on pixels reaches, so
that a reader sees how hard the task is. Run it again whenever the avatars' sources change.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import typer

from fesbench.data.avatars import source_sha256
from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.judges.expression import Judge
from fesbench.judges.training import train_judge
from fesbench.vocabulary import EXPRESSIONS

TRAINING, HELD_OUT = range(200), range(200, 260)
SEEDS = (0, 1, 2)


def real_images(identities: Iterable[int], sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Real images of subjects, both takes: uint8 (N, 64, 64, 3) and labels int64 (N,).

    Images of another size are brought to 64 px by a box filter.
    """
    from PIL import Image

    specs = [
        AvatarSpec(identity, expression=e, take=take)
        for identity in identities
        for take in (0, 1)
        for e in EXPRESSIONS
    ]
    labels = np.array([EXPRESSIONS.index(spec.expression) for spec in specs] * len(sizes))
    stacks = []
    for size in sizes:
        images = render(specs, size).images
        if size != 64:
            images = np.stack(
                [
                    np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BOX))
                    for image in images
                ]
            )
        stacks.append(images)
    return np.concatenate(stacks), labels


def linear_probe(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Accuracy of logistic regression on 32-px gray pixels, each image standardized."""
    from sklearn.linear_model import LogisticRegression

    def flat(images: np.ndarray) -> np.ndarray:
        gray = (
            images.mean(axis=3).reshape(len(images), 32, 2, 32, 2).mean(axis=(2, 4)).reshape(len(images), -1)
        )
        return (gray - gray.mean(axis=1, keepdims=True)) / gray.std(axis=1, keepdims=True)

    model = LogisticRegression(C=0.01, max_iter=300).fit(flat(train[0]), train[1])
    return float(model.score(flat(test[0]), test[1]))


def main(path: Path) -> Judge:
    """Train with every seed, print the accuracies, write the first seed's judge."""
    train, held_out = real_images(TRAINING, (64, 128)), real_images(HELD_OUT, (64,))
    typer.echo(
        f"avatars {source_sha256()[:12]}: {len(train[0])} training, {len(held_out[0])} held-out images"
    )
    shipped: Judge | None = None
    for seed in SEEDS:
        judge = train_judge(
            *train, label_names=EXPRESSIONS, seed=seed, validation=held_out, fingerprint=source_sha256()
        )
        typer.echo(f"seed {seed}: {judge.accuracy:.4f}")
        if shipped is None:
            shipped = judge
            judge.save(path)
    half = len(train[0]) // 2
    typer.echo(f"linear probe: {linear_probe((train[0][:half], train[1][:half]), held_out):.4f}")
    assert shipped is not None
    return shipped


if __name__ == "__main__":
    default = Path(__file__).parent / "judge-avatars.safetensors"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
