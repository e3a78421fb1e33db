"""How the shipped judges are made and measured: ``python -m fesbench.judges.packaged [FOLDER]``.

They are trained on the 200 training subjects of ``avatars`` alone, both takes, at 64 and at 128 px, and
measured on the real images of the 20 validation and 40 test subjects, none of whom they saw. The recipe runs
with seeds 0 to 4; each judge is shipped in half precision, which halves its file, and measured as shipped.
Beside them stands what a linear probe on pixels reaches, so that a reader sees how hard the task is. A judge
whose file is there already, of these avatars and this recipe, is kept. Run it again whenever the avatars'
sources change.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import typer

from fesbench.data.avatars import source_sha256
from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.errors import WeightsError
from fesbench.judges.expression import Judge
from fesbench.judges.panel import MOST, JudgePanel, shipped_name
from fesbench.judges.training import train_judge
from fesbench.progress import LiveReporter, Reporter
from fesbench.vocabulary import EXPRESSIONS

FAMILY = 0
"""Seed of the avatar family: who has a number in another family is somebody else."""
TRAINING, HELD_OUT = range(200), range(200, 260)
Labelled = tuple[np.ndarray, np.ndarray]


def real_images(identities: Iterable[int], sizes: tuple[int, ...]) -> Labelled:
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
        images = render(specs, size, seed=FAMILY).images
        if size != 64:
            images = np.stack(
                [
                    np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BOX))
                    for image in images
                ]
            )
        stacks.append(images)
    return np.concatenate(stacks), labels


def linear_probe(train: Labelled, test: Labelled) -> float:
    """Accuracy of logistic regression on 32-px gray pixels, each image standardized."""
    from sklearn.linear_model import LogisticRegression

    def flat(images: np.ndarray) -> np.ndarray:
        gray = (
            images.mean(axis=3).reshape(len(images), 32, 2, 32, 2).mean(axis=(2, 4)).reshape(len(images), -1)
        )
        return (gray - gray.mean(axis=1, keepdims=True)) / gray.std(axis=1, keepdims=True)

    model = LogisticRegression(C=0.01, max_iter=300).fit(flat(train[0]), train[1])
    return float(model.score(flat(test[0]), test[1]))


def shipped_judge(seed: int, path: Path, train: Labelled, held_out: Labelled, reporter: Reporter) -> Judge:
    """The judge of a seed in its file, trained now where there is none of these avatars."""
    try:
        found = Judge.load(path)
        if found.facts.data_fingerprint == source_sha256() and found.facts.seed == seed:
            return found
    except WeightsError:
        pass
    with reporter.stage(f"train judge {seed} on {len(train[0])} images") as stage:
        made = train_judge(
            *train, label_names=EXPRESSIONS, seed=seed, fingerprint=source_sha256(), progress=stage.update
        )
    halved = made.halved().measured_on(*held_out)
    halved.save(path, half=True)
    return halved


def main(folder: Path) -> JudgePanel:
    """Train a judge with every seed, print the accuracies, write the files."""
    train, held_out = real_images(TRAINING, (64, 128)), real_images(HELD_OUT, (64,))
    typer.echo(
        f"avatars {source_sha256()[:12]}: {len(train[0])} training, {len(held_out[0])} held-out images"
    )
    judges = []
    with LiveReporter() as reporter:
        for seed in range(MOST):
            path = folder / shipped_name("avatars", seed)
            judges.append(shipped_judge(seed, path, train, held_out, reporter))
            typer.echo(f"seed {seed}: {judges[-1].accuracy:.4f}, {path.stat().st_size / 1e6:.2f} MB")
    panel = JudgePanel(judges)
    typer.echo(f"panel: {float((panel.predict(held_out[0]) == held_out[1]).mean()):.4f}")
    half = len(train[0]) // 2
    typer.echo(f"linear probe: {linear_probe((train[0][:half], train[1][:half]), held_out):.4f}")
    return panel


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
