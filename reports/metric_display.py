"""How each metric is shown: order, decimals, direction, and what it says in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Style:
    """A metric's face in tables."""

    name: str
    direction: Literal["higher", "lower", ""]
    decimals: int
    words: str
    percent: bool = False
    quality: bool = True
    """Whether it enters the average rank."""

    def text(self, value: float) -> str:
        """A value as shown, with a real minus sign."""
        shown = f"{value * 100 if self.percent else value:.{self.decimals}f}"
        if float(shown) == 0:
            shown = shown.lstrip("-")
        return shown.replace("-", "−")

    @property
    def unit(self) -> str:
        """The unit as printed in the header."""
        if self.name.startswith(GAIN):
            return "points"
        if self.name.startswith(SELF_ASSESSED):
            return "%, self-assessed"
        return "%" if self.percent else _UNITS.get(self.name, "")

    @property
    def head(self) -> str:
        """The name as printed in the header: "gain 5×" of an augmentation."""
        kind, _, factor = self.name.removeprefix("augmentation-").partition("@")
        return f"{kind} {factor}×" if self.name.startswith((GAIN, ACCURACY)) else self.name

    @property
    def share(self) -> bool:
        """Whether values lie in [0, 1], so that all such columns are drawn on one axis."""
        return self.percent and not self.name.startswith(GAIN)


SELF_ASSESSED = "D-acc-"
"""Told by a method's own discriminator: shown, marked, and never part of a rank over all columns."""
GAIN, ACCURACY = "augmentation-gain@", "augmentation-accuracy@"
FLOOR = "Motion-floor"
"""The detector's noise on the real clips, the same for every row: shown, and not ranked."""
RECOGNIZED = ("FD-dlib", "FD-arcface", "FD-facenet512", "FD-vgg-face", "FD-lightcnn-29-v2")
"""Fréchet distances that reward kept faces, not expressions: no part of that rank either."""
_ORDER = [
    "ECS",
    "Target-cosine",
    "HES",
    "mSCR",
    "CLS",
    "Expression-distance[judge]",
    "ID-cal",
    "FSS",
    "FVS@FAR=1%",
    "TAR@FAR=1%",
    "TAR@FAR=0.1%",
    "Rank-1",
    "SSIM",
    "PSNR",
    "FID",
    "KID",
    "FD-judge",
    "FD-dlib",
    "Pose-distance",
    "Pose-distance[face-mesh]",
    "Background-RMSE",
    "ECS-apex",
    "ECS-clip",
    "Intensity-correlation",
    "IS-clip",
    "FD-clip",
    "FVD",
    "Motion-distance",
    FLOOR,
    "Motion-length",
    "Onset-error",
    "Apex-error",
    "ACD-I",
    "ACD-C",
    "Drift",
    "SSIM-frames",
    "PSNR-frames",
    "LPIPS-frames",
    "NME-frames",
    "First-frame",
    "Flicker",
    "Jerk",
]
"""First columns of the leaderboard."""
_UNITS = {
    "PSNR": "dB",
    "PSNR-frames": "dB",
    "Pose-distance": "degrees",
    "Pose-distance[face-mesh]": "degrees",
    "Background-RMSE": "gray levels",
    "Flicker": "gray levels",
    "Motion-distance": "rad",
    FLOOR: "rad",
}
_DECIMALS = {
    "Pose-distance": 2,
    "Pose-distance[face-mesh]": 2,
    "Background-RMSE": 2,
    "PSNR": 2,
    "PSNR-frames": 2,
    "FID": 1,
    "KID": 2,
    "FD-dlib": 4,
    "FD-judge": 4,
    "FD-clip": 1,
    "FVD": 1,
}
"""Where they are neither the 1 of a share nor the 3 of another score."""


def style_of(metric: str) -> Style:
    """A metric's style, by its card; one that is not installed is shown without direction."""
    if metric.startswith((GAIN, ACCURACY)):
        return _of_augmentation(metric)
    from fesbench.metrics.explain import card_of, title_of

    card = card_of(metric)
    if card is None:
        return Style(
            metric, "", 3, "a metric that is not installed here; it is shown and not ranked", quality=False
        )
    share = card.unit == "fraction"
    return Style(
        metric,
        "" if metric == FLOOR else card.direction,
        _DECIMALS.get(metric, 1 if share else 3),
        card.plain if card.plain and metric == card.name else title_of(metric),
        percent=share,
        quality=not metric.startswith((SELF_ASSESSED, FLOOR, *RECOGNIZED)),
    )


def _of_augmentation(metric: str) -> Style:
    """A recognizer's accuracy, or its gain, at a factor; without additions it is the same for every row."""
    factor = metric.partition("@")[2]
    if metric.startswith(GAIN):
        words = (
            f"accuracy of a recognizer trained on {factor} times as many synthetic images beside the real "
            "ones, minus that of one trained on the real ones alone, with as many steps"
        )
        return Style(metric, "higher", 1, words, percent=True, quality=False)
    if factor == "0":
        words = "accuracy of a recognizer trained on the real images alone: the same for every row"
        return Style(metric, "", 1, words, percent=True, quality=False)
    words = f"accuracy on real test images of a recognizer trained on {factor} times as many added images too"
    return Style(metric, "higher", 1, words, percent=True, quality=False)


def ordered(metrics: set[str]) -> list[str]:
    """Metrics in the order of the leaderboard; unknown ones behind, by name; augmentation by factor."""

    def place(metric: str) -> tuple[int, int, str]:
        kind, _, factor = metric.partition("@")
        # The outside judges stand beside the protocol's own.
        base = "ECS" if metric.startswith(("ECS[", "ECS-known[")) else metric
        known = _ORDER.index(base) if base in _ORDER else len(_ORDER)
        return known, int(factor) if kind.startswith("augmentation-") and factor.isdigit() else 0, metric

    return sorted(metrics, key=place)
