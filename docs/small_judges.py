"""How should judges of small real sets be trained? A measurement on sets of the size of JAFFE.

Run ``python docs/small_judges.py`` (some minutes on one core); it prints the table of docs/statistics.md. A
set is drawn as JAFFE was photographed: eight training subjects (a fold of ``jaffe@1``), seven expressions,
three takes each, as avatars of the style ``wild``, aligned as JAFFE's images are. No subject was ever seen by
the shipped judges, no two sets share one, and all are tested on the same twenty further subjects.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fesbench.data.alignment.recipes import alignment
from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.judges.expression import Judge
from fesbench.judges.panel import JudgePanel, shipped_panel
from fesbench.judges.training import JUDGE_RECIPE, JudgeRecipe, train_judge

LABELS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
DRAWS, TRAINED, TAKES, TESTED, SIZE = 5, 8, 3, 20, 96
FIRST = 5000
"""The shipped judges know the subjects 0 to 199."""
LARGER = (20, 40)

GENTLE = replace(JUDGE_RECIPE, learning_rate=1.5e-3)
STRONG = {"shift": 0.07, "rotation": 12.0, "scale": 0.15, "contrast": 0.3, "soften": 0.5, "noise": 0.2}


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
        recipe: of the training.
        start: with what it begins: "" is random weights, "shipped" the shipped judges, "misnamed" the same
            with their classes' names in another order, as if the set's expressions looked otherwise.
        draws: how many sets it is tried on.
        larger: whether on larger sets as well.
    """

    recipe: JudgeRecipe
    start: str = ""
    draws: int = DRAWS
    larger: bool = False


ARMS = {
    "from scratch": Arm(JUDGE_RECIPE, larger=True),
    "from scratch, stronger augmentation": Arm(replace(JUDGE_RECIPE, **STRONG)),
    "from scratch, three times as long": Arm(replace(JUDGE_RECIPE, epochs=60)),
    "fine-tuned, the same recipe": Arm(JUDGE_RECIPE, "shipped", larger=True),
    "fine-tuned, stronger augmentation": Arm(replace(JUDGE_RECIPE, **STRONG), "shipped"),
    "fine-tuned, a quarter of the learning rate": Arm(GENTLE, "shipped"),
    "fine-tuned, both": Arm(replace(GENTLE, **STRONG), "shipped"),
    "fine-tuned, three times as long": Arm(replace(JUDGE_RECIPE, epochs=60), "shipped", draws=2),
    "fine-tuned from judges that misname every expression": Arm(JUDGE_RECIPE, "misnamed"),
}

Labelled = tuple[np.ndarray, np.ndarray]


def photographed(identities: Iterable[int], takes: int) -> Labelled:
    """Aligned gray images uint8 (N, 64, 64, 3) and labels int64 (N,), one a subject, label and take."""
    specs = [
        AvatarSpec(who, expression=name, take=take, style="wild")
        for who in identities
        for name in LABELS
        for take in range(takes)
    ]
    batch, recipe = render(specs, SIZE), alignment("dlib68-128@1")
    images = np.stack(
        [
            recipe.apply(image, points, 64, None)[0]
            for image, points in zip(batch.images, batch.landmarks, strict=True)
        ]
    )
    return images, np.array([LABELS.index(spec.expression) for spec in specs])


def begun_with(arm: Arm, shipped: JudgePanel) -> JudgePanel | None:
    """The judges that an arm's begin with."""
    if arm.start == "misnamed":
        names = shipped.label_names
        facts = [replace(judge.facts, classes=(*names[1:], names[0])) for judge in shipped.members]
        pairs = zip(shipped.members, facts, strict=True)
        return JudgePanel([Judge(judge.network, renamed) for judge, renamed in pairs])
    return shipped if arm.start else None


def main() -> None:
    """Print the accuracy of every way to train."""
    shipped = shipped_panel("avatars")
    assert shipped is not None
    test = photographed(range(FIRST, FIRST + TESTED), 2)
    columns = [shipped.label_names.index(name) for name in LABELS]
    told = shipped.extract(test[0])[0][:, columns].argmax(axis=1)
    print(f"the shipped panel, untrained: {(told == test[1]).mean():.3f}", flush=True)  # noqa: T201
    at = FIRST + TESTED
    for trained, draws in ((TRAINED, DRAWS), *((larger, 1) for larger in LARGER)):
        sets = [photographed(range(at + k * trained, at + (k + 1) * trained), TAKES) for k in range(draws)]
        at += draws * trained
        for name, arm in ARMS.items():
            if trained != TRAINED and not arm.larger:
                continue
            started, right = time.process_time(), []
            for seed, (images, labels) in enumerate(sets[: arm.draws]):
                start = begun_with(arm, shipped)
                judge = train_judge(
                    images,
                    labels,
                    label_names=LABELS,
                    seed=seed,
                    validation=test,
                    recipe=arm.recipe,
                    start=start,
                )
                right.append(judge.accuracy or 0.0)
            each = ", ".join(f"{one:.3f}" for one in right)
            seconds = (time.process_time() - started) / len(right)
            print(  # noqa: T201
                f"{trained} subjects, {name}: {np.mean(right):.3f} ({each}), {seconds:.0f} CPU s", flush=True
            )


if __name__ == "__main__":
    main()
